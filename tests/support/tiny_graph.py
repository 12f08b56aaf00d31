"""Tiny ONNX graphs that take the tokens of a text, with their tokenizer: exports of models, at a size for tests.

A token's state is its row of a table, so that anybody can say what a text's vector must be.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["[CLS]", "[SEP]", "[UNK]", "[PAD]", "red", "sofa", "oak", "query", "passage"]
DIMS = 4
TABLE = np.random.default_rng(5).normal(size=(len(WORDS), DIMS)).astype(np.float32)
FLOAT, INT64 = 1, 7
"""How ONNX numbers them."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


def states(*words: str) -> Any:
    """(n, DIMS) of these tokens."""
    return TABLE[[WORDS.index(word) for word in words]]


def save_graph(path: Path, inputs: Sequence[str] = INPUTS, output: str = "last_hidden_state") -> Path:
    """The graph alone. output: `sentence_embedding` pools, with the largest of each number; any other has states."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pools = output == "sentence_embedding"
    nodes = [_node("Gather", ["table", "input_ids"], "states" if pools else output)]
    if pools:
        axes = _message((1, "axes"), (8, 1), (20, 7))
        keepdims = _message((1, "keepdims"), (3, 0), (20, 2))
        nodes.append(_node("ReduceMax", ["states"], output, axes, keepdims))
    table = _message(*((1, size) for size in TABLE.shape), (2, FLOAT), (8, "table"), (9, TABLE.tobytes()))
    graph = _message(
        *((1, node) for node in nodes),
        (2, "tiny"),
        (5, table),
        *((11, _value(name, INT64, "n", "t")) for name in inputs),
        (12, _value(output, FLOAT, *(["n"] if pools else ["n", "t"]), DIMS)),
    )
    path.write_bytes(_message((1, 8), (7, graph), (8, _message((1, ""), (2, 13)))))
    return path


def _node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    return _message(*((1, name) for name in inputs), (2, output), (4, kind), *((5, one) for one in attributes))


def _value(name: str, kind: int, *shape: int | str) -> bytes:
    sizes = [_message((1 if isinstance(size, int) else 2, size)) for size in shape]
    return _message((1, name), (2, _message((1, _message((1, kind), (2, _message(*((1, size) for size in sizes))))))))


def _message(*fields: tuple[int, int | str | bytes]) -> bytes:
    """A message of protobuf: fields by the numbers that onnx.proto has for them.

    By hand, since onnxruntime-extensions imports torch where the package `onnx` is installed, which tests forbid.
    """
    made = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            made += _varint(number << 3) + _varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            made += _varint(number << 3 | 2) + _varint(len(data)) + data
    return bytes(made)


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])


def save_tokenizer(folder: Path, **config: Any) -> None:
    """tokenizer.json, and tokenizer_config.json where something is to stand in it."""
    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    if config:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), "utf-8")
