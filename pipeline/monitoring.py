"""What a fit may tell and ask: progress to whoever shows it, checkpoints to one file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from models.core.base import State
from pipeline.workspace import write_bytes

Show = Callable[[str, float, str], None]


def quiet(stage: str, done: float, message: str) -> None:
    """Show nothing."""


class FileMonitor:
    """Progress and checkpoints of one fit.

    Attributes:
        path: The checkpoint file.
        fingerprint: What the fit depends on (settings, rows, seed): a checkpoint of another fit is not taken.
        show: Called with the stage, the share done in [0, 1] and a message.
    """

    def __init__(self, path: Path, fingerprint: str, stage: str, show: Show) -> None:
        self.path = path
        self.fingerprint = fingerprint
        self.stage = stage
        self.show = show

    def progress(self, done: float, message: str) -> None:
        """Pass progress on."""
        self.show(self.stage, done, message)

    def save(self, checkpoint: State) -> None:
        """Replace the checkpoint, all or nothing."""
        arrays = {key: np.require(value, requirements="C") for key, value in checkpoint.items()}
        write_bytes(self.path, save(arrays, metadata={"fingerprint": self.fingerprint}))

    def restore(self) -> State | None:
        """Return the last checkpoint of this very fit, if there is one."""
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="np") as file:
                if (file.metadata() or {}).get("fingerprint") != self.fingerprint:
                    return None
                return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError):
            return None
