"""Generative adversarial network: a conditional generator against a critic of packs of rows."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from models.core.blocks import Blocks
from models.core.neural import NeuralModel
from models.core.plan import Objective, Phase, TrainerConfig
from tabular.layout import Reads

FARTHEST = 5.0
BUMPS = (-2.0, -1.2, -0.5, 0.0, 0.5, 1.2, 2.0)
WIDTH = 0.5


class GAN(NeuralModel):
    r"""A generator G and a critic C play min_G max_C E[C(x, c)] - E[C(G(z, c), c)], C held to gradients of norm 1.

    The condition c is one class of one category column of a row; G is also charged for not giving it. C judges packs
    of rows, so that rows that are all alike are found out. G gives numbers as they are encoded, as normal scores, in
    which modes are already spread evenly, and categories by the Gumbel-softmax. Against lost dependence, G is also
    charged for how far its batch's first and second moments lie from the real batch's, over all entries, bumps along
    each number, and pairs of these. There is no density, and no conditional draw of its own.

    Xu, Skoularidou, Cuesta-Infante & Veeramachaneni, Modeling tabular data using conditional GAN, 2019,
    arXiv:1907.00503. Gradient penalty: Gulrajani et al., 2017, arXiv:1704.00028; packs: Lin et al., 2017,
    arXiv:1712.04086; moments: Park et al., Data synthesis based on generative adversarial networks, 2018,
    arXiv:1806.03384.
    """

    reads: ClassVar[Reads] = "one_hot"

    class Config(NeuralModel.Config, frozen=True, extra="forbid"):
        """Sizes of the networks, and the rules of the game.

        Attributes:
            latent: Width of the generator's noise.
            hidden: Width of the layers.
            depth: Hidden layers of each network.
            pack: Rows that the critic judges together.
            penalty: Weight of the gradient penalty.
            temperature: Of the Gumbel-softmax.
            moments: Weight of the charge for moments.
            condition: Weight of the charge for not giving the condition.
        """

        training: TrainerConfig = TrainerConfig(
            epochs=80, validation=0.0, learning_rate=1e-3, ema=0.999, weight_decay=1e-4, clip=10.0, momentum=0.5
        )
        latent: PositiveInt = 64
        hidden: PositiveInt = 256
        depth: PositiveInt = 2
        pack: PositiveInt = 8
        penalty: NonNegativeFloat = 10.0
        temperature: PositiveFloat = 0.3
        moments: NonNegativeFloat = 20.0
        condition: NonNegativeFloat = Field(default=1.0)

    config: Config
    frequencies: Tensor
    centre: Tensor
    scale: Tensor

    def build(self) -> None:
        """Make the generator and the critic."""
        self.blocks = Blocks(self.layout)
        entries, width, hidden = len(self.blocks.hots), self.layout.width, self.config.hidden
        self.generator = _Residual(self.config.latent + entries, hidden, self.config.depth, width)
        self.critic = _plain((width + entries) * self.config.pack, hidden, self.config.depth)
        self.register_buffer("frequencies", torch.zeros(entries))
        features = width + len(BUMPS) * len(self.blocks.reals)
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))

    def prepare(self, x: Tensor) -> None:
        """Start from independent categories."""
        self.frequencies = self.blocks.log_frequencies(x[:, self.blocks.hots])
        features = torch.cat([self._bumps(part) for part in x.split(self.chunk)])
        self.centre = features.mean(0)
        self.scale = features.std(0, unbiased=False).clamp(min=0.05)

    def phases(self) -> Sequence[Phase]:
        """Return the one phase in which critic and generator take turns."""
        critic = Objective("critic", self._judge, list(self.critic.parameters()))
        return [Phase([critic, Objective("generator", self.loss, list(self.generator.parameters()))])]

    def loss(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return what the generator is charged for a batch."""
        condition = self._conditions(x, generator)
        fake, logits = self._make(condition, generator)
        surprise = self.blocks.entropies(logits, condition).sum(1).mean() if self.blocks.sizes else logits.sum() * 0
        charge = self.config.condition * surprise + self.config.moments * self._moments(fake, x)
        return charge - self._packs(fake, condition).mean()

    def draw(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n encoded rows, shape (n, D), on conditions as frequent as in the training rows."""
        classes = self.blocks.draw(self.frequencies.expand(n, -1), generator)
        condition = self._one_block(classes, generator)
        noise = torch.randn(n, self.config.latent, generator=generator, device=self.device)
        real, logits = self._outputs(noise, condition)
        drawn = self.blocks.draw(logits, generator)
        # What was asked for is given: the condition is part of the row.
        asked = torch.zeros(n, len(self.blocks.sizes), device=self.device).index_add(1, self.blocks.owner, condition)
        mask = asked[:, self.blocks.owner]
        return self.blocks.assemble(real, condition * mask + drawn * (1 - mask))

    def _judge(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the critic's loss on a batch: what it gives to fakes over real rows, and its gradient's penalty."""
        condition = self._conditions(x, generator)
        with torch.no_grad():
            fake, _ = self._make(condition, generator)
        packs = len(x) // self.config.pack
        if not packs:
            return self._packs(fake, condition).mean() - self._packs(x, condition).mean()
        share = torch.rand(packs, 1, generator=generator, device=x.device).repeat_interleave(self.config.pack, 0)
        rows = packs * self.config.pack
        between = (share * x[:rows] + (1 - share) * fake[:rows]).requires_grad_(True)
        with torch.enable_grad():
            judged = self._packs(between, condition[:rows]).sum()
            (slope,) = torch.autograd.grad(judged, between, create_graph=True)
        penalty = ((slope.reshape(packs, -1) ** 2).sum(1).add(1e-12).sqrt() - 1).square().mean()
        gap = self._packs(fake, condition).mean() - self._packs(x, condition).mean()
        return gap + self.config.penalty * penalty

    def _packs(self, x: Tensor, condition: Tensor) -> Tensor:
        """Judge rows, shape (b, D), pack by pack; a batch smaller than a pack is repeated to fill one."""
        rows = torch.cat([x, condition], dim=1)
        if len(rows) < self.config.pack:
            rows = rows.repeat(-(-self.config.pack // len(rows)), 1)
        whole = len(rows) - len(rows) % self.config.pack
        judged: Tensor = self.critic(rows[:whole].reshape(whole // self.config.pack, -1)).float()
        return judged

    def _conditions(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Take one class of one category column of each row, shape (b, W)."""
        return self._one_block(x[:, self.blocks.hots], generator)

    def _one_block(self, hot: Tensor, generator: torch.Generator) -> Tensor:
        """Keep one block at random of one-hot entries, shape (b, W)."""
        if not self.blocks.sizes:
            return hot
        chosen = torch.randint(len(self.blocks.sizes), (len(hot), 1), generator=generator, device=hot.device)
        return hot * (self.blocks.owner == chosen).float()

    def _make(self, condition: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return rows with soft categories, shape (b, D), and the categories' logits, shape (b, W)."""
        noise = torch.randn(len(condition), self.config.latent, generator=generator, device=condition.device)
        real, logits = self._outputs(noise, condition)
        gumbel = torch.rand(logits.shape, generator=generator, device=logits.device).clamp_(1e-10, 1 - 1e-7)
        soft = self.blocks.shares((logits - (-gumbel.log()).log()) / self.config.temperature)
        return self.blocks.assemble(real, soft), logits

    def _outputs(self, noise: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        out = self.generator(torch.cat([noise, condition], dim=1)).float()
        numbers = len(self.blocks.reals)
        return out[:, :numbers].clamp(-FARTHEST, FARTHEST), out[:, numbers:] + self.frequencies

    def _moments(self, fake: Tensor, x: Tensor) -> Tensor:
        """Return how far the batches' first and second moments lie apart, each entry at its own scale.

        Each half of the batches gives a difference; the mean product of both halves' differences is the squared
        distance without the bias that a batch's own noise would add, which would reward rows that vary too little.
        """
        half = len(x) // 2
        if not half:
            return (self._features(fake).mean(0) - self._features(x).mean(0)).square().mean()
        firsts, seconds = [], []
        for rows in (slice(0, half), slice(half, 2 * half)):
            a, b = self._features(fake[rows]), self._features(x[rows])
            firsts.append(a.mean(0) - b.mean(0))
            seconds.append((a.T @ a - b.T @ b) / half)
        return (firsts[0] * firsts[1]).mean() + (seconds[0] * seconds[1]).mean()

    def _features(self, x: Tensor) -> Tensor:
        """Return entries and bumps over numbers, centred and scaled as in the training rows, shape (b, F)."""
        return (self._bumps(x) - self.centre) / self.scale

    def _bumps(self, x: Tensor) -> Tensor:
        real = x[:, self.blocks.reals]
        places = torch.tensor(BUMPS, device=x.device)
        bumps = (-0.5 * ((real[:, :, None] - places) / WIDTH) ** 2).exp() * self.blocks.on(x)[:, :, None]
        return torch.cat([x, bumps.flatten(1)], dim=1)


class _Residual(nn.Module):
    """Layers that each add to what goes in, and a linear one at the end."""

    def __init__(self, inputs: int, hidden: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList()
        for _ in range(depth):
            self.layers.append(nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.SiLU()))
            inputs += hidden
        self.last = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        out: Tensor = self.last(x)
        return out


def _plain(inputs: int, hidden: int, depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, hidden), nn.LeakyReLU(0.2)]
        inputs = hidden
    return nn.Sequential(*layers, nn.Linear(inputs, 1))
