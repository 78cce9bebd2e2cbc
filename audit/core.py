"""What every metric speaks: evidence in, an estimate with its interval and its reference out.

To add a metric, write `audit/<question>/<name>.py` with one concrete subclass of `Metric`: its class attributes, a
frozen `Config` whose defaults suit a table of any size, and `__call__` under `@reasoned`. Nothing else is edited: the
file name is the metric's name in specs, on the command line and in reports, and the contract test of `tests/audit`
runs it on odd data. Random parts of the holdout come from `audit.reference`, columns as codes or features from
`audit.reading`, intervals from `audit.intervals`; what several metrics need is computed once through
`Evidence.shared`. What cannot be computed raises `NotComputable` with a plain sentence; it is never a pass and never a
crash.
"""

import functools
import hashlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from tabular.rules import Rule
from tabular.table import Table

Question = Literal["fidelity", "utility", "bias", "validity", "privacy"]
QUESTIONS: tuple[Question, ...] = ("fidelity", "utility", "bias", "validity", "privacy")
Need = Literal["target", "sensitive", "secrets", "rules", "analyses", "pairs", "codes", "refit"]
Row = dict[str, float | int | str | None]
DETAIL_ROWS = 60
MOST_DETAIL = 500
T = TypeVar("T")


class Declared(BaseModel):
    """What people said beforehand that the audit shall look at.

    Attributes:
        rules: Rules that every row must keep.
        secrets: Columns that an attacker would like to know of a person; the sensitive columns and the target where
            none is named.
        analyses: Regressions that will be run on the rows, as formulas `y ~ a + b` over column names.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()
    secrets: tuple[str, ...] = ()
    analyses: tuple[str, ...] = ()


class Names(NamedTuple):
    """One column of names, numbers of persons or free text, which no metric models, as all three tables hold it.

    Attributes:
        column: Name of the column.
        train: Values of the training rows, without missing ones.
        holdout: Values of the holdout rows.
        synthetic: Values of the synthetic rows.
    """

    column: str
    train: pd.Series
    holdout: pd.Series
    synthetic: pd.Series


class Refit:
    """The generator itself, to be trained again on other rows: what the deep tier attacks.

    Attributes:
        fit_and_sample: Train on a table, with a random generator, and draw as many rows as the number given.
        seconds: What one training and draw on all training rows took, in seconds of wall time; None if unknown.
    """

    def __init__(
        self,
        fit_and_sample: Callable[[Table, int, np.random.Generator], Table],
        seconds: float | None = None,
    ) -> None:
        self.fit_and_sample = fit_and_sample
        self.seconds = seconds


class Evidence:
    """What an audit looks at.

    Attributes:
        train: Real rows that the generator learned from.
        holdout: Real rows that no generator ever saw.
        synthetic: Rows to judge, of the same schema.
        broken: True for synthetic rows that broke the schema before they were coerced to it, shape (n,).
        declared: What people said beforehand that the audit shall look at.
        refit: The generator, for the deep tier; None where it is not at hand or the deep tier is not wanted.
        seed: Where the random numbers of shared computations come from.
        names: Columns of names and free text, where real and synthetic rows both have them.
    """

    def __init__(
        self,
        train: Table,
        holdout: Table,
        synthetic: Table,
        broken: NDArray[np.bool_] | None = None,
        *,
        declared: Declared | None = None,
        refit: Refit | None = None,
        seed: int = 0,
        names: tuple[Names, ...] = (),
    ) -> None:
        self.names = names
        self.train = train
        self.holdout = holdout
        self.synthetic = synthetic
        self.broken = np.zeros(len(synthetic), dtype=bool) if broken is None else broken
        self.declared = declared or Declared()
        self.refit = refit
        self.seed = seed
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._kept: dict[str, Any] = {}

    def shared(self, key: str, make: Callable[[np.random.Generator], T]) -> T:
        """Return what several metrics need, made by the first that asks, whichever that is.

        Its random numbers come from the evidence's seed and the key alone, so that neither the order of the metrics nor
        the threads that they run on matter. A `NotComputable` of `make` is kept and raised again.

        Args:
            key: Names the computation and every setting of it.
            make: Computes it.
        """
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._kept:
                words = np.frombuffer(hashlib.sha256(key.encode()).digest()[:16], dtype=np.uint32).tolist()
                try:
                    self._kept[key] = make(np.random.default_rng([self.seed, *words]))
                except NotComputable as reason:
                    self._kept[key] = reason
            found = self._kept[key]
        if isinstance(found, NotComputable):
            raise NotComputable(str(found))
        return cast(T, found)


class Interval(BaseModel):
    """Where the true value lies, at a level of confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: float
    high: float
    level: float = 0.95


class Curve(BaseModel):
    """A line for a chart.

    Attributes:
        name: Whose line: `synthetic rows`, `fresh real rows`, an attack's name.
        x: Places along the first axis, rising.
        y: Values there, as many.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


class Estimate(BaseModel):
    """One metric's answer.

    Attributes:
        value: The metric on the synthetic rows; None where it could not be computed.
        interval: Its uncertainty.
        reference: The same metric on fresh real rows of the same number: the noise floor.
        reference_interval: The uncertainty of the reference.
        gap: Value minus reference where both were measured on the same rows (paired); None where they were not.
        gap_interval: The uncertainty of the gap, narrower than the two intervals tell.
        detail: Rows of a table for people: per column, per pair, per group; bounded in length.
        curves: Lines for a chart.
        power: What could have been seen with so many rows, as a sentence; None where the interval says it.
        rows: How many synthetic rows it was computed on.
        not_computed: Why there is no value; None where there is one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    value: float | None
    interval: Interval | None = None
    reference: float | None = None
    reference_interval: Interval | None = None
    gap: float | None = None
    gap_interval: Interval | None = None
    detail: tuple[Row, ...] = ()
    curves: tuple[Curve, ...] = ()
    power: str | None = None
    rows: int = 0
    not_computed: str | None = None


class Metric(ABC):
    """One measure of synthetic rows, in a file of its name under its question's folder.

    Attributes:
        better: Whether a lower or a higher value is better, or neither (`none`: reported, never a gate).
        ideal: The value of a perfect generator with no noise.
        title: Name for people.
        definition: One sentence: what is computed, its range, and its source.
        spread: `interval` where the value is a sample's and has one, `exact` where it is a count over all rows, `bound`
            where the value itself is a bound of confidence.
        needs: What schema or declarations must hold for the question to be asked at all.
    """

    better: ClassVar[Literal["lower", "higher", "none"]]
    ideal: ClassVar[float]
    title: ClassVar[str]
    definition: ClassVar[str]
    spread: ClassVar[Literal["interval", "exact", "bound"]] = "interval"
    needs: ClassVar[tuple[Need, ...]] = ()

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
