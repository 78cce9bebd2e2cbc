"""Interval overlap: does a declared regression give the same answer on synthetic rows as on real ones?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt
from scipy.stats import t

from audit.core import DETAIL_ROWS, Estimate, Evidence, Metric, NotComputable, Row, reasoned
from audit.intervals import LEVEL
from audit.learner import Array
from audit.reference import Rows, need, units
from audit.regression import Analysis, Design, Scale, coefficients, design, overlap, parsed, scales
from audit.trials import around


class Fitted(NamedTuple):
    """One analysis on training, synthetic and holdout rows.

    Attributes:
        names: Names of the coefficients, P of them, the intercept left out.
        found: Estimate, low and high of each on the three, shape (3, 3, P); NaN where there is none.
    """

    names: tuple[str, ...]
    found: Array


class IntervalOverlap(Metric):
    """Mean overlap of confidence intervals of declared regressions' coefficients, synthetic against training rows.

    Each analysis `y ~ a + b` is fitted to equally many rows of each table that have all its values: least squares
    for a number y, logistic regression for a y of two classes; with usual standard errors. Numbers enter in standard
    deviations of the training rows, categories as indicators against the most frequent one, those with too few
    training rows or beyond the most frequent ones joined with it. The overlap of two intervals is the mean of the two
    shares of their length that both cover, 0 where they do not meet, where a coefficient cannot be found on the
    synthetic rows, or where the regression has no single best fit there. The intercept is left out.

    The reference is the overlap of the training rows' intervals with those of as many holdout rows: two samples of
    one world overlap by 0.71 on average, not by 1. Intervals: ± t · standard deviation of the mean overlap over random
    half-samples of all three tables, the gap's paired (`audit.intervals.half_samples`). Rows of one privacy unit are
    drawn together and enter as rows, as they would in the naive analysis.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "higher"
    ideal: ClassVar[float] = 1.0
    title: ClassVar[str] = "Interval overlap"
    needs = ("analyses",)
    definition: ClassVar[str] = (
        "Mean overlap of the 95% confidence intervals of declared regressions' coefficients on synthetic and on real "
        "rows; 0 (apart) to 1 (the same) (Karr et al. 2006, doi:10.1198/000313006X124640); it does not make naive "
        "standard errors from synthetic rows right, which are too small (Decruyenaere et al. 2024, PMLR 244)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes.

        Attributes:
            minimum: Fewest rows of each table.
            most: Most rows of each table.
            repeats: Half-samples.
            levels: Most categories of a column with a coefficient of their own.
            of_level: Fewest training rows of such a category.
        """

        minimum: PositiveInt = 100
        most: PositiveInt = 20_000
        repeats: int = Field(default=8, ge=2)
        levels: PositiveInt = 20
        of_level: PositiveInt = 100

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Fit each declared regression to real, synthetic and fresh real rows."""
        settings = self.config
        if not evidence.declared.analyses:
            raise NotComputable("no analysis is declared")
        schema = evidence.holdout.schema
        analyses = [parsed(formula, schema) for formula in evidence.declared.analyses]
        given = (evidence.train, evidence.synthetic, evidence.holdout)
        # A few times as many rows as are drawn from them, in whole units: designs of millions would not fit.
        many = 4 * settings.most
        tables = tuple(table if len(table) <= many else table.take(_drawn(units(table), many, rng)) for table in given)
        for table, name in zip(tables, ("training table", "synthetic table", "holdout"), strict=True):
            need(len(table), settings.minimum, f"the {name}")
        size = min(*(len(table) for table in tables), settings.most)
        order = [units(table) for table in tables]
        read = [scales(analysis, evidence.train, settings.levels, settings.of_level) for analysis in analyses]
        designs = [[design(*each, table) for table in tables] for each in zip(analyses, read, strict=True)]
        fitted = self._fitted(analyses, read, designs, [_drawn(unit, size, rng) for unit in order])
        value, reference = _mean(fitted)
        halves = np.empty((settings.repeats, 2))
        for turn in range(settings.repeats):
            drawn = [_drawn(unit, size // 2, rng) for unit in order]
            halves[turn] = _mean(self._fitted(analyses, read, designs, drawn))
        quantile = float(t.ppf((1 + LEVEL) / 2, settings.repeats - 1))
        widths = quantile * np.append(halves.std(axis=0, ddof=1), (halves[:, 0] - halves[:, 1]).std(ddof=1))
        return Estimate(
            value=value,
            interval=around(value, float(widths[0]), 0, 1),
            reference=reference,
            reference_interval=around(reference, float(widths[1]), 0, 1),
            gap=value - reference,
            gap_interval=around(value - reference, float(widths[2]), -1, 1),
            detail=_detail(analyses, fitted),
            rows=size,
        )

    def _fitted(
        self, analyses: list[Analysis], read: list[list[Scale]], designs: list[list[Design]], drawn: list[Rows]
    ) -> list[Fitted]:
        """Fit every analysis to the drawn rows of the three tables.

        Raises:
            NotComputable: If it has no single best fit to the real rows.
        """
        found = []
        for analysis, scale, sides in zip(analyses, read, designs, strict=True):
            names = tuple(name for each in scale for name in each.names)
            if not names:
                raise NotComputable(f"the analysis {analysis.formula!r}: no predictor varies among the real rows")
            fits = np.full((3, 3, len(names)), np.nan)
            for place, (side, rows) in enumerate(zip(sides, drawn, strict=True)):
                kept = np.isin(side.rows, rows)
                fit = coefficients(side.x[kept], side.y[kept], analysis.outcome.is_code)
                if fit is None and place != 1:
                    raise NotComputable(
                        f"the analysis {analysis.formula!r} has no single best fit to the real rows: too few of them, "
                        "collinear predictors, or predictors that tell the classes apart"
                    )
                if fit is not None:
                    fits[place] = fit[:, 1:]
            found.append(Fitted(names, fits))
        return found


def _drawn(unit: Rows, most: int, rng: np.random.Generator) -> Rows:
    """Return so many rows at random, rows of one privacy unit together."""
    place = rng.permutation(int(unit.max()) + 1)
    return np.argsort(place[unit], kind="stable")[:most]


def _mean(fitted: list[Fitted]) -> tuple[float, float]:
    """Return the mean overlap of synthetic and of holdout rows with training rows."""
    both = [np.concatenate([overlap(each.found[0, 1:], each.found[side, 1:]) for each in fitted]) for side in (1, 2)]
    return float(both[0].mean()), float(both[1].mean())


def _detail(analyses: list[Analysis], fitted: list[Fitted]) -> tuple[Row, ...]:
    """Return one row per coefficient, the least overlap first."""
    rows: list[Row] = []
    for analysis, each in zip(analyses, fitted, strict=True):
        real, synthetic, fresh = each.found
        both = [overlap(real[1:], other[1:]) for other in (synthetic, fresh)]
        for place, name in enumerate(each.names):
            row: Row = {"analysis": analysis.formula, "coefficient": name}
            row |= {"overlap": float(both[0][place]), "reference": float(both[1][place])}
            for side, found in (("real", real), ("synthetic", synthetic)):
                for end, number in zip(("", "_low", "_high"), found[:, place], strict=True):
                    row |= {f"{side}{end}": None if np.isnan(number) else float(number)}
            rows.append(row)
    return tuple(sorted(rows, key=lambda row: float(row["overlap"] or 0.0))[:DETAIL_ROWS])
