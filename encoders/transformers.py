"""Text encoder: a Hugging Face model in torch, pooled as in Sentence-BERT (Reimers 2019, arXiv:1908.10084)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from encoders.contract import Encoder
from encoders.parts import sentences, texts
from encoders.parts.model_folders import batch_size_of, model_folder, read_json
from encoders.parts.queries import Embed, learnt_queries
from encoders.parts.sentences import Prompts, batches, pooling_of, prompts_of, read_limits
from encoders.parts.weights import Once, fingerprint, import_torch, model_of, require
from es_mappings.errors import EncoderError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance

VERSION = f"transformers-1/{texts.VERSION}"
FILES = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.model",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
)
"""What decides the vectors, and so what is fetched from a hub and fingerprinted. Prompts are fingerprinted as texts."""
WIDTHS = ("hidden_size", "d_model", "dim", "n_embd")
"""The names that architectures give to the width of their last layer in config.json."""
MAX_BATCH = 32


@dataclass(frozen=True)
class Network:
    """A tokenizer and a model in evaluation mode. `longest` tokens of a text are read, the rest is cut."""

    tokenizer: Any
    model: Any
    pooling: str
    prompts: Prompts
    longest: int


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> texts.TextEncoder:
    """Read the configuration of the model that `model` names: a folder, or the id of a hub's repository.

    Weights, and torch itself, are loaded when the first text is encoded.
    Options: batch_size (1 to 32, default 32), texts per run of the network; pooling and prompts, see
    `encoders.parts.sentences`; scripts, see `texts.scripts_of`; align, see `encoders.parts.queries`: a file, or a
    folder of adapters.
    Raises SettingsError for wrong options, EncoderError when the model is missing or needs what is not built
    here, ImportError when a package is not installed.
    """
    options = settings.options("batch_size", "pooling", "prompts", "scripts", "align")
    scripts = texts.scripts_of(modality, settings)
    batch_size = batch_size_of(modality, options, MAX_BATCH)
    require("transformers", "torch")
    folder = model_folder(model_of(modality, settings), (*FILES, *sentences.FILES))
    pooling, prompts = pooling_of(modality, options, folder), prompts_of(modality, options, folder)
    files = sorted({path for pattern in FILES for path in folder.glob(pattern) if path.is_file()})
    if not any(path.suffix == ".safetensors" for path in files):
        raise EncoderError(f"{folder}: no model*.safetensors (weights in other formats are not read)")
    version = sentences.version(f"{VERSION}/{pooling}", prompts)
    made_by = Provenance("transformers", fingerprint(files, version), _dims(folder))
    network = Once(lambda: _network(folder, pooling, prompts))

    def adapted(adapters: Path) -> Embed:
        require("peft")
        # A second network, as one whose adapters are switched on and off would not be thread safe.
        twin = Once(lambda: _with_adapters(_network(folder, pooling, prompts), adapters))
        return lambda batch: embed(twin(), prompts.queries(batch), batch_size)

    queries = learnt_queries(settings, made_by, adapted)
    reading = texts.prompted(lambda batch: embed(network(), batch, batch_size), prompts)
    return texts.TextEncoder(modality, made_by, reading, scripts, queries)


def open_network(modality: str, settings: ModalitySettings) -> Network:
    """The bare network of a modality, to be trained. Raises what `load` and encoding the first text raise."""
    require("transformers", "torch")
    folder, options = model_folder(model_of(modality, settings), (*FILES, *sentences.FILES)), settings.model_extra or {}
    return _network(folder, pooling_of(modality, options, folder), prompts_of(modality, options, folder))


def _dims(folder: Path) -> int:
    config = read_json(folder / "config.json")
    for name in WIDTHS:
        if isinstance(config.get(name), int):
            return int(config[name])
    raise EncoderError(f"{folder / 'config.json'}: names no width ({', '.join(WIDTHS)}): not a text model")


def _network(folder: Path, pooling: str, prompts: Prompts) -> Network:
    import_torch()
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).eval()
    except Exception as error:  # whatever a broken folder makes of it: OSError, KeyError, SafetensorError, …
        raise EncoderError(f"{folder}: transformers cannot load this model: {error}") from error
    return Network(tokenizer, model, pooling, prompts, _longest(folder, tokenizer, model))


def _with_adapters(network: Network, adapters: Path) -> Network:
    """The network with adapters merged into its weights. Raises EncoderError when they do not fit it."""
    from peft import PeftModel

    try:
        model = PeftModel.from_pretrained(network.model, adapters).merge_and_unload()
    except Exception as error:  # whatever a broken folder makes of it, as above
        raise EncoderError(f"{adapters}: peft cannot load these adapters: {error}") from error
    return replace(network, model=model.eval())


def _longest(folder: Path, tokenizer: Any, model: Any) -> int:
    """The least of what the tokenizer, the model and sentence-transformers' own file allow, in tokens."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None), *read_limits(folder)]
    return int(min(limit for limit in limits if limit))


def embed(network: Network, batch: Sequence[str], batch_size: int) -> Matrix:
    """(n, dims) of n texts, run in the order of their lengths so that little of a batch is padding."""
    tokens = network.tokenizer(list(batch), truncation=True, max_length=network.longest)["input_ids"]
    rows: dict[int, Any] = {}
    for chosen in batches(list(map(len, tokens)), batch_size):
        rows.update(zip(chosen, _run(network, [batch[i] for i in chosen]), strict=True))
    return np.stack([rows[i] for i in range(len(batch))])


def _run(network: Network, batch: Sequence[str]) -> Matrix:
    with import_torch().inference_mode():
        result: Matrix = pooled(network, batch).numpy()
    return result


def pooled(network: Network, batch: Sequence[str]) -> Any:
    """(n, dims) float32 tensor of n texts, with its gradients."""
    inputs = network.tokenizer(
        list(batch), padding=True, truncation=True, max_length=network.longest, return_tensors="pt"
    )
    states = network.model(**inputs).last_hidden_state
    if network.pooling == "cls":
        return states[:, 0].float()
    mask = inputs["attention_mask"].unsqueeze(-1).to(states.dtype)
    return ((states * mask).sum(1) / mask.sum(1)).float()
