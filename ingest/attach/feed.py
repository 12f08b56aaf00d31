"""The documents of an index in the order of their last change, shard by shard.

Every change of a document gives it the next sequence number of its shard. Who has read a shard up to a number has seen
everything but what changed since, and that has higher numbers: reading on from there finds it, whoever changed it, and
nothing is found twice. A point in time would freeze the index, and what changes under it would have to be looked for
again. All operations up to the global checkpoint are in every copy of the shard; beyond it a lower number may still be
on its way, so nobody reads further than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from es_mappings.cluster import Cluster
from es_mappings.schema import VECTOR_OBJECT
from es_mappings.types import Item

PAGE = 256


@dataclass(frozen=True, slots=True)
class Document:
    """A document's fields that encoders read, what is attached to it (without vectors), and its version.

    version: what a guarded update needs: if_seq_no, if_primary_term, and routing where it has one.
    """

    item: Item
    attached: Mapping[str, Any]
    version: Mapping[str, Any]


@dataclass(slots=True)
class Feed:
    """Reads one index.

    seen: by shard, up to where. own: how many changes since the last call were ours, as far as their maker knows.
    """

    cluster: Cluster
    index: str
    fields: Sequence[str]
    seen: dict[int, int] = field(default_factory=dict)
    own: int = 0

    def changes(self) -> Iterator[list[Document]]:
        """What has changed since the last call, at the first one everything, in pages.

        A page counts as seen when the next one is asked for.
        """
        until = self._checkpoints()
        # Every operation takes one number. If our own are as many as there are, nobody else has changed anything.
        if self.seen and sum(until.values()) - sum(self.seen.values()) == self.own:
            self.seen, self.own = until, 0
            return
        self.own = 0
        self.cluster.request("POST", f"/{self.index}/_refresh")
        for shard, checkpoint in until.items():
            yield from self._pages(shard, checkpoint)
            self.seen[shard] = checkpoint

    def _checkpoints(self) -> dict[int, int]:
        path = f"/{self.index}/_stats"
        found = self.cluster.request("GET", path, params={"level": "shards"})["indices"][self.index]["shards"]
        return {
            int(shard): copy["seq_no"]["global_checkpoint"]
            for shard, copies in found.items()
            for copy in copies
            if copy["routing"]["primary"]
        }

    def _pages(self, shard: int, until: int) -> Iterator[list[Document]]:
        companions = [f"{VECTOR_OBJECT}.{name}" for name in ("id", "modalities", "hash")]
        while (after := self.seen.get(shard, -1)) < until:
            body = {
                "query": {"range": {"_seq_no": {"gt": after, "lte": until}}},
                "sort": [{"_seq_no": "asc"}],
                "size": PAGE,
                "track_total_hits": False,
                "seq_no_primary_term": True,
                "_source": [*self.fields, *companions],
            }
            path, params = f"/{self.index}/_search", {"preference": f"_shards:{shard}"}
            hits = self.cluster.request("POST", path, params=params, body=body)["hits"]["hits"]
            if not hits:
                return
            yield [_document(hit) for hit in hits]
            self.seen[shard] = hits[-1]["_seq_no"]


def _document(hit: Mapping[str, Any]) -> Document:
    source = dict(hit.get("_source", {}))
    attached = source.pop(VECTOR_OBJECT, None) or {}
    version = {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
    if "_routing" in hit:
        version["routing"] = hit["_routing"]
    identifier = hit["_id"]
    return Document(Item(identifier, {"id": identifier, **source}, f"{hit['_index']}/{identifier}"), attached, version)
