"""Expectation-maximisation for mixtures of Gaussians and categories, with numbers that are off in some rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tabular.layout import Layout

CHUNK = 4096
MOST_PATTERNS = 64
SEED_ROWS = 4096

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Mixture:
    """Parameters of K components over d numbers and W one-hot entries.

    Attributes:
        weights: π, shape (K,).
        means: μ, shape (K, d).
        covariances: Σ, shape (K, d, d); 0 between numbers of different groups.
        chances: θ of all one-hot blocks side by side, shape (K, W).
    """

    weights: Floats
    means: Floats
    covariances: Floats
    chances: Floats


@dataclass(frozen=True)
class Moments:
    """Expected sums over rows: log-likelihood, mass (K,), numbers (K, d), their products about μ (K, d, d), entries."""

    log_likelihood: float
    mass: Floats
    first: Floats
    second: Floats
    entries: Floats


@dataclass(frozen=True)
class Split:
    """Numbers that may depend on one another within a component, and the rows by which of them are on.

    Attributes:
        group: Positions of the numbers, shape (g,).
        patterns: Which of them are on, shape (P, g).
        member: Pattern of each row, shape (n,).
    """

    group: Whole
    patterns: Mask
    member: Whole

    @classmethod
    def of(cls, group: Whole, on: Mask) -> Self:
        """Find the patterns of one group in marks of shape (n, d)."""
        patterns, member = np.unique(on[:, group], axis=0, return_inverse=True)
        return cls(group, patterns, member.astype(np.int64))


class Plan:
    """Which matrix columns hold numbers and which one-hot entries, and which numbers may depend on one another."""

    def __init__(self, layout: Layout) -> None:
        real = [block for block in layout.blocks if block.kind == "real"]
        hot = [block for block in layout.blocks if block.kind == "one_hot"]
        self.real: Whole = np.array([block.start for block in real], dtype=np.int64)
        self.when: Whole = np.array([-1 if block.when is None else block.when for block in real], dtype=np.int64)
        self.hot: Whole = np.array([at for block in hot for at in range(block.start, block.stop)], dtype=np.int64)
        self.ends: Whole = np.cumsum([0, *(block.cardinality for block in hot)]).astype(np.int64)
        self.names = [block.column for block in hot]

    def on(self, x: NDArray[np.float32]) -> Mask:
        """Tell which numbers mean something, shape (n, d)."""
        return np.where(self.when < 0, True, x[:, self.when] > 0.5)

    def entries(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the one-hot entries, shape (n, W), refusing a block that does not hold exactly one 1."""
        hot = x[:, self.hot]
        for name, start, stop in zip(self.names, self.ends[:-1], self.ends[1:], strict=True):
            block = hot[:, start:stop]
            if not (((block == 0) | (block == 1)).all() and (block.sum(axis=1) == 1).all()):
                raise ValueError(f"column {name!r}: a one-hot block does not hold exactly one 1 in every row")
        return hot

    def groups(self, on: Mask, covariance: str) -> tuple[Whole, ...]:
        """Return the sets of numbers that depend on one another within a component."""
        every = np.arange(len(self.real), dtype=np.int64)
        if covariance == "diagonal":
            return tuple(every[:, None])
        if covariance == "full" or len(np.unique(on, axis=0)) <= MOST_PATTERNS:
            return (every,)
        always = self.when < 0
        return (every[always], *every[~always][:, None])


def step(mixture: Mixture, splits: Sequence[Split], real: Floats, hot: NDArray[np.floating]) -> Moments:
    """Take the expectations of one EM step.

    Args:
        mixture: K components.
        splits: Groups of numbers, and in which rows they mean something.
        real: Numbers, shape (n, d).
        hot: One-hot entries, shape (n, W).
    """
    size, numbers = mixture.means.shape
    total, mass, first = 0.0, np.zeros(size), np.zeros((size, numbers))
    second, entries = np.zeros((size, numbers, numbers)), np.zeros((size, hot.shape[1]))
    parts = [_Patterns(mixture, split) for split in splits]
    base, log_chances = np.log(mixture.weights), np.log(mixture.chances).T.astype(hot.dtype)
    for begin in range(0, len(real), CHUNK):
        rows = slice(begin, begin + CHUNK)
        logits = base + hot[rows] @ log_chances
        for part in parts:
            part.add_log_density(logits, real[rows], rows)
        highest = logits.max(axis=1, keepdims=True)
        share = np.exp(logits - highest)
        normal = share.sum(axis=1, keepdims=True)
        share /= normal
        total += float((highest + np.log(normal)).sum())
        mass += share.sum(axis=0)
        entries += share.T.astype(hot.dtype) @ hot[rows]
        for part in parts:
            part.collect(share)
    for part in parts:
        part.complete(first, second)
    return Moments(total, mass, first, second, entries)


