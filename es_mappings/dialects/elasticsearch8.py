"""Elasticsearch 8.14 and later 8.x: int8 quantised HNSW under the float vectors that the script reads."""

from __future__ import annotations

from typing import Any

from es_mappings.dialects import Dialect
from es_mappings.types import Space


def vector_field(space: Space) -> dict[str, Any]:
    # Every option is spelt out: the defaults change between versions (bbq_hnsw from 9.1), and an index must not.
    return {
        "type": "dense_vector",
        "dims": space.dims,
        "element_type": "float",
        "index": True,
        "similarity": "cosine",
        "index_options": {"type": "int8_hnsw", "m": 16, "ef_construction": 100},
    }


def cosine(param: str, field: str) -> str:
    return f"cosineSimilarity(params.{param}, '{field}')"


DIALECT = Dialect(
    name="elasticsearch8",
    flavour="elasticsearch",
    oldest=(8, 14),
    newest=(8, 999),
    vector_field=vector_field,
    cosine=cosine,
    index_settings={},
    max_dims=4096,
)
