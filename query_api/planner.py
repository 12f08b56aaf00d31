"""Request -> plan: each term becomes vectors, the vectors of one space become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from encoders.contract import Encoder
from es_mappings.errors import BadInput, EncoderError, InvalidRequest, ItemNotFound, NothingToSearch
from es_mappings.schema import Schema
from es_mappings.types import Fusion, ItemTerm, Plan, QueryVector, StoredItem, Term, TextTerm, Vector
from query_api.request import SearchRequest


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, why it is executed the way it is, and which modalities had to be left out."""

    plan: Plan
    kind: str
    reason: str
    degraded: tuple[str, ...]


def make_plan(
    request: SearchRequest,
    schema: Schema,
    encoders: Mapping[str, Encoder],
    weights: Mapping[str, float],
    stored: Callable[[str], StoredItem],
) -> Planned:
    """Encode the request's terms and lay down what an engine has to compute.

    weights: the modalities' weights where the request gives none. stored: fetches an item, for item terms.
    Raises InvalidRequest for a term that cannot be encoded, EncoderError when every encoder failed, NothingToSearch
    when no term reaches a modality or a word.
    """
    weights = {**weights, **request.weights}
    fusion = Fusion(request.method, weights.get("lexical", Fusion().lexical_weight))
    asked = {} if fusion.method == "lexical" else {m: e for m, e in encoders.items() if weights.get(m, 1.0) > 0}
    sums, degraded = _combined(request.terms, asked, schema, stored)
    vectors = tuple(
        QueryVector(space, _unit(sums[space.name]), weights.get(space.modality, 1.0))
        for space in schema.spaces
        if space.name in sums
    )
    words = " ".join(t.text for t in request.terms if isinstance(t, TextTerm) and t.weight > 0) or None
    if fusion.method == "max" or (fusion.lexical_weight == 0 and fusion.method == "hybrid"):
        words = None
    if not vectors and words is None:
        if degraded:
            raise EncoderError(f"no encoder is able to answer: {', '.join(degraded)} failed")
        raise NothingToSearch("no term of the query reaches a modality of this index")
    plan = Plan(
        vectors=vectors,
        words=words,
        fusion=fusion,
        filter=request.filter,
        exclude=tuple(t.id for t in request.terms if isinstance(t, ItemTerm)),
        facets=request.facets,
        size=request.size,
        offset=request.offset,
        fields=request.fields,
        highlight=request.highlight,
    )
    return Planned(plan, "exact", "every document that the filter leaves is scored", degraded)


def _combined(
    terms: tuple[Term, ...],
    encoders: Mapping[str, Encoder],
    schema: Schema,
    stored: Callable[[str], StoredItem],
) -> tuple[dict[str, Vector], tuple[str, ...]]:
    """Per space the weighted sum of the terms' unit vectors, and the modalities whose encoder failed."""
    sums: dict[str, Vector] = {}
    degraded: dict[str, None] = {}
    for position, term in enumerate(terms):
        speaks_to = [m for m in encoders if term.modalities is None or m in term.modalities]
        if isinstance(term, ItemTerm):
            found = _stored_vectors(term, position, speaks_to, schema, stored)
        else:
            found = {}
            for modality in speaks_to:
                try:
                    found |= encoders[modality].encode_query(term)
                except BadInput as error:
                    raise InvalidRequest.at(f"query[{position}]", str(error)) from error
                except EncoderError:
                    degraded[modality] = None
        for space, vector in found.items():
            sums[space] = sums.get(space, np.float32(0)) + np.float32(term.weight) * vector
    return sums, tuple(degraded)


def _stored_vectors(
    term: ItemTerm, position: int, modalities: list[str], schema: Schema, stored: Callable[[str], StoredItem]
) -> dict[str, Vector]:
    """The item's own vectors. A modality with several spaces answers with its first: the one of its items' features."""
    try:
        item = stored(term.id)
    except ItemNotFound as error:
        raise InvalidRequest.at(f"query[{position}].item", str(error)) from error
    first = {space.modality: space.name for space in reversed(schema.spaces)}
    return {name: item.vectors[name] for m, name in first.items() if m in modalities and name in item.vectors}


def _unit(vector: Vector) -> Vector:
    norm = float(np.linalg.norm(vector))
    if norm < 1e-6:
        raise InvalidRequest.at("query", "the terms cancel each other out: nothing is left to look for")
    return np.ascontiguousarray(vector / np.float32(norm), dtype=np.float32)
