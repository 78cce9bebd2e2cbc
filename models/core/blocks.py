"""The real and the one-hot blocks of a matrix as tensors: where they lie, what is off, and draws from logits."""

import torch
from torch import Tensor, nn

from tabular.layout import Layout


class Blocks(nn.Module):
    """Where the d real columns and the B one-hot blocks of a layout lie.

    Attributes:
        reals: Matrix columns of the real numbers, shape (d,).
        hots: Matrix columns of the one-hot entries, shape (W,).
        owner: Block of each one-hot entry, counted from 0, shape (W,).
        sizes: Classes of each one-hot block.
        width: Number of matrix columns, D.
    """

    reals: Tensor
    hots: Tensor
    owner: Tensor
    when: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        wrong = [block.column for block in layout.blocks if block.kind == "code"]
        if wrong:
            raise ValueError(f"got blocks of codes ({', '.join(map(repr, wrong[:3]))}), wanted real and one_hot only")
        real = [block for block in layout.blocks if block.kind == "real"]
        hot = [block for block in layout.blocks if block.kind == "one_hot"]
        self.width = layout.width
        self.sizes = [block.cardinality for block in hot]
        always = [layout.width if block.when is None else block.when for block in real]
        for name, values in (
            ("reals", [block.start for block in real]),
            ("hots", [at for block in hot for at in range(block.start, block.stop)]),
            ("owner", [index for index, size in enumerate(self.sizes) for _ in range(size)]),
            ("when", always),
        ):
            self.register_buffer(name, torch.tensor(values, dtype=torch.int64), persistent=False)

    def on(self, x: Tensor) -> Tensor:
        """Return 1 where a real number of rows, shape (n, D), means something, else 0, shape (n, d)."""
        always = torch.ones(len(x), 1, device=x.device, dtype=x.dtype)
        return torch.cat([x, always], dim=1)[:, self.when]

    def filled(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the real numbers of rows, shape (n, d), standard normal noise where they mean nothing.

        So a number under noise never tells its state, and noise is all that there is to learn of it.
        """
        noise = torch.randn(len(x), len(self.reals), generator=generator, device=x.device)
        return torch.where(self.on(x) > 0, x[:, self.reals], noise)

    def classes(self, hot: Tensor) -> Tensor:
        """Return the class of each block, shape (n, B), of one-hot entries, shape (n, W)."""
        parts = [part.argmax(1) for part in hot.split(self.sizes, dim=1)]
        return torch.stack(parts, dim=1) if parts else torch.zeros(len(hot), 0, dtype=torch.int64, device=hot.device)

    def entropies(self, logits: Tensor, hot: Tensor) -> Tensor:
        """Return -log p of each block's class, shape (n, B), from logits and one-hot entries, both of shape (n, W)."""
        parts = [
            -(part.log_softmax(1) * target).sum(1)
            for part, target in zip(logits.split(self.sizes, dim=1), hot.split(self.sizes, dim=1), strict=True)
        ]
        return torch.stack(parts, dim=1) if parts else torch.zeros(len(hot), 0, device=hot.device)

    def shares(self, logits: Tensor) -> Tensor:
        """Return each block's softmax side by side, shape (n, W)."""
        parts = [part.softmax(1) for part in logits.split(self.sizes, dim=1)]
        return torch.cat(parts, dim=1) if parts else logits

    def draw(self, logits: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one-hot entries, shape (n, W), from logits, shape (n, W)."""
        hot = torch.zeros_like(logits)
        start = 0
        for part in logits.split(self.sizes, dim=1):
            noise = torch.rand(part.shape, generator=generator, device=part.device).clamp_(min=1e-20)
            chosen = start + (part - noise.log().neg().log()).argmax(1, keepdim=True)
            hot.scatter_(1, chosen, 1.0)
            start += part.shape[1]
        return hot

    def assemble(self, real: Tensor, hot: Tensor) -> Tensor:
        """Put numbers, shape (n, d), and one-hot entries, shape (n, W), in their places, shape (n, D), 0 where off."""
        x = torch.zeros(len(real), self.width, device=real.device)
        x[:, self.hots] = hot
        x[:, self.reals] = real * self.on(x)
        return x

    def log_frequencies(self, hot: Tensor) -> Tensor:
        """Return the log share of each class in rows of one-hot entries, shape (n, W), half a row added: shape (W,)."""
        counts = hot.sum(0) + 0.5
        totals = torch.zeros(len(self.sizes), device=hot.device).index_add(0, self.owner, counts)
        return (counts / totals[self.owner]).log()

    def entropy(self, log_frequencies: Tensor) -> Tensor:
        """Return the entropy of each block in nats, shape (B,), from log shares, shape (W,)."""
        terms = -log_frequencies * log_frequencies.exp()
        return torch.zeros(len(self.sizes), device=terms.device).index_add(0, self.owner, terms)
