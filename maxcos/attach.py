"""`maxcos attach`: vectors for an index that exists, what that would take, and how to be rid of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import orjson
from tqdm import tqdm

from encoders.contract import load_encoders
from es_mappings.attached import attach_body
from es_mappings.cluster import connect, is_embedded
from es_mappings.errors import SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, Settings
from ingest.attach.proposal import Proposal, propose
from ingest.attach.run import RANDOM, Attaching, Summary, attach, prepared, sample
from ingest.attach.target import detach, look_at
from ingest.encoding import Encoding

JSON = dict[str, Any]

ESTIMATED = 200
"""How many documents are encoded to say how long all would take."""
POLL_SECONDS = 2.0
ENGLISH = "sentence-transformers/all-MiniLM-L6-v2"
MULTILINGUAL = "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
OVERHEAD = 1.3
"""Of a vector field's floats: its bytes for the graph (a quarter), and the graph."""


@contextmanager
def opened(settings: Settings, only: Sequence[str], base: Path) -> Iterator[Attaching]:
    """What a run needs. Raises SettingsError for an index or a modality that nothing can be attached to."""
    _refuse_embedded(settings.engine)
    if not settings.modalities:
        raise SettingsError("modalities: there is none to attach; --propose writes settings for the index")
    if unknown := sorted({*only} - settings.modalities.keys()):
        raise SettingsError(f"--only: {unknown[0]!r} is not one of {', '.join(settings.modalities)}")
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    with closing(connect(settings.engine)) as cluster:
        target = look_at(cluster, settings.engine.index)
        chosen = frozenset(only) or None
        yield Attaching(cluster, target, Encoding(schema, settings.modalities, encoders, base, chosen))


def _refuse_embedded(engine: EngineSettings) -> None:
    if is_embedded(engine):
        raise SettingsError("engine.url: an embedded store is made by maxcos ingest; there is nothing to attach to")


def run_attach(settings: Settings, only: Sequence[str], base: Path, dead_letters: Path, *, follow: bool) -> Summary:
    """Attach, and with `follow` go on with what changes until SIGINT or SIGTERM. Raises what `attach` raises."""
    summary, stop = Summary(), threading.Event()
    if follow:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
    with opened(settings, only, base) as run:
        manifest = prepared(run)
        total = run.cluster.request("GET", f"/{run.target.name}/_count")["count"]
        with tqdm(desc=run.target.name, total=total, unit=" documents", disable=None) as bar:

            def on_page(documents: int) -> None:
                bar.update(documents)
                if stop.is_set():
                    raise _StoppedError

            def wait() -> bool:
                return follow and not stop.wait(POLL_SECONDS)

            with suppress(_StoppedError):
                attach(run, manifest, summary, dead_letters, on_progress=on_page, wait=wait)
    return summary


class _StoppedError(Exception):
    """A run that follows was told to stop in the middle of a round; what it has written stays."""


def estimate(settings: Settings, only: Sequence[str], base: Path) -> JSON:
    """What attaching would do and take, from encoding a sample; nothing is written."""
    with opened(settings, only, base) as run:
        manifest = prepared(run)
        documents = int(run.cluster.request("GET", f"/{run.target.name}/_count")["count"])
        items = [document.item for document in sample(run, ESTIMATED)]
        started = time.perf_counter()
        encoded, lost = run.encoding.encode(items)
        seconds = (time.perf_counter() - started) / max(len(items), 1)
        share = {
            space.name: sum(space.name in one.vectors for one in encoded) / max(len(items), 1)
            for space in run.schema.spaces
        }
        size = sum(4 * space.dims * OVERHEAD * share[space.name] for space in run.schema.spaces)
        body = attach_body(run.schema, run.target.dialect, manifest, run.target.meta)
        return {
            "index": run.target.name,
            "documents": documents,
            "layout": asdict(manifest.layout) if manifest.layout else None,
            "mapping": body["properties"],
            "share_with_vector": {name: round(found, 3) for name, found in share.items()},
            "not_encoded": len(lost),
            "encoding_s": round(seconds * documents, 1),
            "disk_mb": round(size * documents / 2**20, 1),
        }


