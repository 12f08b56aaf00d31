"""What the fields of somebody's index are good for, guessed from its mapping and a sample of its documents."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from es_mappings.attached import FILTERS, TEXT
from es_mappings.schema import RESERVED, VECTOR_OBJECT, as_values, lookup
from es_mappings.settings import FIELD_NAME

PICTURE = re.compile(r"\S.*\.(jpe?g|png|webp|gif|avif|bmp|tiff?)(\?\S*)?", re.IGNORECASE)
URL = re.compile(r"https?://\S+", re.IGNORECASE)
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\u3040-\u30ff\uac00-\ud7af]")
CODE = re.compile(r"\S*\d\S*")
TITLES = re.compile(r"(^|[._])(title|name|label|headline|subject|caption)s?($|[._])", re.IGNORECASE)

MOST = 0.8
"""So large a share of a field's values has to be pictures, or to differ from each other."""
FACET_VALUES = 30


@dataclass(slots=True)
class Proposal:
    """Fields by what they are good for.

    text: the likeliest title first. filters: with their types. facets: filters of few values, which many documents
    share; such fields also relate documents to each other in a graph. ids: filters that hardly two documents share.
    pictures: that hold a path; urls: that hold an address. han: whether a text has Chinese, Japanese or Korean in it.
    left: what no setting can name or use, and why.
    """

    text: list[str] = field(default_factory=list)
    filters: list[str] = field(default_factory=list)
    facets: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    han: bool = False
    left: dict[str, str] = field(default_factory=dict)


def propose(properties: Mapping[str, Any], documents: Sequence[Mapping[str, Any]]) -> Proposal:
    """properties: of the mapping. documents: sources of a sample."""
    found = Proposal()
    lengths: dict[str, float] = {}
    for path, about, nested in _fields(properties):
        values = [value for document in documents for value in as_values(lookup(document, path))]
        words = [value for value in values if isinstance(value, str)]
        if path.partition(".")[0] in RESERVED:
            found.left[path] = "the name is taken: in settings and answers it is the document's own id"
        elif not FIELD_NAME.fullmatch(path):
            found.left[path] = "the settings take names of ASCII letters, digits, _, - and . only"
        elif _share(PICTURE, words) > MOST:
            (found.urls if _share(URL, words) > MOST else found.pictures).append(path)
        elif nested:
            _nested(found, path, about)
        elif _analysed(about) and words and not _exact(about, words):
            found.text.append(path)
            lengths[path] = mean(map(len, words))
            found.han |= any(map(HAN.search, words))
        elif kind := _kind(about):
            _filter(found, path, kind, values)
        else:
            found.left[path] = f"nothing filters or searches a field of the type {about.get('type', 'object')}"
    found.text.sort(key=lambda path: (not TITLES.search(path), lengths[path]))
    return found


def _fields(
    properties: Mapping[str, Any], above: str = "", *, nested: bool = False
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Each field's path, its mapping, and whether it is inside of nested objects."""
    for name, about in properties.items():
        path = f"{above}{name}"
        if path == VECTOR_OBJECT:
            continue
        if "properties" in about:
            yield from _fields(about["properties"], f"{path}.", nested=nested or about.get("type") == "nested")
        else:
            yield path, about, nested


def _ways(about: Mapping[str, Any]) -> list[Any]:
    """The types under which a field is indexed."""
    return [about.get("type"), *(sub.get("type") for sub in about.get("fields", {}).values())]


def _analysed(about: Mapping[str, Any]) -> bool:
    return bool(TEXT & {*_ways(about)})


def _exact(about: Mapping[str, Any], words: Sequence[str]) -> bool:
    """Whether a text is rather a filter: it can be one, and has few values, or numbers of articles."""
    return _kind(about) is not None and (_is_facet(words) or _share(CODE, words) > MOST)


def _kind(about: Mapping[str, Any]) -> str | None:
    return next((kind for kind, types in FILTERS.items() if types & {*_ways(about)}), None)


def _filter(found: Proposal, path: str, kind: str, values: Sequence[Any]) -> None:
    found.filters.append(path if kind == "keyword" else f"{path}:{kind}")
    if kind in {"keyword", "boolean"} and _is_facet(values):
        found.facets.append(path)
    elif kind == "keyword" and len({*map(str, values)}) > MOST * len(values) > 0:
        found.ids.append(path)


def _nested(found: Proposal, path: str, about: Mapping[str, Any]) -> None:
    outer, _, inner = path.partition(".")
    kind = _kind(about)
    if kind is None or "." in inner:
        found.left[path] = "inside of nested objects only exact values, one level deep, can be filtered"
        return
    found.filters.append(path if kind == "keyword" else f"{path}:{kind}")
    if outer not in found.nested:
        found.nested.append(outer)


def _is_facet(values: Sequence[Any]) -> bool:
    distinct = len({*map(str, values)})
    return 0 < distinct <= min(FACET_VALUES, len(values) / 2)


def _share(pattern: re.Pattern[str], words: Sequence[str]) -> float:
    return mean(pattern.fullmatch(word.strip()) is not None for word in words) if words else 0.0
