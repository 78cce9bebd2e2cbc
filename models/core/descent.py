"""One phase of training under way: steps, averaged weights, validation, and all that a checkpoint must hold."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from models.core.base import State
from models.core.plan import Objective, Phase, Trainable, TrainerConfig

SMALLEST_BATCH = 16
BATCHES_AN_EPOCH = 20
VALIDATION_ROWS = 4096


@dataclass
class Descent:
    """One phase under way: everything that a checkpoint must hold."""

    config: TrainerConfig
    module: Trainable
    phase: Phase
    train: Tensor
    held: Tensor
    generator: torch.Generator
    seed: int
    step: int = 0
    seconds: float = 0.0
    best: dict[str, Tensor] = field(default_factory=dict)
    history: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.batch = batch_size(len(self.train), self.config.batch_size)
        self.steps = max(1, len(self.train) // self.batch)
        self.epochs = max(1, round(self.config.epochs * self.phase.share))
        self.watched = len(self.held) > 0 and len(self.phase.objectives) == 1
        self.parameters = list(self.module.parameters())
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.optimisers = [_optimiser(objective, self.config) for objective in self.phase.objectives]

    def epoch(self) -> None:
        """Go once over the training rows and add a line to the history: training and validation loss."""
        self.module.train()
        order = torch.randperm(len(self.train), generator=self.generator, device=self.train.device)
        total = torch.zeros((), device=self.train.device)
        for start in range(0, self.steps * self.batch, self.batch):
            total += self._step(self.train[order[start : start + self.batch]])
        self.module.eval()
        self.module.done = 1.0
        training = float(total) / self.steps
        if not math.isfinite(training):
            raise FloatingPointError(
                f"the loss became {training} in epoch {len(self.history) + 1}, wanted a finite number: "
                f"lower the learning rate (now {self.config.learning_rate})"
            )
        self._validate(training)

    def verdict(self) -> str:
        """Say why training stops now; an empty string where it goes on."""
        if len(self.history) >= self.epochs:
            return "all epochs"
        if self.watched and len(self.history) - self._best_epoch() >= self.config.patience:
            return "early"
        if self.config.minutes is not None and self.seconds >= 60 * self.config.minutes:
            return "time budget"
        return ""

    def finish(self) -> None:
        """Leave the kept weights in the module: the best ones where a loss was watched, else the average."""
        if self.best:
            self.module.load_state_dict(self.best)
        else:
            self._swap()

    def notes(self, stopped: str) -> dict[str, float | str]:
        """Return the figures of the phase."""
        best = self._best_epoch()
        notes: dict[str, float | str] = {
            "epochs": float(len(self.history)),
            "best_epoch": float(best),
            "training_loss": self.history[best - 1][0],
            "stopped": stopped,
            "parameters": float(sum(parameter.numel() for parameter in self.parameters)),
        }
        if self.watched:
            notes["validation_loss"] = self.history[best - 1][1]
        if stopped == "time budget":
            notes["reproducible"] = "no: the time budget ended training, so the weights depend on the machine's speed"
        return notes

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return everything under way as flat arrays."""
        arrays: dict[str, Tensor] = {"generator": self.generator.get_state()}
        arrays |= {f"weights/{name}": value for name, value in self.module.state_dict().items()}
        arrays |= {f"best/{name}": value for name, value in self.best.items()}
        arrays |= {f"average/{index}": value for index, value in enumerate(self.average)}
        for index, (objective, optimiser) in enumerate(zip(self.phase.objectives, self.optimisers, strict=True)):
            for place, parameter in enumerate(objective.parameters):
                for name, value in optimiser.state[parameter].items():
                    arrays[f"moments/{index}/{place}/{name}"] = value
        return {
            **{name: value.detach().cpu().numpy().copy() for name, value in arrays.items()},
            "step": np.asarray(self.step),
            "seconds": np.asarray(self.seconds),
            "history": np.asarray(self.history, dtype=np.float64).reshape(-1, 2),
        }

    def load(self, arrays: State) -> None:
        """Take back what `state` returned."""
        device = self.train.device
        load_weights(self.module, arrays)
        self.best = _group(arrays, "best", device)
        average = _group(arrays, "average", device)
        self.average = [average[str(index)] for index in range(len(self.parameters))]
        for name, tensor in _group(arrays, "moments", device).items():
            index, place, moment = name.split("/")
            parameter = self.phase.objectives[int(index)].parameters[int(place)]
            self.optimisers[int(index)].state[parameter][moment] = tensor
        self.generator.set_state(torch.from_numpy(np.array(arrays["generator"], dtype=np.uint8)))
        self.step, self.seconds = int(arrays["step"]), float(np.asarray(arrays["seconds"], dtype=np.float64))
        self.history = [(float(a), float(b)) for a, b in np.asarray(arrays["history"], dtype=np.float64)]

    def _step(self, rows: Tensor) -> Tensor:
        """Descend once on a batch, shape (b, D); return the sum of the losses that were taken."""
        planned = self.epochs * self.steps
        self.module.done = self.step / planned
        rate = learning_rate(self.step, planned, self.config) * math.sqrt(self.batch / self.config.batch_size)
        total = torch.zeros((), device=rows.device)
        for objective, optimiser in zip(self.phase.objectives, self.optimisers, strict=True):
            if self.step % objective.every:
                continue
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.zero_grad(set_to_none=True)
            loss = self._loss(objective, rows, self.generator)
            loss.backward(inputs=list(objective.parameters))
            nn.utils.clip_grad_norm_(objective.parameters, self.config.clip)
            optimiser.step()
            total += loss.detach()
        self.step += 1
        decay = min(self.config.ema, self.step / (self.step + 9))
        get_ema_multi_avg_fn(decay)(self.average, self.parameters, None)
        return total

    def _validate(self, training: float) -> None:
        if not self.watched:
            self.history.append((training, math.nan))
            return
        self._swap()
        generator = torch.Generator(self.held.device).manual_seed(self.seed)
        total = 0.0
        with torch.no_grad():
            for rows in self.held.split(VALIDATION_ROWS):
                total += len(rows) * float(self._loss(self.phase.objectives[0], rows, generator))
        self.history.append((training, total / len(self.held)))
        if self._best_epoch() == len(self.history):
            self.best = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self._swap()

    def _loss(self, objective: Objective, rows: Tensor, generator: torch.Generator) -> Tensor:
        mixed = self.config.mixed_precision and rows.device.type == "cuda"
        with torch.autocast(rows.device.type, dtype=torch.bfloat16, enabled=mixed):
            return objective.loss(rows, generator)

    def _best_epoch(self) -> int:
        """Return the epoch, counted from 1, whose weights are kept."""
        if not self.watched:
            return len(self.history)
        losses = [math.inf if math.isnan(loss) else loss for _, loss in self.history]
        return losses.index(min(losses)) + 1

    def _swap(self) -> None:
        """Exchange the weights and their average."""
        with torch.no_grad():
            for parameter, average in zip(self.parameters, self.average, strict=True):
                kept = parameter.clone()
                parameter.copy_(average)
                average.copy_(kept)


