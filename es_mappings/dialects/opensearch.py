"""OpenSearch 2.19+ and 3.x with its k-NN plugin on the Lucene engine."""

from __future__ import annotations

from es_mappings.dialects import JSON, Dialect, Snapshots
from es_mappings.types import Ann, Space, Vector


def vector_field(space: Space) -> JSON:
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


def cosine(query: str, field: str) -> str:
    return f"cosineSimilarity({query}, doc[{field}])"


def nearest(field: str, vector: Vector, ann: Ann, clause: JSON | None) -> JSON:
    knn: JSON = {"vector": vector, "k": ann.k, "method_parameters": {"ef_search": ann.candidates}}
    return {"knn": {field: knn | ({"filter": clause} if clause else {})}}


DIALECT = Dialect(
    name="opensearch",
    product="OpenSearch",
    flavour="opensearch",
    oldest=(2, 19),
    newest=None,
    vector_field=vector_field,
    cosine=cosine,
    absent=None,
    nearest=nearest,
    exact_work=4_000_000,  # 9 ms on 3.5.0, where the graphs of 50,000 documents take 9 to 12
    snapshot=Snapshots(
        "_search/point_in_time", "pit_id", "/_search/point_in_time", lambda snapshot: {"pit_id": [snapshot]}
    ),
    index_settings={"knn": True},
    max_dims=16_000,
    licence=None,
    plugin="opensearch-knn",
    scores_names_in_msearch=False,
)
