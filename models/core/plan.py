"""What training is asked to do: its settings, what descends, and what descends together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

Loss = Callable[[Tensor, torch.Generator], Tensor]


class TrainerConfig(BaseModel, frozen=True, extra="forbid"):
    """How a network is trained.

    Attributes:
        epochs: Planned passes over the training rows; the learning rate falls to 0 over this plan.
        batch_size: Rows a step, at most; small data take smaller batches, so that an epoch has about 20 steps.
        learning_rate: Highest rate of AdamW; where batches are smaller, less by the root of their share.
        weight_decay: Decoupled decay of matrices; vectors are left alone.
        warm_up: Share of the planned steps over which the rate rises from 0.
        clip: Largest norm of a gradient.
        momentum: AdamW's decay of the mean gradient; 0.5 or less where two networks play against each other.
        ema: Decay a step of the exponential moving average of the weights, which is what is kept; 0 for none.
        validation: Share of the rows held back to watch the loss; 0 for none, and then no early stopping.
        patience: Epochs without a better validation loss after which training stops; the best weights are kept.
        minutes: Wall-clock budget of a fit; None for none. A run that it ends depends on the machine's speed.
        checkpoint_seconds: Seconds between checkpoints, at least; they are taken between epochs.
        threads: CPU threads for training and sampling. It is a setting because the last bits depend on it; one is
            best where several models train side by side, for threads that wait for each other lose much time there.
        mixed_precision: Whether to compute in bfloat16 on CUDA; never on a CPU.
    """

    epochs: PositiveInt = 40
    batch_size: PositiveInt = 512
    learning_rate: PositiveFloat = 2e-3
    weight_decay: NonNegativeFloat = 1e-2
    warm_up: float = Field(default=0.05, ge=0, le=1)
    clip: PositiveFloat = 1.0
    momentum: float = Field(default=0.9, ge=0, lt=1)
    ema: float = Field(default=0.99, ge=0, lt=1)
    validation: float = Field(default=0.1, ge=0, le=0.5)
    patience: PositiveInt = 6
    minutes: PositiveFloat | None = None
    checkpoint_seconds: NonNegativeFloat = 20.0
    threads: PositiveInt = 1
    mixed_precision: bool = True


class Trainable(nn.Module):
    """A module that knows how far its training is.

    Attributes:
        done: Share of the planned steps taken, in [0, 1]; 1 while validating and after training.
    """

    done: float = 1.0


@dataclass(frozen=True)
class Objective:
    """What descends: a loss, the parameters that it moves, and how often (every so many steps)."""

    name: str
    loss: Loss
    parameters: Sequence[nn.Parameter]
    every: int = 1


@dataclass(frozen=True)
class Phase:
    """What descends together, and on which view of the data (None: the rows as they are).

    A phase of one objective is validated by that objective's loss; with several (a game) there is no loss to watch,
    so the phase runs to the end of its plan. A view may only use parameters that the phase does not move.

    Attributes:
        objectives: Losses, in the order in which each step takes them.
        view: From encoded rows, shape (n, D), to what the losses see; taken once, when the phase starts.
        share: Planned epochs of the phase, as a share of the configured ones.
    """

    objectives: Sequence[Objective]
    view: Callable[[Tensor], Tensor] | None = None
    share: float = 1.0
