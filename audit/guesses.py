"""Attackers who guess one column of a person's row from released rows and from all the other columns of that row."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from threadpoolctl import threadpool_limits

from audit.core import Metric
from audit.learner import LARGEST_SEED, THREADS, Trees, blanked, classifier
from audit.lookup import closest
from audit.neighbours import Points, encode
from audit.reading import Codes, bins, features, levels
from audit.reference import some
from tabular.schema import Column, Schema
from tabular.table import Table

DECILES = 10
FEWEST_ROUNDS = 4
# Released rows that are placed in space at a time: about 64 MiB of them.
PLACED = 100_000
# Numbers are placed no further out than so many of their 5-95 % ranges, where float32 still tells points apart.
FARTHEST = 8.0


class Guesser(Metric.Config, frozen=True, extra="forbid"):
    """How secrets are guessed.

    Attributes:
        learned: Most released rows that the trees learn from; the nearest row is sought among all.
        categories: Categories of a known column that distances tell apart; the others count as one.
        classes: Most frequent values of a secret that the trees tell apart.
        widest: Most values of a secret that the trees learn at all.
        trees: The learner; of K values each grows its own trees, in fewer rounds.
        rate: Learning rate of the trees.
    """

    learned: PositiveInt = 32_768
    categories: PositiveInt = 50
    classes: int = Field(default=8, ge=2)
    widest: PositiveInt = 50
    trees: Trees = Trees(rounds=24)
    rate: PositiveFloat = 0.3


class Guess(NamedTuple):
    """What one attack guesses of one secret.

    Attributes:
        secret: Name of the column.
        attack: Name of the attack.
        right: Whether the guess was right of each row asked, shape (n,).
    """

    secret: str
    attack: str
    right: NDArray[np.bool_]


class Seen(NamedTuple):
    """Real rows that everything is measured by.

    Attributes:
        space: Rows that say where numbers lie in space.
        train: Rows that say where the deciles of a secret number lie, and how many values a secret has.
    """

    space: Table
    train: Table


def guess(
    released: Table,
    asked: Table,
    secrets: Sequence[Column],
    seen: Seen,
    settings: Guesser,
    rng: np.random.Generator,
) -> list[Guess]:
    """Guess each secret of each row asked: as a nearest released row has it, and as trees learn it of released rows.

    A nearest row is sought in all columns but the secret: numbers over their 5-95 % range, unequal categories at
    distance 1, missing a category. A number is guessed to its decile. Of a secret of too many values for the trees
    there is the guess by the nearest row alone.
    """
    nearest = _nearest(released, asked, secrets, seen.space, settings.categories, rng)
    sample = some(np.arange(len(released)), settings.learned, rng)
    read = features(seen.train, (released.take(sample), asked), asked.schema.modelled)
    guesses: list[Guess] = []
    for column, rows in zip(secrets, nearest, strict=True):
        truth, codes, known = _coded(column, seen.train, (asked, released, seen.train))
        guesses.append(Guess(column.name, "nearest row", codes[rows] == truth))
        if len(np.unique(known)) <= settings.widest:
            kept = np.array([name != column.name for name in read.names])
            learned = _learned((read.matrices[0][:, kept], read.matrices[1][:, kept]), codes[sample], settings, rng)
            guesses.append(Guess(column.name, "trees", learned == truth))
    return guesses


def _nearest(
    released: Table,
    asked: Table,
    secrets: Sequence[Column],
    space: Table,
    categories: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return the position of a nearest released row to each row asked, one for each secret, shape (secrets, n)."""
    queries, parts = _place(space, asked, categories)
    hidden = [parts[column.name] for column in secrets]
    # Projections read no column that is anybody's secret; where hardly any other is left, secrets are taken singly.
    together = 2 * len(secrets) <= len(parts)
    row = np.zeros((len(secrets), len(asked)), dtype=np.int64)
    rank = np.full((len(secrets), len(asked)), np.inf, dtype=np.float32)
    for start in range(0, len(released), PLACED):
        part = released.take(np.arange(start, min(start + PLACED, len(released))))
        rows, _ = _place(space, part, categories)
        for those in [slice(None)] if together else [slice(each, each + 1) for each in range(len(secrets))]:
            found = closest(queries, rows, rng, hidden[those])
            nearer = found.rank < rank[those]
            row[those] = np.where(nearer, start + found.row, row[those])
            rank[those] = np.where(nearer, found.rank, rank[those])
    return row


def _place(space: Table, table: Table, categories: int) -> tuple[Points, dict[str, slice]]:
    """Place rows in space, shape (n, D), and return the dimensions of each column."""
    blocks: list[Points] = []
    parts: dict[str, slice] = {}
    width = 0
    for column in space.schema.modelled:
        schema = Schema(columns=(column,))
        only, placed = (Table(schema, each.frame[[column.name]]) for each in (space, table))
        blocks.append(np.clip(encode(only, placed, categories), -FARTHEST, FARTHEST))
        parts[column.name] = slice(width, width + blocks[-1].shape[1])
        width += blocks[-1].shape[1]
    return np.concatenate(blocks, axis=1), parts


def _learned(
    x: tuple[NDArray[np.float64], NDArray[np.float64]], y: Codes, settings: Guesser, rng: np.random.Generator
) -> Codes:
    """Return the trees' guesses."""
    kinds, counts = np.unique(y, return_counts=True)
    seed = int(rng.integers(LARGEST_SEED))
    if len(kinds) == 1:
        return np.full(len(x[1]), kinds[0])
    # A value too rare to be learned by itself is guessed as the most frequent of those.
    frequent = kinds[np.argsort(-counts, kind="stable")][: settings.classes]
    pooled = np.where(np.isin(y, frequent), y, frequent[-1])
    rounds = max(settings.trees.rounds // len(frequent), min(settings.trees.rounds, FEWEST_ROUNDS))
    known, asked = blanked(*x)
    # Categories are read by their position: trees that sort them anew take twice as long and guess hardly better.
    model = classifier(settings.trees.model_copy(update={"rounds": rounds}), np.zeros(x[0].shape[1], bool), seed)
    with threadpool_limits(THREADS):
        found: Codes = model.set_params(learning_rate=settings.rate).fit(known, pooled).predict(asked)
    return found


def _coded(column: Column, train: Table, tables: Sequence[Table]) -> tuple[Codes, ...]:
    """Code a secret: a number by its decile, a category by itself."""
    return bins(column, train, tables, widest=DECILES).codes if column.is_number else levels(column, tables)[0]
