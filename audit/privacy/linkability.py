"""Linkability: do the synthetic rows tell that two halves of a person's columns are of the same person?"""

from typing import ClassVar, Literal

import numpy as np
from pydantic import PositiveInt

from audit.core import Estimate, Evidence, Interval, Metric, Row, reasoned
from audit.intervals import share_difference
from audit.learner import LARGEST_SEED
from audit.lookup import closest
from audit.neighbours import Points, encode
from audit.reading import modelled
from audit.reference import independent, need, parts, some
from tabular.schema import Schema
from tabular.table import Table

# Numbers are placed no further out than so many of their 5-95 % ranges, where float32 still tells points apart.
FARTHEST = 8.0


class Linkability(Metric):
    """Share of training rows whose two halves lead to the same synthetic row, less the share of unseen rows.

    The columns are split in two at random, a few times. The attacker has both halves of a person's columns, not knowing
    that they belong together, and looks for a synthetic row nearest to each half alone (`audit.lookup`: numbers over
    their 5-95 % range in the holdout, unequal categories at distance 1; rows equally near are settled by one order of
    the synthetic rows, the same for both halves). The halves are linked where both searches find the same row. As many
    training as holdout rows are asked; the value is the mean over splits of the difference of the two shares. The
    reference searches half A of the holdout, and half B has no row in it. Intervals are hybrid score intervals of the
    mean shares with the rows asked for n, each counted once however many splits there are; rows of one privacy unit
    count as one. A verbatim copy scores the share of people whom each half alone tells from all others.
    """

    better: ClassVar[Literal["lower", "higher", "none"]] = "lower"
    ideal: ClassVar[float] = 0.0
    title: ClassVar[str] = "Linkability"
    needs = ("pairs",)
    definition: ClassVar[str] = (
        "Share of training rows with two halves of columns that lead to the same synthetic row, beyond the share of "
        "unseen rows; about 0 (no link) to 1 (Article 29 Working Party, Opinion 05/2014 on anonymisation techniques, "
        "WP216)."
    )

    class Config(Metric.Config, frozen=True, extra="forbid"):
        """Sizes of the attack.

        Attributes:
            minimum: Fewest rows of each table and of half of the holdout.
            most: Most training rows, and most holdout rows, that are linked.
            searched: Most synthetic rows that are searched; links through the others are not found.
            splits: How often the columns are split.
            categories: Categories of a column that are told apart; the others count as one.
        """

        minimum: PositiveInt = 50
        most: PositiveInt = 5_000
        searched: PositiveInt = 100_000
        splits: PositiveInt = 3
        categories: PositiveInt = 50

    config: Config

    @reasoned
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Link halves of training rows and of unseen rows through the synthetic rows, and through fresh real ones."""
        modelled(evidence.holdout.schema, 2)
        halves = parts(evidence.holdout, 2, rng)
        need(len(evidence.train), self.config.minimum, "the training table")
        need(len(evidence.synthetic), self.config.minimum, "the synthetic table")
        need(min(len(each) for each in halves), self.config.minimum, "half of the holdout")
        members = evidence.train.take(some(np.arange(len(evidence.train)), self.config.most, rng))
        others = evidence.holdout.take(some(np.arange(len(evidence.holdout)), self.config.most, rng))
        unseen = evidence.holdout.take(some(halves[1], self.config.most, rng))
        released = evidence.synthetic.take(some(np.arange(len(evidence.synthetic)), self.config.searched, rng))
        fresh = evidence.holdout.take(some(halves[0], self.config.searched, rng))
        value, interval, row = self._linked(evidence.holdout, released, (members, others), rng)
        reference, reference_interval, floor = self._linked(evidence.holdout, fresh, (members, unseen), rng)
        return Estimate(
            value=value,
            interval=interval,
            reference=reference,
            reference_interval=reference_interval,
            detail=({"through": "synthetic rows"} | row, {"through": "fresh real rows"} | floor),
            rows=len(released),
        )

    def _linked(
        self, known: Table, released: Table, asked: tuple[Table, Table], rng: np.random.Generator
    ) -> tuple[float, Interval, Row]:
        """Return by how much more often the first rows asked are linked than the second ones."""
        rows, queries = (self._place(known, table) for table in (released, asked[0].joined(asked[1])))
        linked = np.zeros(len(queries[0]))
        for _ in range(self.config.splits):
            order = rng.permutation(len(rows))
            # One seed for both halves: rows equally near are then taken in one order.
            seed = int(rng.integers(LARGEST_SEED))
            found = [
                closest(
                    np.concatenate([queries[place] for place in side], axis=1),
                    np.concatenate([rows[place] for place in side], axis=1),
                    np.random.default_rng(seed),
                ).row[0]
                for side in (order[: len(order) // 2], order[len(order) // 2 :])
            ]
            linked += found[0] == found[1]
        shares = [float(each.mean()) / self.config.splits for each in np.split(linked, [len(asked[0])])]
        interval = share_difference(*shares, *(independent(table) for table in asked))
        return shares[0] - shares[1], interval, {"of_training_rows": shares[0], "of_unseen_rows": shares[1]}

    def _place(self, known: Table, table: Table) -> list[Points]:
        """Place each column of a table by itself."""
        placed: list[Points] = []
        for column in known.schema.modelled:
            schema = Schema(columns=(column,))
            space, rows = (Table(schema, each.frame[[column.name]]) for each in (known, table))
            placed.append(np.clip(encode(space, rows, self.config.categories), -FARTHEST, FARTHEST))
        return placed
