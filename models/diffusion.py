"""Diffusion of mixed rows: Gaussian noise on numbers, masks on categories, taken away together."""

from typing import ClassVar

from torch import Tensor

from models.core.plan import TrainerConfig
from models.core.samplers import level
from models.core.unmasking import Unmasking
from tabular.layout import Reads

LEAST, MOST = 0.02, 10.0


class Diffusion(Unmasking):
    r"""Inverts x_t, t in [0, 1]: a number is z + σ(t) ε, a category is masked with probability t.

    One network sees the noisy row and t. It gives each number's denoised value (squared error, preconditioned for unit
    variance) and each masked category's softmax (cross-entropy: the bound on the likelihood of the classes). Rows are
    drawn from t = 1 to 0 by a second-order multistep solver for the numbers, with fresh noise; a category is drawn from
    its softmax when its turn comes.

    Shi, Xu, Chen, Cai, Kapoor, Leskovec & Ermon, TabDiff: a mixed-type diffusion model for tabular data generation,
    2024, arXiv:2410.20626.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(Unmasking.Config, frozen=True, extra="forbid"):
        """As in `Unmasking.Config`."""

        training: TrainerConfig = TrainerConfig(
            epochs=25, patience=25, validation=0.02, batch_size=256, learning_rate=4e-3, ema=0.998
        )

    config: Config

    def noise_at(self, t: Tensor) -> Tensor:
        """Return σ(t), from `LEAST` to `MOST`, even in its seventh root."""
        return level(t, LEAST, MOST)

    def weight(self, sigma: Tensor) -> Tensor:
        """Return the weight under which what the network itself gives has unit variance at every level."""
        return 1 + sigma.clamp(min=LEAST) ** -2
