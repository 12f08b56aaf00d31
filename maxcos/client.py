"""A client of the service: typed answers, problems as exceptions, and patience where the service asks for it.

    client = Client("http://127.0.0.1:8000", key="maxcos_…")
    for hit in client.search("somewhere to sit", size=5).hits:
        print(hit.score, hit.modality, hit.source["title"])

Its answers are the models that the service's own description is made of. What a newer service adds to them is ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar
from urllib.parse import quote

import orjson
import urllib3
from pydantic import BaseModel

from es_mappings.errors import FieldProblem, MaxcosError
from query_api.openapi.answers import (
    ConfigAnswer,
    EntitiesAnswer,
    Hit,
    ItemAnswer,
    ReadyAnswer,
    SearchAnswer,
    SuggestAnswer,
    WhyAnswer,
)

Query = str | Sequence[Mapping[str, Any]]
"""Words, or a list of terms: docs/query.md."""

WALK_SIZE = 100

_M = TypeVar("_M", bound=BaseModel)


class ServiceProblem(MaxcosError):
    """The service refused, or could not answer. problems: the fields that are wrong. request_id: its log has it."""

    def __init__(self, status: int, title: str, detail: str, problems: Sequence[FieldProblem], request_id: str) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.problems = tuple(problems)
        self.request_id = request_id
        self.retryable = status in {429, 503}


class Client:
    """Threads may share it. Every method raises ServiceProblem; status 0: nothing answered.

    key: an API key, where the service asks for one. timeout: seconds for one answer. patience: how often a request is
    sent again that the service says may be sent again (429, 503), after the seconds that it names.
    """

    def __init__(self, url: str, key: str | None = None, *, timeout: float = 30.0, patience: int = 2) -> None:
        self._url = url.rstrip("/")
        retries = urllib3.Retry(
            total=None,
            connect=patience,
            read=0,
            status=patience,
            other=0,
            allowed_methods=None,
            status_forcelist=(429, 503),
            backoff_factor=0.2,
            raise_on_status=False,
        )
        headers = {"Accept-Encoding": "gzip", **({"Authorization": f"Bearer {key}"} if key else {})}
        self._pool = urllib3.PoolManager(headers=headers, retries=retries, timeout=timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._pool.clear()

    def search(self, query: Query | None = None, *, image: bytes | None = None, **wishes: Any) -> SearchAnswer:
        """Find items. image: a picture's bytes, one more term. wishes: members of the body, such as `size`, `filter`,
        `fusion`; `from_` stands for `from`.
        """
        return self._with_picture(SearchAnswer, "/v1/search", _body(wishes, query=query), image)

    def why(self, identifier: str, query: Query | None = None, *, image: bytes | None = None) -> WhyAnswer:
        """Why an item is a hit of a query: which words and which part of its picture made it one."""
        return self._with_picture(WhyAnswer, "/v1/why", _body({}, id=identifier, query=query), image)

    def walk(self, query: Query, **wishes: Any) -> Iterator[Hit]:
        """All hits, page by page, over a view of the index that stays as it is."""
        after: str | None = "*"
        while after is not None:
            page = self.search(query, **{"size": WALK_SIZE, **wishes, "after": after})
            yield from page.hits
            after = page.next

    def recommend(self, *, user: str | None = None, items: Sequence[str] | None = None, **wishes: Any) -> SearchAnswer:
        """Items for a user, or for who likes these items."""
        return self._json(SearchAnswer, "POST", "/v1/recommend", _body(wishes, user=user, items=items))

    def suggest(self, typed: str, size: int = 8) -> SuggestAnswer:
        """Titles that continue what is typed."""
        return self._get(SuggestAnswer, "/v1/suggest", q=typed, size=size)

    def entities(self, name: str, size: int = 10) -> EntitiesAnswer:
        """Entities of the knowledge graph that a name may mean."""
        return self._get(EntitiesAnswer, "/v1/entities", q=name, size=size)

    def item(self, identifier: str) -> ItemAnswer:
        return self._get(ItemAnswer, f"/v1/items/{quote(identifier, safe='')}")

    def picture(self, identifier: str) -> bytes:
        """The bytes of an item's picture."""
        return self._answer("GET", f"/v1/items/{quote(identifier, safe='')}/image").data

    def similar(self, identifier: str, *, size: int = 10, modalities: Sequence[str] = ()) -> SearchAnswer:
        """The items nearest to this one, by any of its modalities or by these."""
        only = {"modalities": ",".join(modalities)} if modalities else {}
        return self._get(SearchAnswer, f"/v1/items/{quote(identifier, safe='')}/similar", size=size, **only)

    def config(self) -> ConfigAnswer:
        """What the index can be asked for."""
        return self._get(ConfigAnswer, "/v1/config")

    def ready(self) -> ReadyAnswer:
        """How many items there are. Raises ServiceProblem where searches cannot be answered."""
        return self._get(ReadyAnswer, "/readyz")

    def _with_picture(self, model: type[_M], path: str, body: Mapping[str, Any], image: bytes | None) -> _M:
        if image is None:
            return self._json(model, "POST", path, body)
        parts = {"image": ("image", image), "request": orjson.dumps(body).decode()}
        return self._read(model, self._answer("POST", path, fields=parts))

    def _get(self, model: type[_M], path: str, **parameters: str | int) -> _M:
        return self._read(model, self._answer("GET", path, fields={n: str(v) for n, v in parameters.items()}))

    def _json(self, model: type[_M], method: str, path: str, body: Mapping[str, Any]) -> _M:
        return self._read(model, self._answer(method, path, json=body))

    def _read(self, model: type[_M], answer: urllib3.BaseHTTPResponse) -> _M:
        return model.model_validate(answer.json(), extra="ignore")

    def _answer(self, method: str, path: str, **sent: Any) -> urllib3.BaseHTTPResponse:
        try:
            answer = self._pool.request(method, self._url + path, **sent)
        except urllib3.exceptions.HTTPError as error:
            raise ServiceProblem(0, "No answer", f"{self._url} does not answer: {error}", (), "") from error
        if answer.status >= 400:
            raise _problem(answer)
        return answer


def _body(wishes: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """The members that were given, under their own names."""
    members = {name.removesuffix("_"): value for name, value in wishes.items()}
    return members | {name: value for name, value in given.items() if value is not None}


def _problem(answer: urllib3.BaseHTTPResponse) -> ServiceProblem:
    if answer.headers.get("Content-Type") != "application/problem+json":  # a proxy's
        return ServiceProblem(answer.status, answer.reason or "Refused", f"status {answer.status}", (), "")
    told = answer.json()
    problems = [FieldProblem(p["field"], p["message"]) for p in told["errors"]]
    return ServiceProblem(answer.status, told["title"], told["detail"], problems, told["request_id"])
