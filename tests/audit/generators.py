"""Small generators and small sins, honest and fast, that make releases with known faults out of real rows.

A generator takes a table, a number of rows and random numbers, trains and draws, so that each is a `Refit` too. They
model every column that models see; tables with keys or a privacy unit are not theirs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.neighbors import NearestNeighbors
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from tabular.schema import Column
from tabular.table import Table, from_codes, from_numbers

Rng = np.random.Generator
Codes = NDArray[np.int64]
Generator = Callable[[Table, int, Rng], Table]
BINS = 12


def cart(leaf: int) -> Generator:
    """Return sequential trees: each column from a tree over those before it, cells drawn from the rows of the leaf."""

    def draw(table: Table, rows: int, rng: Rng) -> Table:
        levels = np.stack([_levels(table, column) for column in table.schema.columns], axis=1)
        donors = rng.integers(len(table), size=(rows, levels.shape[1]))
        for place, column in enumerate(table.schema.columns[1:], start=1):
            known = range(place)
            drawn = np.stack([levels[donors[:, each], each] for each in known], axis=1)
            donors[:, place] = _leaf_donors(table, levels, drawn, column, leaf, rng)
        return _cells(table, donors)

    return draw


def smote(neighbours: int = 5) -> Generator:
    """Return points on the line between a row and one of its neighbours; categories are those of the nearer end."""

    def draw(table: Table, rows: int, rng: Rng) -> Table:
        base = rng.permutation(np.resize(np.arange(len(table)), rows))
        points = _points(table)
        with threadpool_limits(1):
            found = NearestNeighbors(n_neighbors=neighbours + 1, algorithm="brute").fit(points)
            near = found.kneighbors(points[base], return_distance=False)[:, 1:]
        other = near[np.arange(rows), rng.integers(near.shape[1], size=rows)]
        way = rng.random(rows)
        closer = np.where(way < 0.5, base, other)
        columns = {}
        for column in table.schema.columns:
            if column.is_code:
                columns[column.name] = table.frame[column.name].iloc[closer].reset_index(drop=True)
                continue
            values = table.numbers(column.name)
            between = values[base] + way * (values[other] - values[base])
            between = np.where(np.isnan(between), values[closer], between)
            columns[column.name] = from_numbers(column, between)
        return Table(table.schema, pd.DataFrame(columns))

    return draw


def network(epsilon: float = np.inf, degree: int = 2, public: Table | None = None) -> Generator:
    """Return a Bayesian network over codes and bins, in the manner of PrivBayes (doi:10.1145/3134428).

    Half of ε chooses the parents by the exponential mechanism over mutual information, half pays for Laplace noise on
    the counts; numbers are uniform within a bin. Bin edges are quantiles of the public rows. Without those they are
    quantiles of the rows themselves, which nothing pays for: ε is then a claim that does not hold, since the largest
    number of all is an edge.
    """

    def draw(table: Table, rows: int, rng: Rng) -> Table:
        columns = table.schema.columns
        binned = [_binned(table, table if public is None else public, column) for column in columns]
        codes = [each.codes for each in binned]
        sizes = [each.size for each in binned]
        made: list[Codes] = [np.empty(0, dtype=np.int64)] * len(columns)
        for child, parents in _structure(codes, sizes, epsilon, degree, rng):
            counts = _counts(codes, sizes, child, parents)
            if np.isfinite(epsilon):
                noise = rng.laplace(0, 2 * len(columns) / epsilon, counts.shape)
                counts = np.maximum(counts + noise, 0)
            at = _index([made[each] for each in parents], [sizes[each] for each in parents], rows)
            made[child] = _choose(counts, at, rng)
        series = {
            column.name: each.write(column, code, rng) for column, each, code in zip(columns, binned, made, strict=True)
        }
        return Table(table.schema, pd.DataFrame(series))

    return draw


def copula(table: Table, rows: int, rng: Rng) -> Table:
    """Draw from a Gaussian copula over the ranks of all columns, categories by their code, ties in random order."""
    levels = [_levels(table, column) for column in table.schema.columns]
    ranked = np.stack([np.lexsort((rng.random(len(table)), each)) for each in levels], axis=1)
    place = np.argsort(ranked, axis=0)
    spread = np.cov(norm.ppf((place + 0.5) / len(table)), rowvar=False)
    z = rng.multivariate_normal(np.zeros(len(spread)), spread, rows, method="eigh")
    at = np.minimum((norm.cdf(z) * len(table)).astype(np.int64), len(table) - 1)
    return _cells(table, np.take_along_axis(ranked, at, 0))


def shuffled(table: Table, rows: int, rng: Rng) -> Table:
    """Draw each column by itself, without replacement where rows suffice: right shapes, no dependence."""
    width = len(table.schema.columns)
    return _cells(table, np.stack([np.resize(rng.permutation(len(table)), rows) for _ in range(width)], axis=1))


def bootstrap(table: Table, rows: int, rng: Rng) -> Table:
    return table.take(rng.integers(len(table), size=rows))


def resampled(table: Table, share: float, rng: Rng) -> Table:
    """Draw that share of all cells anew from their column."""
    donors = np.repeat(np.arange(len(table))[:, None], len(table.schema.columns), axis=1)
    hit = rng.random(donors.shape) < share
    donors[hit] = rng.integers(len(table), size=int(hit.sum()))
    return _cells(table, donors)


def joined(tables: Sequence[Table]) -> Table:
    schema = tables[0].schema
    return Table(schema, pd.concat([table.frame for table in tables], ignore_index=True).astype(tables[0].frame.dtypes))


def pasted(table: Table, source: Table, share: float, rng: Rng) -> Table:
    """Put rows of another table, each at most once, in the place of that share of the rows."""
    count = min(round(share * len(table)), len(source))
    kept = rng.permutation(len(table))[count:]
    return joined([table.take(kept), source.take(rng.permutation(len(source))[:count])])


def duplicated(table: Table, share: float, rng: Rng) -> Table:
    """Put copies of other rows of the table, each at most once more, in the place of that share of the rows."""
    order = rng.permutation(len(table))
    count = round(share * len(table))
    return table.take(np.concatenate([order[count:], order[count : 2 * count]]))


def where(table: Table, column: str, value: object) -> NDArray[np.bool_]:
    """Say which rows have the value."""
    return (table.frame[column] == value).fillna(False).to_numpy(dtype=bool)


def flipped(
    table: Table, group: NDArray[np.bool_], target: tuple[str, object, object], share: float, rng: Rng
) -> Table:
    """Turn that share of a group's positives into negatives; the target is its name, its positive and its negative."""
    name, positive, negative = target
    wronged = group & where(table, name, positive) & (rng.random(len(table)) < share)
    return with_cells(table, name, np.flatnonzero(wronged), [negative] * int(wronged.sum()))