def run_propose(engine: EngineSettings) -> Proposal:
    """Look at an index that nothing is known of. Raises SettingsError for what cannot be attached to."""
    _refuse_embedded(engine)
    with closing(connect(engine)) as cluster:
        target = look_at(cluster, engine.index)
        body = {"query": RANDOM, "size": ESTIMATED}
        hits = cluster.request("POST", f"/{target.name}/_search", body=body)["hits"]["hits"]
        return propose(target.properties, [hit.get("_source", {}) for hit in hits])


def print_proposal(found: Proposal, engine: EngineSettings, as_json: bool) -> None:
    """The proposal as a settings file."""
    click.echo(orjson.dumps(found).decode() if as_json else "\n".join(_toml(found, engine)))


def _toml(found: Proposal, engine: EngineSettings) -> Iterator[str]:
    yield f"[engine]\nurl = {_quoted(engine.url)}\nindex = {_quoted(engine.index)}\n"
    yield "[lexical]"
    yield f"fields = {_quoted([f'{name}^2' if i == 0 else name for i, name in enumerate(found.text)])}"
    yield f"filters = {_quoted(found.filters)}"
    yield f"facets = {_quoted(found.facets)}"
    if found.nested:
        yield f"nested = {_quoted(found.nested)}"
    if found.ids:
        yield f"# Hardly two documents share a value of {', '.join(found.ids)}: an id, perhaps no filter."
    if found.text:
        language = "some are Chinese, Japanese or Korean" if found.han else "any sentence encoder serves"
        yield f"\n# Texts ({language}); docs/quickstart.md tells what else makes vectors of texts."
        model = MULTILINGUAL if found.han else ENGLISH
        yield '[modalities.text]\nencoder = "transformers"'
        yield f"model = {_quoted(model)}\nsource = {_quoted(found.text[:2])}"
    if found.pictures:
        yield "\n# Pictures; their paths start from --base. The model is a file of weights."
        yield '[modalities.image]\nencoder = "torchvision"\nmodel = "mobilenet_v2.pth"'
        yield f"source = {_quoted(found.pictures[0])}"
    if found.urls:
        yield f"\n# {', '.join(found.urls)}: addresses of pictures, which are not fetched; have them as files."
    if found.facets:
        yield f"\n# {', '.join(found.facets)}: values that documents share; a graph of them makes a third modality:"
        yield '# [modalities.graph]\n# encoder = "graph"\n# model = "graph.npz"\n# source = "id"'
    for name, reason in found.left.items():
        yield f"# {name}: {reason}"


def _quoted(value: object) -> str:
    # Strings and lists of strings are written in TOML as in JSON.
    return orjson.dumps(value).decode()


def run_detach(engine: EngineSettings) -> JSON:
    """Take everything out that can be."""
    with closing(connect(engine)) as cluster:
        target = look_at(cluster, engine.index)
        return {"index": target.name, "documents": detach(cluster, target)}


def print_summary(summary: Summary, dead_letters: Path, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(summary).decode())
        return
    encoded = ", ".join(f"{count} {modality}" for modality, count in summary.encoded.items())
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in summary.seconds.items())
    click.echo(
        f"{summary.read} documents read, {summary.written} written, {summary.unchanged} unchanged, "
        f"{summary.conflicts} changed meanwhile and read again, {summary.gone} deleted meanwhile"
    )
    click.echo(f"encoded: {encoded or 'none'}; {seconds}")
    if summary.lost:
        lost = ", ".join(f"{count} x {what}" for what, count in summary.lost.items())
        click.echo(f"not attached: {lost}; the reasons are in {dead_letters}")


def print_estimate(found: JSON, as_json: bool) -> None:
    if as_json:
        click.echo(orjson.dumps(found).decode())
        return
    shares = ", ".join(f"{share:.0%} {space}" for space, share in found["share_with_vector"].items())
    click.echo(f"{found['index']}: {found['documents']} documents; of a sample {shares} can be encoded")
    click.echo(f"about {found['encoding_s']:.0f} s to encode, writing apart, and {found['disk_mb']:.0f} MB of disk")
    click.echo("to be added to the mapping:")
    click.echo(orjson.dumps(found["mapping"], option=orjson.OPT_INDENT_2).decode())
