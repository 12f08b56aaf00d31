"""A graph with heads: its items among texts, and texts that name no entity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Graph, load_encoder, unit
from encoders.graph import GraphEncoder
from encoders.parts.alignment import Alignable, Ground, write_alignment
from encoders.parts.texts import TextEncoder
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import EntityTerm, TextTerm

VECTORS = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0]], dtype=np.float32)
DIMS = 512


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Two sofas, one of them without a name, and their tag."""
    np.savez(
        tmp_path / "graph.npz",
        entities=np.array(["one", "two", "tag:sofa"]),
        vectors=VECTORS,
        relations=np.array(["has_tag"]),
        relation_vectors=np.ones((1, 3), dtype=np.float32),
        triples=np.array([[0, 0, 2], [1, 0, 2]], dtype=np.int32),
        name_entity=np.array([2], dtype=np.int32),
        name_language=np.array(["en"]),
        name_text=np.array(["sofa"]),
        settings=np.array("{}"),
    )
    return tmp_path / "graph.npz"


def load(model: Path, text: TextEncoder | None, **options: Any) -> GraphEncoder:
    settings = ModalitySettings(encoder="graph", model=str(model), source=("id",), **options)
    encoder = load_encoder("graph", settings, {"text": text} if text else {})
    assert isinstance(encoder, GraphEncoder)
    return encoder


def ground(encoder: GraphEncoder) -> Ground:
    assert isinstance(encoder, Alignable) and encoder.ground is not None
    return encoder.ground


@pytest.fixture
def arrays(model: Path, multilingual: TextEncoder) -> dict[str, Any]:
    """Two heads; the second has not seen the item `one`, and nobody has seen `two`."""
    random = np.random.default_rng(0)
    encoder = load(model, multilingual)
    assert isinstance(encoder, Alignable)
    return {
        "weights": random.normal(size=(2, DIMS, 3)).astype(np.float32),
        "bias": random.normal(size=(2, DIMS)).astype(np.float32),
        "share": np.zeros(2, dtype=np.float32),
        "mean": np.array([0.1, 0.2, 0], dtype=np.float32),
        "base_mean": np.zeros(DIMS, dtype=np.float32),
        "query_mean": random.normal(size=DIMS).astype(np.float32) / 50,
        "keys": encoder.keys([["one"]], Path()),
        "folds": np.array([1], dtype=np.uint8),
    }


@pytest.fixture
def heads(model: Path, arrays: dict[str, Any], multilingual: TextEncoder, tmp_path: Path) -> str:
    write_alignment(tmp_path / "heads.npz", arrays, {"made_of": ground(load(model, multilingual)).made_of})
    return str(tmp_path / "heads.npz")


def test_without_heads_it_is_the_graph_alone(model: Path, multilingual: TextEncoder) -> None:
    bare, beside = load(model, None), load(model, multilingual)
    assert beside.spaces == bare.spaces and beside.provenance == bare.provenance
    assert isinstance(beside, Graph) and not isinstance(bare, Alignable)
    assert beside.encode_query(TextTerm("a place to sit")) == {}
    assert list(beside.encode_items([["one"]], Path()).vectors) == ["graph"]
    assert isinstance(load(model, multilingual, words=""), GraphEncoder)


def test_items_are_placed_as_numpy_places_them(
    model: Path, heads: str, arrays: dict[str, Any], multilingual: TextEncoder
) -> None:
    encoder = load(model, multilingual, align=heads)
    assert [(space.name, space.modality, space.dims) for space in encoder.spaces] == [
        ("graph", "graph", 3),
        ("graph_words", "graph", DIMS),
    ]
    found = encoder.encode_items([["one"], ["nobody"], ["two"], [{"no": "id"}]], Path())
    words = found.vectors["graph_words"]
    assert [vector is None for vector in words] == [False, True, False, True] and set(found.errors) == {3}
    for place, row, head in ((0, 0, slice(1, 2)), (2, 1, slice(None))):
        x = unit((VECTORS[row] - arrays["mean"])[None], "x")[0]
        wanted = arrays["weights"][head].mean(axis=0) @ x + arrays["bias"][head].mean(axis=0)
        vector = words[place]
        assert vector is not None
        np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_text_that_names_nothing_looks_among_texts(
    model: Path, heads: str, arrays: dict[str, Any], multilingual: TextEncoder
) -> None:
    encoder = load(model, multilingual, align=heads)
    text = multilingual.encode_query(TextTerm("a place to sit"))["text"]
    found = encoder.encode_query(TextTerm("a place to sit"))
    assert set(found) == {"graph_words"}
    np.testing.assert_allclose(found["graph_words"], unit((text - arrays["query_mean"])[None], "t")[0], atol=1e-6)
    assert set(encoder.encode_query(TextTerm("sofa"))) == {"graph"}
    assert set(encoder.encode_query(EntityTerm("tag:sofa"))) == {"graph"}
    assert encoder.encode_query(TextTerm(" ")) == {}


def test_what_decides_the_vectors(
    model: Path, heads: str, arrays: dict[str, Any], multilingual: TextEncoder, tmp_path: Path
) -> None:
    encoder = load(model, multilingual, align=heads)
    made = encoder.provenance
    assert made["graph"] == load(model, None).provenance["graph"]
    write_alignment(tmp_path / "other.npz", arrays | {"bias": arrays["bias"] + 1}, {"made_of": ground(encoder).made_of})
    other = load(model, multilingual, align=str(tmp_path / "other.npz"))
    assert other.provenance["graph_words"].fingerprint != made["graph_words"].fingerprint
    with np.load(model) as file:
        np.savez(tmp_path / "later.npz", **{**file, "vectors": file["vectors"][::-1]})
    with pytest.raises(EncoderError, match="fitted to other encoders"):
        load(tmp_path / "later.npz", multilingual, align=heads)


def test_heads_without_texts_are_refused(model: Path, heads: str) -> None:
    with pytest.raises(SettingsError, match=r"modalities\.graph\.align: there is no text modality"):
        load(model, None, align=heads)
    with pytest.raises(SettingsError, match=r"modalities\.graph\.words: no modality 'speech'"):
        load(model, None, words="speech")