def dropped(table: Table, group: NDArray[np.bool_]) -> Table:
    """Leave a group out; the rows become fewer, for filling up would repeat some."""
    return table.take(~group)


def with_cells(table: Table, name: str, rows: Codes, values: Sequence[object]) -> Table:
    """Write values into some rows of a column."""
    series = table.frame[name].copy()
    series.iloc[rows] = list(values)
    return Table(table.schema, table.frame.assign(**{name: series}))


def scrambled(table: Table, name: str, rows: Codes, rng: Rng) -> Table:
    """Give some rows another value of a column than they have, one that the column holds elsewhere."""
    levels = _levels(table, table.schema[name])
    distinct, first = np.unique(levels, return_index=True)
    at = np.searchsorted(distinct, levels[rows])
    donors = first[(at + rng.integers(1, len(distinct), size=len(rows))) % len(distinct)]
    return with_cells(table, name, rows, table.frame[name].iloc[donors].tolist())


def raw_cells(table: Table, name: str, value: object, share: float, rng: Rng) -> pd.DataFrame:
    """Return plain rows in which a share of a column's cells holds whatever value, also one that the schema forbids."""
    series = table.frame[name].astype(object)
    series[rng.random(len(table)) < share] = value
    return table.frame.assign(**{name: series})


def canaries(table: Table, count: int, rng: Rng) -> Table:
    """Return rows that no person has: each cell a distinct value of its column, drawn uniformly and alone."""
    return _cells(table, np.stack([_uniform(_levels(table, c), count, rng) for c in table.schema.columns], axis=1))


def planted(table: Table, strangers: Table, copies: int) -> Table:
    """Return the table with so many copies of each stranger in the place of its last rows."""
    repeated = strangers.take(np.repeat(np.arange(len(strangers)), copies))
    return joined([table.take(np.arange(len(table) - len(repeated))), repeated])


