"""Queries with known answers, made of items, and the pairs that they give."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus import Encodes
from es_mappings.errors import CalibrationError
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings, ModalitySettings, Settings
from es_mappings.types import ItemTerm, StoredItem, TextTerm, Vector
from maxcos.calibration.pairs import PRIOR, Question, compare, matrices
from maxcos.calibration.pseudo import Fields, choose_fields, cropped, halved, picture_questions, text_questions

LEXICAL = LexicalSettings(fields=("title", "title_ja", "kind"), suggest=("title",))


@pytest.fixture(scope="module")
def schema() -> Schema:
    return build_schema(LEXICAL, [Encodes()])


def stored(identifier: str, vectors: Mapping[str, Vector] | None = None, **source: object) -> StoredItem:
    return StoredItem(identifier, {"id": identifier, **source}, vectors or {})


SHOP = [
    stored("a", title="Red oak chair", title_ja="椅子", kind="seat"),
    stored("b", title=["Oak chair", "Chaise"], title_ja="椅子", kind="seat"),
    stored("c", title="Oak table", kind="table"),
    stored("d", title="Bed"),
]


def asked(questions: list[Question]) -> dict[str, set[str]]:
    """By text the ids of the items that answer it."""
    return {q.terms[0].text: {SHOP[i].id for i in q.relevant} for q in questions if isinstance(q.terms[0], TextTerm)}


# --- of items


def test_whole_held_out_values_and_halves_of_titles_are_asked() -> None:
    possible = {
        "椅子": {"a", "b"},
        "Red oak": {"a"},
        "oak chair": {"a", "b"},
        "Oak": {"a", "b", "c"},
        "chair": {"a", "b"},
        "table": {"c"},
    }
    met: dict[str, set[str]] = {}
    for seed in range(20):
        found = asked(text_questions(SHOP, Fields(("title_ja",), ("title",)), np.random.default_rng(seed)))
        assert "椅子" in found
        met |= found
    assert met == possible


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("oak chair", {"oak", "chair"}),
        ("one two three", {"one two", "two three"}),
        ("橡木椅子", {"橡木", "木椅", "椅子"}),
        ("椅子", {None}),
        ("ソファベッド", {None}),
        ("bed", {None}),
        ("", {None}),
    ],
)
def test_half_of_a_text(text: str, halves: set[str | None]) -> None:
    assert {halved(text, np.random.default_rng(seed)) for seed in range(30)} == halves


def test_a_field_that_an_encoder_reads_or_that_all_items_share_is_not_held_out(schema: Schema) -> None:
    settings = Settings(modalities={"text": ModalitySettings(encoder="onnx", source=("title",))})
    many = [stored(f"{n}", title=f"t {n}", title_ja=f"名 {n}", kind="seat") for n in range(50)]
    assert choose_fields(settings, schema, many, ()) == Fields(("title_ja",), ("title",))
    assert choose_fields(settings, schema, many, ("kind",)) == Fields(("kind",), ("title",))
    with pytest.raises(CalibrationError, match="'text' reads this field"):
        choose_fields(settings, schema, many, ("title",))
    with pytest.raises(CalibrationError, match="none of 50 items has this field"):
        choose_fields(settings, schema, many, ("titel",))


def test_a_picture_is_answered_by_items_of_its_names(tmp_path: Path) -> None:
    for name in "abc":
        Image.new("RGB", (80, 40), "blue").save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    found = list(
        picture_questions(
            SHOP,
            Fields((), ("title",)),
            lambda item: [path] if (path := tmp_path / f"{item.id}.png").exists() else [],
            np.random.default_rng(0),
        )
    )
    assert {frozenset(SHOP[i].id for i in question.relevant) for question in found} == {
        frozenset("a"),  # nothing else is a red oak chair
        frozenset("ab"),  # but the red one is an oak chair
    }


def test_a_cropped_picture_is_half_of_it_and_mirrored(tmp_path: Path) -> None:
    picture = Image.new("RGB", (100, 100))
    picture.putdata([(x, y, 0) for y in range(100) for x in range(100)])
    picture.save(tmp_path / "p.png")
    data = cropped(tmp_path / "p.png", np.random.default_rng(0))
    assert data is not None
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    assert pixels.shape[0] * pixels.shape[1] == pytest.approx(5000, rel=0.05)
    assert (np.diff(pixels[:, :, 0].astype(int), axis=1) == -1).all()
    assert (np.diff(pixels[:, :, 1].astype(int), axis=0) == 1).all()


# --- pairs


def axis(number: int) -> Vector:
    return np.eye(4, dtype=np.float32)[number]


ITEMS = [stored(f"i{n}", {"s": axis(n)} if n < 3 else {"t": axis(0)}) for n in range(4)]


def encode(question: Question) -> Mapping[str, Vector]:
    (term,) = question.terms
    return {"s": axis(int(term.text))} if isinstance(term, TextTerm) else {}


def question(text: str, relevant: set[int], kind: str = "text", **known: frozenset[int]) -> Question:
    return Question(kind, (TextTerm(text),), frozenset(relevant), **known)


def test_every_query_meets_the_sample_and_its_own_answers() -> None:
    questions = [
        question("0", {0}),
        question("1", {3}, ignored=frozenset({0})),
        question("2", {2}, irrelevant=frozenset({3})),
        Question("text", (ItemTerm("unknown"),), frozenset({0})),
    ]
    vectors = matrices(ITEMS, {"s": 4, "t": 4})
    pairs = compare(questions, vectors, 2, 10.0, encode, np.random.default_rng(0))
    assert pairs.question.tolist() == [0, 0, 1, 1, 2, 2, 2, 2]
    assert pairs.relevant.tolist() == [True, False, False, True, False, False, True, False]
    np.testing.assert_array_equal(pairs.cosines["s"], [1, 0, 1, np.nan, 0, 0, 1, np.nan])
    assert np.isnan(pairs.cosines["t"]).all()
    # What nobody judged stands for ten items, a judged one for itself.
    unjudged, judged = pairs.weights[1], pairs.weights[7]
    assert unjudged == pytest.approx(10 * judged)


@pytest.mark.parametrize("represents", [1.0, 50.0])
def test_the_prior_holds_for_each_kind_of_queries(represents: float) -> None:
    kinds = [question("0", {0, 1}), question("1", {1}), question("2", {0, 1, 2}, kind="image")]
    pairs = compare(kinds, matrices(ITEMS, {"s": 4, "t": 4}), 4, represents, encode, np.random.default_rng(0))
    for kind in (pairs.question < 2, pairs.question == 2):
        weights, relevant = pairs.weights[kind], pairs.relevant[kind]
        assert weights[relevant].sum() / weights.sum() == pytest.approx(PRIOR)


def test_the_answers_of_a_query_share_a_weight() -> None:
    kinds = [question("0", {0}), question("1", {0, 1, 2, 3})]
    pairs = compare(kinds, matrices(ITEMS, {"s": 4, "t": 4}), 4, 1.0, encode, np.random.default_rng(0))
    by_query = [pairs.weights[pairs.relevant & (pairs.question == number)].sum() for number in (0, 1)]
    assert by_query[0] == pytest.approx(by_query[1])


def test_many_queries_meet_a_part_of_the_sample_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maxcos.calibration.pairs.MOST_PAIRS", 200)
    questions = [question("0", {1}) for _ in range(100)]
    pairs = compare(questions, matrices(ITEMS, {"s": 4, "t": 4}), 4, 1.0, encode, np.random.default_rng(0))
    lengths = np.bincount(pairs.question)
    assert set(lengths) == {2, 3}
    assert pairs.relevant.sum() == 100