def log_joint(mixture: Mixture, splits: Sequence[Split], real: Floats, hot: NDArray[np.floating]) -> Floats:
    """Return log π_k p(x | k), shape (n, K); an entry of `hot` that is 0 throughout its block says nothing."""
    logits: Floats = np.log(mixture.weights) + hot @ np.log(mixture.chances).T
    for split in splits:
        _Patterns(mixture, split).add_log_density(logits, real, slice(0, len(real)))
    return logits


def maximise(old: Mixture, moments: Moments, prior: Mixture, splits: Sequence[Split], floor: float) -> Mixture:
    """Return the parameters that the expectations call for, with one pseudo-row of the prior in each component."""
    mass = moments.mass
    shift = moments.first / (mass + 1e-9)[:, None]
    scatter = moments.second - (mass[:, None] * shift)[:, :, None] * shift[:, None, :]
    covariances = np.zeros_like(scatter)
    for split in splits:
        inner = np.ix_(np.arange(len(mass)), split.group, split.group)
        covariances[inner] = (scatter[inner] + prior.covariances[inner]) / (mass + 1)[:, None, None]
    every = np.arange(scatter.shape[1])
    covariances[:, every, every] += floor
    return Mixture(
        (mass + 1) / (mass + 1).sum(),
        old.means + shift,
        covariances,
        (moments.entries + prior.chances) / (mass + 1)[:, None],
    )


def start(
    size: int, plan: Plan, splits: Sequence[Split], real: Floats, hot: NDArray[np.float32], rng: np.random.Generator
) -> tuple[Mixture, Mixture]:
    """Return a first mixture around k-means++ seeds, and the prior: the margins, narrowed for K components.

    Arthur & Vassilvitskii, k-means++: the advantages of careful seeding, 2007; the scale of the prior after
    Fraley & Raftery, Bayesian regularization for normal mixture estimation and model-based clustering, 2007.
    """
    n, numbers = real.shape
    on = np.zeros(real.shape, dtype=bool)
    for split in splits:
        on[:, split.group] = split.patterns[split.member]
    count = np.maximum(on.sum(axis=0), 1)
    mean = np.where(on, real, 0.0).sum(axis=0) / count
    variance = (np.where(on, real - mean, 0.0) ** 2).sum(axis=0) / count + 1e-3
    sizes = np.repeat(np.diff(plan.ends), np.diff(plan.ends))
    margin = (hot.sum(axis=0, dtype=np.float64) + 1 / sizes) / (n + 1)
    some = rng.choice(n, min(n, SEED_ROWS), replace=False)
    points = np.where(on[some], real[some], mean)
    features = np.hstack([(points - mean) / np.sqrt(variance), hot[some] / np.sqrt(2)])
    seeds = _seeds(features, size, rng)
    narrow = np.diag(variance) * size ** (-2 / max(numbers, 1))
    spread = np.repeat(narrow[None], size, axis=0)
    even = np.full(size, 1 / size)
    first = Mixture(even, points[seeds], spread, (hot[some][seeds] + margin) / 2)
    return first, Mixture(even, points[seeds], spread, np.repeat(margin[None], size, axis=0))


def conditional(mean: Floats, covariance: Floats, on: Mask) -> tuple[Floats, Floats, Floats, Floats]:
    """Split Gaussians, shape (K, g) and (K, g, g), by which numbers are on.

    Returns:
        Precision of those that are on (K, o, o), its log-determinant (K,), and for the m others the slope on them
        (K, m, o) and the covariance given them (K, m, m).
    """
    here, there = np.flatnonzero(on), np.flatnonzero(~on)
    inner = covariance[:, here[:, None], here]
    precision: Floats = np.linalg.inv(inner).astype(np.float64)
    slope: Floats = covariance[:, there[:, None], here] @ precision
    rest: Floats = covariance[:, there[:, None], there] - slope @ covariance[:, here[:, None], there]
    log_det: Floats = -np.linalg.slogdet(inner)[1]
    return precision, log_det, slope, rest


