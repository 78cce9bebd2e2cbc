"""What every metric speaks: evidence in, an estimate with its interval and its reference out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tabular.table import Table

Question = Literal["fidelity", "utility", "bias", "validity", "privacy"]
QUESTIONS: tuple[Question, ...] = ("fidelity", "utility", "bias", "validity", "privacy")
Detail = Mapping[str, float | int | str | None]


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
    detail: tuple[dict[str, float | int | str | None], ...] = ()
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
