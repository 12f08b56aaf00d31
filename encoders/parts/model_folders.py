"""Models in Hugging Face's layout: a folder on disk, or a repository of a hub that becomes one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from es_mappings.errors import EncoderError, SettingsError


def model_folder(model: str, files: Sequence[str]) -> Path:
    """The folder itself, or the local copy of a hub's repository, fetched when it is not there yet.

    files: patterns of what is fetched. Raises EncoderError for what is neither.
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or model.startswith("."):
        raise EncoderError(f"{model}: no such folder; correct the modality's `model`")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=list(files)))
    except Exception as error:  # network, hub, id: the hub's client and its transport share no base but this
        raise EncoderError(f"{model}: neither a folder nor a model that the hub gives: {error}") from error


def read_json(path: Path) -> Any:
    """Raises EncoderError for a file that cannot be read or is no JSON."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"{path}: cannot be read: {error}") from error


def batch_size_of(modality: str, options: Mapping[str, Any], most: int) -> int:
    """The option `batch_size`, from 1 to `most`, which is also its default. Raises SettingsError."""
    value = options.get("batch_size", most)
    try:
        size = int(value)  # from the environment it comes as a string
    except (TypeError, ValueError):
        size = 0
    if not 1 <= size <= most:
        raise SettingsError(f"modalities.{modality}.batch_size: {value!r} is not from 1 to {most}")
    return size