def batch_size(rows: int, largest: int) -> int:
    """Return the rows a step: 16 times a power of two, for about 20 steps an epoch, within the given bound."""
    wanted = max(1, rows // (BATCHES_AN_EPOCH * SMALLEST_BATCH))
    return min(rows, largest, SMALLEST_BATCH << int(math.log2(wanted)))


def learning_rate(step: int, planned: int, config: TrainerConfig) -> float:
    """Return the rate of a step, counted from 0: a linear rise times half a cosine down to 0 over the plan."""
    rise = max(1.0, config.warm_up * planned)
    return config.learning_rate * min(1.0, (step + 1) / rise) * 0.5 * (1 + math.cos(math.pi * step / planned))


def load_weights(module: Trainable, arrays: State) -> None:
    """Take the weights under way from a checkpoint."""
    module.load_state_dict(_group(arrays, "weights", torch.device("cpu")))


def _group(arrays: State, group: str, device: torch.device) -> dict[str, Tensor]:
    """Return the arrays named `group/...` as tensors, by the rest of their names."""
    return {
        name.removeprefix(f"{group}/"): torch.from_numpy(np.array(value)).to(device)
        for name, value in arrays.items()
        if name.startswith(f"{group}/")
    }


def _optimiser(objective: Objective, config: TrainerConfig) -> torch.optim.AdamW:
    matrices = [parameter for parameter in objective.parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in objective.parameters if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.momentum, 0.99),
        fused=True,
    )
