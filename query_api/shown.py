"""Which fields of an item callers see: all, or only those that the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from es_mappings.errors import InvalidRequest
from es_mappings.types import Page
from query_api.request import SearchRequest
from query_api.searchers.embedded.sources import pick


@dataclass(frozen=True, slots=True)
class Shown:
    """fields: as in `[service]`; none: all are seen."""

    fields: tuple[str, ...] = ()

    def allows(self, name: str) -> bool:
        """Whether a field, or what it is inside of, is seen."""
        return not self.fields or any(name == field or name.startswith(f"{field}.") for field in self.fields)

    def only(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(filter(self.allows, names))

    def asked(self, request: SearchRequest) -> SearchRequest:
        """The request for what may be seen. Raises InvalidRequest for a field that may not."""
        if not self.fields:
            return request
        for position, name in enumerate(request.fields or ()):
            if not self.allows(name):
                raise InvalidRequest.at(f"fields[{position}]", f"is none of {', '.join(self.fields)}")
        return replace(request, fields=self.fields if request.fields is None else request.fields)

    def source(self, source: Mapping[str, Any]) -> Mapping[str, Any]:
        return pick(source, self.fields) if self.fields else source

    def page(self, page: Page) -> Page:
        """Without the words that were found in other fields."""
        if not self.fields:
            return page
        hits = (
            replace(hit, highlight={name: text for name, text in hit.highlight.items() if self.allows(name)})
            for hit in page.hits
        )
        return replace(page, hits=tuple(hits))