class Binned:
    """A column as codes of categories or of quantile bins; where it may be missing, the last code is missing.

    Attributes:
        codes: Code of each row, shape (n,).
        size: Number of codes.
        edges: Smallest and largest value of each bin, shape (bins, 2); None for categories.
    """

    def __init__(self, codes: Codes, size: int, edges: NDArray[np.float64] | None) -> None:
        self.codes = codes
        self.size = size
        self.edges = edges

    def write(self, column: Column, codes: Codes, rng: Rng) -> pd.Series:
        if self.edges is None:
            return from_codes(column, np.where(codes == len(column.categories), -1, codes))
        edges = np.concatenate([self.edges, [[np.nan, np.nan]]])[codes]
        return from_numbers(column, edges[:, 0] + rng.random(len(codes)) * (edges[:, 1] - edges[:, 0]))


def _binned(table: Table, known: Table, column: Column) -> Binned:
    """Code a column of a table by the bins of known rows."""
    if column.is_code:
        size = len(column.categories)
        codes = table.codes(column.name)
        return Binned(np.where(codes == -1, size, codes), size + column.nullable, None)
    present = known.numbers(column.name)
    present = present[~np.isnan(present)]
    distinct, counts = np.unique(present, return_counts=True)
    first = np.arange(len(distinct))
    if len(distinct) > BINS:
        # A value that fills a bin is a bin of its own: noughts of a column of spendings stay noughts.
        heavy = np.flatnonzero(counts > len(present) / BINS)
        cuts = np.searchsorted(distinct, np.quantile(present, np.arange(1, BINS) / BINS, method="higher"))
        first = np.unique(np.concatenate([[0], cuts, heavy, heavy + 1]))
        first = first[first < len(distinct)]
    last = np.append(first[1:] - 1, len(distinct) - 1)[: len(first)]
    values = table.numbers(column.name)
    codes = np.maximum(np.searchsorted(distinct[first], values, side="right") - 1, 0)
    codes = np.where(np.isnan(values), len(first), codes).astype(np.int64)
    return Binned(codes, len(first) + column.nullable, np.stack([distinct[first], distinct[last]], axis=1))


def _structure(
    codes: list[Codes], sizes: list[int], epsilon: float, degree: int, rng: Rng
) -> list[tuple[int, tuple[int, ...]]]:
    """Return each column with its parents, every parent before its children: greedy by mutual information."""
    n, width = len(codes[0]), len(codes)
    reach = np.log2(max(n, 2)) / max(n, 1)
    found: list[tuple[int, tuple[int, ...]]] = [(0, ())]
    scores: dict[tuple[int, tuple[int, ...]], float] = {}
    while len(found) < width:
        placed = [child for child, _ in found]
        sets = _subsets(placed, min(degree, len(placed)))
        options = [(child, parents) for child in range(width) if child not in placed for parents in sets]
        for option in options:
            if option not in scores:
                scores[option] = _information(_counts(codes, sizes, *option))
        gains = np.array([scores[option] for option in options])
        if np.isfinite(epsilon):
            gains = gains * epsilon / 2 / max(width - 1, 1) / (2 * reach) + rng.gumbel(size=len(gains))
        found.append(options[int(np.argmax(gains))])
    return found


def _subsets(placed: list[int], size: int) -> list[tuple[int, ...]]:
    if size <= 1:
        return [(each,) for each in sorted(placed)]
    return [(a, b) for a in sorted(placed) for b in sorted(placed) if a < b]


def _counts(codes: list[Codes], sizes: list[int], child: int, parents: tuple[int, ...]) -> NDArray[np.float64]:
    """Count the child's codes within each combination of the parents' codes, shape (combinations, size)."""
    at = _index([codes[each] for each in parents], [sizes[each] for each in parents], len(codes[child]))
    combinations = int(np.prod([sizes[each] for each in parents], dtype=np.int64))
    flat = np.bincount(at * sizes[child] + codes[child], minlength=combinations * sizes[child])
    return flat.reshape(combinations, sizes[child]).astype(np.float64)


def _index(codes: list[Codes], sizes: list[int], rows: int) -> Codes:
    at = np.zeros(rows, dtype=np.int64)
    for each, size in zip(codes, sizes, strict=True):
        at = at * size + each
    return at


def _information(counts: NDArray[np.float64]) -> float:
    """Return the mutual information of rows and columns of a table of counts, in bits."""
    share = counts / max(counts.sum(), 1)
    product = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
    present = share > 0
    return float((share[present] * np.log2(share[present] / product[present])).sum())


