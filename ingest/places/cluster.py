"""Aliases: all that a swap changes goes into one request, which the cluster carries out as a whole."""

from __future__ import annotations

from typing import Any

from es_mappings.cluster import connect
from es_mappings.errors import EngineRefused, RebuildFailed
from es_mappings.settings import EngineSettings
from ingest.places import Current, previous

JSON = dict[str, Any]


class ClusterPlace:
    """Implements `ingest.places.Place` for Elasticsearch and OpenSearch."""

    def __init__(self, engine: EngineSettings) -> None:
        self._name = engine.index
        self._client = connect(engine)

    def current(self) -> Current | None:
        found = self._behind(self._name)
        if not found:
            return None
        if len(found) > 1:
            raise RebuildFailed(f"{self._name!r} is an alias of several indices: {', '.join(sorted(found))}")
        (index,) = found
        if index != self._name and self._name not in found[index]:
            raise RebuildFailed(f"{self._name!r} is neither an index nor an alias (a data stream?)")
        (mapping,) = self._client.request("GET", f"/{index}/_mapping").values()
        count = self._client.request("GET", f"/{index}/_count")["count"]
        return Current(index, index == self._name, mapping["mappings"].get("_meta", {}), int(count))

    def kept(self) -> str | None:
        found = self._behind(previous(self._name))
        return ", ".join(sorted(found)) or None

    def swap(self, fresh: str) -> None:
        found = self._behind(self._name)
        actions: list[JSON] = []
        options: JSON = {}
        for index, aliases in found.items():
            if index == self._name:
                # An alias cannot have an index's name, and engines cannot rename an index.
                actions.append({"remove_index": {"index": index}})
            else:
                options = aliases[self._name]  # a filter, a routing
                # If another rebuild has been faster, the alias is not there, and nothing at all is done.
                actions.append({"remove": {"index": index, "alias": self._name, "must_exist": True}})
                actions.append({"add": {"index": index, "alias": previous(self._name)}})
        actions.append({"add": {**options, "index": fresh, "alias": self._name}})
        self._client.request("POST", "/_aliases", body={"actions": actions})

    def discard(self, fresh: str) -> None:
        if fresh in self._behind(fresh) and fresh not in self._behind(self._name):
            self._client.request("DELETE", f"/{fresh}")

    def drop_kept(self) -> str | None:
        kept = self._behind(previous(self._name))
        for index in kept.keys() - self._behind(self._name).keys():
            self._client.request("DELETE", f"/{index}")
        return ", ".join(sorted(kept)) or None

    def close(self) -> None:
        self._client.close()

    def _behind(self, name: str) -> dict[str, JSON]:
        """The indices that a name means, each with its aliases and their options."""
        try:
            found = self._client.request("GET", f"/{name}/_alias")
        except EngineRefused as error:
            if error.code == 404:
                return {}
            raise
        return {index: about["aliases"] for index, about in found.items()}
