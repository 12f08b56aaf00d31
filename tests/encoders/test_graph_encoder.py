"""The graph modality on a small file made by hand, so that every expected vector is known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.contract import Encoder, Graph, load_encoder
from encoders.graph import CONCEPT_WEIGHT, GraphEncoder, load
from encoders.parts.graph_file import NO_INTERACTIONS, GraphFile
from encoders.parts.names import Name
from es_mappings.errors import BadInput, BadTerm, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Entity, EntityTerm, Fields, ImageTerm, ItemTerm, Step, TextTerm, Tie, UserTerm

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


# --- relations

CHAIN = ["a", "b", "c", "alone"]
WEIGHTS = np.array([[1, 2, 3], [3, 2, 1]], dtype=np.float32)


@pytest.fixture
def chain(tmp_path: Path) -> GraphEncoder:
    """a --part_of--> b --part_of--> c; nothing is near."""
    arrays = {
        "entities": np.array(CHAIN),
        "vectors": np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 1, 0]], dtype=np.float32),
        "relations": np.array(["part_of", "near"]),
        "relation_vectors": WEIGHTS,
        "triples": np.array([[0, 0, 1], [1, 0, 2]], dtype=np.int32),
        "name_entity": np.arange(4, dtype=np.int32),
        "name_language": np.array([""] * 4),
        "name_text": np.array(CHAIN),
    }
    return load("graph", settings(write(tmp_path / "chain.npz", **arrays)), {})


def towards(encoder: GraphEncoder, *names: str) -> np.ndarray:
    return encoder.encode_query(EntityTerm(*names))["graph"]


def test_a_relation_without_known_triples_is_the_models_alone(chain: GraphEncoder) -> None:
    expected = np.array([0.6 * 3, 0.8 * 2, 0]) / np.hypot(0.6 * 3, 0.8 * 2)
    np.testing.assert_allclose(towards(chain, "b", "near"), expected, atol=1e-6)
    np.testing.assert_allclose(towards(chain, "b", "near", "in"), expected, atol=1e-6)


def test_a_relation_is_what_the_model_expects_and_what_is_known_there(chain: GraphEncoder) -> None:
    expects = np.array([1, 0, 0])
    known = np.array([0.6, 0.8, 0])
    both = (expects + known) / np.linalg.norm(expects + known)
    np.testing.assert_allclose(towards(chain, "a", "part_of"), both, atol=1e-6)
    np.testing.assert_allclose(towards(chain, "a", "part_of", "out"), both, atol=1e-6)


def test_a_direction_chooses_the_end(chain: GraphEncoder) -> None:
    a, c = np.array([1, 0, 0]), np.array([0, 0, 1])
    inward, outward, any_way = (towards(chain, "b", "part_of", *way) for way in (["in"], ["out"], []))
    assert inward @ a > any_way @ a > outward @ a
    assert outward @ c > any_way @ c > inward @ c
    with pytest.raises(BadTerm, match="no triple 'part_of' leaves 'c'") as refused:
        towards(chain, "c", "part_of", "out")
    assert refused.value.member == "direction"


def test_an_unknown_relation_is_refused_by_name(chain: GraphEncoder) -> None:
    with pytest.raises(BadTerm, match="'made_by' is not a relation of the graph, which has part_of, near") as refused:
        towards(chain, "a", "made_by")
    assert refused.value.member == "relation"


def test_a_model_without_weights_on_these_vectors_says_what_is_known(tmp_path: Path) -> None:
    other = {"settings": np.array('{"model": "rotate"}'), "relation_vectors": np.ones((1, 7), dtype=np.float32)}
    encoder = load("graph", settings(write(tmp_path / "g.npz", **other), relations=RELATIONS), {})
    near = VECTORS[2] / np.sqrt(2 + 1) + VECTORS[3] / np.sqrt(1 + 1)
    np.testing.assert_allclose(newcomer(encoder, "sofa", "red"), near / np.linalg.norm(near), atol=1e-6)
    both = VECTORS[0] + VECTORS[2]
    np.testing.assert_allclose(towards(encoder, "item:1", "has_tag"), both / np.linalg.norm(both), atol=1e-6)
    np.testing.assert_allclose(
        towards(encoder, "tag:red", "has_tag", "in"), (VECTORS[3] + VECTORS[4]) / np.sqrt(2), atol=1e-6
    )


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="1 relations, but vectors"):
        load("graph", settings(write(tmp_path / "graph.npz", relation_vectors=WEIGHTS)), {})


# --- what it tells in words


def test_it_is_a_graph_to_the_rest_of_maxcos(encoder: GraphEncoder) -> None:
    assert isinstance(encoder, Graph)


def test_a_term_is_about_the_concepts_of_a_name_or_else_its_items(encoder: GraphEncoder) -> None:
    assert encoder.named(TextTerm("a red sofa"), None) == ("tag:red", "tag:sofa")
    assert encoder.named(TextTerm("big bed"), None) == ("item:2",)
    assert encoder.named(TextTerm("nothing known"), None) == ()
    assert encoder.named(EntityTerm("tag:red"), None) == ("tag:red",)
    assert encoder.named(EntityTerm("nobody"), None) == ()
    assert encoder.named(ItemTerm("item:1"), {"id": "item:1"}) == ("item:1",)
    assert encoder.named(ItemTerm("nobody"), {"id": "nobody"}) == ()
    assert encoder.named(ItemTerm("item:1"), None) == ()
    assert encoder.named(ImageTerm(b""), None) == ()


def test_an_item_s_node_is_that_of_its_source_field(path: Path) -> None:
    encoder = load("graph", ModalitySettings(encoder="graph", model=str(path), source=("shop.sku",)), {})
    item = {"id": "7", "shop": {"sku": "item:1"}}
    assert encoder.named(ItemTerm("7"), item) == ("item:1",)
    (found,) = encoder.paths(["tag:sofa"], [item], ["en"])
    assert [step.to.id for step in found[0].steps] == ["item:1"]
    assert encoder.paths(["tag:sofa"], [{"id": "item:1"}, {"id": "7", "shop": {"sku": True}}], ["en"]) == [(), ()]


def test_paths_have_names_in_the_languages_that_were_asked(encoder: GraphEncoder) -> None:
    ((path,),) = encoder.paths(["item:2"], [{"id": "item:1"}], ["zh", "en"])
    assert path.start == Entity("item:2", "Big bed", {"en": "Big bed"})
    assert path.steps == (
        Step("has_tag", "out", Entity("tag:sofa", "sofa", {"en": "sofa"})),
        Step("has_tag", "in", Entity("item:1", "Sofa", {"en": "Sofa"})),
    )


def test_entities_are_found_by_name_with_what_tells_them_apart(encoder: GraphEncoder) -> None:
    tag, item = encoder.search("sofa", 10, ["en"])
    assert (tag.entity.id, tag.match, tag.score, tag.items, tag.degree) == ("tag:sofa", "name", 1.0, 2, 2)
    assert tag.ties == (Tie("has_tag", "in", 2),)
    assert (item.entity.id, item.items, item.degree, item.ties) == ("item:1", 0, 1, (Tie("has_tag", "out", 1),))
    assert [found.entity.id for found in encoder.search("sofas", 10, ["en"])] == ["tag:sofa", "item:1"]
    (part,) = encoder.search("a big bed", 10, [])
    assert (part.entity, part.alias, part.language, part.match) == (
        Entity("item:2", "Big bed", {}),
        "Big bed",
        "en",
        "part",
    )
    assert encoder.search("nothing known", 10, ["en"]) == []
    assert len(encoder.search("sofa", 1, ["en"])) == 1


# --- items that the graph does not know

RELATIONS = {"tags": "has_tag"}


def newcomer(encoder: GraphEncoder, *tags: Any, identifier: str = "new") -> np.ndarray | None:
    encoded = encoder.encode_items([[identifier, Fields({"tags": list(tags)})]], Path())
    assert encoded.errors == {}
    return encoded.vectors["graph"][0]


@pytest.fixture
def open_encoder(path: Path) -> GraphEncoder:
    return load("graph", settings(path, relations=RELATIONS), {})


def test_a_new_item_s_vector_is_what_the_model_expects_and_the_mean_of_its_neighbours(tmp_path: Path) -> None:
    weights = np.array([[1, 2, 3]], dtype=np.float32)
    encoder = load("graph", settings(write(tmp_path / "g.npz", relation_vectors=weights), relations=RELATIONS), {})
    sofa, red = VECTORS[2], VECTORS[3]
    own = weights[0] * (sofa + red)
    near = sofa / np.sqrt(2 + 1) + red / np.sqrt(1 + 1)
    expected = own / np.linalg.norm(own) + near / np.linalg.norm(near)
    np.testing.assert_allclose(newcomer(encoder, "tag:sofa", "red"), expected / np.linalg.norm(expected), atol=1e-6)


@pytest.mark.parametrize("tags", [["tag:sofa"], ["Sofa"], ["ＳＯＦＡ"], ["沙发"], ["sofa", "tag:sofa", "no such tag"]])
def test_a_value_is_an_id_or_a_name_of_what_the_relation_leads_to(open_encoder: GraphEncoder, tags: list[str]) -> None:
    np.testing.assert_allclose(newcomer(open_encoder, *tags), VECTORS[2], atol=1e-6)


def test_a_name_that_the_relation_does_not_lead_to_says_nothing(open_encoder: GraphEncoder) -> None:
    assert newcomer(open_encoder, "Big bed") is None
    assert newcomer(open_encoder) is None
    assert newcomer(open_encoder, "tag:red", "tag:anti-red") is None


def test_an_item_of_the_graph_keeps_its_node(open_encoder: GraphEncoder, encoder: GraphEncoder) -> None:
    np.testing.assert_array_equal(newcomer(open_encoder, "red", identifier="item:1"), VECTORS[0])
    assert newcomer(encoder, "red") is None  # without the option nothing is read


def test_relations_are_part_of_what_made_the_vectors(open_encoder: GraphEncoder, encoder: GraphEncoder) -> None:
    assert open_encoder.provenance["graph"].fingerprint != encoder.provenance["graph"].fingerprint
    assert re.fullmatch(r"[0-9a-f]{16}", open_encoder.provenance["graph"].fingerprint)


@pytest.mark.parametrize("value", [{"a": 1}, True, 1.5, ["red", None]])
def test_a_value_of_a_wrong_type_is_that_items_error(open_encoder: GraphEncoder, value: Any) -> None:
    encoded = open_encoder.encode_items([["new", Fields({"tags": value})], ["item:1"]], Path())
    assert list(encoded.errors) == [0]
    assert str(encoded.errors[0]).startswith("tags: ")
    assert encoded.vectors["graph"][1] is not None


def test_an_unknown_relation_is_refused_with_the_field(path: Path) -> None:
    with pytest.raises(SettingsError, match=r"modalities\.graph\.relations\.maker: 'made_by'.*has_tag"):
        load("graph", settings(path, relations={"maker": "made_by"}), {})


def test_paths_lead_to_a_new_item_and_from_one(open_encoder: GraphEncoder) -> None:
    new = {"id": "new", "tags": ["Sofa"]}
    ((path,),) = open_encoder.paths(["item:1"], [new], ["en"])
    assert [(step.direction, step.to.id) for step in path.steps] == [("out", "tag:sofa"), ("in", "new")]
    assert open_encoder.named(ItemTerm("new"), new) == ("tag:sofa",)
    assert open_encoder.paths(["item:1"], [{"id": "new", "tags": [{}]}], ["en"]) == [()]


@given(st.lists(st.integers(0, 5), unique=True, min_size=1), st.randoms())
def test_the_order_of_an_item_s_values_decides_nothing(tags: list[int], random: Any) -> None:
    values = [ENTITIES[number] for number in tags]
    shuffled = list(values)
    random.shuffle(shuffled)
    names = tuple(Name(entity, "en", name) for entity, name in NAMES)
    triples = np.array([[0, 0, 2], [1, 0, 2], [4, 0, 3], [4, 0, 5]], dtype=np.int32)
    weights = np.ones((1, 3), dtype=np.float32)
    graph = GraphFile(
        tuple(ENTITIES), VECTORS, ("has_tag",), weights, triples, NO_INTERACTIONS, frozenset(), names, "f"
    )
    encoder = GraphEncoder("graph", graph, relations=RELATIONS)
    first, second = newcomer(encoder, *values), newcomer(encoder, *shuffled)
    assert (first is None) == (second is None)
    if first is not None and second is not None:
        np.testing.assert_array_equal(first, second)
        assert np.isclose(np.linalg.norm(first), 1, atol=1e-6)


# --- users

SOCIAL = {
    "entities": np.array([*ENTITIES, "user:7", "user:8"]),
    "vectors": np.concatenate([VECTORS, VECTORS[[1, 3]]]),
    "relations": np.array(["has_tag", "interacted"]),
    "relation_vectors": np.ones((2, 3), dtype=np.float32),
    # An item may have that relation too; it is then a fact like others.
    "triples": np.array([[0, 0, 2], [1, 0, 2], [6, 1, 0], [6, 1, 4], [7, 1, 1], [0, 1, 2]], dtype=np.int32),
    "users": np.array([6, 7], dtype=np.int32),
}


def test_a_user_s_vector_is_a_query_and_what_was_done_is_known(tmp_path: Path) -> None:
    encoder = load("graph", settings(write(tmp_path / "graph.npz", **SOCIAL)), {})
    assert encoder.encode_query(UserTerm("7"))["graph"].tolist() == VECTORS[1].tolist()
    assert (encoder.seen("7"), encoder.seen("8")) == (("item:1", "42"), ("item:2",))
    assert encoder.graph.triples.tolist() == [[0, 0, 2], [1, 0, 2], [0, 1, 2]]
    assert encoder.named(UserTerm("7"), None) == ("item:1", "42")


@pytest.mark.parametrize("user", ["nobody", "item:1", "user:7", ""])
def test_who_is_no_user_is_refused(tmp_path: Path, user: str) -> None:
    encoder = load("graph", settings(write(tmp_path / "graph.npz", **SOCIAL)), {})
    for ask in (encoder.seen, lambda user: encoder.encode_query(UserTerm(user))):
        with pytest.raises(BadTerm) as caught:
            ask(user)
        assert caught.value.member == "user"


def test_a_graph_of_an_older_version_has_no_users(encoder: GraphEncoder) -> None:
    assert not encoder.graph.users and not len(encoder.graph.interactions)
    with pytest.raises(BadTerm, match="not a user"):
        encoder.encode_query(UserTerm("7"))


def test_items_that_the_graph_knows_by_another_field_cannot_be_left_out_by_id(tmp_path: Path) -> None:
    path = write(tmp_path / "graph.npz", **SOCIAL)
    encoder = load("graph", ModalitySettings(encoder="graph", model=str(path), source=("sku",)), {})
    with pytest.raises(BadTerm, match="'sku'") as caught:
        encoder.seen("7")
    assert caught.value.member == "exclude_seen"
    assert "graph" in encoder.encode_query(UserTerm("7"))
