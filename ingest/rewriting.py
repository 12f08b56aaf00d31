"""One script for all documents that a query finds.

Not by `_update_by_query`: it gives up where `es_mappings.bulk` waits, and after such a request OpenSearch's k-NN (3.5)
answers 503 for documents that it has not touched, since it has closed their segments' vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from es_mappings.bulk import bulk_reason
from es_mappings.cluster import Cluster
from es_mappings.errors import EngineError
from es_mappings.schema import VECTOR_OBJECT

PAGE = 2000
NOT_FOUND = 404


def rewrite(cluster: Cluster, index: str, query: Mapping[str, Any], script: Mapping[str, Any]) -> int:
    """Run the script on documents until the query finds none any more; on how many it was.

    The script has to make the query pass a document over. Raises EngineError when it cannot be run on one.
    """
    written = 0
    while True:
        cluster.request_patiently("POST", f"/{index}/_refresh")
        body = {"query": query, "size": PAGE, "_source": False, "track_total_hits": False}
        hits = cluster.request_patiently("POST", f"/{index}/_search", body=body)["hits"]["hits"]
        if not hits:
            return written
        for ok, answer in cluster.bulk(_update(hit, script) for hit in hits):
            (told,) = answer.values()
            if not ok and told["status"] != NOT_FOUND:
                raise EngineError(f"{told['_id']} of {index!r} cannot be rewritten: {bulk_reason(told)}")
            written += ok


def without(spaces: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Query and script that take the vectors of some spaces out of all documents."""
    query = {"bool": {"should": [{"exists": {"field": f"{VECTOR_OBJECT}.{space}"}} for space in spaces]}}
    source = f"for (String space : params.spaces) {{ ctx._source['{VECTOR_OBJECT}'].remove(space); }}"
    return query, {"source": source, "params": {"spaces": list(spaces)}}


def _update(hit: Mapping[str, Any], script: Mapping[str, Any]) -> dict[str, Any]:
    routing = {"routing": hit["_routing"]} if "_routing" in hit else {}
    where = {"_op_type": "update", "_index": hit["_index"], "_id": hit["_id"], "retry_on_conflict": 10}
    return {**where, **routing, "script": {"lang": "painless", **script}}
