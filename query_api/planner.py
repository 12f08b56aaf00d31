"""Request -> plan: each term becomes vectors, the vectors of one space become one, and the way to score is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from encoders.contract import Encoder
from encoders.parts.centring import centred
from es_mappings.errors import BadInput, BadTerm, EncoderError, InvalidRequest, ItemNotFound, NothingToSearch
from es_mappings.schema import Schema
from es_mappings.types import (
    AllOf,
    Calibration,
    Centre,
    EntityTerm,
    Filter,
    Fusion,
    Has,
    ImageTerm,
    ItemTerm,
    Plan,
    QueryVector,
    StoredItem,
    Term,
    TextTerm,
    UserTerm,
    Vector,
    VectorTerm,
)
from query_api.candidates import choose
from query_api.request import SearchRequest
from query_api.searchers import Searcher

KINDS: dict[type, str] = {TextTerm: "text", ImageTerm: "image", EntityTerm: "entity", UserTerm: "user"}
"""Under which name `Centre.queries` knows the queries of a term."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, why it is executed the way it is, and which modalities had to be left out.

    items: the items that the query is made of, by id, as far as they had to be read.
    """

    plan: Plan
    kind: Literal["exact", "ann"]
    reason: str
    degraded: tuple[str, ...]
    calibration: Literal["fitted", "raw"]
    items: Mapping[str, StoredItem] = field(default_factory=dict)


def make_plan(
    request: SearchRequest,
    schema: Schema,
    encoders: Mapping[str, Encoder],
    weights: Mapping[str, float],
    searcher: Searcher,
) -> Planned:
    """Encode the request's terms and lay down what an engine has to compute.

    weights: the modalities' weights where the request gives none.
    Raises InvalidRequest for a term that cannot be encoded or a calibration that the index lacks, EncoderError when
    every encoder failed, NothingToSearch when no term reaches a modality or a word, and what the searcher raises.
    """
    weights = {**weights, **request.weights}
    state = searcher.state()
    asked = {} if request.method == "lexical" else {m: e for m, e in encoders.items() if weights.get(m, 1.0) > 0}
    items: dict[str, StoredItem] = {}

    def stored(identifier: str) -> StoredItem:
        return items[identifier] if identifier in items else items.setdefault(identifier, searcher.item(identifier))

    directions, degraded = combine(request.terms, asked, schema, state.manifest.centres, stored)
    vectors = tuple(
        QueryVector(space, directions[space.name], weights.get(space.modality, 1.0), common=space.name in state.common)
        for space in schema.spaces
        if space.name in directions
    )
    fusion = _fusion(request, weights, schema)
    words = _words(request.terms, fusion, schema)
    if not vectors and words is None:
        if degraded:
            raise EncoderError(f"no encoder is able to answer: {', '.join(degraded)} failed")
        raise NothingToSearch("no term of the query reaches a modality of this index")
    vectors, calibration = _calibrated(vectors, request, state.calibration)
    plan = Plan(
        vectors=vectors,
        words=words,
        fusion=fusion,
        filter=_required(request.filter, vectors) if fusion.missing == "require" else request.filter,
        exclude=request.exclude,
        facets=request.facets,
        sort=request.sort,
        size=request.size,
        offset=request.offset,
        fields=request.fields,
        highlight=request.highlight,
        count=request.count,
        walk=request.walk,
    )
    choice = choose(plan, request.plan, state, searcher.count)
    kind: Literal["exact", "ann"] = "ann" if choice.ann else "exact"
    return Planned(replace(plan, ann=choice.ann), kind, choice.reason, degraded, calibration, items)


def combine(
    terms: Iterable[Term],
    encoders: Mapping[str, Encoder],
    schema: Schema,
    centres: Mapping[str, Centre],
    stored: Callable[[str], StoredItem],
) -> tuple[dict[str, Vector], tuple[str, ...]]:
    """Per space the direction of the weighted sum of the terms' unit vectors, and the modalities whose encoder failed.

    Raises InvalidRequest for a term that cannot be encoded, and where terms cancel each other out.
    """
    parts: dict[str, list[tuple[float, Vector]]] = {}
    degraded: dict[str, None] = {}
    for position, term in enumerate(terms):
        speaks_to = [m for m in encoders if term.modalities is None or m in term.modalities]
        try:
            if isinstance(term, ItemTerm):
                found = _stored_vectors(term, speaks_to, schema, stored)
            elif isinstance(term, VectorTerm):
                found = _given_vector(term, speaks_to, schema, centres)
            else:
                found, failed = _encoded(term, {m: encoders[m] for m in speaks_to}, centres)
                degraded |= dict.fromkeys(failed)
        except ItemNotFound as error:
            raise InvalidRequest.at(f"query[{position}].item", str(error)) from error
        except BadTerm as error:
            raise InvalidRequest.at(f"query[{position}].{error.member}", str(error)) from error
        except BadInput as error:
            raise InvalidRequest.at(f"query[{position}]", str(error)) from error
        for space, vector in found.items():
            parts.setdefault(space, []).append((term.weight, vector))
    return {space: _sum(weighted) for space, weighted in parts.items()}, tuple(degraded)


def _encoded(
    term: Term, encoders: Mapping[str, Encoder], centres: Mapping[str, Centre]
) -> tuple[dict[str, Vector], list[str]]:
    found: dict[str, Vector] = {}
    failed = []
    for modality, encoder in encoders.items():
        try:
            vectors = encoder.encode_query(term)
        except EncoderError:
            failed.append(modality)
            continue
        found |= {space: _centred(vector, centres.get(space), KINDS[type(term)]) for space, vector in vectors.items()}
    return found, failed


def _stored_vectors(
    term: ItemTerm, modalities: list[str], schema: Schema, stored: Callable[[str], StoredItem]
) -> dict[str, Vector]:
    """The item's own vectors, at unit length. Those of an attached index may be of any, and one of zeros says nothing.

    A modality with several spaces answers with its first, the one of its items' features, and one that is made of
    others leaves the answer to them.
    """
    vectors = {name: vector for name, vector in stored(term.id).vectors.items() if vector.any()}
    first = {space.modality: space.name for space in reversed(schema.spaces) if space.items}
    return {name: _direction(vectors[name], 0.0) for m, name in first.items() if m in modalities and name in vectors}


def _given_vector(
    term: VectorTerm, modalities: list[str], schema: Schema, centres: Mapping[str, Centre]
) -> dict[str, Vector]:
    """The client's own vector, treated as the space's queries are."""
    space = schema.space(term.space)
    if space is None or space.modality not in modalities:
        return {}
    vector = np.asarray(term.values, dtype=np.float32)
    vector = _direction(vector, float(np.linalg.norm(vector)))
    centre = centres.get(term.space)
    return {term.space: _centred(vector, centre, next(iter(centre.queries), "") if centre else "")}


def _centred(vector: Vector, centre: Centre | None, kind: str) -> Vector:
    """A user's vector stays as it was trained: what all users share is what everybody likes, and counts."""
    return vector if centre is None or kind == "user" else centred(vector, centre.queries.get(kind, centre.items))


