"""Canaries: are rows of nobody, planted before the generator is trained again, to be seen in what it draws?"""

from typing import ClassVar, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from audit.core import Estimate, Evidence, Metric, NotComputable, Refit, Row, reasoned
from audit.epsilon import lower_bound
from audit.intervals import LEVEL, auc
from audit.neighbours import encode, nearest
from audit.privacy.exact_copies import hashes
from audit.reading import levels, modelled
from audit.reference import need, some
from tabular.table import Table

Scores = NDArray[np.float64]
# Random rows that may be rows of somebody are drawn anew so often as there are wanted.
TRIES = 4


class Found(NamedTuple):
    """What one audit fit, or all of them, gave away of canaries: scores, high for those that look trained on.

    Attributes:
        planted: Scores of canaries that won the toss and were trained on.
        out: Scores of their siblings that lost it and were kept out.
        never: Scores of siblings that no coin was tossed for.
        verbatim: For each of the three in this order, whether it stands in the drawn rows as it is.
        rows: Rows drawn.
    """

    planted: Scores
    out: Scores
    never: Scores
    verbatim: NDArray[np.bool_]
    rows: int


class Canaries(Metric):
    """Lower bound on ε, at 95 % confidence, from planted rows that an attacker looks for in what a generator draws.

    Canaries are rows that nobody has: each cell a value of its column in the holdout, all distinct values as likely,
    and none a row of the real tables. For each a coin is tossed; the generator is trained anew, apart from the one
    released, on the training rows and `copies` of each canary that won, about `share` of the rows, and draws as many
    rows as it saw. The score of a canary is log[(d(x, T) + s) / (d(x, S) + s)], d the distance to the nearest training
    row T and drawn row S (`audit.neighbours.encode`): canaries that lost are the siblings that tell
    how near a drawn row lies by chance. The scores of all fits together give the bound (`audit.epsilon.lower_bound`).
    A canary stands for a person of `copies` rows, and the bound is on the ε of that person.

    The reference puts siblings that no coin was tossed for in the place of the planted ones. Where canaries that were
    all told apart could not show the bound `visible`, nothing is computed.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Canaries"
    spread = "bound"
    needs = ("refit",)
    definition: ClassVar[str] = (
        "Lower bound at 95 % confidence on the ε of the generator, from random rows planted by coin toss before it is "
        "trained again; 0 (none told apart) upwards (Steinke, Nasr & Jagielski 2023, arXiv:2305.08846)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """How much is planted, and how often.

        Attributes:
            fits: How often the generator is trained.
            copies: How often each canary stands in the rows that it is trained on.
            share: Share of planted rows among the training rows, on average of the tosses.
            most: Most training rows of a fit.
            minimum: Fewest rows of the training table and of the holdout.
            smooth: The s of the score, as a share of the mean distance of canaries to training rows.
            categories: Categories of a column that are told apart; the others count as one.
            visible: The smallest ε that canaries which were all told apart have to show.
        """

        fits: PositiveInt = 4
        copies: PositiveInt = 5
        share: float = Field(default=0.01, gt=0, le=0.5)
        most: PositiveInt = 20_000
        minimum: PositiveInt = 100
        smooth: PositiveFloat = 0.05
        categories: PositiveInt = 50
        visible: PositiveFloat = 1.0

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Plant, train, draw and look."""
        if evidence.refit is None:
            raise NotComputable(
                f"the deep tier was not asked for: the generator would be trained {planned_fits(self.config)} times "
                f"more, with canaries among its rows"
            )
        modelled(evidence.holdout.schema)
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.holdout), self.config.minimum, "the holdout")
        size = min(len(evidence.train), self.config.most)
        tossed = int(2 * self.config.share * size / self.config.copies)
        self._demand_power(tossed * self.config.fits // 2, size, rng)
        found = _all([self._fit(evidence, evidence.refit, tossed, rng) for _ in range(self.config.fits)])
        best = ceiling(len(found.planted), len(found.out), rng)
        return Estimate(
            value=lower_bound(found.planted, found.out, rng, LEVEL),
            reference=lower_bound(found.never, found.out, rng, LEVEL),
            detail=_rows(found, self.config.fits),
            power=f"Canaries that were all told apart from their siblings would have shown ε ≥ {best:.1f}.",
            rows=found.rows,
        )

    def _demand_power(self, planted: int, size: int, rng: np.random.Generator) -> None:
        """Refuse what could not find the largest leak.

        Raises:
            NotComputable: If so many planted canaries, all told apart, would show too small an ε.
        """
        best = ceiling(planted, planted, rng)
        if best < self.config.visible:
            raise NotComputable(
                f"{planted} canaries, {self.config.share:.0%} of {size:,} training rows in {self.config.copies} copies "
                f"each over {self.config.fits} fits, could not show a leak of ε {self.config.visible:g}, only one of "
                f"{best:.1f}; more fits or more rows are needed"
            )

    def _fit(self, evidence: Evidence, refit: Refit, tossed: int, rng: np.random.Generator) -> Found:
        """Train once with those of so many canaries that win a coin toss, and score all, and half as many siblings.

        Raises:
            NotComputable: If the generator draws no row.
        """
        train = evidence.train.take(some(np.arange(len(evidence.train)), self.config.most, rng))
        birds = strangers(evidence, tossed + (tossed + 1) // 2, rng)
        wins = rng.random(tossed) < 0.5
        order = np.concatenate([np.flatnonzero(wins), np.flatnonzero(~wins), np.arange(tossed, len(birds))])
        birds, planted = birds.take(order), int(wins.sum())
        rows = together(train, birds.take(np.repeat(np.arange(planted), self.config.copies)), rng)
        drawn = refit.fit_and_sample(rows, len(rows), rng)
        need(len(drawn), 1, "what the generator drew in an audit fit")
        points = encode(evidence.holdout, birds, self.config.categories)
        to_train, to_drawn = (
            nearest(points, encode(evidence.holdout, table, self.config.categories))[:, 0] for table in (train, drawn)
        )
        s = self.config.smooth * (float(to_train.mean()) or 1.0)
        scores = np.log((to_train + s) / (to_drawn + s))
        verbatim = np.isin(hashes(birds), hashes(drawn))
        return Found(scores[:planted], scores[planted:tossed], scores[tossed:], verbatim, len(drawn))


def planned_fits(config: Canaries.Config) -> int:
    """Return how often the generator will be trained."""
    return config.fits


def ceiling(planted: int, out: int, rng: np.random.Generator) -> float:
    """Return the bound on ε that so many planted and kept-out canaries would show if all were told apart."""
    return lower_bound(np.ones(planted), np.zeros(out), rng, LEVEL)


def strangers(evidence: Evidence, count: int, rng: np.random.Generator) -> Table:
    """Return rows that nobody has: each modelled cell a value of its column, all alike likely, outside the real rows.

    Keys and other cells that no model sees are those of holdout rows.

    Raises:
        NotComputable: If random rows are mostly rows that somebody has.
    """
    holdout = evidence.holdout
    frame = holdout.frame.iloc[np.resize(rng.permutation(len(holdout)), TRIES * count)].reset_index(drop=True)
    for column in holdout.schema.modelled:
        (level,), _ = levels(column, (holdout,))
        _, first = np.unique(level, return_index=True)
        donors = first[rng.integers(len(first), size=len(frame))]
        frame[column.name] = holdout.frame[column.name].iloc[donors].reset_index(drop=True)
    found = Table(holdout.schema, frame)
    row = hashes(found)
    known = np.isin(row, np.concatenate([hashes(evidence.train), hashes(holdout)]))
    lone = np.flatnonzero(~known & ~pd.Series(row).duplicated().to_numpy())
    if len(lone) < count:
        raise NotComputable(
            "random rows of these columns are rows that people have, or one another; none can be planted as a canary"
        )
    return found.take(lone[:count])


def together(table: Table, planted: Table, rng: np.random.Generator) -> Table:
    """Return the rows of both tables in random order."""
    frame = pd.concat([table.frame, planted.frame], ignore_index=True).astype(table.frame.dtypes)
    return Table(table.schema, frame.iloc[rng.permutation(len(frame))].reset_index(drop=True))


def _all(fits: list[Found]) -> Found:
    """Put what all fits gave away together."""
    sides = [np.concatenate([fit[side] for fit in fits]) for side in range(3)]
    cuts = [np.split(fit.verbatim, [len(fit.planted), len(fit.planted) + len(fit.out)]) for fit in fits]
    verbatim = np.concatenate([cut[side] for side in range(3) for cut in cuts])
    return Found(sides[0], sides[1], sides[2], verbatim, fits[0].rows)


def _rows(found: Found, fits: int) -> tuple[Row, ...]:
    """Return the table for people: planted canaries beside their siblings."""
    n, m = len(found.planted), len(found.out)
    scores, never = np.concatenate([found.planted, found.out]), np.concatenate([found.never, found.out])
    return (
        {
            "quantity": "share found verbatim",
            "planted": _share(found.verbatim[:n]),
            "kept out": _share(found.verbatim[n:]),
        },
        {
            "quantity": "ROC AUC against those that lost the toss",
            "planted": auc(scores, np.arange(len(scores)) < n),
            "kept out": auc(never, np.arange(len(never)) < len(found.never)),
        },
        {"quantity": "canaries", "planted": n, "kept out": m + len(found.never)},
        {"quantity": "fits of the generator", "planted": fits, "kept out": fits},
    )


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0
