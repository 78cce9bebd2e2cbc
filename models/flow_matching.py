"""Flow matching of mixed rows: numbers on straight paths from noise, categories that jump from masks to classes."""

from typing import ClassVar

from torch import Tensor

from models.core.plan import TrainerConfig
from models.core.unmasking import Unmasking
from tabular.layout import Reads

LEAST, MOST = 0.02, 10.0


class FlowMatching(Unmasking):
    r"""Follows dx/ds = (E[x₁ | x_s] - x_s) / (1 - s) from noise at s = 0 to a row at s = 1; categories jump.

    Trained on straight paths x_s = (1 - s) x₀ + s x₁ of numbers, x₀ ~ N(0, I), by the squared error of the velocity
    x₁ - x₀, and on categories that are masked with probability 1 - s, by the cross-entropy of their class. A category
    leaves its mask at the rate p(class | x_s) / (1 - s), which is the flow of discrete states whose marginals are the
    paths'. One network gives the ends of both. Numbers follow the velocity without fresh noise.

    Lipman, Chen, Ben-Hamu, Nickel & Le, Flow matching for generative modeling, 2022, arXiv:2210.02747; with discrete
    states: Campbell, Yim, Barzilay, Rainforth & Jaakkola, Generative flows on discrete state-spaces, 2024,
    arXiv:2402.04997.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(Unmasking.Config, frozen=True, extra="forbid"):
        """As in `Unmasking.Config`; without fresh noise."""

        training: TrainerConfig = TrainerConfig(
            epochs=25, patience=25, validation=0.02, batch_size=256, learning_rate=4e-3, ema=0.998
        )
        fresh: float = 0.0

    config: Config

    def noise_at(self, t: Tensor) -> Tensor:
        """Return (1 - s) / s, for a path's point is s (x₁ + σ x₀); s falls evenly in t, short of both ends."""
        first, last = 1 / (1 + MOST), 1 / (1 + LEAST)
        return 1 / (last + (first - last) * t) - 1

    def weight(self, sigma: Tensor) -> Tensor:
        """Return 1 / (1 - s)², which makes an end's error the velocity's."""
        return (1 + 1 / sigma) ** 2