def _sum(weighted: Sequence[tuple[float, Vector]]) -> Vector:
    """The direction of the sum of unit vectors. Of one alone it is that vector: the usual case, and a quick one."""
    if len(weighted) == 1 and weighted[0][0] > 0:
        return np.ascontiguousarray(weighted[0][1], dtype=np.float32)
    total = sum((np.float32(weight) * vector for weight, vector in weighted), np.float32(0))
    return _direction(np.asarray(total), sum(abs(weight) for weight, _ in weighted))


def _direction(vector: Vector, weight: float) -> Vector:
    """The vector at unit length. weight: what its length was if its terms all pointed the same way."""
    norm = float(np.linalg.norm(vector))
    if norm <= 1e-6 * weight:
        raise InvalidRequest.at("query", "the terms cancel each other out: nothing is left to look for")
    return np.ascontiguousarray(vector / np.float32(norm), dtype=np.float32)


def _fusion(request: SearchRequest, weights: Mapping[str, float], schema: Schema) -> Fusion:
    """Beside ranks BM25 counts like a modality; beside cosines for what the settings say."""
    default = 1.0 if request.method == "rrf" else schema.lexical_weight
    return Fusion(request.method, weights.get("lexical", default), schema.saturation, request.missing)


def _words(terms: Iterable[Term], fusion: Fusion, schema: Schema) -> str | None:
    unheard = fusion.method in {"hybrid", "rrf"} and fusion.lexical_weight == 0
    if fusion.method == "max" or unheard or not schema.text:
        return None
    return " ".join(term.text for term in terms if isinstance(term, TextTerm) and term.weight > 0) or None


def _calibrated(
    vectors: tuple[QueryVector, ...], request: SearchRequest, fitted: Mapping[str, Calibration]
) -> tuple[tuple[QueryVector, ...], Literal["fitted", "raw"]]:
    """The vectors with their maps. Without a wish, maps are used if all of the queried spaces have one: a probability
    and a cosine must not compete.
    """
    penalize = request.missing == "penalize"
    if penalize and request.calibration == "raw":
        raise InvalidRequest.at("fusion.missing", "raw cosines have no background to penalize with")
    lacking = [v.space.name for v in vectors if v.space.name not in fitted]
    if lacking and (request.calibration == "fitted" or penalize):
        raise InvalidRequest.at(
            "fusion.calibration" if request.calibration == "fitted" else "fusion.missing",
            f"nothing was fitted for {', '.join(lacking)}, or for other encoders: run maxcos calibrate",
        )
    if request.calibration == "raw" or lacking or not vectors:
        return vectors, "raw"
    maps = {v.space.name: fitted[v.space.name] for v in vectors}
    return tuple(
        replace(v, calibration=maps[v.space.name], background=maps[v.space.name].background if penalize else None)
        for v in vectors
    ), "fitted"


def _required(clause: Filter | None, vectors: Iterable[QueryVector]) -> Filter:
    """The filter, and a vector in one of each queried modality's spaces."""
    spaces: dict[str, list[str]] = {}
    for vector in vectors:
        spaces.setdefault(vector.space.modality, []).append(vector.space.name)
    needs = [Has(tuple(names)) for names in spaces.values()]
    return AllOf((*([clause] if clause is not None else []), *needs))
