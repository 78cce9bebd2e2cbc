"""Variational auto-encoder."""

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.core.base import Matrix
from models.core.heads import MixedHead
from models.core.neural import NeuralModel
from models.core.plan import TrainerConfig
from models.core.resampling import pick
from tabular.layout import Reads

MOST_CANDIDATES = 4096
SEED = 1509_00519
FROM_PRIOR = 0.125
EDGE = 1e-9
LOG_VARIANCES = (-14.0, 4.0)


class VAE(NeuralModel):
    """Maximises the ELBO, log p(x) ≥ E_q[log p(x|z)] - KL(q(z|x) ‖ p(z)), with p(z) standard normal.

    q(z|x) is normal with a diagonal covariance from one network; p(x|z) from another is a normal with a learned scale
    for each real column and a softmax for each one-hot block. The KL term's weight rises from 0 in the first epochs.
    `log_prob` is an estimate: log of the mean of p(x|z) p(z) / r(z|x) over draws of z from r, which is q with an eighth
    of the prior mixed in, so that no weight is above 8 p(x|z) and none has infinite variance. The mean is unbiased, so
    its logarithm is too low on average, the less the more draws.

    Kingma & Welling, Auto-Encoding Variational Bayes, 2013, arXiv:1312.6114. Warm-up: Bowman, Vilnis, Vinyals, Dai,
    Jozefowicz & Bengio, Generating Sentences from a Continuous Space, 2015, arXiv:1511.06349. Likelihood: Burda, Grosse
    & Salakhutdinov, Importance Weighted Autoencoders, 2015, arXiv:1509.00519; the prior mixed in: Hesterberg, Weighted
    Average Importance Sampling and Defensive Mixture Distributions, 1995, doi:10.1080/00401706.1995.10484303.
    """

    reads: ClassVar[Reads] = "one_hot"
    estimated: ClassVar[bool] = True

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Widths of the networks.

        Attributes:
            latent: Width of z.
            hidden: Width of the hidden layers.
            depth: Hidden layers of each network.
            beta: Weight of the KL term once warm; 1 is the ELBO.
            kl_warm_up: Share of the planned steps over which that weight rises from 0.
            candidates: Latent draws for each row in `sample_given`, at least.
            importance_samples: Latent draws for each row in `log_prob`.
        """

        training: TrainerConfig = TrainerConfig(epochs=40, patience=8)
        latent: PositiveInt = 16
        hidden: PositiveInt = 256
        depth: PositiveInt = 2
        beta: PositiveFloat = 1.0
        kl_warm_up: float = Field(default=0.2, ge=0, le=1)
        candidates: PositiveInt = 128
        importance_samples: int = Field(default=64, ge=8)

    config: Config

    def build(self) -> None:
        """Make the encoder, the decoder and the head of mixed likelihoods."""
        hidden, latent = self.config.hidden, self.config.latent
        self.encoder = nn.Sequential(*self._layers(self.layout.width), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(*self._layers(latent))
        self.head = MixedHead(self.layout, hidden)

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the mean negative ELBO of a row, in nats, with the KL term's weight of the moment."""
        mean, log_variance = self.encoder(x).float().chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        z = mean + noise * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
        warm = self.config.kl_warm_up
        weight = self.config.beta * (min(1.0, self.done / warm) if warm else 1.0)
        fit: Tensor = self.head.log_likelihood(self.decoder(z), x)
        bound: Tensor = (weight * divergence - fit).mean()
        return bound

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw z from the prior and x from p(x|z)."""
        z = torch.randn(n, self.config.latent, generator=generator, device=self.device)
        return self.head.draw(self.decoder(z), generator)

    def encode(self, x: Matrix) -> Matrix:
        """Return the mean of q(z|x), shape (n, k), of encoded rows, shape (n, D)."""
        with self.evaluation():
            return self.matrix(self.encoder(self.tensor(x)).chunk(2, dim=1)[0])

    def decode(self, z: Matrix, rng: np.random.Generator) -> Matrix:
        """Draw encoded rows, shape (n, D), from p(x|z) of latent codes, shape (n, k)."""
        with self.inference(rng) as generator:
            return self.matrix(self.head.draw(self.decoder(self.tensor(z)), generator))

    def log_prob(self, x: Matrix) -> NDArray[np.float64]:
        """Estimate log p(x) in nats, shape (n,), of encoded rows, shape (n, D), by importance sampling of z.

        The same noise, scrambled Sobol points, is used for every row and in every call, so that a row's estimate is its
        own: it depends neither on the other rows nor on a seed.
        """
        samples = self.config.importance_samples
        fresh = math.ceil(FROM_PRIOR * samples)
        noise = torch.cat([self._noise(fresh, SEED), self._noise(samples - fresh, SEED + 1)])
        with self.evaluation():
            rows = self.tensor(x).split(max(1, self.chunk // samples))
            parts = [self._marginal(part, noise.to(self.device), fresh) for part in rows]
            return np.asarray(torch.cat(parts).cpu().numpy(), dtype=np.float64)

    def sample_given(self, known: Matrix, mask: NDArray[np.bool_], rng: np.random.Generator) -> Matrix:
        """Draw rows given some of their blocks, by importance resampling of z.

        Candidates z are drawn from the prior, weighted by the likelihood of the known blocks and resampled; the other
        blocks then come from p(x|z). Rows with the same known blocks share their candidates. The bias vanishes as the
        effective number of candidates grows; `notes` keeps it as `effective_sample_size`, the mean over the rows of
        the last call of the effective number in the pool that a row was picked from. It falls fast with the number of
        known real columns.

        Args:
            known: Encoded rows, shape (n, D); entries outside the mask are ignored.
            mask: True where an entry is known, shape (D,); whole blocks at a time.
            rng: Source of all randomness.

        Raises:
            ValueError: If the shapes do not fit the layout.
        """
        rows = self.known_rows(known, mask)
        if not len(rows):
            return rows
        order = np.lexsort(rows.T)
        candidates = max(self.config.candidates, min(self.chunk // len(rows), MOST_CANDIDATES))
        parts, effective = [], []
        with self.inference(rng) as generator:
            given = torch.from_numpy(mask).to(self.device)
            for part in self.tensor(rows[order]).split(max(1, self.chunk // candidates)):
                drawn, size = self._given(part, given, candidates, generator)
                parts.append(drawn)
                effective.append(size)
            self.notes["effective_sample_size"] = float(torch.cat(effective).mean())
            drawn_rows = np.empty_like(rows)
            drawn_rows[order] = self.matrix(torch.cat(parts))
        return drawn_rows

    def _noise(self, n: int, seed: int) -> Tensor:
        """Return standard normal numbers that fill the latent space evenly, shape (n, k)."""
        points = torch.quasirandom.SobolEngine(self.config.latent, scramble=True, seed=seed)
        noise: Tensor = torch.special.ndtri(points.draw(n, dtype=torch.float64).clamp(EDGE, 1 - EDGE))
        return noise.float()

    def _marginal(self, x: Tensor, noise: Tensor, fresh: int) -> Tensor:
        """Estimate log p(x), shape (n,), by draws of which so many are from the prior and the others from q(z|x)."""
        mean, log_variance = self.encoder(x).float().unsqueeze(1).chunk(2, dim=2)
        log_variance = log_variance.clamp(*LOG_VARIANCES)
        from_posterior = mean + noise[fresh:] * (0.5 * log_variance).exp()
        z = torch.cat([noise[:fresh].expand(len(x), -1, -1), from_posterior], dim=1)
        prior = -0.5 * (z.double() ** 2).sum(2)
        posterior = -0.5 * (((z - mean) ** 2 / log_variance.exp()).double() + log_variance).sum(2)
        share = fresh / len(noise)
        proposal = torch.logaddexp(prior + math.log(share), posterior + math.log1p(-share))
        h = self.decoder(z.flatten(0, 1))
        fit = self.head.log_likelihood(h, x.repeat_interleave(len(noise), 0)).double().view(len(x), len(noise))
        return (fit + prior - proposal).logsumexp(1) - math.log(len(noise))

    def _given(self, known: Tensor, mask: Tensor, candidates: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Complete sorted rows, shape (n, D); return them and each row's effective number of candidates, shape (n,)."""
        _, group, sizes = known.unique_consecutive(dim=0, return_inverse=True, return_counts=True)
        z = torch.randn(len(known) * candidates, self.config.latent, generator=generator, device=known.device)
        h = self.decoder(z)
        weights = self.head.log_likelihood(h, known.repeat_interleave(candidates, 0), mask.float())
        picked, effective = pick(weights.double(), group, sizes, candidates, generator)
        return torch.where(mask, known, self.head.draw(h[picked], generator)), effective[group]

    def _layers(self, inputs: int) -> list[nn.Module]:
        widths = [inputs, *[self.config.hidden] * self.config.depth]
        pairs = zip(widths[:-1], widths[1:], strict=True)
        return [layer for i, o in pairs for layer in (nn.Linear(i, o), nn.SiLU())]
