"""Ways from noise to rows, as plain functions of a denoiser and a noise schedule."""

from collections.abc import Callable

import torch
from torch import Tensor

Denoise = Callable[[Tensor, Tensor], Tensor]


def karras(steps: int, least: float, most: float, rho: float = 7.0) -> Tensor:
    """Return noise levels that fall from `most` to `least` and then 0, even in the rho-th root, shape (steps + 1,).

    Karras, Aittala, Aila & Laine, Elucidating the design space of diffusion-based generative models, 2022,
    arXiv:2206.00364.
    """
    place = torch.linspace(0, 1, steps)
    levels = (most ** (1 / rho) + place * (least ** (1 / rho) - most ** (1 / rho))) ** rho
    return torch.cat([levels, torch.zeros(1)])


def heun(denoise: Denoise, x: Tensor, levels: Tensor, churn: float, generator: torch.Generator) -> Tensor:
    """Follow the probability-flow equation by Heun's method, with some fresh noise before each step.

    Karras et al., 2022, arXiv:2206.00364, algorithm 2.

    Args:
        denoise: From rows, shape (n, D), and their noise levels, shape (n,), to the expected rows without noise.
        x: Rows at the first level, shape (n, D).
        levels: Noise levels, falling, the last one 0, shape (k,).
        churn: Share by which the noise level is raised before each step.
        generator: Source of the fresh noise.
    """
    for level, after in zip(levels[:-1], levels[1:], strict=True):
        raised = level * (1 + churn)
        if churn:
            fresh = torch.randn(x.shape, generator=generator, device=x.device)
            x = x + (raised**2 - level**2).sqrt() * fresh
        slope = (x - denoise(x, raised.expand(len(x)))) / raised
        ahead = x + (after - raised) * slope
        if after > 0:
            slope = (slope + (ahead - denoise(ahead, after.expand(len(x)))) / after) / 2
            ahead = x + (after - raised) * slope
        x = ahead
    return x
