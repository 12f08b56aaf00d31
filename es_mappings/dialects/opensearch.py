"""OpenSearch 2.19+ and 3.x with its k-NN plugin on the Lucene engine."""

from __future__ import annotations

from typing import Any

from es_mappings.dialects import Dialect
from es_mappings.types import Space


def vector_field(space: Space) -> dict[str, Any]:
    return {
        "type": "knn_vector",
        "dimension": space.dims,
        "method": {
            "name": "hnsw",
            "engine": "lucene",
            "space_type": "cosinesimil",
            "parameters": {"m": 16, "ef_construction": 100},
        },
    }


def cosine(param: str, field: str) -> str:
    return f"cosineSimilarity(params.{param}, doc['{field}'])"


DIALECT = Dialect(
    name="opensearch",
    flavour="opensearch",
    oldest=(2, 19),
    newest=None,
    vector_field=vector_field,
    cosine=cosine,
    index_settings={"knn": True},
    max_dims=16_000,
)
