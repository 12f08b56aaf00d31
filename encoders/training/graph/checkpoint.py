"""A training's state on disk: what a killed run needs to go on, and logs for TensorBoard beside it."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from numpy.typing import NDArray
from tqdm import tqdm

from encoders.training.triples import KnowledgeGraph
from es_mappings.errors import BadInput

FILE = "checkpoint.pt"
CONTENT = frozenset({"settings", "entities", "relations", "triples", "state"})


class Resumable(Protocol):
    """A training under way. mrr: the best one so far, None where none was measured yet."""

    epoch: int
    loss: float

    @property
    def mrr(self) -> float | None: ...
    def state(self) -> dict[str, Any]: ...
    def restore(self, state: Mapping[str, Any]) -> None: ...


@contextmanager
def recorded(
    fit: Resumable, folder: Path | None, content: Mapping[str, Any], epochs: int, *, progress: bool
) -> Iterator[Callable[[], None]]:
    """Let a training go on from the folder's checkpoint. What is given is to be called after every epoch.

    content: what a checkpoint holds beside the state. progress: show a bar.
    Raises BadInput when the checkpoint is one of other settings or data.
    """
    before = read_checkpoint(folder) if folder else None
    if before and before["settings"] != content["settings"]:
        raise BadInput(f"{folder}: the checkpoint of a training with other settings or data; name another folder")
    if before:
        fit.restore(before["state"])
    log = Log(folder, fit.epoch + 1) if folder else None
    name = content["settings"]["model"]
    with tqdm(total=epochs, initial=fit.epoch, desc=name, unit="epoch", disable=not progress) as bar:

        def after_epoch() -> None:
            scalars = {"loss": fit.loss} | ({} if fit.mrr is None else {"best_mrr": fit.mrr})
            bar.set_postfix({name: f"{value:.3f}" for name, value in scalars.items()}, refresh=False)
            bar.update()
            if folder and log:
                log.add(fit.epoch, scalars)
                write_checkpoint(folder, {**content, "state": fit.state()})

        try:
            yield after_epoch
        finally:
            if log:
                log.close()


def digest(graph: KnowledgeGraph, *more: NDArray[Any]) -> str:
    """A text that other data would not have."""
    names = "\0".join((*graph.entities, "", *graph.relations)).encode()
    return hashlib.sha256(b"\0".join([names, *(part.tobytes() for part in (graph.triples, *more))])).hexdigest()


def write_checkpoint(folder: Path, content: Mapping[str, Any]) -> None:
    """Replace the folder's checkpoint in one step. content: plain values and tensors under the names of CONTENT."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{FILE}.{os.getpid()}.part"
    try:
        torch.save(dict(content), part)
        part.replace(folder / FILE)
    finally:
        part.unlink(missing_ok=True)


def read_checkpoint(folder: Path) -> dict[str, Any] | None:
    """What `write_checkpoint` wrote, None where nothing was. Raises BadInput when the file is no checkpoint."""
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content = torch.load(file, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise BadInput(f"{file}: not a checkpoint of `maxcos graph train` ({error})") from error
    if not isinstance(content, dict) or not content.keys() >= CONTENT:
        raise BadInput(f"{file}: not a checkpoint of `maxcos graph train`")
    return content


class Log:
    """Scalars for TensorBoard in `folder`/tensorboard, or nothing where the package tensorboard is not installed."""

    def __init__(self, folder: Path, epoch: int) -> None:
        """epoch: the first one that is to come; what an interrupted run has logged from there on is dropped."""
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=epoch)

    def add(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Log the values by name."""
        for name, value in scalars.items() if self._writer else ():
            self._writer.add_scalar(name, value, epoch)

    def close(self) -> None:
        """Write out what is still in memory."""
        if self._writer:
            self._writer.close()
