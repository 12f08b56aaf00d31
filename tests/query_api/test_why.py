"""Why a hit is one: the numbers on the demo catalogue, held to cosines that are computed here the long way."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from encoders.contract import Encoder, load_encoders
from encoders.parts.pictures import open_picture
from es_mappings.settings import Settings
from es_mappings.types import Centre, ImageTerm, TextTerm, Vector
from query_api.app import create_app
from query_api.service import SearchService
from query_api.why.item import MOST_WRITTEN
from query_api.why.picture import CELLS, EDGE, strongest
from query_api.why.pieces import folded, pieces, without, words
from query_api.why.query import MOST_ASKED

JSON = dict[str, Any]


@pytest.fixture(scope="module")
def search(shop: Settings) -> Iterator[SearchService]:
    service = SearchService.from_settings(shop)
    yield service
    service.close()


@pytest.fixture(scope="module")
def client(shop: Settings, search: SearchService) -> FlaskClient:
    return create_app(shop, search).test_client()


@pytest.fixture(scope="module")
def encoders(shop: Settings) -> dict[str, Encoder]:
    return load_encoders(shop.modalities)


@pytest.fixture(scope="module")
def centres(search: SearchService) -> dict[str, Centre]:
    return dict(search._searcher.state().manifest.centres)


def best(client: FlaskClient, query: Any) -> JSON:
    found: JSON = client.post("/v1/search", json={"query": query, "size": 1, "highlight": True}).get_json()["hits"][0]
    return found


def why(client: FlaskClient, query: Any, identifier: str) -> JSON:
    answer = client.post("/v1/why", json={"query": query, "id": identifier})
    assert answer.status_code == 200, answer.text
    found: JSON = answer.get_json()
    return found


def unit(vector: Vector, mean: Vector | None) -> Vector:
    rest = vector if mean is None else vector - mean
    return rest / np.linalg.norm(rest)


def of_query(encoder: Encoder, term: Any, space: str, centres: dict[str, Centre]) -> Vector:
    kind = "text" if isinstance(term, TextTerm) else "image"
    centre = centres.get(space)
    mean = None if centre is None else centre.queries.get(kind, centre.items)
    return unit(encoder.encode_query(term)[space], mean)


def of_item(encoder: Encoder, values: Sequence[Any], base: Path, space: str, centres: dict[str, Centre]) -> Vector:
    vector = encoder.encode_items([values], base).vectors[space][0]
    assert vector is not None
    return unit(vector, centres[space].items if space in centres else None)


# --- the answer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["corner sofa", "沙发", [{"text": "lamp"}, {"item": "scopia-bed1", "weight": 0.3}]])
def test_the_hit_is_that_of_the_search(client: FlaskClient, query: Any) -> None:
    hit = best(client, query)
    told = why(client, query, hit["id"])
    assert set(told) == {"took_ms", "id", "method", "hit", "query", "modalities"}
    assert told["id"] == hit["id"]
    assert told["hit"]["score"] == pytest.approx(hit["score"], abs=1e-6)
    assert {**told["hit"], "score": 0} == {**hit, "score": 0}
    assert told["method"]["name"] == "occlusion"
    assert set(told["modalities"]) == set(hit["contributions"]) - {"lexical"}
    for name, share in hit["contributions"].items():
        if name == "lexical":
            continue
        if share is None:
            assert told["modalities"][name] is None
        else:
            assert told["modalities"][name]["space"] == share["space"]
            assert told["modalities"][name]["cosine"] == pytest.approx(share["cosine"], abs=1e-6)
    assert [part["term"] for part in told["query"]] == [0]
    present = {name for name, found in told["modalities"].items() if found}
    for piece in told["query"][0]["pieces"]:
        assert set(piece["drops"]) == present


def test_what_a_word_of_the_query_is_worth(
    client: FlaskClient, search: SearchService, encoders: dict[str, Encoder], centres: dict[str, Centre]
) -> None:
    hit = best(client, "red corner sofa")
    told = why(client, "red corner sofa", hit["id"])
    stored = search._searcher.item(hit["id"]).vectors
    found = told["query"][0]["pieces"]
    assert [piece["text"] for piece in found] == ["red ", "corner ", "sofa"]
    for piece, rest in zip(found, ["corner sofa", "red sofa", "red corner"], strict=True):
        for modality, part in told["modalities"].items():
            if part is None or modality == "graph":
                continue
            whole, left = (
                float(of_query(encoders[modality], TextTerm(t), part["space"], centres) @ stored[part["space"]])
                for t in ("red corner sofa", rest)
            )
            assert part["cosine"] == pytest.approx(whole, abs=1e-5)
            assert piece["drops"][modality] == pytest.approx(whole - left, abs=1e-5)
    drops = {piece["text"]: piece["drops"]["text"] for piece in found}
    assert max(drops, key=drops.__getitem__) == "sofa"


def test_terms_are_left_out_of_the_whole_query(
    client: FlaskClient, search: SearchService, encoders: dict[str, Encoder], centres: dict[str, Centre]
) -> None:
    """A word of one term among terms with weights, one of them negative."""
    query = [{"text": "sofa bed", "weight": 2}, {"text": "red", "weight": -0.5}]
    hit = best(client, query)
    told = why(client, query, hit["id"])
    stored = search._searcher.item(hit["id"]).vectors["text"]
    sofa, bed, both, red = (
        of_query(encoders["text"], TextTerm(text), "text", centres) for text in ("sofa", "bed", "sofa bed", "red")
    )

    def cosine(*parts: tuple[float, Vector]) -> float:
        return float(unit(sum(weight * vector for weight, vector in parts), None) @ stored)  # type: ignore[arg-type]

    whole = cosine((2, both), (-0.5, red))
    lost = [whole - cosine((2, bed), (-0.5, red)), whole - cosine((2, sofa), (-0.5, red)), whole - cosine((2, both))]
    found = [piece["drops"]["text"] for part in told["query"] for piece in part["pieces"]]
    np.testing.assert_allclose(found, lost, atol=1e-5)
    assert [part["term"] for part in told["query"]] == [0, 1]


def test_a_query_of_one_word_loses_everything(client: FlaskClient) -> None:
    hit = best(client, "sofa")
    told = why(client, "sofa", hit["id"])
    (piece,) = told["query"][0]["pieces"]
    for name, drop in piece["drops"].items():
        assert drop == pytest.approx(told["modalities"][name]["cosine"], abs=1e-6)


def test_what_a_word_of_the_item_is_worth(
    client: FlaskClient, shop: Settings, encoders: dict[str, Encoder], centres: dict[str, Centre]
) -> None:
    hit = best(client, "corner sofa")
    part = why(client, "corner sofa", hit["id"])["modalities"]["text"]
    sources = [name for name in shop.modalities["text"].source if hit["source"].get(name)]
    assert list(dict.fromkeys(field["field"] for field in part["fields"])) == sources
    title = part["fields"][0]
    assert title["field"] == "title"
    assert "".join(piece["text"] for piece in title["pieces"]) == hit["source"]["title"]
    query = of_query(encoders["text"], TextTerm("corner sofa"), "text", centres)
    values = [hit["source"][name] for name in sources]
    whole = float(of_item(encoders["text"], values, Path(), "text", centres) @ query)
    assert whole == pytest.approx(part["cosine"], abs=1e-5)
    for number, piece in enumerate(title["pieces"]):
        rest = without([p["text"] for p in title["pieces"]], number)
        left = float(of_item(encoders["text"], [rest, *values[1:]], Path(), "text", centres) @ query)
        assert piece["drop"] == pytest.approx(whole - left, abs=1e-5)


def test_words_that_the_engine_matched_are_marked(client: FlaskClient) -> None:
    """By its own analysis, which finds a lamp for lamps."""
    hit = best(client, "lamps")
    fields = why(client, "lamps", hit["id"])["modalities"]["text"]["fields"]
    found = {(f["field"], piece["text"].strip()) for f in fields for piece in f["pieces"] if piece["match"]}
    marked = {(f["field"], word) for f in fields for word in re.findall("<em>(.*?)</em>", marks(hit, f["field"]))}
    assert found == marked
    assert {word.lower() for _, word in found} >= {"lamp"}


def marks(hit: JSON, field: str) -> str:
    return " ".join(hit["highlight"].get(field, []))


@pytest.mark.parametrize("by", ["words", "picture"])
def test_which_part_of_the_picture(
    client: FlaskClient, shop: Settings, encoders: dict[str, Encoder], centres: dict[str, Centre], by: str
) -> None:
    """Words meet it among the words for pictures, a picture among pictures."""
    data = (shop.page.media / "icons" / "scopia-bed1.png").read_bytes()
    term = TextTerm("bed") if by == "words" else ImageTerm(data)
    query: Any = "bed" if by == "words" else [{"image": base64.b64encode(data).decode()}]
    part = why(client, query, "scopia-bed1")["modalities"]["image"]
    assert part["space"] == ("image_words" if by == "words" else "image")
    drops = np.array(part["picture"]["drops"])
    assert drops.shape == (CELLS, CELLS)
    picture = open_picture(data)
    picture.thumbnail((EDGE, EDGE))
    vector = of_query(encoders["image"], term, part["space"], centres)

    def cosine(shown: Image.Image) -> float:
        stream = io.BytesIO()
        shown.save(stream, "PNG")
        (shop.page.media / "shown.png").write_bytes(stream.getvalue())
        return float(of_item(encoders["image"], ["shown.png"], shop.page.media, part["space"], centres) @ vector)

    try:
        whole = cosine(picture)
        for row, column in ((0, 0), (3, 3), (5, 2)):
            hidden = picture.copy()
            left, right = (round(picture.width * n / CELLS) for n in (column, column + 1))
            top, bottom = (round(picture.height * n / CELLS) for n in (row, row + 1))
            box = [left, top, right, bottom]
            hidden.paste((128, 128, 128), tuple(box))  # type: ignore[arg-type]
            assert drops[row, column] == pytest.approx(whole - cosine(hidden), abs=1e-4)
    finally:
        (shop.page.media / "shown.png").unlink()
    left, top, right, bottom = part["picture"]["box"]
    row, column = np.unravel_index(drops.argmax(), drops.shape)
    assert left <= column / CELLS < right and top <= row / CELLS < bottom


def test_which_part_of_the_query_s_picture(
    client: FlaskClient, search: SearchService, shop: Settings, encoders: dict[str, Encoder], centres: dict[str, Centre]
) -> None:
    """A picture beside words: hidden cells are of the query as a whole, and other modalities do not see it."""
    data = (shop.page.media / "icons" / "scopia-bed1.png").read_bytes()
    query = [{"text": "bed"}, {"image": base64.b64encode(data).decode(), "modalities": ["image"]}]
    told = why(client, query, "scopia-day-bed-frame")
    assert [(part["term"], len(part["pieces"])) for part in told["query"]] == [(0, 1), (1, 0)]
    space = told["modalities"]["image"]["space"]
    stored = search._searcher.item("scopia-day-bed-frame").vectors[space]
    picture = open_picture(data)
    picture.thumbnail((EDGE, EDGE))

    def cosine(shown: Image.Image) -> float:
        stream = io.BytesIO()
        shown.save(stream, "PNG")
        return float(of_query(encoders["image"], ImageTerm(stream.getvalue()), space, centres) @ stored)

    assert space == "image"  # which words do not reach
    (found,) = (part["picture"] for part in told["query"] if "picture" in part)
    assert set(found) == {"image"}
    drops = np.array(found["image"]["drops"])
    assert drops.shape == (CELLS, CELLS)
    for row, column in ((0, 0), (3, 3), (5, 2)):
        hidden = picture.copy()
        left, right = (round(picture.width * n / CELLS) for n in (column, column + 1))
        top, bottom = (round(picture.height * n / CELLS) for n in (row, row + 1))
        hidden.paste((128, 128, 128), (left, top, right, bottom))
        assert drops[row, column] == pytest.approx(cosine(picture) - cosine(hidden), abs=1e-4)
    left, top, right, bottom = found["image"]["box"]
    row, column = np.unravel_index(drops.argmax(), drops.shape)
    assert left <= column / CELLS < right and top <= row / CELLS < bottom


def test_only_the_first_picture_of_a_query_is_looked_at(client: FlaskClient, shop: Settings) -> None:
    pictures = [(shop.page.media / "icons" / f"scopia-{name}.png").read_bytes() for name in ("bed1", "chair")]
    query = [{"image": base64.b64encode(data).decode()} for data in pictures]
    assert [part["term"] for part in why(client, query, "scopia-bed1")["query"]] == [0]


def test_the_graph_tells_its_paths(client: FlaskClient) -> None:
    hit = client.post("/v1/search", json={"query": "lamps", "size": 1, "paths": True}).get_json()["hits"][0]
    told = why(client, "lamps", hit["id"])
    assert told["modalities"]["graph"]["paths"] == hit["paths"]
    assert told["query"][0]["pieces"][0]["drops"]["graph"] == pytest.approx(
        told["modalities"]["graph"]["cosine"], abs=1e-6
    )


def test_a_picture_in_a_multipart_request(client: FlaskClient, shop: Settings) -> None:
    data = (shop.page.media / "icons" / "scopia-bed1.png").read_bytes()
    form = {"request": json.dumps({"id": "scopia-bed1", "query": "bed"}), "image": (io.BytesIO(data), "a.png")}
    answer = client.post("/v1/why", data=form)
    assert answer.status_code == 200
    assert set(answer.get_json()["modalities"]) == {"text", "image", "graph"}
    assert [piece["text"] for piece in answer.get_json()["query"][0]["pieces"]] == ["bed"]


def test_a_long_query_is_cut_into_a_bounded_number_of_pieces(client: FlaskClient) -> None:
    long = "沙发床椅子" * 20
    query = [{"text": long}, *({"text": f"lamp {n}"} for n in range(15))]
    found = why(client, query, "scopia-bed1")["query"]
    assert ["".join(piece["text"] for piece in part["pieces"]) for part in found] == [term["text"] for term in query]
    asked = [bool(piece["drops"]) for part in found for piece in part["pieces"]]
    assert asked == [True] * MOST_ASKED + [False] * (len(asked) - MOST_ASKED)
    assert len(asked) > MOST_ASKED


# --- what cannot be told ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ({"query": "sofa", "id": "nowhere"}, 404, []),
        ({"query": "sofa"}, 400, ["id"]),
        ({"query": "sofa", "id": ""}, 400, ["id"]),
        ({"query": "sofa", "id": 5}, 400, ["id"]),
        ({"id": "scopia-bed1"}, 400, ["query"]),
        ({"query": "sofa", "id": "scopia-bed1", "size": 3}, 400, ["size"]),
        ({"query": [{"txt": "sofa"}], "id": "scopia-bed1"}, 400, ["query[0].txt"]),
        ({"query": [{"item": "scopia-bed1"}], "id": "scopia-bed1"}, 400, ["id"]),
        ({"query": [{"image": "AAAA"}], "id": "scopia-bed1"}, 400, ["query[0]"]),
        ([], 400, ["body"]),
    ],
)
def test_refusals(client: FlaskClient, body: Any, status: int, fields: list[str]) -> None:
    answer = client.post("/v1/why", json=body)
    assert answer.status_code == status
    assert answer.mimetype == "application/problem+json"
    problem = json.loads(answer.data)
    named = [error["field"] for error in problem["errors"]]
    assert set(fields) <= set(named) and bool(named) == bool(fields)


def test_other_kinds_of_bodies_are_refused(client: FlaskClient) -> None:
    assert client.post("/v1/why", data="x", content_type="text/plain").status_code == 400
    assert client.post("/v1/why", data="{", content_type="application/json").status_code == 400
    assert client.get("/v1/why").status_code == 405


def test_a_picture_that_is_not_there_any_more(search: SearchService, shop: Settings) -> None:
    place = shop.page.media / "icons" / "scopia-bed1.png"
    place.rename(place.with_suffix(".away"))
    try:
        part = search.why({"query": "bed", "id": "scopia-bed1"})["modalities"]["image"]
    finally:
        place.with_suffix(".away").rename(place)
    assert part["error"] == "icons/scopia-bed1.png: no such file"
    assert part["cosine"] > 0
    assert "picture" not in part


# --- pieces and boxes ------------------------------------------------------------------------------------------------


@given(st.text(max_size=200), st.integers(1, 5))
def test_pieces_are_the_text(text: str, size: int) -> None:
    cut = pieces(text, size)
    number = words(text)
    assert len(cut) == -(-number // size)
    if number:
        assert "".join(cut) == text
        assert all(words(piece) for piece in cut)
        assert "".join(cut[1:]) == without(cut, 0)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Sofa, 3-seat (grey)", ["Sofa, ", "3-seat (", "grey)"]),
        ("红色的沙发", ["红", "色", "的", "沙", "发"]),
        ("  USB-C 充电器!", ["  USB-C ", "充", "电", "器!"]),
        ("소파 침대", ["소파 ", "침대"]),
        ("🛋️ bed", ["🛋️ ", "bed"]),
        ("child's bed", ["child's ", "bed"]),
        ("?! …", []),
        ("", []),
    ],
)
def test_where_a_text_is_cut(text: str, cut: list[str]) -> None:
    assert pieces(text, 1) == cut


def test_words_are_the_same_in_other_clothes() -> None:
    assert folded("Ｃafé CAFÉ cafe\u0301") == {"cafe"}
    assert folded("沙发 Sofa") == {"沙", "发", "sofa"}


def test_the_box_is_around_the_strongest_region() -> None:
    grid = np.zeros((CELLS, CELLS))
    grid[2, 3], grid[2, 4], grid[3, 4], grid[6, 6], grid[2, 5] = 1.0, 0.6, 0.5, 0.9, 0.4
    assert strongest(grid) == (3 / 7, 2 / 7, 5 / 7, 4 / 7)
    assert strongest(-grid) is None
    assert strongest(np.zeros((CELLS, CELLS))) is None


def test_the_bounds_are_told(client: FlaskClient) -> None:
    told = why(client, "bed", "scopia-bed1")["method"]
    assert told == {
        "name": "occlusion",
        "query_pieces": MOST_ASKED,
        "item_pieces": MOST_WRITTEN,
        "cells": [CELLS, CELLS],
    }
