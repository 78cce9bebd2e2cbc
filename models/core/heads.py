"""The likelihood of a row of mixed blocks: normal for real numbers, softmax for one-hot blocks."""

import math

import torch
from torch import Tensor, nn

from tabular.layout import Layout

SMALLEST_LOG_SCALE = -5.0


class MixedHead(nn.Module):
    """p(x|h) = Π over blocks: a normal with a learned scale a real column, a softmax a one-hot block.

    A real number whose `when` state is off means nothing: it has no likelihood and is drawn as 0.
    """

    when: Tensor
    reals: Tensor

    def __init__(self, layout: Layout, inputs: int) -> None:
        super().__init__()
        wrong = [block.column for block in layout.blocks if block.kind == "code"]
        if wrong:
            raise ValueError(f"got blocks of codes ({', '.join(map(repr, wrong[:3]))}), wanted real and one_hot only")
        real = [block for block in layout.blocks if block.kind == "real"]
        self.spans = [(block.start, block.stop) for block in layout.blocks if block.kind == "one_hot"]
        self.width = layout.width
        self.linear = nn.Linear(inputs, layout.width)
        self.log_scale = nn.Parameter(torch.zeros(len(real)))
        self.register_buffer("reals", torch.tensor([block.start for block in real], dtype=torch.int64), False)
        always = [layout.width if block.when is None else block.when for block in real]
        self.register_buffer("when", torch.tensor(always, dtype=torch.int64), False)

    def log_likelihood(self, h: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return log p(x|h) in nats, shape (n,).

        Args:
            h: Hidden rows, shape (n, i).
            x: Encoded rows, shape (n, D).
            mask: 1 where an entry counts, shape (D,); whole blocks at a time. None for all.
        """
        counts = torch.ones(self.width, device=x.device) if mask is None else mask
        out = self.linear(h).float()
        scale = self.log_scale.clamp(min=SMALLEST_LOG_SCALE)
        z = (x[:, self.reals] - out[:, self.reals]) / scale.exp()
        normal = -0.5 * z**2 - scale - 0.5 * math.log(2 * math.pi)
        total: Tensor = (normal * self._on(x) * counts[self.reals]).sum(1)
        for start, stop in self.spans:
            total = total + (x[:, start:stop] * out[:, start:stop].log_softmax(1)).sum(1) * counts[start]
        return total

    def draw(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Draw encoded rows, shape (n, D), given hidden rows, shape (n, i)."""
        out = self.linear(h).float()
        x = torch.zeros(len(h), self.width, device=h.device)
        for start, stop in self.spans:
            noise = torch.rand(len(h), stop - start, generator=generator, device=h.device).clamp_(min=1e-20)
            chosen = (out[:, start:stop] - noise.log().neg().log()).argmax(1, keepdim=True)
            x[:, start:stop].scatter_(1, chosen, 1.0)
        noise = torch.randn(len(h), len(self.reals), generator=generator, device=h.device)
        drawn = out[:, self.reals] + noise * self.log_scale.clamp(min=SMALLEST_LOG_SCALE).exp()
        x[:, self.reals] = drawn * self._on(x)
        return x

    def _on(self, x: Tensor) -> Tensor:
        """Return 1 where a real number means something, shape (n, reals)."""
        always = torch.ones(len(x), 1, device=x.device, dtype=x.dtype)
        return torch.cat([x, always], dim=1)[:, self.when]
