"""Real clusters take what the limits of maxcos allow at most."""

from __future__ import annotations

import uuid
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from engines import ENGINES, start_engine
from es_mappings.cluster import connect
from es_mappings.errors import SettingsError
from es_mappings.provenance import Receipt
from es_mappings.schema import MAX_SPACES, Schema, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings
from es_mappings.types import Ann, Calibration, EncodedItem, Fusion, Item, Plan, Provenance, QueryVector, Space
from ingest.sinks import open_sink
from query_api.searchers import open_searcher


class Encodes:
    """Several small spaces, as many modalities as spaces."""

    def __init__(self, number: int) -> None:
        self.spaces = tuple(Space(f"space_{i}", f"modality_{i}", 2) for i in range(number))
        self.provenance = {s.name: Provenance("limits", "0123456789abcdef", s.dims) for s in self.spaces}


def schema(number: int) -> Schema:
    return build_schema(LexicalSettings(), [Encodes(number)])


def test_more_vector_fields_are_refused() -> None:
    with pytest.raises(SettingsError, match="at most 32"):
        schema(MAX_SPACES + 1)


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "embedded"])
def test_all_vector_fields_are_searched_at_once(name: str) -> None:
    """In the longest script: a hybrid of weighted probabilities, with a background for what is missing."""
    widest = schema(MAX_SPACES)
    engine = EngineSettings(url=start_engine(name), index=f"maxcos-test-{uuid.uuid4().hex}")
    x, y = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    vectors = [{s.name: y for s in widest.spaces}, {s.name: x for s in widest.spaces[:-1]}, {"space_31": x}]
    items = [EncodedItem(Item(str(i), {"id": str(i), "title": "oak"}), own) for i, own in enumerate(vectors)]
    with (
        closing(open_sink(engine, widest)) as sink,
        closing(open_searcher(engine, widest)) as searcher,
        closing(connect(engine)) as cluster,
    ):
        sink.prepare({})
        assert sink.write(items) == []
        sink.finish(Receipt(3, "test"))
        fitted = Calibration(4.0, -2.0, 0.125, "0123456789abcdef")
        asked = tuple(QueryVector(s, x, 0.5 + i / 64, fitted, 0.125) for i, s in enumerate(widest.spaces))
        penalized = Plan(asked, "oak", Fusion("hybrid", missing="penalize"))
        page = searcher.search(penalized)
        assert [hit.id for hit in page.hits] == ["2", "1", "0"]
        assert [len(hit.cosines) for hit in page.hits] == [1, 31, 32]
        for plan in (
            Plan(asked, "oak", Fusion("hybrid"), ann=Ann(50, 200)),
            Plan(asked, "oak", Fusion("rrf"), ann=Ann(50, 200)),
            Plan(tuple(replace(v, common=True) for v in asked), None, Fusion("max")),
        ):
            assert len(searcher.search(plan).hits) == 3
        cluster.request("DELETE", f"/{engine.index}")
