"""The edge: what a client may ask, checked strictly, and turned into the words of maxcos."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from es_mappings.errors import BadTerm, FieldProblem, InvalidRequest
from es_mappings.schema import Schema
from es_mappings.types import (
    MAX_EXCLUDED,
    RRF_WINDOW,
    SCORE,
    EntityTerm,
    Facet,
    Filter,
    FusionMethod,
    Ids,
    ImageTerm,
    ItemTerm,
    Missing,
    Sort,
    Term,
    TextTerm,
    UserTerm,
    VectorTerm,
    Walk,
)
from query_api import cursor
from query_api.filters import known_field, listed, parse_filter, typed
from query_api.form import (
    Calibrate,
    FacetModel,
    FusionModel,
    PlanWish,
    RangeModel,
    RecommendModel,
    SearchModel,
    TermModel,
    WhyModel,
    Wishes,
    read_form,
)
from query_api.limits import MAX_WINDOW

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A request that can be planned.

    exclude, count, walk: as in `Plan`. calibration: None leaves the choice to the planner.
    paths: whether each hit tells how the query's entities are linked to it.
    ranges: by field, the bounds of a range facet as the client wrote them ("from" and "to"), in the facet's order.
    digest: of the request without its cursor, which the next cursor carries; empty without a walk.
    links: by the position of a picture among the terms its address, if it is still to be fetched.
    """

    terms: tuple[Term, ...]
    exclude: tuple[str, ...] = ()
    method: FusionMethod = "hybrid"
    calibration: Calibrate | None = None
    missing: Missing = "ignore"
    weights: Mapping[str, float] = field(default_factory=dict)
    filter: Filter | None = None
    facets: tuple[Facet, ...] = ()
    ranges: Mapping[str, tuple[Mapping[str, str | float], ...]] = field(default_factory=dict)
    sort: tuple[Sort, ...] = ()
    size: int = 10
    offset: int = 0
    fields: tuple[str, ...] | None = None
    highlight: bool = False
    paths: bool = False
    count: int | None = None
    plan: PlanWish = "auto"
    walk: Walk | None = None
    digest: str = ""
    explain: bool | Literal["engine"] = False
    links: Mapping[int, str] = field(default_factory=dict)


def parse(body: Any, schema: Schema, image: bytes | None = None) -> SearchRequest:
    """Check a request body; `image` is the picture of a multipart request, one more term of the query.

    Raises InvalidRequest naming every offending field.
    """
    model = read_form(SearchModel, body)
    request = replace(
        _request(model, model.fusion, lambda: _terms(model, schema, image), schema),
        highlight=model.highlight,
        links={i: term.image for i, term in enumerate(model.query or ()) if term.image and _is_link(term.image)},
    )
    return _walking(request, model.after, body, image)


def parse_recommend(
    body: Any, schema: Schema, modalities: tuple[str, ...], seen: Callable[[str], tuple[str, ...]]
) -> SearchRequest:
    """Check the body of a recommendation, which is a search by a user, or by items, in these modalities alone.

    seen: the ids of the items that a user has seen; raises BadTerm.
    Raises InvalidRequest naming every offending field.
    """
    model = read_form(RecommendModel, body)
    user = () if model.user is None else (UserTerm(model.user, modalities=modalities),)
    terms = (*user, *(ItemTerm(item, modalities=modalities) for item in model.items or ()))
    # A cosine alone has no other to compete with, so it needs no map.
    request = _request(model, FusionModel(method="max", calibration="raw"), lambda: terms, schema)
    if not model.exclude_seen:
        request = replace(request, exclude=())
    elif model.user is not None:
        request = replace(request, exclude=_seen(model.user, seen))
    return _walking(request, model.after, body, None)


def parse_why(body: Any, schema: Schema, image: bytes | None = None) -> tuple[str, SearchRequest]:
    """Check the body of a question about one hit, which is a search among this item alone; the hit's id beside it.

    Raises InvalidRequest naming every offending field.
    """
    model = read_form(WhyModel, body)
    request = parse({"query": body.get("query"), "size": 1, "highlight": True, "plan": "exact"}, schema, image)
    if model.id in request.exclude:
        raise InvalidRequest.at("id", "the query is made of this item, which is no hit of it")
    return model.id, replace(request, filter=Ids((model.id,)), count=0)