def _choose(counts: NDArray[np.float64], at: Codes, rng: Rng) -> Codes:
    """Draw a code for each row by the counts of its parents' combination, or of all where that was never seen."""
    overall = counts.sum(axis=0) + 1e-12
    empty = counts.sum(axis=1) <= 0
    counts = np.where(empty[:, None], overall, counts)
    reached = np.cumsum(counts / counts.sum(axis=1, keepdims=True), axis=1)
    drawn = (rng.random(len(at))[:, None] >= reached[at]).sum(axis=1)
    return np.minimum(drawn, counts.shape[1] - 1).astype(np.int64)


def _levels(table: Table, column: Column) -> Codes:
    """Return the rank of each row's value among the column's distinct values, shape (n,); missing is -1."""
    if column.is_code:
        return table.codes(column.name)
    values = table.numbers(column.name)
    distinct = np.unique(values[~np.isnan(values)])
    return np.where(np.isnan(values), -1, np.searchsorted(distinct, values)).astype(np.int64)


def _leaf_donors(table: Table, levels: Codes, drawn: Codes, column: Column, leaf: int, rng: Rng) -> Codes:
    """Return for each drawn row a real row of its leaf, shape (rows,); the tree predicts the column."""
    place = drawn.shape[1]
    answer = levels[:, place]
    if column.is_number:
        answer = pd.Series(answer).rank(pct=True).to_numpy()
    kinds = table.schema.columns[:place]
    features = [(levels[:, each], drawn[:, each], kind.is_code) for each, kind in enumerate(kinds)]
    placed = [_by_answer(known, new, answer) if is_code else (known, new) for known, new, is_code in features]
    kind = DecisionTreeRegressor if column.is_number else DecisionTreeClassifier
    tree = kind(min_samples_leaf=leaf, random_state=int(rng.integers(2**31)))
    tree.fit(np.stack([known for known, _ in placed], axis=1), answer)
    home = tree.apply(np.stack([known for known, _ in placed], axis=1))
    order = np.argsort(home, kind="stable")
    counts = np.bincount(home, minlength=tree.tree_.node_count)
    ends = np.cumsum(counts)
    leaves = tree.apply(np.stack([new for _, new in placed], axis=1))
    return order[ends[leaves] - counts[leaves] + (rng.random(len(leaves)) * counts[leaves]).astype(np.int64)]


def _by_answer(known: Codes, new: Codes, answer: NDArray[np.float64] | Codes) -> tuple[Codes, Codes]:
    """Put categories in the order in which the answer changes most along them, so that one cut tells many apart."""
    _, level = np.unique(answer if answer.dtype.kind == "i" else np.floor(answer * 10), return_inverse=True)
    size = int(max(known.max(), new.max())) + 2
    table = np.zeros((size, int(level.max()) + 1))
    np.add.at(table, (known + 1, level), 1)
    weight = np.sqrt(np.maximum(table.sum(axis=1, keepdims=True), 1))
    deviation = table / weight - weight * table.sum(axis=0) / table.sum()
    deviation[table.sum(axis=1) == 0] = 0
    score = np.linalg.svd(deviation, full_matrices=False)[0][:, 0] / weight[:, 0]
    rank = np.argsort(np.argsort(score, kind="stable"))
    return rank[known + 1], rank[new + 1]


def _points(table: Table) -> NDArray[np.float32]:
    """Place rows in space: numbers by their standard deviation, unequal categories at distance 1."""
    blocks = []
    for column in table.schema.columns:
        if column.is_code:
            blocks.append(np.eye(len(column.categories) + 1)[table.codes(column.name)] * np.sqrt(0.5))
            continue
        values = table.numbers(column.name)
        missing = np.isnan(values)
        known = values[~missing] if (~missing).any() else np.zeros(1)
        blocks.append(np.stack([np.where(missing, 0, (values - known.mean()) / (known.std() or 1)), missing], axis=1))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _uniform(levels: Codes, count: int, rng: Rng) -> Codes:
    """Return rows that hold distinct values, each value as likely as any other, shape (count,)."""
    _, first = np.unique(levels, return_index=True)
    return first[rng.integers(len(first), size=count)]


def _cells(table: Table, donors: Codes) -> Table:
    """Take each cell from a row of its own, donors of shape (rows, columns)."""
    columns = {
        name: table.frame[name].iloc[donors[:, place]].reset_index(drop=True)
        for place, name in enumerate(table.schema.names)
    }
    return Table(table.schema, pd.DataFrame(columns))
