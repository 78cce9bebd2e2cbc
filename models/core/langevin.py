"""Down the noise levels by the score, as plain functions of it: predictor and corrector, and annealed Langevin."""

from collections.abc import Callable

import torch
from torch import Tensor

Score = Callable[[Tensor, Tensor], Tensor]


def predictor_corrector(score: Score, x: Tensor, levels: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
    """Go down the noise levels of a variance-exploding diffusion: a reverse step, then a Langevin step, at each.

    Song, Sohl-Dickstein, Kingma, Kumar, Ermon & Poole, Score-based generative modeling through stochastic differential
    equations, 2021, arXiv:2011.13456, algorithm 2.

    Args:
        score: From rows, shape (n, D), and their noise levels, shape (n,), to ∇ log p at that noise, shape (n, D).
        x: Rows at the first level, shape (n, D).
        levels: Noise levels, falling, the last one above 0, shape (k,).
        ratio: Of the Langevin step's signal to its noise; 0 for no corrector.
        generator: Source of the noise.
    """
    for level, after in zip(levels[:-1], levels[1:], strict=True):
        gap = level**2 - after**2
        x = x + gap * score(x, level.expand(len(x)))
        # The ancestral step's noise: what is left at `after` given both ends.
        x = x + (gap * after**2 / level**2).sqrt() * _noise(x, generator)
        if ratio:
            x = _langevin(score, x, after, ratio, generator)
    return x


def annealed_langevin(
    score: Score, x: Tensor, levels: Tensor, steps: int, ratio: float, generator: torch.Generator
) -> Tensor:
    """Go down the noise levels by Langevin steps alone, `steps` at each.

    Song & Ermon, Generative modeling by estimating gradients of the data distribution, 2019, arXiv:1907.05600; the
    step's size as in Song et al., 2021, arXiv:2011.13456.
    """
    for level in levels:
        for _ in range(steps):
            x = _langevin(score, x, level, ratio, generator)
    return x


def _langevin(score: Score, x: Tensor, level: Tensor, ratio: float, generator: torch.Generator) -> Tensor:
    """Take one step x + ε s + √(2ε) z with ε = 2 (r ‖z‖ / ‖s‖)², norms as means over rows."""
    slope, fresh = score(x, level.expand(len(x))), _noise(x, generator)
    size = 2 * (ratio * fresh.norm(dim=1).mean() / slope.norm(dim=1).mean().clamp(min=1e-12)) ** 2
    # At most what leaves a normal of the level's own width stable.
    size = torch.minimum(size, level**2)
    return x + size * slope + (2 * size).sqrt() * fresh


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=like.device)
