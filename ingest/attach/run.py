"""The run: read what changed, encode what has not been encoded like that, and write each document's vectors once.

Writes are guarded by the version that was read. A document that somebody changed meanwhile has a higher sequence number
now, so the next round reads and encodes it again; the change itself is never written over. There are two rounds at
least, so that what was added during the first is found (a round after which nothing but our own writes has happened
reads nothing), and more while there are such documents. A run can begin again
at any time: what is attached already is recognised by its hash.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from es_mappings.attached import layout_of
from es_mappings.bulk import bulk_reason
from es_mappings.cluster import Cluster
from es_mappings.companions import now
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import VECTOR_OBJECT, Schema
from es_mappings.types import Centre, EncodedItem, Item
from ingest.attach.feed import Document, Feed
from ingest.attach.target import Target, describe_target
from ingest.centres import SAMPLE, renewed, sample_centres
from ingest.encoding import Encoding, Hashes
from ingest.letters import DeadLetters
from ingest.records import Rejected
from ingest.rewriting import rewrite, without

JSON = dict[str, Any]

RANDOM: JSON = {"function_score": {"random_score": {}, "boost_mode": "replace"}}
MOST_CONFLICTS = 20
"""How often a document may change under our hands before it becomes a dead letter; the next run tries again."""


@dataclass(slots=True)
class Summary:
    """What a run did.

    read: documents looked at, again where they changed. written, unchanged: of them. conflicts: changed meanwhile, and
    read again. gone: deleted meanwhile. encoded, lost: by modality ("item": documents that could not be written).
    """

    read: int = 0
    written: int = 0
    unchanged: int = 0
    conflicts: int = 0
    gone: int = 0
    encoded: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("read", "encode", "write"), 0.0))


@dataclass(frozen=True, slots=True)
class Attaching:
    """What a run needs."""

    cluster: Cluster
    target: Target
    encoding: Encoding

    @property
    def schema(self) -> Schema:
        return self.encoding.schema

    def fields(self) -> list[str]:
        """What of a document is read."""
        sources = (name for modality in self.encoding.modalities.values() for name in modality.fields)
        return list(dict.fromkeys([*sources, *self.schema.suggest]))


def prepared(run: Attaching) -> Manifest:
    """The manifest of the index, with centres from a sample of its documents for what is not attached yet.

    Nothing is written. Raises SettingsError when the index has not what the settings name.
    """
    layout = layout_of(run.schema, run.target.properties)
    manifest = run.target.manifest(run.schema, run.encoding.only or ())
    if manifest is not None and not manifest.stale:
        return replace(manifest, layout=layout)
    items = [document.item for document in sample(run, SAMPLE)]
    encoding = run.encoding if manifest is not None else replace(run.encoding, only=None)
    encoded, _ = encoding.encode(items)
    centres = sample_centres(encoded, run.schema, run.encoding.encoders)
    if manifest is None:
        return Manifest(centres=centres, layout=layout)
    return replace(manifest, centres=renewed(manifest, centres), layout=layout)


def sample(run: Attaching, size: int) -> list[Document]:
    """Random documents."""
    body = {
        "query": RANDOM,
        "size": size,
        "_source": run.fields(),
    }
    hits = run.cluster.request("POST", f"/{run.target.name}/_search", body=body)["hits"]["hits"]
    return [Document(Item(hit["_id"], {"id": hit["_id"], **hit.get("_source", {})}), {}, {}) for hit in hits]


def attach(
    run: Attaching,
    manifest: Manifest,
    summary: Summary,
    dead_letters: Path,
    *,
    on_progress: Callable[[int], object] = lambda _: None,
    wait: Callable[[], bool] = lambda: False,
) -> None:
    """Attach vectors to every document of the target.

    summary: is added to. wait: called when nothing is left to do; False ends the run, True begins another round.
    Raises EngineError and EncoderError, which stop the run; a document that cannot be encoded or written never does.
    """
    if manifest.stale:
        # Vectors of two encoders must not meet: until the new ones are there, these documents have none.
        rewrite(run.cluster, run.target.name, *without(manifest.stale))
    describe_target(run.cluster, run.target, run.schema, replace(manifest, receipt=None))
    feed = Feed(run.cluster, run.target.name, run.fields())
    conflicts: Counter[str] = Counter()
    with DeadLetters(dead_letters) as letters:
        another, received = True, None
        while True:
            if _round(run, manifest.centres, feed, summary, conflicts, letters, on_progress) or another:
                another = False
                continue
            if received != summary.written:
                _receive(run, manifest)
                received = summary.written
            if not wait():
                return


def _receive(run: Attaching, manifest: Manifest) -> None:
    """Note that all documents are attached, and let searches find them."""
    run.cluster.request("POST", f"/{run.target.name}/_refresh")
    items = run.cluster.request("GET", f"/{run.target.name}/_count")["count"]
    receipt = Receipt(int(items), f"attached to {run.target.name}")
    describe_target(run.cluster, run.target, run.schema, replace(manifest, receipt=receipt))


def _round(
    run: Attaching,
    centres: Mapping[str, Centre],
    feed: Feed,
    summary: Summary,
    conflicts: Counter[str],
    letters: DeadLetters,
    on_progress: Callable[[int], object],
) -> bool:
    """Read everything that changed since the round before; whether documents changed while they were encoded."""
    more = False
    pages = feed.changes()
    while True:
        started = time.perf_counter()
        page = next(pages, None)
        summary.seconds["read"] += time.perf_counter() - started
        if page is None:
            return more
        started = time.perf_counter()
        actions, lost = _updates(run, page, centres, summary)
        summary.seconds["encode"] += time.perf_counter() - started
        started = time.perf_counter()
        places = {document.item.id: document.item for document in page}
        for identifier, status, answer in _written(run.cluster, actions):
            if status == 200:
                summary.written += 1
                feed.own += answer["result"] != "noop"
            elif status == 404:
                summary.gone += 1
            elif status == 409:
                summary.conflicts += 1
                conflicts[identifier] += 1
                more |= conflicts[identifier] < MOST_CONFLICTS
                if conflicts[identifier] == MOST_CONFLICTS:
                    reason = f"changed {MOST_CONFLICTS} times while it was encoded: attach again when it rests"
                    lost.append(Rejected(places[identifier].place, reason, identifier))
            else:
                lost.append(Rejected(places[identifier].place, bulk_reason(answer), identifier))
        summary.seconds["write"] += time.perf_counter() - started
        for letter in lost:
            letters.add(letter)
            summary.lost[letter.lost] += 1
        summary.read += len(page)
        summary.unchanged += len(page) - len(actions)
        on_progress(len(page))


# --- one page


def _updates(
    run: Attaching, page: Sequence[Document], centres: Mapping[str, Centre], summary: Summary
) -> tuple[list[JSON], list[Rejected]]:
    """The guarded updates of those documents that have changed, and what could not be encoded."""
    items = [document.item for document in page]
    wanted = run.encoding.hashes(items, centres)
    stored = [document.attached.get("hash") or {} for document in page]
    stale = {
        modality: [i for i in range(len(page)) if wanted[i][modality] != stored[i].get(modality)]
        for modality in run.encoding.chosen
    }
    encoded, lost = run.encoding.encode(items, {m: [i for i in found if wanted[i][m]] for m, found in stale.items()})
    kept, off = run.encoding.centre(encoded, centres)
    failed = {(letter.place, letter.lost) for letter in (*lost, *off)}
    moment = now()
    actions = []
    for i, document in enumerate(page):
        changed = [modality for modality, found in stale.items() if i in found]
        hashes = {m: None if (document.item.place, m) in failed else wanted[i][m] for m in changed}
        change = _change(run.schema, document, hashes, kept[i])
        if change:
            summary.encoded.update(m for m in changed if hashes[m] is not None)
            doc = {VECTOR_OBJECT: {**change, "encoded": moment}}
            where = {"_op_type": "update", "_index": run.target.name, "_id": document.item.id}
            actions.append({**where, **document.version, "doc": doc})
    return actions, [*lost, *off]


def _change(schema: Schema, document: Document, hashes: Hashes, encoded: EncodedItem) -> JSON:
    """The members of the attached object that have to change: empty where nothing has.

    hashes: of the modalities that were looked at again. Null takes a vector out that is no more.
    """
    stored = document.attached.get("hash") or {}
    had = set(document.attached.get("modalities") or ())
    spaces = [space for space in schema.spaces if space.modality in hashes]
    present = {space.modality for space in spaces if space.name in encoded.vectors}
    modalities = [m for m in schema.modalities if m in (present if m in hashes else had)]
    known = set(modalities) == had and document.attached.get("id") == document.item.id
    if known and all(stored.get(modality) == wanted for modality, wanted in hashes.items()):
        return {}
    vectors = {s.name: encoded.vectors.get(s.name) for s in spaces if s.modality in present | had}
    return {"id": document.item.id, "modalities": modalities, "hash": dict(hashes), **vectors}


def _written(cluster: Cluster, actions: Iterable[JSON]) -> Iterator[tuple[str, int, JSON]]:
    """Each document's id, the status of its update, and the engine's answer."""
    for _, answer in cluster.bulk(actions):
        yield answer["update"]["_id"], int(answer["update"]["status"]), answer["update"]
