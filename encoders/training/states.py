"""A training's state on disk, for a run that was cut off, and its logs for TensorBoard."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from es_mappings.errors import BadInput


def write_state(file: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Replace the file in one step. settings: what the training was told. state: plain values and tensors."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        torch.save({"settings": dict(settings), "state": dict(state)}, part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def read_state(file: Path, settings: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The state in the file, None where there is no file. Raises BadInput for another training's, and what is none."""
    if not file.is_file():
        return None
    try:
        content = torch.load(file, weights_only=True)
        before, state = content["settings"], content["state"]
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise BadInput(f"{file}: not a checkpoint ({error})") from error
    if before != dict(settings):
        raise BadInput(f"{file}: the checkpoint of a training with other settings or data; name another folder")
    found: Mapping[str, Any] = state
    return found


class Log:
    """Scalars for TensorBoard in a folder, or nothing where the package tensorboard is not installed."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """epoch: the first one that is to come; what an interrupted run has logged from there on is dropped."""
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder), purge_step=epoch)

    def add(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Log the values by name."""
        for name, value in scalars.items() if self._writer else ():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._writer:
            self._writer.close()
