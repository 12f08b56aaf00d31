"""What is proposed for an index whose mapping the engine has guessed from its first document."""

from __future__ import annotations

from typing import Any

from ingest.attach.proposal import Proposal, propose

STRING = {"type": "text", "fields": {"keyword": {"type": "keyword"}}}
GUESSED: dict[str, Any] = {
    "id": {"type": "long"},
    "sku": STRING,
    "name": STRING,
    "description": STRING,
    "brand": STRING,
    "tags": STRING,
    "photo": STRING,
    "link": STRING,
    "price": {"type": "float"},
    "added": {"type": "date"},
    "fresh": {"type": "boolean"},
    "maker": {"properties": {"country": {"type": "keyword"}}},
    "sizes": {"type": "nested", "properties": {"cm": {"type": "integer"}, "note": {"type": "text"}}},
    "place": {"type": "geo_point"},
    "标题": STRING,
    "maxcos": {"properties": {"id": {"type": "keyword"}}},
}


def document(number: int) -> dict[str, Any]:
    return {
        "sku": f"A-{number:04}",
        "name": f"chair number {number}",
        "description": f"an oak chair that is the {number}th of a long row, made by hand",
        "brand": ["Ann", "Bo"][number % 2],
        "tags": ["oak", ["light", "office"][number % 2]],
        "photo": f"pictures/{number}.JPG",
        "link": f"https://example.org/{number}.png?size=2",
        "price": number,
        "added": "2024-05-31",
        "fresh": number % 3 == 0,
        "maker": {"country": ["DE", "FR", "CN"][number % 3]},
        "sizes": [{"cm": number, "note": "wide"}],
        "标题": f"椅子 {number}",
    }


def test_fields_are_proposed_for_what_they_hold() -> None:
    assert propose(GUESSED, [document(n) for n in range(40)]) == Proposal(
        text=["name", "description"],
        filters=[
            *("sku", "brand", "tags", "price:number", "added:date", "fresh:boolean", "maker.country"),
            "sizes.cm:number",
        ],
        facets=["brand", "tags", "fresh", "maker.country"],
        ids=["sku"],
        nested=["sizes"],
        pictures=["photo"],
        urls=["link"],
        left={
            "id": "the name is taken: in settings and answers it is the document's own id",
            "sizes.note": "inside of nested objects only exact values, one level deep, can be filtered",
            "place": "nothing filters or searches a field of the type geo_point",
            "标题": "the settings take names of ASCII letters, digits, _, - and . only",
        },
    )


def test_languages_without_spaces_are_seen() -> None:
    properties = {"title": {"type": "text"}}
    assert propose(properties, [{"title": "橡木椅子"}, {"title": "lamp"}]).han
    assert not propose(properties, [{"title": "lamp"}]).han


def test_of_an_empty_index_the_mapping_is_told() -> None:
    found = propose(GUESSED, [])
    assert found.text == found.facets == found.pictures == []
    assert "price:number" in found.filters
    assert "brand" in found.filters


def test_a_field_that_is_sometimes_a_list_or_an_object_is_no_reason_to_fail() -> None:
    documents = [{"name": ["a chair", None]}, {"name": {"en": "a chair"}}, {"name": 7}, {}]
    assert propose({"name": STRING}, documents).text == ["name"]
