"""Shadow models: does one record's presence among the training rows show in what the generator draws?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from audit.core import Estimate, Evidence, Metric, NotComputable, Refit, Row, reasoned
from audit.epsilon import lower_bound
from audit.intervals import LEVEL, auc
from audit.learner import THREADS
from audit.neighbours import encode, nearest, reach
from audit.reading import Codes, bins, modelled
from audit.reference import need, one_each, some, units
from tabular.table import Table

Floats = NDArray[np.float64]
FOLDS = 2
# Weights of one record's own are learned from few runs, and held closer to 0 than those that all share.
OWN = 0.5


class Targets(NamedTuple):
    """The records that are attacked.

    Attributes:
        rows: Their positions in the training table, shape (K,).
        persons: Positions of all rows of each one's privacy unit, K arrays.
        radii: Mean distance of each to its nearest neighbours, shape (K,).
        table: The records.
    """

    rows: NDArray[np.int64]
    persons: list[NDArray[np.int64]]
    radii: Floats
    table: Table


class Runs(NamedTuple):
    """What all runs showed.

    Attributes:
        present: Whether the record was trained on, shape (runs, K).
        synthetic: Features of the drawn rows around each record, shape (runs, K, F).
        fresh: The same of as many fresh real rows.
        rows: Rows drawn in a run.
    """

    present: NDArray[np.bool_]
    synthetic: Floats
    fresh: Floats
    rows: int


class ShadowModels(Metric):
    """Lower bound on ε, at 95 % confidence, from telling with which records a generator was trained.

    The records are those of the training rows that lie furthest from their `neighbours` nearest ones (one per privacy
    unit): those that a generator has most trouble hiding. The generator is trained `fits` times, each time on `rows`
    other training rows drawn at random and on each record for which a coin, tossed anew for each record and run, shows
    heads; so one run serves all records. What it draws is described around each record: the log of the distance to the
    nearest row, of the number of rows within the record's own mean distance to its neighbours, and the mean log count
    of rows that agree with it in one, two and three columns (numbers in bins of the holdout), over all sets of columns
    alike and weighted by 1 / (1 + holdout rows that agree): the rarest tell most. A logistic regression over these
    features, each standardised by record, with weights that all records share and weaker ones of each record's own, is
    trained on half of the runs and scores the other half, and the reverse; the scores of all records give the bound
    (`audit.epsilon.lower_bound`).

    The reference looks at fresh real rows, of the holdout, in the place of the drawn ones, with the same coins. Where
    records that were all told apart could not show the bound `visible`, nothing is computed.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Shadow models"
    spread = "bound"
    needs = ("refit",)
    definition: ClassVar[str] = (
        "Lower bound at 95 % confidence on the ε of the generator, from attacks on the most isolated records over many "
        "trainings with and without them; 0 (never told apart) upwards (Stadler, Oprisanu & Troncoso 2022, "
        "arXiv:2011.07018; most isolated records: Meeus et al. 2023, arXiv:2306.10308)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How many records are attacked, how often, and how they are described.

        Attributes:
            targets: Records that are attacked.
            fits: How often the generator is trained.
            rows: Training rows of a run.
            neighbours: Neighbours that a record's isolation is measured by.
            most: Most training rows that the records are chosen among.
            minimum: Fewest rows of the training table and of the holdout.
            columns: Most columns that agreement is counted over; of more, so many are drawn at random.
            bins: Bins of a number column when agreement is counted.
            categories: Categories of a column that are told apart; the others count as one.
            visible: The smallest ε that records which were all told apart have to show.
        """

        targets: PositiveInt = 5
        fits: int = Field(default=100, ge=4)
        rows: PositiveInt = 1_000
        neighbours: PositiveInt = 5
        most: PositiveInt = 10_000
        minimum: PositiveInt = 100
        columns: int = Field(default=20, ge=1)
        bins: int = Field(default=10, ge=2)
        categories: PositiveInt = 50
        visible: PositiveFloat = 1.0

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Train again and again with and without the records, and tell which it was."""
        if evidence.refit is None:
            raise NotComputable(
                f"the deep tier was not asked for: the generator would be trained {planned_fits(self.config)} times "
                f"more, on {self.config.rows:,} rows each"
            )
        modelled(evidence.holdout.schema)
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        targets = self._isolated(evidence, rng)
        runs = self._run(evidence, evidence.refit, targets, rng)
        present = runs.present.ravel()
        best = lower_bound(np.ones(int(present.sum())), np.zeros(int((~present).sum())), rng, LEVEL)
        if best < self.config.visible:
            raise NotComputable(
                f"{self.config.fits} trainings with and without {len(targets.rows)} records could not show a leak of "
                f"ε {self.config.visible:g}, only one of {best:.1f}; more trainings are needed"
            )
        scores, control = (_scores(each, runs.present, rng) for each in (runs.synthetic, runs.fresh))
        return Estimate(
            value=lower_bound(scores[runs.present], scores[~runs.present], rng, LEVEL),
            reference=lower_bound(control[runs.present], control[~runs.present], rng, LEVEL),
            detail=_rows(scores, control, runs, targets),
            power=f"Records whose presence always showed would have shown ε ≥ {best:.1f}.",
            rows=runs.rows,
        )

    def _isolated(self, evidence: Evidence, rng: np.random.Generator) -> Targets:
        """Choose the records furthest from their nearest neighbours, one per privacy unit.

        Raises:
            NotComputable: If there are too few units to choose among.
        """
        train, settings = evidence.train, self.config
        pool = some(one_each(train, rng), settings.most, rng)
        need(len(pool), settings.targets + settings.neighbours, "the training table, one row per privacy unit,")
        points = encode(evidence.holdout, train.take(pool), settings.categories)
        # The nearest of all is the record itself.
        apart = nearest(points, points, settings.neighbours + 1)[:, 1:].mean(axis=1)
        chosen = np.argsort(-apart, kind="stable")[: settings.targets]
        unit = units(train)
        persons = [np.flatnonzero(unit == unit[row]) for row in pool[chosen]]
        return Targets(pool[chosen], persons, apart[chosen], train.take(pool[chosen]))

    def _run(self, evidence: Evidence, refit: Refit, targets: Targets, rng: np.random.Generator) -> Runs:
        """Train on random rows and on the records that the coins choose, and describe what is drawn.

        Raises:
            NotComputable: If rows are too few, or the generator draws none.
        """
        others = np.setdiff1d(np.arange(len(evidence.train)), np.concatenate(targets.persons))
        need(len(others), self.config.minimum, "the training table without the records under attack")
        view = self._view(evidence, targets, rng)
        present = rng.random((self.config.fits, len(targets.rows))) < 0.5
        size = min(self.config.rows, len(others))
        drawn, fresh = [], []
        for chosen in present:
            these = [person for person, heads in zip(targets.persons, chosen, strict=True) if heads]
            rows = rng.permutation(np.concatenate([some(others, size, rng), *these]))
            table = refit.fit_and_sample(evidence.train.take(rows), size, rng)
            need(len(table), 1, "what the generator drew in an audit fit")
            drawn.append(view.describe(table))
            fresh.append(view.describe(evidence.holdout.take(some(np.arange(len(evidence.holdout)), size, rng))))
        return Runs(present, np.stack(drawn), np.stack(fresh), size)

    def _view(self, evidence: Evidence, targets: Targets, rng: np.random.Generator) -> "View":
        columns = some(np.arange(len(evidence.holdout.schema.modelled)), self.config.columns, rng)
        return View(evidence.holdout, targets, np.sort(columns), self.config)


class View:
    """Looks at drawn rows from where the records stand."""

    def __init__(self, known: Table, targets: Targets, columns: NDArray[np.int64], config: ShadowModels.Config) -> None:
        self.known = known
        self.config = config
        self.radii = targets.radii
        self.columns = [known.schema.modelled[each] for each in columns]
        self.points = encode(known, targets.table, config.categories)
        self.codes = self._codes(targets.table)
        seen = self._codes(known.take(np.arange(min(len(known), config.most))))
        self.weights = [[1 / (1 + counts) for counts in _agreements(seen == own)] for own in self.codes]

    def describe(self, table: Table) -> Floats:
        """Return the features of a table around each record, shape (K, F)."""
        rows = encode(self.known, table, self.config.categories)
        distance, within = reach(self.points, rows, self.radii)
        codes = self._codes(table)
        agreed = np.stack(
            [_means(_agreements(codes == own), weights) for own, weights in zip(self.codes, self.weights, strict=True)]
        )
        # No nearer than a thousandth of the record's own isolation: logs of nothing say nothing more.
        near = np.log(distance + 1e-3 * np.maximum(self.radii, 1e-6))
        return np.column_stack([near, np.log(within + 0.5), agreed])

    def _codes(self, table: Table) -> Codes:
        """Return the coarse codes of a table's rows, shape (n, C)."""
        coded = [
            bins(column, self.known, (table,), self.config.bins, self.config.categories).codes[0]
            for column in self.columns
        ]
        return np.stack(coded, axis=1)


def planned_fits(config: ShadowModels.Config) -> int:
    """Return how often the generator will be trained; one training serves all records."""
    return config.fits


def _agreements(same: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Count the rows that agree in one, two and three columns, for each set of them, from agreement of shape (n, C)."""
    agree = same.astype(np.float32)
    width = agree.shape[1]
    first, second = np.triu_indices(width, 1)
    pairs = agree[:, first] * agree[:, second]
    threes = (pairs.T @ agree)[np.arange(width) > second[:, None]]
    one, two, three = (each.astype(np.float64) for each in (agree.sum(axis=0), pairs.sum(axis=0), threes))
    return one, two, three


def _means(counts: tuple[Floats, Floats, Floats], weights: list[Floats]) -> Floats:
    """Return the mean log counts over sets of one, two and three columns, plain and by rarity, shape (6,)."""
    means = []
    for each, weight in zip(counts, weights, strict=True):
        logs = np.log(each + 0.5)
        means += [float(logs.mean()), float(logs @ weight / weight.sum())] if each.size else [0.0, 0.0]
    return np.array(means)


def _scores(features: Floats, present: NDArray[np.bool_], rng: np.random.Generator) -> Floats:
    """Score each record in each run by a model of the other half of the runs, shape (runs, K)."""
    fold = rng.permutation(np.arange(len(features)) % FOLDS)
    scores = np.zeros(present.shape)
    for each in range(FOLDS):
        known = fold != each
        centre, spread = features[known].mean(axis=0), features[known].std(axis=0)
        asked = _shared_and_own((features - centre) / np.where(spread > 0, spread, 1.0))
        answers = present[known].ravel()
        if answers.all() or not answers.any():
            continue
        with threadpool_limits(THREADS):
            model = LogisticRegression(max_iter=1_000).fit(asked[known].reshape(answers.size, -1), answers)
            found = model.decision_function(asked[~known].reshape(-1, asked.shape[2]))
            scores[~known] = found.reshape(-1, present.shape[1])
    return scores


def _shared_and_own(scaled: Floats) -> Floats:
    """Give each record weights of its own beside those that all share, shape (runs, K, F + K F)."""
    runs, records, width = scaled.shape
    own = OWN * scaled[:, :, None, :] * np.eye(records)[None, :, :, None]
    return np.concatenate([scaled, own.reshape(runs, records, records * width)], axis=2)


def _rows(scores: Floats, control: Floats, runs: Runs, targets: Targets) -> tuple[Row, ...]:
    """Return the table for people: all records together, then each; none is quoted."""
    rows: list[Row] = [_row("all records", scores.ravel(), control.ravel(), runs.present.ravel())]
    for place, radius in enumerate(targets.radii):
        row = _row(f"record {place + 1}", scores[:, place], control[:, place], runs.present[:, place])
        rows.append({**row, "mean distance to neighbours": float(radius)})
    return tuple(rows)


def _row(name: str, scores: Floats, control: Floats, present: NDArray[np.bool_]) -> Row:
    both = present.any() and not present.all()
    return {
        "records": name,
        "ROC AUC": auc(scores, present) if both else None,
        "ROC AUC, fresh real rows": auc(control, present) if both else None,
        "runs with": int(present.sum()),
        "runs without": int((~present).sum()),
    }
