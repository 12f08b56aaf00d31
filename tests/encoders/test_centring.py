"""Means that are taken off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.parts.centring import LEAST_ITEMS, LEAST_QUERIES, centred, fit
from encoders.parts.texts import TextEncoder
from es_mappings.errors import BadInput
from es_mappings.types import Matrix, TextTerm


def directions(seed: int, many: int, dims: int, *, lean: float = 1.0) -> Matrix:
    """Unit vectors that have something in common."""
    rows = np.random.default_rng(seed).normal(size=(many, dims)) + lean
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(0, 1000), st.integers(2, 64), st.floats(0, 3))
def test_what_is_centred_is_a_unit_vector_away_from_the_mean(seed: int, dims: int, lean: float) -> None:
    rows = directions(seed, 200, dims, lean=lean)
    mean = fit({"s": list(rows)}, {})["s"].items
    for row in rows[:5]:
        found = centred(row, mean)
        assert found.dtype == np.float32
        assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)
        rest = row.astype(np.float64) - mean
        assert float(found @ rest) == pytest.approx(float(np.linalg.norm(rest)), abs=1e-4)


def test_nothing_in_common_is_left() -> None:
    rows = directions(1, 5000, 32)
    mean = fit({"s": list(rows)}, {})["s"].items
    kept = np.stack([centred(row, mean) for row in rows])
    assert np.linalg.norm(rows.mean(axis=0)) > 0.5
    assert np.linalg.norm(kept.mean(axis=0)) < 0.05


def test_a_vector_that_is_the_mean_has_no_direction() -> None:
    same = directions(2, 1, 300)
    mean = fit({"s": list(np.repeat(same, 700, axis=0))}, {})["s"].items
    with pytest.raises(BadInput, match="nothing is left"):
        centred(same[0], mean)


def test_few_vectors_have_no_mean() -> None:
    rows = directions(3, LEAST_ITEMS, 8)
    few, enough = rows[: LEAST_QUERIES - 1], rows[:LEAST_QUERIES]
    centres = fit(
        {"small": list(rows[:-1]), "large": list(rows)},
        {"small": {"text": list(enough)}, "large": {"text": list(enough), "image": list(few)}},
    )
    assert set(centres) == {"large"}
    assert set(centres["large"].queries) == {"text"}
    np.testing.assert_allclose(centres["large"].queries["text"], enough.mean(axis=0), atol=1e-6)


def test_it_tells_texts_apart_that_a_language_puts_together(multilingual: TextEncoder) -> None:
    """Queries and items each by their own mean: the cosine of the right answer stands out more."""
    titles = [f"{colour} {thing}" for thing in THINGS for colour in ("red", "blue", "white", "old", "small")]
    texts = [f"{title}. Furniture, living room, delivered in two weeks." for title in titles]
    items = [multilingual.encode_query(TextTerm(text))["text"] for text in texts]
    queries = [multilingual.encode_query(TextTerm(title))["text"] for title in titles]
    centre = fit({"text": items}, {"text": {"text": queries}})["text"]

    def margin(asked: Matrix, found: Matrix) -> float:
        """By how many deviations the right item's cosine is above the others'."""
        cosines = asked @ found.T
        others = cosines[~np.eye(len(cosines), dtype=bool)]
        return float((np.diag(cosines).mean() - others.mean()) / others.std())

    plain = margin(np.stack(queries), np.stack(items))
    moved = margin(
        np.stack([centred(query, centre.queries["text"]) for query in queries]),
        np.stack([centred(item, centre.items) for item in items]),
    )
    assert moved > plain


THINGS = (
    "chair",
    "table",
    "bed",
    "lamp",
    "sofa",
    "shelf",
    "desk",
    "mirror",
    "stool",
    "carpet",
    "vase",
    "clock",
    "door",
)
THINGS += ("window", "bench", "cupboard", "bathtub", "sink", "oven", "plant")
