"""The old index beside the new one: do the same questions find the same items?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from es_mappings.errors import ItemNotFound
from es_mappings.provenance import META_KEY
from es_mappings.schema import VERSION, FilterField, Schema, TextField, as_values, lookup
from es_mappings.types import Fusion, Plan, Provenance, QueryVector, Space, StoredItem
from query_api.searchers import Searcher

TOP = 10


@dataclass(frozen=True, slots=True)
class Comparison:
    """asked: how many items, of those that both have, were asked for by their own title, as either index has it.
    found_old, found_new: the share of them that was among the TOP.

    agreement: by "words" and by space, which share of the TOP hits of a question the two indices have in common, on
    average; the question in a space is the item's own vector there, as either index has it.
    """

    asked: int
    found_old: float
    found_new: float
    agreement: Mapping[str, float]


def old_schema(meta: Mapping[str, Any], new: Schema) -> Schema | None:
    """The schema that an index was made with, as its `_meta` tells; None when this maxcos cannot search it.

    Boosts do not stand there: they are those of the new schema.
    """
    found = meta.get(META_KEY)
    if not isinstance(found, Mapping) or found.get("schema") != VERSION:
        return None
    boosts = {field.name: field.boost for field in new.text}
    spaces = {name: dict(about) for name, about in found["spaces"].items()}
    return Schema(
        text=tuple(TextField(name, boosts.get(name, 1.0)) for name in found["text"]),
        filters=tuple(FilterField(name, kind) for name, kind in found["filters"].items()),
        facets=(),
        languages=tuple(found["languages"]),
        spaces=tuple(Space(name, about.pop("modality"), about["dims"]) for name, about in spaces.items()),
        provenance={name: Provenance(**about) for name, about in spaces.items()},
        nested=tuple(found["nested"]),
        suggest=tuple(found["suggest"]),
    )


def compare(old: Searcher, new: Searcher, schemas: tuple[Schema, Schema], size: int, seed: int) -> Comparison:
    """Ask both indices for a sample of the old one's items. schemas: of the old and of the new index."""
    shared = [s.name for s in schemas[1].spaces if schemas[0].space(s.name)]
    asked, found_old, found_new = 0, 0, 0
    common: dict[str, list[float]] = {"words": [], **{name: [] for name in shared}}
    for item in old.sample(size, seed):
        try:
            again = new.item(item.id)
        except ItemNotFound:  # the counts have told
            continue
        title, its_title = _title(item, schemas[0]), _title(again, schemas[1])
        if title and its_title:
            before, now = _words(old, title), _words(new, title)
            asked += 1
            found_old += item.id in before
            found_new += item.id in (now if its_title == title else _words(new, its_title))
            common["words"].append(_overlap(before, now))
        for name in shared:
            if name in item.vectors and name in again.vectors:
                hits = [
                    _near(searcher, schema, name, stored)
                    for searcher, schema, stored in zip((old, new), schemas, (item, again), strict=True)
                ]
                common[name].append(_overlap(*hits))
    means = {name: float(np.mean(shares)) for name, shares in common.items() if shares}
    return Comparison(asked, found_old / max(asked, 1), found_new / max(asked, 1), means)


def _words(searcher: Searcher, words: str) -> list[str]:
    return _ids(searcher, Plan((), words, Fusion("lexical"), size=TOP, count=0))


def _near(searcher: Searcher, schema: Schema, name: str, item: StoredItem) -> list[str]:
    space = next(space for space in schema.spaces if space.name == name)
    vector = QueryVector(space, item.vectors[name])
    return _ids(searcher, Plan((vector,), None, Fusion("max"), exclude=(item.id,), size=TOP, count=0))


def _title(item: StoredItem, schema: Schema) -> str:
    values: Iterable[Any] = (value for name in schema.suggest for value in as_values(lookup(item.source, name)))
    return next((text for value in values if (text := str(value).strip())), "")


def _ids(searcher: Searcher, plan: Plan) -> list[str]:
    return [hit.id for hit in searcher.search(plan).hits]


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    """Which share of the longer list both have; two empty ones agree."""
    longest = max(len(one), len(other))
    return len(set(one) & set(other)) / longest if longest else 1.0
