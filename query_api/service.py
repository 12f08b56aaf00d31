"""Search as a function: everything between HTTP and the engine, for the web app, the command line and evaluation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from encoders.contract import Encoder, Graph, load_encoders
from es_mappings.cluster import is_embedded
from es_mappings.errors import InvalidRequest, ItemNotFound, NothingToSearch
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from es_mappings.types import MATCHES, TextTerm
from query_api import respond
from query_api.limits import MAX_ENTITIES, MAX_SUGGESTIONS, MAX_TYPED
from query_api.links import Fetcher, Reach
from query_api.paths import explained, named
from query_api.planner import make_plan
from query_api.querylog.heard import Search, listener
from query_api.remembered import QueryVectors, RememberingEncoder
from query_api.request import SearchRequest, parse, parse_recommend, parse_why
from query_api.searchers import Searcher, open_searcher
from query_api.searchers.watched import Gate, WatchedSearcher
from query_api.shown import Shown
from query_api.stages import happened, stage
from query_api.why.answer import Means, Origins, Question, explanation


class SearchService:
    """One index with its encoders. Threads may share it."""

    def __init__(
        self,
        schema: Schema,
        encoders: Mapping[str, Encoder],
        searcher: Searcher,
        weights: Mapping[str, float] | None = None,
        origins: Origins | None = None,
        remembered: QueryVectors | None = None,
        fetcher: Fetcher | None = None,
        shown: Shown | None = None,
    ) -> None:
        """remembered: where to keep the vectors of terms; None: every term is encoded each time. fetcher: of pictures
        by their addresses; None: they are refused. shown: which fields callers see; None: all.
        """
        self.schema = schema
        self._encoders = encoders
        self._asked = encoders
        if remembered is not None:
            self._asked = {m: RememberingEncoder(m, e, remembered) for m, e in encoders.items()}
        self._graphs = {modality: e for modality, e in encoders.items() if isinstance(e, Graph)}
        self._searcher = searcher
        self._weights = dict(weights or {})
        self._origins = origins or Origins()
        self._fetcher = fetcher
        self._shown = shown or Shown()
        self._warm = False

    @classmethod
    def from_settings(cls, settings: Settings) -> SearchService:
        """Load the encoders and open the engine; nothing is asked of it yet. Raises SettingsError, EncoderError."""
        encoders = load_encoders(settings.modalities)
        schema = build_schema(settings.lexical, encoders.values())
        weights = {name: modality.weight for name, modality in settings.modalities.items()}
        shown = Shown(settings.service.fields)
        sources = {name: shown.only(modality.source) for name, modality in settings.modalities.items()}
        origins = Origins(sources, settings.page.media)
        gate = None if is_embedded(settings.engine) else Gate()
        searcher = WatchedSearcher(open_searcher(settings.engine, schema), gate)
        hosts = settings.service.picture_hosts
        fetcher = Fetcher(Reach(hosts)) if hosts else None
        return cls(schema, encoders, searcher, weights, origins, QueryVectors(), fetcher, shown)

    def search(self, body: Any, image: bytes | None = None) -> dict[str, Any]:
        """Answer a request body (its form: `query_api.form.SearchModel`); `image` adds a picture term.

        Raises InvalidRequest, NothingToSearch, EncoderError and what `Searcher.search` raises.
        """
        started = time.perf_counter()
        with stage("parse"):
            request = parse(body, self.schema, image)
        request = self._whole(request)
        return self._answer(request, started)

    def _whole(self, request: SearchRequest) -> SearchRequest:
        """The request with its pictures that are given by their addresses. Raises InvalidRequest, TooManyRequests."""
        if not request.links:
            return request
        if self._fetcher is None:
            first = min(request.links)
            raise InvalidRequest.at(f"query[{first}].image", "no addresses are fetched here: send the bytes in base64")
        with stage("fetch"):
            return self._fetcher.fetched(request)

    def recommend(self, body: Any) -> dict[str, Any]:
        """Items for a user, or for who likes some items, by the graph alone (its form: `RecommendModel`).

        Raises what `search` raises.
        """
        started = time.perf_counter()
        with stage("parse"):
            request = parse_recommend(body, self.schema, tuple(self._graphs), self._seen)
        return self._answer(request, started)

    def _seen(self, user: str) -> tuple[str, ...]:
        """The ids of the items that a user has seen, by any graph. Raises BadTerm."""
        return tuple(dict.fromkeys(item for graph in self._graphs.values() for item in graph.seen(user)))

    def _answer(self, request: SearchRequest, started: float) -> dict[str, Any]:
        request = self._shown.asked(request)
        planned = make_plan(request, self.schema, self._asked, self._weights, self._searcher)
        page = self._shown.page(self._searcher.search(planned.plan))
        for modality in planned.degraded:
            happened("degraded", modality)
        if page.partial is not None:
            happened("partial")
        languages = self.schema.languages
        paths = explained(page, request.terms, planned.items, self._graphs, languages) if request.paths else None
        answer = respond.response(page, planned, request, _milliseconds_since(started), paths)
        if (heard := listener()) is not None:
            heard.append(Search(request, planned, answer, named(request.terms, self._graphs.values())))
        if request.explain:
            answer["explain"] = self._searcher.explain(planned.plan)
        return answer

    def similar(
        self, identifier: str, *, size: int = 10, offset: int = 0, modalities: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """The items nearest to this one by any of its modalities, as `search` answers.

        Raises ItemNotFound for an unknown item, else what `search` raises.
        """
        term = {"item": identifier, "modalities": list(modalities) if modalities is not None else None}
        try:
            return self.search({"query": [term], "fusion": {"method": "max"}, "size": size, "from": offset})
        except InvalidRequest as error:
            if isinstance(error.__cause__, ItemNotFound):
                raise error.__cause__ from None
            raise

    def why(self, body: Any, image: bytes | None = None) -> dict[str, Any]:
        """Why one item is a hit (its form: `WhyModel`): see `query_api.why`.

        Raises ItemNotFound for an unknown item, else what `search` raises.
        """
        started = time.perf_counter()
        identifier, request = parse_why(body, self.schema, image)
        request = self._shown.asked(self._whole(request))
        item = self._searcher.item(identifier)
        planned = make_plan(request, self.schema, self._encoders, self._weights, self._searcher)
        page = self._shown.page(self._searcher.search(planned.plan))
        means = Means(self.schema, self._encoders, self._searcher, self._origins)
        told = explanation(Question(request, planned, page, item), means)
        return {"took_ms": round(_milliseconds_since(started), 2), **told}

    def suggest(self, text: str, size: int = 8) -> dict[str, Any]:
        """Titles that continue what a user typed. Raises InvalidRequest and what `Searcher.suggest` raises."""
        started = time.perf_counter()
        _check_typed(text, size, MAX_SUGGESTIONS)
        found = self._searcher.suggest(text, size)
        return respond.suggestions_json(found, _milliseconds_since(started))

    def entities(self, text: str, size: int = 10) -> dict[str, Any]:
        """Entities of the knowledge graph that a text may mean, whole or while it is typed.

        Raises InvalidRequest, and NothingToSearch for an index without a graph.
        """
        started = time.perf_counter()
        _check_typed(text, size, MAX_ENTITIES)
        if not self._graphs:
            raise NothingToSearch("no modality of this index has a knowledge graph")
        found = [
            (modality, match)
            for modality, graph in self._graphs.items()
            for match in graph.search(text, size, self.schema.languages)
        ]
        found.sort(key=lambda pair: MATCHES.index(pair[1].match))
        return respond.entities_json(found[:size], _milliseconds_since(started))

    def item(self, identifier: str) -> dict[str, Any]:
        """One item. Raises ItemNotFound and what the engine raises."""
        found = self._searcher.item(identifier)
        return respond.item_json(found.id, self._shown.source(found.source), found.vectors, self.schema)

    def check(self) -> int:
        """Raise unless the engine answers and the index fits the settings; how many items it holds."""
        self._searcher.check()
        return self._searcher.count()

    def warm(self) -> None:
        """Load what the first query would wait for, unless that was done. Raises EncoderError."""
        if self._warm:
            return
        for encoder in self._encoders.values():
            encoder.encode_query(TextTerm("warm"))
        for graph in self._graphs.values():
            graph.search("warm", 1, ())
        self._warm = True

    def close(self) -> None:
        self._searcher.close()


def _check_typed(text: str, size: int, most: int) -> None:
    if not text.strip() or len(text) > MAX_TYPED:
        raise InvalidRequest.at("q", f"must be 1 to {MAX_TYPED} characters that are not all blank")
    if not 1 <= size <= most:
        raise InvalidRequest.at("size", f"must be from 1 to {most}")


def _milliseconds_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
