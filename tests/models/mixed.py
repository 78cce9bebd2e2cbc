"""A small mixed table in one-hot encoding whose distribution is known: group, spend (a state and a score), age."""

import numpy as np

from tabular.layout import Block, Layout

MIXED = Layout(
    reads="one_hot",
    blocks=(
        Block(column="group", part="class", start=0, stop=3, kind="one_hot", cardinality=3),
        Block(column="spend", part="state", start=3, stop=5, kind="one_hot", cardinality=2),
        Block(column="spend", part="score", start=5, stop=6, kind="real", when=3),
        Block(column="age", part="score", start=6, stop=7, kind="real"),
    ),
)
CENTRES, SPENDS = np.array([-1.5, 0.0, 1.5]), np.array([0.9, 0.5, 0.1])


def mixed(n: int, rng: np.random.Generator) -> np.ndarray:
    """The group moves the age and the share of spenders; the score is about -age for a spender, else off."""
    group = rng.integers(3, size=n)
    spends = rng.random(n) < SPENDS[group]
    age = CENTRES[group] + 0.3 * rng.normal(size=n)
    score = np.where(spends, -age + 0.2 * rng.normal(size=n), 0)
    return np.column_stack([np.eye(3)[group], spends, ~spends, score, age]).astype(np.float32)
