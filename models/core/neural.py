"""The base of every torch family: an author writes `build`, `loss` and `draw`; the rest is inherited."""

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import field_validator
from torch import Tensor

from models.core.base import GenerativeModel, Matrix, Monitor, Silent, State
from models.core.plan import Objective, Phase, Trainable, TrainerConfig
from models.core.trainer import Trainer
from tabular.layout import Layout


class NeuralModel(GenerativeModel, Trainable):
    """A generative model whose parameters are those of a torch module, itself.

    Attributes:
        chunk: Rows that `draw` is asked for at a time, at most.
    """

    chunk: ClassVar[int] = 8192

    class Config(GenerativeModel.Config, frozen=True, extra="forbid"):
        """Settings of a network's training.

        Attributes:
            training: The training loop.
            device: Where to compute; `auto` takes CUDA where there is one.
        """

        training: TrainerConfig = TrainerConfig()
        device: Literal["auto", "cpu", "cuda"] = "auto"

        @field_validator("training", mode="before")
        @classmethod
        def _over_the_familys_own(cls, given: object) -> object:
            """Put what is given of the training over the family's own defaults, not over the loop's."""
            if not isinstance(given, Mapping):
                return given
            return {**cls.model_fields["training"].default.model_dump(), **given}

    config: Config

    def __init__(self, config: Config, layout: Layout) -> None:
        Trainable.__init__(self)
        GenerativeModel.__init__(self, config, layout)
        self.ready = False

    @abstractmethod
    def build(self) -> None:
        """Make the parameters, from the config and the layout alone; torch's default generator is seeded for it."""

    @abstractmethod
    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean loss a row, in nats where that makes sense, of encoded rows, shape (b, D)."""

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D)."""

    def prepare(self, x: Tensor) -> None:
        """Set what is read off the training rows, shape (n, D), before training; nothing by default."""

    def phases(self) -> Sequence[Phase]:
        """Return what descends, in order: by default the loss, over all parameters."""
        return [Phase([Objective("loss", self.loss, list(self.parameters()))])]

    def fit(self, x: Matrix, rng: np.random.Generator, monitor: Monitor | None = None) -> Self:
        """Fit to encoded rows, shape (n, D), by the training loop.

        Raises:
            ValueError: If there are no rows, another number of columns than the layout has, or values not finite.
            FloatingPointError: If training diverges.
        """
        if x.ndim != 2 or not len(x) or x.shape[1] != self.layout.width or not self.layout.width:
            raise ValueError(f"got rows of shape {x.shape}, wanted (n, {self.layout.width}) with n and width above 0")
        if not np.isfinite(x).all():
            raise ValueError("got encoded rows that are not finite, wanted finite numbers only")
        seed = int(rng.integers(2**62))
        with _threads(self.config.training.threads):
            self._build(seed)
            rows = self.tensor(x)
            self.prepare(rows)
            trainer = Trainer(self.config.training, self.device)
            self.notes = trainer.fit(self, self.phases(), rows, rng, monitor or Silent())
        self.notes["device"] = self.device.type
        return self

    def sample(self, n: int, rng: np.random.Generator) -> Matrix:
        """Draw n encoded rows, shape (n, D), in chunks."""
        with self.inference(rng) as generator:
            parts = [self.draw(min(self.chunk, n - start), generator) for start in range(0, n, self.chunk)]
            return self.matrix(torch.cat(parts)) if parts else np.empty((0, self.layout.width), dtype=np.float32)

    def state(self) -> State:
        """Return the weights and buffers, by name."""
        self._require_ready()
        return {name: value.detach().cpu().numpy().copy() for name, value in self.state_dict().items()}

    def load_state(self, arrays: State) -> Self:
        """Take back the weights and buffers.

        Raises:
            ValueError: If an array is missing, unknown or has another shape.
        """
        self._build(0)
        wanted = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        got = {name: tuple(value.shape) for name, value in arrays.items()}
        if wanted != got:
            wrong = sorted(name for name in wanted.keys() | got.keys() if wanted.get(name) != got.get(name))[:3]
            detail = "; ".join(f"{name!r}: got {got.get(name)}, wanted {wanted.get(name)}" for name in wrong)
            raise ValueError(f"arrays do not fit this model's config and layout (name: shape): {detail}")
        self.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in arrays.items()})
        return self

    @property
    def device(self) -> torch.device:
        """Where the parameters lie.

        Raises:
            ValueError: If the config demands CUDA and there is none.
        """
        found = torch.cuda.is_available()
        if self.config.device == "cuda" and not found:
            raise ValueError("device: got 'cuda', but torch finds no CUDA device here; use 'auto' or 'cpu'")
        return torch.device("cuda" if found and self.config.device != "cpu" else "cpu")

    def tensor(self, x: Matrix) -> Tensor:
        """Copy encoded rows to the device, as float32."""
        return torch.from_numpy(np.array(x, dtype=np.float32)).to(self.device)

    def matrix(self, x: Tensor) -> Matrix:
        """Bring encoded rows back, as float32."""
        return x.detach().to("cpu", torch.float32).numpy()

    def known_rows(self, known: Matrix, mask: NDArray[np.bool_]) -> Matrix:
        """Return rows with what is known of them, shape (n, D), and 0 elsewhere.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,).

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        if known.ndim != 2 or known.shape[1] != self.layout.width or mask.shape != (self.layout.width,):
            raise ValueError(f"got {known.shape} and a mask {mask.shape}, wanted (n, {self.layout.width}) and its row")
        return np.where(mask, known, 0).astype(np.float32)

    @contextlib.contextmanager
    def inference(self, rng: np.random.Generator) -> Iterator[torch.Generator]:
        """Give a torch generator seeded from `rng`, with gradients off and the configured threads on."""
        generator = torch.Generator(self.device).manual_seed(int(rng.integers(2**62)))
        with self.evaluation():
            yield generator

    @contextlib.contextmanager
    def evaluation(self) -> Iterator[None]:
        """Turn gradients off and the configured threads on.

        Raises:
            ValueError: If the model has no weights yet.
        """
        self._require_ready()
        with _threads(self.config.training.threads), torch.no_grad():
            yield

    def _build(self, seed: int) -> None:
        """Build on the CPU, so that the first weights are the same everywhere, and move to the device."""
        before = torch.get_rng_state()
        torch.default_generator.manual_seed(seed)
        try:
            self.build()
        finally:
            torch.set_rng_state(before)
        self.to(self.device)
        self.eval()
        self.ready = True

    def _require_ready(self) -> None:
        if not self.ready:
            raise ValueError(f"{type(self).__name__} has no weights yet: call fit or load_state first")


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
