"""Latent classes of rows of groups: a mixture of independent columns."""

import numpy as np

from models.core.base import Monitor
from models.core.columns import Codes, Floats
from models.core.mixture import Plan, log_joint, maximise, start, step
from tabular.layout import Block, Layout

BINS = 32
CELLS = 40_000_000
LEAST_ROWS = 5_000
STEPS = 40
TOLERANCE = 1e-3
CHUNK = 16_384


def classes(groups: Codes, margins: list[Floats], size: int, rng: np.random.Generator, monitor: Monitor) -> Codes:
    """Draw the class of each row, shape (n,), from its posterior under a mixture of independent columns.

    Args:
        groups: Rows, shape (n, d).
        margins: Share of each group, by column.
        size: Number of classes, K.
        rng: Source of the first classes and of the draw.
        monitor: Told of each step.
    """
    if size == 1:
        return np.zeros(len(groups), dtype=np.int64)
    levels = [_levels(margin) for margin in margins]
    ends = np.cumsum([0, *(level[-1] + 1 for level in levels)])
    blocks = [
        Block(column=str(j), part="bin", start=first, stop=stop, kind="one_hot", cardinality=stop - first)
        for j, (first, stop) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True))
    ]
    plan = Plan(Layout(reads="one_hot", blocks=tuple(blocks)))
    budget = max(LEAST_ROWS, CELLS // int(ends[-1]))
    some = groups if len(groups) <= budget else groups[rng.choice(len(groups), budget, replace=False)]

    def hot(rows: Codes) -> np.ndarray:
        x = np.zeros((len(rows), ends[-1]), dtype=np.float32)
        for j, level in enumerate(levels):
            x[np.arange(len(rows)), ends[j] + level[rows[:, j]]] = 1
        return x

    x, nothing = hot(some), np.zeros((len(some), 0))
    mixture, prior = start(size, plan, [], nothing, x, rng)
    before = -np.inf
    for turn in range(STEPS):
        moments = step(mixture, [], nothing, x)
        monitor.progress(0.5 * turn / STEPS, "classes")
        if moments.log_likelihood - before < TOLERANCE * len(some):
            break
        before = moments.log_likelihood
        mixture = maximise(mixture, moments, prior, [], 1e-3)
    member = np.empty(len(groups), dtype=np.int64)
    for begin in range(0, len(groups), CHUNK):
        part = slice(begin, begin + CHUNK)
        joint = log_joint(mixture, [], nothing[: len(groups[part])], hot(groups[part]))
        heap = np.cumsum(np.exp(joint - joint.max(axis=1, keepdims=True)), axis=1)
        member[part] = (heap <= rng.random((len(heap), 1)) * heap[:, -1:]).sum(axis=1)
    return np.minimum(member, size - 1)


def _levels(margin: Floats) -> Codes:
    """Return the bin of each group, shape (G,): one each where they are few, otherwise of about equal shares."""
    if len(margin) <= BINS:
        return np.arange(len(margin), dtype=np.int64)
    middle = np.cumsum(margin) - margin / 2
    bins: Codes = np.unique(np.floor(middle * BINS), return_inverse=True)[1].astype(np.int64)
    return bins
