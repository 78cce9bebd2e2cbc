"""Orders for the cells of columns, in which one number a column carries most of the dependence between columns."""

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 50_000
ROUNDS = 12
SHRINK = 5.0
MUCH_BETTER = 1.1
NOISE = 4.0

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def orders(columns: list[Codes], rng: np.random.Generator) -> list[Codes]:
    """Return the place of each cell in its column's order, one array a column.

    Cells are scored so that the scores of different columns correlate most (alternating least squares, as in
    correspondence analysis). A column keeps its natural order unless, on rows that the scores have not seen, the
    scores' order is much better.

    Gifi, Nonlinear multivariate analysis, 1990; Benzécri, L'analyse des données, 1973.

    Args:
        columns: Cell of each row, 0 .. m - 1, shape (n,), one array a column; every cell occurs.
        rng: Source of the choice of rows.
    """
    sizes = [int(column.max()) + 1 for column in columns]
    n = len(columns[0]) if columns else 0
    some = rng.permutation(n)[:MOST_ROWS]
    half = len(some) // 2
    if half < 2 or len(columns) < 2:
        return [np.arange(size, dtype=np.int64) for size in sizes]
    fitted, judged = ([column[part] for column in columns] for part in (some[:half], some[half:]))
    learned = _scores(fitted, sizes)
    natural = [np.arange(size, dtype=np.float64) for size in sizes]
    reach = np.array([score[column] for score, column in zip(learned, judged, strict=True)])
    everything = _scores([column[some] for column in columns], sizes)
    ranks = []
    for index, column in enumerate(judged):
        others = np.delete(reach, index, axis=0)
        kept, new = (_carried(score, column, others) for score in (natural[index], learned[index]))
        better = sizes[index] > 2 and new > MUCH_BETTER * kept + NOISE * len(others) / len(column)
        chosen = everything[index] if better else natural[index]
        rank = np.empty(sizes[index], dtype=np.int64)
        rank[np.argsort(chosen, kind="stable")] = np.arange(sizes[index])
        ranks.append(rank)
    return ranks


def _scores(columns: list[Codes], sizes: list[int]) -> list[Floats]:
    """Score every column's cells; a cell that is rare or not there is drawn to 0."""
    counts = [np.bincount(column, minlength=size) for column, size in zip(columns, sizes, strict=True)]
    scores = [
        _normal_ranks(np.arange(size, dtype=np.float64), count) for size, count in zip(sizes, counts, strict=True)
    ]
    x = np.array([score[column] for score, column in zip(scores, columns, strict=True)])
    for _ in range(ROUNDS):
        for index, column in enumerate(columns):
            pull = x @ x[index] / len(column)
            pull[index] = 0.0
            total = np.bincount(column, pull @ x, minlength=sizes[index])
            score = total / (counts[index] + SHRINK)
            spread = np.sqrt((score**2 * counts[index]).sum() / len(column))
            if spread > 0:
                mean = (score * counts[index]).sum() / len(column)
                scores[index] = _standard(score - mean, counts[index])
                x[index] = scores[index][column]
    return scores


def _carried(score: Floats, column: Codes, others: Floats) -> float:
    """Return the squared correlations, summed, of one column's ranks with the other columns' scores."""
    ranks = _normal_ranks(score, np.bincount(column, minlength=len(score)))[column]
    spread = np.maximum(others.std(axis=1), 1e-9)
    centred = (others - others.mean(axis=1, keepdims=True)) / spread[:, None]
    return float(((centred @ ranks / len(column)) ** 2).sum())


def _normal_ranks(score: Floats, count: NDArray[np.int64]) -> Floats:
    """Return standardised middle ranks of cells, shape (m,), in the order of their scores."""
    order = np.argsort(score, kind="stable")
    middle = np.empty(len(score))
    middle[order] = np.cumsum(count[order]) - count[order] / 2
    return _standard(middle - (middle * count).sum() / count.sum(), count)


def _standard(score: Floats, count: NDArray[np.int64]) -> Floats:
    """Return scores of mean 0 divided by their spread over the rows."""
    spread = np.sqrt((score**2 * count).sum() / count.sum())
    standard: Floats = score / spread if spread > 0 else np.zeros(len(score))
    return standard