class _Patterns:
    """The components' Gaussians over one group of numbers, for each pattern of those that are on."""

    def __init__(self, mixture: Mixture, split: Split) -> None:
        self.group, self.patterns, self.member = split.group, split.patterns, split.member
        self.mean = mixture.means[:, split.group]
        covariance = mixture.covariances[:, split.group[:, None], split.group]
        self.gaussians = [conditional(self.mean, covariance, pattern) for pattern in self.patterns]
        self.slopes = [
            _slopes(self.mean[:, pattern], *gaussian[:2])
            for pattern, gaussian in zip(self.patterns, self.gaussians, strict=True)
        ]
        self.sums = [np.zeros_like(slopes) for slopes in self.slopes]
        self.held: list[tuple[int, Whole, Floats]] = []

    def add_log_density(self, logits: Floats, real: Floats, rows: slice) -> None:
        """Add log N of the numbers that are on to logits, shape (n, K), of those rows."""
        self.held = []
        for index, pattern in enumerate(self.patterns):
            chosen = np.flatnonzero(self.member[rows] == index)
            if len(chosen):
                features = _features(real[np.ix_(chosen, self.group[pattern])])
                self.held.append((index, chosen, features))
                logits[chosen] += features @ self.slopes[index].T

    def collect(self, share: Floats) -> None:
        """Sum numbers and products, of the rows just seen, by the components' share, shape (n, K)."""
        for index, chosen, features in self.held:
            self.sums[index] += share[chosen].T @ features

    def complete(self, first: Floats, second: Floats) -> None:
        """Add the sums about the means, numbers that are off at their expectation, to (K, d) and (K, d, d)."""
        every = np.arange(len(self.mean))
        for pattern, sums, gaussian in zip(self.patterns, self.sums, self.gaussians, strict=True):
            here, there = np.flatnonzero(pattern), np.flatnonzero(~pattern)
            mass, mean, upper = sums[:, 0], self.mean[:, here], np.triu_indices(len(here))
            products = np.zeros((len(mass), len(here), len(here)))
            products[:, upper[0], upper[1]] = products[:, upper[1], upper[0]] = sums[:, 1 + len(here) :]
            total = sums[:, 1 : 1 + len(here)]
            cross = total[:, :, None] * mean[:, None, :]
            products += mass[:, None, None] * mean[:, :, None] * mean[:, None, :] - cross - cross.transpose(0, 2, 1)
            lift = np.zeros((len(mass), len(self.group), len(here)))
            lift[:, here, np.arange(len(here))] = 1.0
            lift[:, there] = gaussian[2]
            first[:, self.group] += np.einsum("kij,kj->ki", lift, total - mass[:, None] * mean)
            second[np.ix_(every, self.group, self.group)] += lift @ products @ lift.transpose(0, 2, 1)
            second[np.ix_(every, self.group[there], self.group[there])] += mass[:, None, None] * gaussian[3]


def _slopes(mean: Floats, precision: Floats, log_det: Floats) -> Floats:
    """Return what log N multiplies `_features` with, shape (K, 1 + o + o (o + 1) / 2)."""
    pull = np.einsum("kij,kj->ki", precision, mean)
    upper = np.triu_indices(mean.shape[1])
    square = -np.where(upper[0] == upper[1], 0.5, 1.0) * precision[:, upper[0], upper[1]]
    constant = 0.5 * (log_det - (pull * mean).sum(axis=1) - mean.shape[1] * np.log(2 * np.pi))
    return np.column_stack([constant, pull, square])


def _features(numbers: Floats) -> Floats:
    """Return 1, the numbers and their products, shape (n, 1 + o + o (o + 1) / 2)."""
    n, o = numbers.shape
    features = np.ones((1 + o + o * (o + 1) // 2, n))
    features[1 : 1 + o] = numbers.T
    at = 1 + o
    for first in range(o):
        np.multiply(features[1 + first], features[1 + first : 1 + o], out=features[at : at + o - first])
        at += o - first
    return features.T


def _seeds(features: Floats, size: int, rng: np.random.Generator) -> Whole:
    """Choose rows far from one another, shape (size,): each in proportion to its squared distance to those before."""
    chosen = [int(rng.integers(len(features)))]
    nearest = np.full(len(features), np.inf)
    while len(chosen) < size:
        nearest = np.minimum(nearest, ((features - features[chosen[-1]]) ** 2).sum(axis=1))
        heap = np.cumsum(nearest + 1e-12)
        chosen.append(min(int(np.searchsorted(heap, rng.random() * heap[-1], side="right")), len(features) - 1))
    return np.array(chosen, dtype=np.int64)
