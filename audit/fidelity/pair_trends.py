"""Pair trends: how far each pair of columns is from the real pair, seen together."""

from itertools import combinations
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from audit.core import Estimate, Evidence, Metric, reasoned
from audit.intervals import half_samples
from audit.reading import Codes, bins, modelled
from audit.reference import match

WORST = 15


class PairTrends(Metric):
    """Mean over pairs of columns of the total variation distance of their joint distribution, 1/2 Σ|p - q|.

    Numbers are cut at quantiles of the training rows, categories beyond the most frequent share one code, missing is
    a code of its own. The value is the mean over random splits of the holdout of half A against as many synthetic
    rows as half B has, the reference the mean of A against B; intervals are half-sample intervals
    (`audit.intervals.half_samples`).
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Pair trends"
    definition: ClassVar[str] = (
        "Mean over pairs of columns of the total variation distance between their real and synthetic joint "
        "distributions on shared bins; 0 (alike) to 1 (two-way marginals: Tao et al. 2021, arXiv:2112.09238)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How coarsely columns are read, and how much is compared.

        Attributes:
            splits: How often the holdout is split.
            minimum: Fewest rows on either side.
            most: Most rows on either side.
            bins: Most bins of a number column.
            categories: Categories that keep a code of their own.
            pairs: Most pairs; of more, so many are drawn at random.
        """

        splits: PositiveInt = 10
        minimum: PositiveInt = 50
        most: PositiveInt = 20_000
        bins: int = Field(default=10, ge=2)
        categories: PositiveInt = 20
        pairs: PositiveInt = 1_000

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compare each pair's joint distribution with that of real rows never seen."""
        columns = modelled(evidence.holdout.schema, fewest=2)
        settings = self.config
        splits = [match(evidence, rng, settings.minimum, settings.most) for _ in range(settings.splits)]
        tables = (evidence.holdout, evidence.synthetic)
        coded = [bins(column, evidence.train, tables, settings.bins, settings.categories) for column in columns]
        pairs = list(combinations(range(len(columns)), 2))
        if len(pairs) > settings.pairs:
            pairs = [pairs[each] for each in np.sort(rng.choice(len(pairs), settings.pairs, replace=False))]
        found = np.empty((2, len(splits), len(pairs)))
        for place, (i, j) in enumerate(pairs):
            size = coded[i].size * coded[j].size
            real = coded[i].codes[0] * coded[j].size + coded[j].codes[0]
            synthetic = coded[i].codes[1] * coded[j].size + coded[j].codes[1]
            for turn, split in enumerate(splits):
                half = real[split.real]
                found[0, turn, place] = total_variation(half, synthetic[split.synthetic], size)
                found[1, turn, place] = total_variation(half, real[split.fresh], size)
        by_pair = found.mean(axis=1)
        return Estimate(
            value=float(by_pair[0].mean()),
            interval=half_samples(found[0].mean(axis=1), 0, 1),
            reference=float(by_pair[1].mean()),
            reference_interval=half_samples(found[1].mean(axis=1), 0, 1),
            detail=tuple(
                {
                    "first": columns[pairs[place][0]].name,
                    "second": columns[pairs[place][1]].name,
                    "distance": float(by_pair[0, place]),
                    "reference": float(by_pair[1, place]),
                }
                for place in np.argsort(by_pair[1] - by_pair[0], kind="stable")[:WORST]
            ),
            rows=len(splits[0].synthetic),
        )


def total_variation(first: Codes, second: Codes, size: int) -> float:
    """Return 1/2 Σ|p - q| of two samples of codes in [0, size), shapes (n,) and (m,)."""
    p = np.bincount(first, minlength=size) / len(first)
    q = np.bincount(second, minlength=size) / len(second)
    return float(np.abs(p - q).sum() / 2)
