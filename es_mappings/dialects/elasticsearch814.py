"""Elasticsearch 8.14: its knn clause knows no `k` yet, and all candidates of a shard are its answer."""

from __future__ import annotations

from dataclasses import replace

from es_mappings.dialects import JSON, elasticsearch8
from es_mappings.types import Ann, Vector


def nearest(field: str, vector: Vector, ann: Ann, clause: JSON | None) -> JSON:
    knn: JSON = {"field": field, "query_vector": vector, "num_candidates": ann.candidates}
    return {"knn": knn | ({"filter": clause} if clause else {})}


DIALECT = replace(elasticsearch8.DIALECT, name="elasticsearch814", oldest=(8, 14), newest=(8, 14), nearest=nearest)
