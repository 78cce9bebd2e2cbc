"""The one training loop: phases in order, early stopping, time budget, checkpoints and exact resume."""

import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from models.core.base import Monitor
from models.core.descent import Descent, load_weights
from models.core.plan import Phase, Trainable, TrainerConfig


class Trainer:
    """Trains a module phase by phase on rows that stay in one tensor."""

    def __init__(self, config: TrainerConfig, device: torch.device) -> None:
        self.config = config
        self.device = device

    def fit(
        self, module: Trainable, phases: Sequence[Phase], x: Tensor, rng: np.random.Generator, monitor: Monitor
    ) -> dict[str, float | str]:
        """Train in place and leave the kept weights in the module.

        Args:
            module: What to train, on the device.
            phases: What descends, in order.
            x: Encoded rows, shape (n, D), on the device.
            rng: Source of the split and of the seed of everything else.
            monitor: Progress and checkpoints.

        Returns:
            Figures of the fit, by name.

        Raises:
            FloatingPointError: If a loss is no longer a finite number.
        """
        held = max(1, int(len(x) * self.config.validation)) if self.config.validation > 0 and len(x) > 1 else 0
        # A stretch of neighbours, not rows at random: the rows of one privacy unit then fall on one side.
        order = torch.from_numpy(np.roll(np.arange(len(x)), -int(rng.integers(len(x))))).to(self.device)
        seed = int(rng.integers(2**62))
        generator = torch.Generator(self.device).manual_seed(seed)
        checkpoint = monitor.restore()
        first = 0 if checkpoint is None else int(checkpoint["phase"])
        notes: dict[str, float | str] = {}
        for number in range(first, len(phases)):
            phase = phases[number]
            rows = x
            if checkpoint is not None:
                load_weights(module, checkpoint)
            if phase.view is not None:
                with torch.no_grad():
                    rows = phase.view(x)
            run = Descent(self.config, module, phase, rows[order[held:]], rows[order[:held]], generator, seed)
            if checkpoint is not None:
                run.load(checkpoint)
                checkpoint = None
            notes |= self._descend(run, number, len(phases), monitor)
        return notes

    def _descend(self, run: Descent, number: int, phases: int, monitor: Monitor) -> dict[str, float | str]:
        saved, started = time.monotonic(), time.monotonic() - run.seconds
        stopped = ""
        while not stopped:
            run.epoch()
            run.seconds = time.monotonic() - started
            stopped = run.verdict()
            watched = run.history[-1][1] if run.watched else run.history[-1][0]
            label = "validation loss" if run.watched else "loss"
            done = 1.0 if stopped else len(run.history) / run.epochs
            message = f"epoch {len(run.history)} of {run.epochs}, {label} {watched:.4g}"
            monitor.progress((number + done) / phases, message)
            if not stopped and time.monotonic() - saved >= self.config.checkpoint_seconds:
                monitor.save({"phase": np.asarray(number), **run.state()})
                saved = time.monotonic()
        run.finish()
        return run.notes(stopped)
