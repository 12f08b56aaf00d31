"""Weights on disk: what they are called, what they are made of, and when they are read."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from encoders.parts.cores import usable_cores
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings

T = TypeVar("T")

HEX_DIGITS = 16


def model_of(modality: str, settings: ModalitySettings) -> str:
    """The `model` of a modality. Raises SettingsError when the settings do not name one."""
    if not settings.model:
        raise SettingsError(f"modalities.{modality}.model: the encoder {settings.encoder!r} needs a model")
    return settings.model


def existing_file(path: Path) -> Path:
    """`path` itself. Raises EncoderError unless it is a file."""
    if not path.is_file():
        raise EncoderError(f"{path}: no such weights file; correct the modality's `model`")
    return path


def fingerprint(files: Sequence[Path], version: str) -> str:
    """Sixteen hex digits of the SHA-256 over the version and the contents of the files, in their order.

    version: everything else that decides the vectors, above all our own preprocessing. Names and places of
    the files do not count. Raises EncoderError when one of them is missing or cannot be read.
    """
    return fingerprint_of([contents_digest(path) for path in files], version)


def fingerprint_of(digests: Sequence[str], version: str) -> str:
    """The fingerprint of files with these digests."""
    return hashlib.sha256("".join([version, *digests]).encode()).hexdigest()[:HEX_DIGITS]


def contents_digest(path: Path) -> str:
    """The SHA-256 of a file as hex. Raises EncoderError when it is missing or cannot be read."""
    state = existing_file(path).stat()
    return _digest(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _digest(path: Path, changed: int, size: int) -> str:
    """`changed` and `size` are part of the cache's key, so that a replaced file is read again."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise EncoderError(f"{path}: cannot read the weights: {error.strerror}") from error


class Once(Generic[T]):
    """A value made at its first use, by one thread while the others wait; a failure is tried again."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._lock = threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]


def require(*packages: str) -> None:
    """Raise ImportError for the first package that is not installed, without importing those that are."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)


def import_torch() -> Any:
    """The module `torch`, with one thread on machines of one or two cores.

    There its worker threads wait for each other more than they compute: 10 to 50 times slower was measured.
    """
    torch = importlib.import_module("torch")
    if usable_cores() <= 2 and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
    return torch
