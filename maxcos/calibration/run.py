"""`maxcos calibrate`: from an index and its encoders to the maps in its `_meta`, and a report on them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import orjson
from tqdm import tqdm

from encoders.contract import Encoder, load_encoders
from encoders.parts.texts import TextEncoder
from es_mappings.errors import CalibrationError, EncoderError, InvalidRequest, ItemNotFound
from es_mappings.provenance import vectors_fingerprint
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from es_mappings.types import Calibration, Centre, ItemTerm, StoredItem, TextTerm, Vector
from ingest.centres import asked_centres, words_of_titles
from ingest.sinks import open_sink
from maxcos.calibration import pseudo
from maxcos.calibration.pairs import Encode, Question, compare, matrices
from maxcos.calibration.report import Fitted, fit_and_report
from maxcos.judgments import Judged, read_judged, read_queries
from maxcos.media import pictures
from query_api.planner import combine
from query_api.searchers import Searcher, open_searcher

MOST_ASKED = 1000
"""Queries whose mean is taken; one costs some milliseconds, and the mean of 1,000 unit vectors is off by 0.03."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a calibration did. source: where the queries came from. queries: how many by kind. items: of the sample."""

    source: str
    queries: Mapping[str, int]
    items: int
    fitted: Fitted


def calibrate(
    settings: Settings,
    *,
    judged: tuple[Path, Path] | None = None,
    asked: Path | None = None,
    held_out: Sequence[str] = (),
    sample: int = 1000,
    seed: int = 0,
) -> Report:
    """Fit what queries have in common and the maps of an index, and write both into it.

    judged: files of queries and of qrels; without them the items are asked for by what they themselves hold.
    asked: a file of queries that need no judgments; what they have in common is taken off queries. Without it that is
    what the judged ones have in common, or words of titles.
    Raises CalibrationError when no space can be fitted, and what reading the files, the index and encoding raise.
    """
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    searcher = open_searcher(settings.engine, schema)
    try:
        state = searcher.state()
        items = sorted(searcher.sample(sample, seed), key=lambda item: item.id)
        queries = read_judged(*judged, schema) if judged is not None else []
        texts = _texts(read_queries(asked, schema) if asked is not None else queries)
        texts = texts or words_of_titles([item.source for item in items], schema)
        centres = asked_centres(state.manifest.centres, texts, encoders)
        many, draw = len(items), np.random.default_rng(seed)
        represents = 1.0
        if judged is not None:
            questions, items = _judged_questions(queries, items, searcher)
            represents = state.documents / max(many, 1)
            source = "judgments"
        else:
            fields = pseudo.choose_fields(settings, schema, items, held_out)
            questions = _unlearnt(_own_questions(settings, items, fields, draw), encoders)
            source = f"whole {', '.join(fields.held_out) or 'nothing'}; halves of {', '.join(fields.titles)}; pictures"
        encode = _encoder(encoders, schema, centres, searcher, strict=judged is not None)
        vectors = matrices(items, {space.name: space.dims for space in schema.spaces})
        progress = tqdm(questions, desc="calibrate", unit=" queries", disable=None)
        pairs = compare(progress, vectors, many, represents, encode, draw)
    finally:
        searcher.close()
    fitted = fit_and_report(pairs, validate=judged is not None)
    if not fitted.spaces:
        reasons = "; ".join(f"{space}: {reason}" for space, reason in fitted.left_out.items())
        raise CalibrationError(f"nothing to calibrate with ({reasons}): name fields with --held-out, or give --queries")
    _store(settings, schema, centres, fitted)
    return Report(source, dict(Counter(question.kind for question in questions)), many, fitted)


def _texts(queries: Iterable[Judged]) -> list[str]:
    """Distinct ones, MOST_ASKED random ones where there are more."""
    terms = (term for query in queries for term in query.terms)
    texts = list(dict.fromkeys(term.text for term in terms if isinstance(term, TextTerm)))
    return texts if len(texts) <= MOST_ASKED else random.Random(0).sample(texts, MOST_ASKED)


