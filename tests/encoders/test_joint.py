"""Modalities as one: what stands side by side, and where heads place it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoded, Encoder, load_encoder, unit
from encoders.joint import JointEncoder
from encoders.parts.alignment import Alignment, Ground, Keys, key_of, write_alignment
from encoders.parts.texts import TextEncoder
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings, Settings
from es_mappings.types import EntityTerm, Item, Matrix, Provenance, Space, Term, TextTerm, Vector
from ingest.encoding import Encoding

DIMS = 512


class Known:
    """A modality that knows the vectors of some words; "broken" it cannot read."""

    def __init__(self, name: str, vectors: Mapping[str, Sequence[float]], made_by: str = "1") -> None:
        self._vectors = {word: unit(np.array([vector]), word)[0] for word, vector in vectors.items()}
        dims = len(next(iter(self._vectors.values())))
        self.spaces = (Space(name, name, dims), Space(f"{name}_words", name, DIMS))
        self.provenance = {name: Provenance("known", made_by, dims)}
        self.alignment: Alignment | None = None
        self.ground: Ground | None = None

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        found = [self._vectors.get(item[0]) if item else None for item in values]
        errors = {at: BadInput("broken") for at, item in enumerate(values) if item and item[0] == "broken"}
        return Encoded({self.spaces[0].name: found}, errors)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {}

    def features(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        return self.encode_items(values, base)

    def keys(self, values: Sequence[Sequence[Any]], base: Path) -> Keys:
        return np.array([key_of(item[0].encode().hex().ljust(16, "0")) if item else 0 for item in values], np.uint64)


SEEN = {"chair": [3, 4], "sofa": [1, 0]}
LINKED = {"one": [0, 0, 1], "two": [2, 2, 1]}


@pytest.fixture
def peers(multilingual: TextEncoder) -> dict[str, Encoder]:
    return {"text": multilingual, "image": Known("image", SEEN), "graph": Known("graph", LINKED)}


def load(peers: Mapping[str, Encoder], **options: Any) -> JointEncoder:
    encoder = load_encoder("joint", ModalitySettings(encoder="joint", **{"of": ("image", "graph"), **options}), peers)
    assert isinstance(encoder, JointEncoder)
    return encoder


VALUES = [[["chair"], ["one"]], [["sofa"], []], [[], ["two"]], [["unknown"], ["broken"]], []]


def side_by_side() -> Matrix:
    """Of the first three."""
    image, graph = np.array([0.6, 0.8]), np.array([0, 0, 1])
    both = np.concatenate([image, graph]) / np.sqrt(2)
    return np.array([both, [1, 0, 0, 0, 0], [0, 0, 2 / 3, 2 / 3, 1 / 3]], np.float32)


def test_heads_read_the_vectors_of_its_modalities_side_by_side(peers: dict[str, Encoder]) -> None:
    encoder = load(peers)
    assert encoder.spaces == (Space("joint", "joint", DIMS, items=False),)
    found = encoder.features(VALUES, Path())
    assert encoder.ground is not None
    vectors = found.vectors[encoder.ground.features]
    np.testing.assert_allclose(np.stack([v for v in vectors[:3] if v is not None]), side_by_side(), atol=1e-6)
    assert vectors[3:] == [None, None]


def test_without_heads_it_says_nothing(peers: dict[str, Encoder]) -> None:
    encoder = load(peers)
    assert encoder.encode_items(VALUES, Path()).vectors == {"joint": [None] * 5}
    assert encoder.encode_query(TextTerm("chair")) == {}


@pytest.fixture
def arrays(peers: dict[str, Encoder]) -> dict[str, Any]:
    """Two heads; the second has not seen the first item."""
    random = np.random.default_rng(0)
    return {
        "weights": random.normal(size=(2, DIMS, 5)).astype(np.float32),
        "bias": random.normal(size=(2, DIMS)).astype(np.float32),
        "share": np.zeros(2, dtype=np.float32),
        "mean": np.full(5, 0.1, dtype=np.float32),
        "base_mean": np.zeros(DIMS, dtype=np.float32),
        "query_mean": random.normal(size=DIMS).astype(np.float32) / 50,
        "keys": load(peers).keys(VALUES[:1], Path()),
        "folds": np.array([1], dtype=np.uint8),
    }


@pytest.fixture
def heads(peers: dict[str, Encoder], arrays: dict[str, Any], tmp_path: Path) -> str:
    ground = load(peers).ground
    assert ground is not None
    write_alignment(tmp_path / "heads.npz", arrays, {"made_of": ground.made_of})
    return str(tmp_path / "heads.npz")


def test_heads_place_both_together(peers: dict[str, Encoder], heads: str, arrays: dict[str, Any]) -> None:
    encoder = load(peers, align=heads)
    found = encoder.encode_items(VALUES, Path())
    placed = found.vectors["joint"]
    for row, head in ((0, slice(1, 2)), (1, slice(None)), (2, slice(None))):
        x = unit((side_by_side()[row] - arrays["mean"])[None], "x")[0]
        wanted = arrays["weights"][head].mean(axis=0) @ x + arrays["bias"][head].mean(axis=0)
        vector = placed[row]
        assert vector is not None
        np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-5)
    assert placed[3:] == [None, None]
    assert found.errors == {}  # the graph has told of what is broken
    assert encoder.encode_items([[], []], Path()).vectors == {"joint": [None, None]}
    assert encoder.encode_items([], Path()).vectors == {"joint": []}


def test_a_text_has_its_place_among_the_items(
    peers: dict[str, Encoder], heads: str, arrays: dict[str, Any], multilingual: TextEncoder
) -> None:
    encoder = load(peers, align=heads)
    text = multilingual.encode_query(TextTerm("a place to sit"))["text"]
    found = encoder.encode_query(TextTerm("a place to sit"))
    np.testing.assert_allclose(found["joint"], unit((text - arrays["query_mean"])[None], "t")[0], atol=1e-6)
    assert encoder.encode_query(EntityTerm("one")) == {}
    assert encoder.encode_query(TextTerm(" ")) == {}


def test_what_decides_the_vectors(peers: dict[str, Encoder], heads: str) -> None:
    aligned = load(peers, align=heads)
    peers["graph"] = Known("graph", LINKED, made_by="2")
    other = load(peers)
    assert other.provenance["joint"] != aligned.provenance["joint"]
    with pytest.raises(EncoderError, match="fitted to other encoders"):
        load(peers, align=heads)
    one, two, three = aligned.digest_items([[["chair"], ["one"]], [["chair"], ["two"]], []], Path())
    assert one != two != three
    assert len({*aligned.keys(VALUES[:3], Path()).tolist()}) == 3
    assert aligned.keys([[[], []]], Path()).tolist() == [0]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"of": ("image",)}, r"modalities\.joint\.of: name two modalities or more"),
        ({"of": ("image", "image")}, "name two modalities or more"),
        ({"of": ("image", "taste")}, "no modality 'taste' stands before it, only text, image, graph"),
        ({"of": ("image", "text")}, "'text' cannot be placed among texts"),
        ({"words": ""}, "there is no text modality before it"),
        ({"model": "x", "batch_size": 3}, "has no option batch_size"),
    ],
)
def test_wrong_settings_are_named(peers: dict[str, Encoder], options: dict[str, Any], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        load(peers, **options)


def test_an_item_gives_it_what_it_gives_its_modalities(peers: dict[str, Encoder]) -> None:
    settings = Settings(
        modalities={
            "image": {"encoder": "known", "source": "picture"},
            "graph": {"encoder": "known", "source": "id", "relations": {"kind": "has_kind"}},
            "joint": {"encoder": "joint", "of": ["image", "graph"]},
        }  # type: ignore[dict-item]
    )
    assert settings.fields_of("joint") == ("picture", "id", "kind")
    encoding = Encoding(None, settings.modalities, {**peers, "joint": load(peers)}, Path())  # type: ignore[arg-type]
    assert encoding.values(Item("one", {"id": "one", "picture": "chair"}), "joint") == [["chair"], ["one"]]
    assert encoding.values(Item("one", {"id": "one"}), "joint") == [[], ["one"]]
    assert encoding.values(Item("one", {}), "joint") == []


@pytest.mark.parametrize("given", [{}, {"source": "id", "of": ["image", "graph"]}])
def test_a_modality_reads_fields_or_is_made_of_others(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="as source, or the modalities that it is made of as of"):
        ModalitySettings(encoder="joint", **given)
