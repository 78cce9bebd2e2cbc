"""What every metric speaks: evidence in, an estimate with its interval and its reference out.

To add a metric, write `audit/<question>/<name>.py` with one concrete subclass of `Metric`: four class attributes, a
frozen `Config` whose defaults suit a table of any size, and `__call__` under `@reasoned`. Nothing else is edited: the
file name is the metric's name in specs, on the command line and in reports, and the contract test of `tests/audit`
runs it on odd data. Random parts of the holdout come from `audit.reference`, columns as codes or features from
`audit.reading`, intervals from `audit.intervals`. What cannot be computed raises `NotComputable` with a plain
sentence; it is never a pass and never a crash.
"""

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tabular.table import Table

Question = Literal["fidelity", "utility", "bias", "validity", "privacy"]
QUESTIONS: tuple[Question, ...] = ("fidelity", "utility", "bias", "validity", "privacy")
Row = dict[str, float | int | str | None]
DETAIL_ROWS = 60


class Evidence:
    """What an audit looks at.

    Attributes:
        train: Real rows that the generator learned from.
        holdout: Real rows that no generator ever saw.
        synthetic: Rows to judge, of the same schema.
        broken: True for synthetic rows that broke the schema before they were coerced to it, shape (n,).
    """

    def __init__(self, train: Table, holdout: Table, synthetic: Table, broken: NDArray[np.bool_] | None = None) -> None:
        self.train = train
        self.holdout = holdout
        self.synthetic = synthetic
        self.broken = np.zeros(len(synthetic), dtype=bool) if broken is None else broken


class Interval(BaseModel):
    """Where the true value lies, at a level of confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    level: float = 0.95


class Estimate(BaseModel):
    """One metric's answer.

    Attributes:
        value: The metric on the synthetic rows; None where it could not be computed.
        interval: Its uncertainty.
        reference: The same metric on fresh real rows of the same number: the noise floor.
        reference_interval: The uncertainty of the reference.
        detail: Rows of a table for people: per column, per pair, per group; bounded in length.
        rows: How many synthetic rows it was computed on.
        not_computed: Why there is no value; None where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    interval: Interval | None = None
    reference: float | None = None
    reference_interval: Interval | None = None
    detail: tuple[Row, ...] = ()
    rows: int = 0
    not_computed: str | None = None


class Metric(ABC):
    """One measure of synthetic rows, in a file of its name under its question's folder.

    Attributes:
        better: Whether a lower or a higher value is better, or neither (`none`: reported, never a gate).
        ideal: The value of a perfect generator with no noise.
        title: Name for people.
        definition: One sentence: what is computed, its range, and its source.
    """

    better: ClassVar[Literal["lower", "higher", "none"]]
    ideal: ClassVar[float]
    title: ClassVar[str]
    definition: ClassVar[str]

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the metric."""

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def __call__(self, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        """Compute the estimate with its interval and its reference; never prints, plots or decides."""


class NotComputable(ValueError):
    """The evidence does not allow the metric; the message is the sentence that people read."""


M = TypeVar("M", bound=Metric)


def reasoned(
    call: Callable[[M, Evidence, np.random.Generator], Estimate],
) -> Callable[[M, Evidence, np.random.Generator], Estimate]:
    """Make a metric's `__call__` answer `NotComputable` with an estimate that has the reason and no value."""

    @functools.wraps(call)
    def answer(metric: M, evidence: Evidence, rng: np.random.Generator) -> Estimate:
        try:
            return call(metric, evidence, rng)
        except NotComputable as reason:
            return Estimate(value=None, rows=len(evidence.synthetic), not_computed=str(reason))

    return answer
