"""The graph modality on a small file made by hand, so that every expected vector is known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoder, load_encoder
from encoders.graph import CONCEPT_WEIGHT, GraphEncoder, load
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import EntityTerm, ImageTerm, ItemTerm, TextTerm

ENTITIES = ["item:1", "item:2", "tag:sofa", "tag:red", "42", "tag:anti-red"]
VECTORS = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0], [0, 0, -1]], dtype=np.float32)
AN_ARRAY = b"\x93NUMPY\x01\x00\x38\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}\n\0\0\0\0"
NAMES = [(0, "Sofa"), (1, "Big bed"), (2, "sofa"), (2, "沙发"), (3, "red"), (4, "Answer"), (5, "antired")]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "graph.npz")


def write(path: Path, **changed: Any) -> Path:
    arrays: dict[str, Any] = {
        "entities": np.array(ENTITIES),
        "vectors": VECTORS,
        "relations": np.array(["has_tag"]),
        "relation_vectors": np.ones((1, 3), dtype=np.float32),
        "triples": np.array([[0, 0, 2], [1, 0, 2], [4, 0, 3], [4, 0, 5]], dtype=np.int32),
        "name_entity": np.array([entity for entity, _ in NAMES], dtype=np.int32),
        "name_language": np.array(["en"] * len(NAMES)),
        "name_text": np.array([name for _, name in NAMES]),
        "settings": np.array("{}"),
    }
    arrays.update(changed)
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def settings(path: Path | None, **options: Any) -> ModalitySettings:
    return ModalitySettings(encoder="graph", model=path and str(path), source=("id",), **options)


@pytest.fixture
def encoder(path: Path) -> GraphEncoder:
    return load("graph", settings(path), {})


def test_the_fingerprint_is_of_the_contents(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.npz"
    copy.write_bytes(path.read_bytes())
    other = write(tmp_path / "other.npz", vectors=VECTORS[::-1])
    first, same, changed = (load("graph", settings(p), {}).provenance["graph"].fingerprint for p in (path, copy, other))
    assert first == same != changed


def query(encoder: GraphEncoder, text: str) -> np.ndarray:
    return encoder.encode_query(TextTerm(text))["graph"]


def test_it_keeps_the_contract(path: Path) -> None:
    encoder = load_encoder("kg", settings(path), {})
    assert isinstance(encoder, Encoder)
    (space,) = encoder.spaces
    assert (space.name, space.modality, space.dims) == ("kg", "kg", 3)
    provenance = encoder.provenance["kg"]
    assert re.fullmatch(r"[0-9a-f]{16}", provenance.fingerprint)
    assert (provenance.encoder, provenance.dims) == ("graph", 3)


def test_items_by_the_first_value(encoder: GraphEncoder, tmp_path: Path) -> None:
    encoded = encoder.encode_items([["item:1", "item:2"], [["item:2"]], ["nobody"], [], [[]], [42]], tmp_path)
    vectors = encoded.vectors["graph"]
    present = [None if v is None else v.tolist() for v in vectors]
    assert present == [VECTORS[0].tolist(), VECTORS[1].tolist(), None, None, None, VECTORS[4].tolist()]
    assert encoded.errors == {}


def test_an_id_of_a_wrong_type_is_that_items_error(encoder: GraphEncoder, tmp_path: Path) -> None:
    encoded = encoder.encode_items([[{"id": 1}], ["item:1"], [True], [1.5]], tmp_path)
    assert sorted(encoded.errors) == [0, 2, 3]
    assert [vector is None for vector in encoded.vectors["graph"]] == [True, False, True, True]


def test_an_entity_term_is_its_node(encoder: GraphEncoder) -> None:
    assert encoder.encode_query(EntityTerm("tag:red"))["graph"].tolist() == [0, 0, 1]
    with pytest.raises(BadInput, match="'nobody' is not an entity"):
        encoder.encode_query(EntityTerm("nobody"))


def test_terms_that_mean_nothing_to_a_graph(encoder: GraphEncoder) -> None:
    assert encoder.encode_query(ItemTerm("item:1")) == {}
    assert encoder.encode_query(ImageTerm(b"")) == {}
    assert encoder.encode_query(TextTerm("a word that names no node")) == {}
    assert encoder.encode_query(TextTerm("")) == {}


def test_a_text_is_the_mean_of_what_it_names(encoder: GraphEncoder) -> None:
    assert query(encoder, "沙发").tolist() == [0, 1, 0]
    np.testing.assert_allclose(query(encoder, "a red 沙发"), np.array([0, 1, 1]) / np.sqrt(2), atol=1e-6)


def test_a_concept_counts_for_more_than_an_item_of_the_same_name(encoder: GraphEncoder) -> None:
    expected = np.array([1, CONCEPT_WEIGHT, 0]) / np.hypot(1, CONCEPT_WEIGHT)
    np.testing.assert_allclose(query(encoder, "sofas"), expected, atol=1e-6)
    assert [link.entity for link in encoder.link("sofas")] == ["tag:sofa", "item:1"]


def test_a_text_whose_entities_cancel_out_has_no_vector(encoder: GraphEncoder) -> None:
    assert encoder.encode_query(TextTerm("red antired")) == {}


def test_query_vectors_are_unit_float32(encoder: GraphEncoder) -> None:
    for text in ("sofa", "red big bed", "answer"):
        vector = query(encoder, text)
        assert vector.dtype == np.float32 and np.isclose(np.linalg.norm(vector), 1, atol=1e-6)


def test_a_missing_file_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"maxcos graph train.*maxcos ingest --triples"):
        load("graph", settings(tmp_path / "graph.npz"), {})


def test_wrong_settings_are_refused(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"modalities\.graph\.model"):
        load("graph", settings(None), {})
    with pytest.raises(SettingsError, match="no option dims"):
        load("graph", settings(path, dims=3), {})


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off", b"\x93NUMPY", AN_ARRAY])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "graph.npz").write_bytes(content)
    with pytest.raises(EncoderError, match="not a graph"):
        load("graph", settings(tmp_path / "graph.npz"), {})


@pytest.mark.parametrize(
    "changed",
    [
        {"vectors": None},
        {"vectors": VECTORS[:2]},
        {"entities": np.array([{"a": 1}], dtype=object)},
        {"name_text": None},
    ],
)
def test_an_incomplete_graph_or_one_with_pickles_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(EncoderError):
        load("graph", settings(write(tmp_path / "graph.npz", **changed)), {})


def test_serving_needs_neither_torch_nor_dgl(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from encoders.graph import load\n"
        "from es_mappings.settings import ModalitySettings; from es_mappings.types import TextTerm\n"
        "encoder = load('graph', ModalitySettings(encoder='graph', model=sys.argv[1], source='id'), {})\n"
        "assert encoder.encode_query(TextTerm('sofa')) and encoder.encode_items([['item:1']], Path())\n"
        "assert not {'torch', 'dgl', 'scipy'} & set(sys.modules), 'heavy imports'\n"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, cwd=root, timeout=60)
