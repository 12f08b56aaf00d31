"""An index that somebody else made, with an owner who writes it by plain requests."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encoders.contract import Encoded
from es_mappings.cluster import Cluster, probe
from es_mappings.errors import BadInput
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings, ModalitySettings
from es_mappings.types import Provenance, Space, Term, TextTerm, Vector
from ingest.attach.run import Attaching, Summary, attach, prepared
from ingest.attach.target import detach, look_at
from ingest.encoding import Encoding

DIMS = 8
NUMBER = 300


class Letters:
    """A text becomes a direction that depends on its words; "broken" cannot be encoded."""

    def __init__(self, modality: str, version: str = "1") -> None:
        self.spaces = (Space(modality, modality, DIMS),)
        self.provenance = {modality: Provenance("letters", version, DIMS)}
        self.encoded = 0

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        self.encoded += len(values)
        bad = {i: BadInput("it is broken") for i, value in enumerate(values) if value and value[0] == "broken"}
        name = self.spaces[0].name
        return Encoded({name: [direction(v[0]) if v and i not in bad else None for i, v in enumerate(values)]}, bad)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {self.spaces[0].name: direction(term.text)} if isinstance(term, TextTerm) else {}


def direction(text: str) -> Vector:
    words = [np.random.default_rng(list(word.encode())).normal(size=DIMS) for word in text.lower().split()]
    row = np.sum(words, axis=0)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


LEXICAL = LexicalSettings(
    fields=("title^2", "text"),
    languages=("en", "zh"),
    filters=("title", "colour", "price:number", "made:date", "fresh:boolean", "variants.size:number"),
    facets=("colour",),
    nested=("variants",),
)
MODALITIES = {
    "text": ModalitySettings(encoder="letters", source=("title",)),
    "image": ModalitySettings(encoder="letters", source=("photo",)),
}
MAPPING = {
    "_meta": {"owner": "the shop"},
    "properties": {
        "id": {"type": "long"},
        "title": {"type": "text", "analyzer": "english", "fields": {"raw": {"type": "keyword"}}},
        "text": {"type": "text"},
        "colour": {"type": "text", "fields": {"keyword": {"type": "keyword"}}},
        "price": {"type": "float"},
        "made": {"type": "date"},
        "fresh": {"type": "boolean"},
        "photo": {"type": "keyword"},
        "variants": {"type": "nested", "properties": {"size": {"type": "integer"}}},
    },
}
WORDS = ["oak", "lamp", "chair", "sofa", "red", "old", "desk", "bed"]


def made(number: int, drawn: random.Random) -> dict[str, Any]:
    """A document as its owner writes it; one in three has no photo."""
    found = {
        "id": number,
        "title": " ".join(drawn.sample(WORDS, 2)),
        "colour": drawn.choice(["red", "blue"]),
        "price": 1.50 + number,
        "made": "2024-05-31",
        "fresh": number % 2 == 0,
        "deep": {"list": [{"a": "ü"}, {"a": None}], "none": [1, None], "big": 12345678901234567},
        "variants": [{"size": number % 5}],
    }
    return found | ({"photo": f"photo {drawn.choice(WORDS)}"} if number % 3 else {})


class Shop:
    """Somebody's index: its owner writes it by plain requests, and `expected` is what it has to hold."""

    def __init__(self, cluster: Cluster, letters: Path, *, knn: bool = True) -> None:
        self.cluster = cluster
        self.letters = letters
        self.name = f"maxcos-test-{uuid.uuid4().hex}"
        self.path = f"/{self.name}"
        self.lexical = LEXICAL
        self.encoders = {name: Letters(name) for name in MODALITIES}
        self.drawn = random.Random(0)
        self.expected: dict[str, dict[str, Any]] = {}
        settings = {"number_of_shards": 2, **(probe(cluster)[0].index_settings if knn else {})}
        cluster.request("PUT", self.path, body={"settings": {"index": settings}, "mappings": MAPPING})
        for number in range(NUMBER):
            self.put(number, routing=f"r{number}" if number % 7 == 0 else None)
        cluster.request("POST", f"{self.path}/_refresh")

    def put(self, number: int, routing: str | None = None) -> None:
        source = made(number, self.drawn)
        params = {"routing": routing} if routing else None
        self.cluster.request("PUT", f"{self.path}/_doc/{number}", params=params, body=source)
        self.expected[str(number)] = source

    def update(self, number: int, **fields: Any) -> None:
        # Whoever updates parts of documents that others write too has to try again; attaching is one of the others.
        params = {"retry_on_conflict": "10"}
        self.cluster.request("POST", f"{self.path}/_update/{number}", params=params, body={"doc": fields})
        self.expected[str(number)] |= fields

    def delete(self, number: int) -> None:
        self.cluster.request("DELETE", f"{self.path}/_doc/{number}")
        del self.expected[str(number)]

    @property
    def schema(self) -> Schema:
        return build_schema(self.lexical, self.encoders.values())

    def attach(self, *, only: frozenset[str] | None = None, index: str | None = None) -> Summary:
        target = look_at(self.cluster, index or self.name)
        run = Attaching(self.cluster, target, Encoding(self.schema, MODALITIES, self.encoders, Path(), only))
        summary = Summary()
        attach(run, prepared(run), summary, self.letters)
        return summary

    def detach(self) -> int:
        return detach(self.cluster, look_at(self.cluster, self.name))

    def documents(self) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
        """By id the source without what is attached, and what is attached with its vectors."""
        self.cluster.request("POST", f"{self.path}/_refresh")
        body = {"size": 10_000, "fields": ["maxcos.*"]}
        found = {}
        for hit in self.cluster.request("POST", f"{self.path}/_search", body=body)["hits"]["hits"]:
            source = hit["_source"]
            source.pop("maxcos", None)
            found[hit["_id"]] = (source, hit.get("fields", {}))
        return found

    def check(self) -> None:
        """Every document is as its owner left it, and has the vectors of just what it says."""
        found = self.documents()
        assert found.keys() == self.expected.keys()
        manifest = look_at(self.cluster, self.name).manifest(self.schema)
        assert manifest is not None
        for identifier, (source, attached) in found.items():
            expected = self.expected[identifier]
            assert json.dumps(source, sort_keys=True) == json.dumps(expected, sort_keys=True)
            assert attached["maxcos.id"] == [identifier]
            photo = expected.get("photo") not in {None, "broken"}
            assert attached["maxcos.modalities"] == ["text", *(["image"] if photo else [])]
            assert ("maxcos.image" in attached) == photo
            for space, field in (("text", "title"), ("image", "photo")):
                if f"maxcos.{space}" in attached:
                    vector = direction(expected[field]) - manifest.centres[space].items
                    vector /= np.linalg.norm(vector)
                    assert np.allclose(attached[f"maxcos.{space}"], vector, atol=1e-5)