def _seen(user: str, seen: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
    try:
        found = seen(user)
    except BadTerm as error:
        raise InvalidRequest.at(error.member, str(error)) from error
    if len(found) > MAX_EXCLUDED:
        many = f"the user has seen {len(found)} items, and no more than {MAX_EXCLUDED} can be left out: use false"
        raise InvalidRequest.at("exclude_seen", many)
    return found


def _request(
    model: Wishes, fusion: FusionModel, terms: Callable[[], tuple[Term, ...]], schema: Schema
) -> SearchRequest:
    problems: list[FieldProblem] = []

    def checked(check: Callable[[], _T], otherwise: _T) -> _T:
        try:
            return check()
        except InvalidRequest as error:
            problems.extend(error.problems)
            return otherwise

    none: tuple[Term, ...] = ()
    asked = checked(terms, none)
    request = SearchRequest(
        terms=asked,
        exclude=tuple(term.id for term in asked if isinstance(term, ItemTerm)),
        method=fusion.method,
        calibration=fusion.calibration,
        missing=fusion.missing,
        weights=fusion.weights,
        filter=checked(lambda: parse_filter(model.filter, schema) if model.filter else None, None),
        facets=checked(lambda: _facets(model, schema), ()),
        ranges={f.field: tuple(_written(r) for r in f.ranges) for f in model.facets if f.ranges},
        sort=checked(lambda: _sorts(model, schema), ()),
        size=model.size,
        offset=model.from_,
        fields=tuple(model.fields) if model.fields is not None else None,
        paths=model.paths,
        count=None if model.track_total_hits is True else int(model.track_total_hits),
        plan=model.plan,
        explain=model.explain,
    )
    checked(lambda: _check_fusion(fusion, schema), None)
    checked(lambda: _check_window(model, fusion.method), None)
    if problems:
        raise InvalidRequest(*problems)
    return request


def _walking(request: SearchRequest, after: str | None, body: Any, image: bytes | None) -> SearchRequest:
    """The request at the place that its cursor names, if it has one."""
    if after is None:
        return request
    digest = cursor.digest(body, image)
    return replace(request, walk=_walk(after, digest, request.method), digest=digest)


# --- terms


def _terms(model: SearchModel, schema: Schema, image: bytes | None) -> tuple[Term, ...]:
    terms = tuple(_term(term, f"query[{i}]", schema) for i, term in enumerate(model.query or ()))
    if image is not None:
        terms = (*terms, ImageTerm(image))
    if not terms:
        raise InvalidRequest.at("query", "say what to look for: words, or a list of terms")
    return terms


def _term(model: TermModel, place: str, schema: Schema) -> Term:
    unknown = [name for name in model.modalities or () if name not in schema.modalities]
    if unknown:
        raise InvalidRequest.at(f"{place}.modalities", f"{unknown[0]!r} is not one of {listed(schema.modalities)}")
    if model.space is not None and model.vector is None:
        raise InvalidRequest.at(f"{place}.space", "only a vector has one")
    if model.relation is not None and model.entity is None:
        raise InvalidRequest.at(f"{place}.relation", "only an entity has one")
    if model.direction is not None and model.relation is None:
        raise InvalidRequest.at(f"{place}.direction", "only a relation has one")
    modalities = tuple(model.modalities) if model.modalities is not None else None
    if model.text is not None:
        if not model.text.strip():
            raise InvalidRequest.at(f"{place}.text", "must not be blank")
        return TextTerm(model.text.strip(), weight=model.weight, modalities=modalities)
    if model.item is not None:
        return ItemTerm(model.item, weight=model.weight, modalities=modalities)
    if model.entity is not None:
        return EntityTerm(model.entity, model.relation, model.direction, weight=model.weight, modalities=modalities)
    if model.user is not None:
        return UserTerm(model.user, weight=model.weight, modalities=modalities)
    if model.vector is not None:
        values = _vector(model.vector, model.space, place, schema)
        return VectorTerm(model.space or "", values, weight=model.weight, modalities=modalities)
    try:
        data = b"" if _is_link(model.image or "") else base64.b64decode(model.image or "", validate=True)
    except ValueError as error:  # binascii's own, and another one for letters that are not ASCII
        raise InvalidRequest.at(f"{place}.image", f"must be a picture's bytes in base64: {error}") from error
    return ImageTerm(data, weight=model.weight, modalities=modalities)


def _is_link(image: str) -> bool:
    """Base64 has no colon."""
    return "://" in image[:16]


def _vector(numbers: list[float], name: str | None, place: str, schema: Schema) -> tuple[float, ...]:
    """The numbers of a vector, scaled so that the largest is 1: none is then too large or too small for float32."""
    space = schema.space(name) if name is not None else None
    if space is None:
        known = listed(s.name for s in schema.spaces)
        raise InvalidRequest.at(f"{place}.space", f"must be the space that the vector belongs to, one of {known}")
    if len(numbers) != space.dims:
        raise InvalidRequest.at(f"{place}.vector", f"{space.name!r} has {space.dims} dimensions, got {len(numbers)}")
    largest = max(map(abs, numbers))
    if largest == 0:
        raise InvalidRequest.at(f"{place}.vector", "must not be zero: it has no direction")
    return tuple(number / largest for number in numbers)


# --- facets and sort


def _facets(model: Wishes, schema: Schema) -> tuple[Facet, ...]:
    facets: list[Facet] = []
    for position, asked in enumerate(model.facets):
        place = f"facets[{position}]"
        if asked.ranges is None and asked.field not in schema.facets:
            raise InvalidRequest.at(place, f"{asked.field!r} is not one of {listed(schema.facets)}")
        if any(facet.field == asked.field for facet in facets):
            raise InvalidRequest.at(place, f"{asked.field!r} stands there twice")
        facets.append(Facet(asked.field, _ranges(asked, schema, place) if asked.ranges else ()))
    return tuple(facets)


def _ranges(asked: FacetModel, schema: Schema, place: str) -> tuple[tuple[float | None, float | None], ...]:
    field = known_field(asked.field, schema, f"{place}.field")
    if field.type not in {"number", "date"}:
        raise InvalidRequest.at(f"{place}.ranges", f"only numbers and dates have ranges; {field.name!r} is neither")
    ranges = []
    for position, given in enumerate(asked.ranges or ()):
        here = f"{place}.ranges[{position}]"
        written = _written(given)
        start, end = (
            typed(field, written[bound], f"{here}.{bound}") if bound in written else None for bound in ("from", "to")
        )
        if not written:
            raise InvalidRequest.at(here, "needs from, to or both")
        if start is not None and end is not None and start >= end:
            raise InvalidRequest.at(here, "from must be less than to")
        ranges.append((start, end))
    return tuple(ranges)


def _written(given: RangeModel) -> dict[str, str | float]:
    """The bounds that are there, as the client wrote them."""
    return {name: value for name, value in (("from", given.from_), ("to", given.to)) if value is not None}


def _sorts(model: Wishes, schema: Schema) -> tuple[Sort, ...]:
    """Fields ascend and the score descends unless the client says otherwise."""
    sorts: list[Sort] = []
    for position, raw in enumerate(model.sort):
        place = f"sort[{position}]"
        name, order = next(iter(raw.items())) if isinstance(raw, dict) and len(raw) == 1 else (raw, None)
        if not isinstance(name, str):
            raise InvalidRequest.at(place, 'must be a field, or {"field": "asc"} or {"field": "desc"}')
        if isinstance(raw, dict) and order not in ("asc", "desc"):
            raise InvalidRequest.at(f"{place}.{name}", "must be asc or desc")
        if name != SCORE:
            known_field(name, schema, place)
        if any(sort.field == name for sort in sorts):
            raise InvalidRequest.at(place, f"{name!r} stands there twice")
        sorts.append(Sort(name, descending=order == "desc" if order else name == SCORE))
    return tuple(sorts)


# --- what must go together


def _check_fusion(fusion: FusionModel, schema: Schema) -> None:
    known = (*schema.modalities, "lexical")
    for name in fusion.weights:
        if name not in known:
            raise InvalidRequest.at(f"fusion.weights.{name}", f"is not one of {listed(known)}")
    if fusion.missing == "penalize" and fusion.method == "rrf":
        raise InvalidRequest.at("fusion.missing", "ranks have no background to penalize with: use ignore or require")
    if fusion.missing != "ignore" and fusion.method == "lexical":
        raise InvalidRequest.at("fusion.missing", "no modality is asked by lexical, so none can be missing")


def _check_window(model: Wishes, method: FusionMethod) -> None:
    rrf = method == "rrf"
    if rrf and model.sort:
        raise InvalidRequest.at("sort", "rrf is an order itself: sort under max, hybrid or lexical")
    if model.after is not None and model.from_ > 0:
        raise InvalidRequest.at("from", "must be 0 in a walk: the cursor says where it goes on")
    if model.after is not None and model.size == 0:
        raise InvalidRequest.at("size", "must be at least 1 in a walk")
    window = RRF_WINDOW if rrf else MAX_WINDOW
    if model.from_ + model.size > window:
        beyond = "that many items are fused" if rrf else "walk with `after` instead"
        raise InvalidRequest.at("from", f"from + size must not exceed {window}: {beyond}")


def _walk(token: str, digest: str, method: FusionMethod) -> Walk:
    walk = cursor.decode(token, digest)
    if method == "rrf" and walk.after is not None and not _is_offset(walk.after):
        raise InvalidRequest.at("after", "is no place in a fused list")
    return walk


def _is_offset(after: tuple[Any, ...]) -> bool:
    return len(after) == 1 and type(after[0]) is int and 0 <= after[0] <= RRF_WINDOW
