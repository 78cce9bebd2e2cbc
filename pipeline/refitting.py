"""The generator itself, to be trained again: what the deep tier of the audit attacks, and what that costs."""

import time

import numpy as np

from audit.core import Refit
from audit.privacy import canaries, shadow_models
from pipeline.errors import Mistake
from pipeline.spec import Spec
from pipeline.steps import generator
from pipeline.synthesizer import Synthesizer
from tabular.table import Table

TRIED = 1_000


def refit(spec: Spec, name: str, train: Table) -> Refit:
    """Return one family of a specification as something that can be trained again on other rows.

    One training on a small sample is timed, so that the cost can be said before it arises.

    Raises:
        Mistake: If the specification has no such family.
    """
    if name not in spec.models:
        raise Mistake(f"model {name!r}: the specification names {', '.join(spec.models)}")

    def fit_and_sample(table: Table, rows: int, rng: np.random.Generator) -> Table:
        return Synthesizer(name, spec.models[name], table.schema).fit(table, rng).sample(rows, rng)

    rng = generator(spec.seed, "audit", "refit", name)
    sample = train.take(rng.permutation(len(train))[:TRIED])
    start = time.monotonic()
    fit_and_sample(sample, len(sample), rng)
    taken = (time.monotonic() - start) * len(train) / max(len(sample), 1)
    return Refit(fit_and_sample, taken)


def cost(name: str, given: Refit, rows: int) -> str:
    """Return how often a family will be trained, and about how long that takes, in words."""
    settings = (canaries.Canaries.Config(), shadow_models.ShadowModels.Config())
    whole = canaries.planned_fits(settings[0])
    small = shadow_models.planned_fits(settings[1])
    seconds = (given.seconds or 0.0) * (whole + small * min(settings[1].rows / max(rows, 1), 1.0))
    return f"deep tier: {name} is trained {whole + small:,} times more, about {seconds / 60:.0f} min"