def _own_questions(
    settings: Settings, items: Sequence[StoredItem], fields: pseudo.Fields, draw: np.random.Generator
) -> list[Question]:
    texts = pseudo.text_questions(items, fields, draw)
    try:
        return [*texts, *pseudo.picture_questions(items, fields, lambda item: pictures(item, settings), draw)]
    except ImportError:  # the extra `image` is not installed, so no encoder takes pictures
        return texts


def _unlearnt(questions: Sequence[Question], encoders: Mapping[str, Encoder]) -> list[Question]:
    """Without texts that a map of queries was fitted to: it understands them better than anything that is to come."""
    maps = [encoder for encoder in encoders.values() if isinstance(encoder, TextEncoder)]
    return [
        q for q in questions if not any(m.has_learnt(t.text) for m in maps for t in q.terms if isinstance(t, TextTerm))
    ]


def _judged_questions(
    judged: Iterable[Judged], sample: Sequence[StoredItem], searcher: Searcher
) -> tuple[list[Question], list[StoredItem]]:
    """The queries with their answers, and the items: the sample first, then what else was judged.

    A judged item that the index does not hold is passed over.
    """
    items = list(sample)
    positions: dict[str, int | None] = {item.id: position for position, item in enumerate(items)}

    def position(identifier: str) -> int | None:
        if identifier not in positions:
            try:
                items.append(searcher.item(identifier))
                positions[identifier] = len(items) - 1
            except ItemNotFound:
                positions[identifier] = None
        return positions[identifier]

    questions = []
    for query in judged:
        places = {identifier: position(identifier) for identifier in query.grades}
        found = {place: query.grades[identifier] > 0 for identifier, place in places.items() if place is not None}
        own = {positions.get(term.id) for term in query.terms if isinstance(term, ItemTerm)}
        questions.append(
            Question(
                kind="judged",
                terms=query.terms,
                relevant=frozenset(place for place, relevant in found.items() if relevant),
                irrelevant=frozenset(place for place, relevant in found.items() if not relevant),
                ignored=frozenset(place for place in own if place is not None),
                label=f"query {query.id!r}: ",
            )
        )
    return questions, items


def _encoder(
    encoders: Mapping[str, Encoder], schema: Schema, centres: Mapping[str, Centre], searcher: Searcher, *, strict: bool
) -> Encode:
    """Encodes as the planner does. strict: a query that cannot be encoded is an error, else it is passed over."""

    def encode(question: Question) -> Mapping[str, Vector]:
        try:
            found, failed = combine(question.terms, encoders, schema, centres, searcher.item)
        except InvalidRequest as error:
            if strict:
                raise CalibrationError(f"{question.label}{error}") from error
            return {}
        if failed:
            raise EncoderError(f"the encoders of {', '.join(failed)} failed")
        return found

    return encode


def _store(settings: Settings, schema: Schema, centres: Mapping[str, Centre], fitted: Fitted) -> None:
    maps = {
        space: Calibration(found.slope, found.offset, found.background, vectors_fingerprint(schema, centres, space))
        for space, found in fitted.spaces.items()
    }
    sink = open_sink(settings.engine, schema)
    try:
        sink.calibrate(maps, centres)
    finally:
        sink.close()


def print_report(report: Report, as_json: bool) -> None:
    """Say what a calibration found."""
    if as_json:
        click.echo(orjson.dumps(report).decode())
        return
    fitted = report.fitted
    asked = ", ".join(f"{count} {kind}" for kind, count in report.queries.items())
    click.echo(f"{asked} queries ({report.source}) against {report.items} items")
    click.echo(f"{'space':<16}{'pairs':>9}{'relevant':>10}{'auc':>8}{'slope':>8}{'offset':>8}{'background':>12}")
    for space, found in fitted.spaces.items():
        numbers = f"{found.auc:>8.3f}{found.slope:>8.2f}{found.offset:>8.2f}{found.background:>12.4f}"
        click.echo(f"{space:<16}{found.pairs:>9}{found.relevant:>10}{numbers}")
    for space, reason in fitted.left_out.items():
        click.echo(f"{space:<16}left out: {reason}")
    losses = ", ".join(f"{name} {loss.log_loss:.4f} ({loss.brier:.5f})" for name, loss in fitted.losses.items())
    click.echo(f"log loss (Brier score) of the best: {losses}{'; cross-validated' if fitted.validated else ''}")
