"""The contract that every generative family keeps."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from tabular.layout import Layout, Reads

Matrix = NDArray[np.float32]
State = Mapping[str, NDArray[np.generic]]


class Monitor(Protocol):
    """What a fit may tell and ask the outside world; models themselves never open a file."""

    def progress(self, done: float, message: str) -> None:
        """Say how far the fit is: a share of the work in [0, 1], and a short message for people."""

    def save(self, checkpoint: State) -> None:
        """Keep a checkpoint, all or nothing, in place of the one before."""

    def restore(self) -> State | None:
        """Return the last checkpoint of this very fit, if there is one."""


class Silent:
    """A monitor that shows nothing and keeps nothing."""

    def progress(self, done: float, message: str) -> None:
        """Show nothing."""

    def save(self, checkpoint: State) -> None:
        """Keep nothing."""

    def restore(self) -> State | None:
        """Return nothing."""
        return None


class GenerativeModel(ABC):
    """A distribution p(x) over encoded rows.

    Attributes:
        reads: Which encoding it wants: `one_hot` (real numbers and one-hot blocks) or `codes` (whole numbers).
        estimated: Whether `log_prob`, where there is one, is an estimate rather than exact.
        notes: Figures of the fit for people and reports, by name (epochs run, why it stopped, components chosen).
    """

    reads: ClassVar[Reads]
    estimated: ClassVar[bool] = False

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the family, with defaults and bounds."""

    def __init__(self, config: Config, layout: Layout) -> None:
        self.config = config
        self.layout = layout
        self.notes: dict[str, float | str] = {}

    @abstractmethod
    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows.

        Args:
            x: Encoded training rows, shape (n, D), in random order but for the rows of one privacy unit, which are
                neighbours: a model that holds rows back to validate holds back neighbours.
            rng: Source of all randomness.
            monitor: Progress and checkpoints; silent where None.
        """

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D)."""

    @abstractmethod
    def state(self) -> State:
        """Return everything that `sample` needs beyond config and layout, as arrays by name."""

    @abstractmethod
    def load_state(self, arrays: State) -> Self:
        """Take back what `state` returned; raises ValueError where an array is missing or has another shape."""


@runtime_checkable
class Density(Protocol):
    """A model that knows its density."""

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Return log p(x) in nats, shape (n,), of encoded rows, shape (n, D)."""


@runtime_checkable
class Conditional(Protocol):
    """A model that can fill in the rest of a row."""

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their entries.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,): the same for all rows, whole blocks at a time.
            rng: Source of all randomness.

        Returns:
            Encoded rows, shape (n, D), equal to `known` under the mask. Exact, or by an approximation that the
            family's docstring states; never by silent rejection.
        """


@runtime_checkable
class Latent(Protocol):
    """A model with a latent space."""

    def encode(self, x: Matrix) -> Matrix:
        """Map encoded rows, shape (n, D), to latent codes, shape (n, k)."""

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Map latent codes, shape (n, k), to encoded rows, shape (n, D)."""
