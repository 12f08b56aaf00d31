"""Elasticsearch 8.15 and later 8.x: int8 quantised HNSW under the float vectors that the script reads."""

from __future__ import annotations

from es_mappings.dialects import JSON, Dialect, Snapshots
from es_mappings.types import Ann, Space, Vector


def vector_field(space: Space) -> JSON:
    # Every option is spelt out: the defaults change between versions (bbq_hnsw from 9.1), and an index must not.
    return {
        "type": "dense_vector",
        "dims": space.dims,
        "element_type": "float",
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": "int8_hnsw", "m": 16, "ef_construction": 100},
    }


def cosine(query: str, field: str) -> str:
    return f"cosineSimilarity({query}, {field})"


def nearest(field: str, vector: Vector, ann: Ann, clause: JSON | None) -> JSON:
    knn: JSON = {"field": field, "query_vector": vector, "k": ann.k, "num_candidates": ann.candidates}
    return {"knn": knn | ({"filter": clause} if clause else {})}


DIALECT = Dialect(
    name="elasticsearch8",
    product="Elasticsearch",
    flavour="elasticsearch",
    oldest=(8, 15),
    newest=(8, 999),
    vector_field=vector_field,
    cosine=cosine,
    absent="IllegalArgumentException",
    nearest=nearest,
    exact_work=10_000_000,  # 3 ms on 9.4.3, where the graphs of 200,000 documents take 4
    snapshot=Snapshots("_pit", "id", "/_pit", lambda snapshot: {"id": snapshot}),
    index_settings={},
    max_dims=4096,
    licence="/_license",
    plugin=None,
    scores_names_in_msearch=True,
)
