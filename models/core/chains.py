"""Markov chains over numbers and classes, and how well they mixed, as plain functions."""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.core.choices import choose

BARRED = -1e6

Floats = NDArray[np.float64]
State = tuple[Tensor, Tensor]
Energy = Callable[[Tensor], Tensor]
Look = Callable[[State], tuple[Tensor, Tensor]]
Move = Callable[[State, Tensor], State]


def hamiltonian(
    energy: Energy, y: Tensor, free: Tensor, step: float, leaps: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Move numbers by one trajectory of Hamiltonian Monte Carlo, which leaves exp(-energy) as it is.

    Duane, Kennedy, Pendleton & Roweth, Hybrid Monte Carlo, 1987, doi:10.1016/0370-2693(87)91197-X.

    Args:
        energy: From numbers, shape (n, d), to energies, shape (n,), which torch can differentiate.
        y: Where the chains are, shape (n, d).
        free: 1 where a number may move, shape (n, d).
        step: Length of a leapfrog step.
        leaps: Leapfrog steps of the trajectory.
        generator: Source of momenta and of the acceptance.

    Returns:
        Where the chains are now, shape (n, d), and the chance with which each was to move, shape (n,).
    """
    momentum = torch.randn(y.shape, generator=generator, device=y.device) * free
    before, slope = _slope(energy, y)
    kinetic = (momentum**2).sum(1) / 2
    there, speed = y, momentum - step / 2 * slope * free
    after = before
    for leap in range(leaps):
        there = there + step * speed
        after, slope = _slope(energy, there)
        speed = speed - (step if leap + 1 < leaps else step / 2) * slope * free
    gain = before + kinetic - after - (speed**2).sum(1) / 2
    chance = torch.nan_to_num(gain, nan=-torch.inf).clamp(max=0).exp()
    moved = torch.rand(len(y), generator=generator, device=y.device) < chance
    return torch.where(moved[:, None], there, y), chance


def adapted(step: float, accepted: float, wanted: float, turn: int) -> float:
    """Return a step that grows where more is accepted than wanted, and shrinks where less, ever less as turns go by.

    Andrieu & Thoms, A tutorial on adaptive MCMC, 2008, doi:10.1007/s11222-008-9110-y.
    """
    return float(np.clip(step * np.exp((accepted - wanted) / (turn + 1) ** 0.6), 1e-3, 2.0))


def gradient_gibbs(
    look: Look, move: Move, state: State, sizes: Sequence[int], barred: Tensor, generator: torch.Generator
) -> tuple[State, Tensor]:
    """Change one class in each row, or none, by Gibbs with gradients, which leaves the looked-at density as it is.

    The change is proposed by the root of the estimated ratio of densities, and accepted by Metropolis and Hastings.
    Grathwohl, Swersky, Hashemi, Duvenaud & Maddison, Oops I took a gradient, 2021, arXiv:2102.04509.

    Args:
        look: From classes, shape (n, B), and whatever stands beside them, shape (n, D), to log p, shape (n,), and the
            estimated change of log p with each class in its block's place, shape (n, W).
        move: Puts new classes in place of the old; what it draws beside them must have a density that log p leaves out.
        state: Where the chains are: classes, and what stands beside them.
        sizes: Classes of each block.
        barred: True for classes that must not be taken, shape (n, W) or (1, W).
        generator: Source of all randomness.

    Returns:
        Where the chains are now, and the chance with which each was to move, shape (n,).
    """
    device = state[0].device
    starts = torch.tensor([0, *sizes[:-1]], dtype=torch.int64, device=device).cumsum(0)
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=device), torch.tensor(sizes, device=device))
    rows = torch.arange(len(state[0]), device=device)
    before, change = look(state)
    forward = _proposal(change, state[0] + starts, barred)
    entry = choose(forward, [len(owner)], torch.zeros(1, dtype=torch.int64, device=device), generator)[:, 0]
    block = owner[entry]
    codes = state[0].clone()
    codes[rows, block] = entry - starts[block]
    proposed = move(state, codes)
    after, change = look(proposed)
    backward = _proposal(change, codes + starts, barred)
    gain = after - before + backward[rows, (state[0] + starts)[rows, block]] - forward[rows, entry]
    chance = torch.nan_to_num(gain, nan=-torch.inf).clamp(max=0).exp()
    chance = torch.where(forward[rows, entry] > BARRED / 2, chance, 0.0)
    moved = torch.rand(len(rows), generator=generator, device=device) < chance
    return (torch.where(moved[:, None], codes, state[0]), torch.where(moved[:, None], proposed[1], state[1])), chance


def r_hat(draws: Floats) -> float:
    """Return the rank-normalised split R̂, the larger of the plain and the folded one, of draws, shape (T, chains).

    Vehtari, Gelman, Simpson, Carpenter & Bürkner, Rank-normalization, folding, and localization, 2021,
    arXiv:1903.08008.
    """
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_ratio(_normal_scores(halves)), _ratio(_normal_scores(folded)))


def effective_draws(draws: Floats) -> float:
    """Return the bulk effective sample size of draws, shape (T, chains), by Geyer's monotone sequence of pairs."""
    z = _normal_scores(_split(draws))
    length, chains = z.shape
    within = z.var(axis=0, ddof=1).mean()
    if within == 0:
        return float(length * chains)
    total = (length - 1) / length * within + z.mean(axis=0).var(ddof=1)
    spectrum = np.fft.rfft(z - z.mean(axis=0), n=2 * length, axis=0)
    lagged = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:length].mean(axis=1) / length
    correlation = 1 - (within * (length - 1) / length - lagged) / total
    correlation[0] = 1
    pairs = correlation[: length // 2 * 2].reshape(-1, 2).sum(axis=1)
    kept = int(np.argmax(pairs <= 0)) if (pairs <= 0).any() else len(pairs)
    span = max(-1 + 2 * float(np.minimum.accumulate(pairs[:kept]).sum()), 1 / np.log10(length * chains))
    return float(length * chains / span)


def _slope(energy: Energy, y: Tensor) -> tuple[Tensor, Tensor]:
    """Return energies, shape (n,), and their gradients, shape (n, d)."""
    with torch.enable_grad():
        y = y.detach().requires_grad_()
        value = energy(y)
        (slope,) = torch.autograd.grad(value.sum(), y)
    return value.detach(), slope


def _proposal(change: Tensor, current: Tensor, barred: Tensor) -> Tensor:
    """Return the log-chance of each change, shape (n, W): by the root of its ratio, and none that is barred."""
    logits = (change / 2).masked_fill(barred, BARRED).scatter(1, current, BARRED)
    return logits.log_softmax(1).masked_fill(logits <= BARRED, BARRED)


def _split(draws: Floats) -> Floats:
    half = len(draws) // 2
    return np.concatenate([draws[:half], draws[-half:]], axis=1)


def _normal_scores(draws: Floats) -> Floats:
    """Return normal quantiles of the average ranks of all draws together, in the same shape."""
    _, place, counts = np.unique(draws, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile(level) for level in ((rank - 3 / 8) / (draws.size + 1 / 4)).tolist()])
    return scores[place.reshape(draws.shape)]


def _ratio(z: Floats) -> float:
    """Return R̂ of draws, shape (T, chains): 1 where nothing moves anywhere."""
    length = len(z)
    within, between = float(z.var(axis=0, ddof=1).mean()), float(z.mean(axis=0).var(ddof=1))
    if within == 0:
        return 1.0 if between == 0 else float("inf")
    return float(np.sqrt((length - 1) / length + between / within))
