"""Ways from noise to rows, as plain functions of a denoiser's answers and a noise schedule."""

import math
from collections.abc import Sequence

from torch import Tensor


def level(time: Tensor, least: float, most: float, rho: float = 7.0) -> Tensor:
    """Return the noise level at times in [0, 1], from `least` at 0 to `most` at 1, even in the rho-th root.

    Karras, Aittala, Aila & Laine, Elucidating the design space of diffusion-based generative models, 2022,
    arXiv:2206.00364.
    """
    low, high = least ** (1 / rho), most ** (1 / rho)
    noise: Tensor = (low + time * (high - low)) ** rho
    return noise


def ahead(x: Tensor, denoised: Sequence[Tensor], levels: Sequence[float], fresh: float, noise: Tensor) -> Tensor:
    """Go one step down in noise, by the answer of the denoiser here and, where there is one, at the level before.

    Lu, Zhou, Bao, Chen, Li & Zhu, DPM-Solver++, 2022, arXiv:2211.01095, in its second-order multistep form. Exact where
    the answer is linear in the logarithm of the level.

    Args:
        x: Rows at the level, shape (n, D).
        denoised: Expected rows without noise here, and at the level before; shape (n, D) each.
        levels: The level after the step, here, and before; the first may be 0, the others fall.
        fresh: 0 follows the probability-flow equation, 1 the reverse diffusion, with fresh noise.
        noise: Standard normal, shape (n, D).
    """
    after, here = levels[0], levels[1]
    guess = denoised[0]
    if not after:
        return guess
    step = math.log(here / after)
    if len(denoised) > 1:
        guess = guess + 0.5 * step / math.log(levels[2] / here) * (guess - denoised[1])
    kept = after / here * math.exp(-fresh * step)
    share = 1 - math.exp(-(1 + fresh) * step)
    return kept * x + share * guess + after * math.sqrt(1 - math.exp(-2 * fresh * step)) * noise
