"""The command line. Every command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from maxcos.keys import keys

if TYPE_CHECKING:
    from es_mappings.settings import Settings

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("maxcos.toml"), show_default=True, help="Settings file."
)
TRIPLES = click.Path(path_type=Path, exists=True, dir_okay=False)
INTERACTIONS = click.option(
    "--interactions",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="TSV: user, item, weight, time; the last two may be left out.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _Group(click.Group):
    """Turns the errors of maxcos into one line on stderr and exit code 1; wrong usage stays click's exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        from es_mappings.errors import MaxcosError

        try:
            return super().invoke(ctx)
        except MaxcosError as error:
            click.echo(f"maxcos: {error.title.lower()}: {error}", err=True)
            ctx.exit(1)


@click.group(cls=_Group)
@click.version_option(package_name="maxcos")
def main() -> None:
    """Hybrid search: BM25 beside the maximum cosine over text, image and graph vectors."""


@main.command()
@click.option("--engine", default=None, metavar="URL", help="embedded:PATH (default) or http(s)://HOST:PORT.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--folder", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Its data.")
@click.option("--build-only", is_flag=True, help="Build the index and stop.")
def demo(engine: str | None, port: int, folder: Path, build_only: bool) -> None:
    """Build the demo catalogue's index if it is missing, and serve it on this machine."""
    from maxcos.demo import build

    settings = build(folder, engine, click.echo)
    if not build_only:
        _serve(settings, "127.0.0.1", port)


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@CONFIG
@click.option("--triples", type=click.Path(path_type=Path, exists=True), help="TSV (head, relation, tail) or .nt.")
@click.option("--names", type=click.Path(path_type=Path, exists=True), help="TSV: entity, language, name.")
@INTERACTIONS
@click.option("--only", multiple=True, metavar="MODALITY", help="Encode only this modality. May be given again.")
@click.option("--check", is_flag=True, help="Only read and validate; exit code 1 if a record would be lost.")
@click.option(
    "--replay", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Dead letters, instead of SOURCE."
)
@AS_JSON
def ingest(
    source: Path | None,
    config: Path,
    triples: Path | None,
    names: Path | None,
    interactions: Path | None,
    only: tuple[str, ...],
    check: bool,
    replay: Path | None,
    as_json: bool,
) -> None:
    """Encode the items of SOURCE and write them to the index; only what is new there or has changed.

    SOURCE: JSON lines, CSV or TSV with a header (all of them also as .gz), Parquet, or a folder of pictures with
    metadata; docs/ingest.md has the details. With --triples, --interactions or both the graph is trained first if its
    model file is missing.
    What cannot be indexed goes to SOURCE's name with .dead-letters.jsonl, with its reason and place; the exit code is
    then still 0 if anything was written. --replay puts such a file in again, and leaves it as it is.
    """
    from es_mappings.errors import BadInput
    from es_mappings.settings import load_settings
    from maxcos import build

    if (source is None) == (replay is None) or (replay and (check or only)):
        raise click.UsageError("give a SOURCE, or --replay alone with a file of dead letters")
    settings = load_settings(config)
    if source is not None and check:
        report = build.check_file(source, settings)
        build.print_report(report, as_json)
        sys.exit(1 if report.lost else 0)
    if source is not None:
        summary = build.ingest_file(source, settings, triples, names, only, interactions=interactions)
    else:
        assert replay is not None  # one of both is given
        summary, source = build.replay(replay, settings), replay
    build.print_summary(summary, source, as_json)
    if summary.read and not (summary.written or summary.unchanged or summary.deleted):
        raise BadInput("no record could be indexed")


@main.command()
@CONFIG
@click.option("--index", help="The index to attach to. Default: engine.index of the settings.")
@click.option("--only", multiple=True, metavar="MODALITY", help="Encode only this modality. May be given again.")
@click.option(
    "--base", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Where pictures' paths start from."
)
@click.option("--propose", is_flag=True, help="Print settings for the index, from its mapping and a sample of it.")
@click.option("--engine", metavar="URL", help="With --propose: the cluster; no settings file is read.")
@click.option("--dry-run", is_flag=True, help="Say what would be added, and what it would take. Writes nothing.")
@click.option("--follow", is_flag=True, help="Go on with documents that are added or changed, until stopped.")
@click.option("--detach", is_flag=True, help="Take the vectors out of all documents again.")
@AS_JSON
def attach(
    config: Path,
    index: str | None,
    only: tuple[str, ...],
    base: Path | None,
    propose: bool,
    engine: str | None,
    dry_run: bool,
    follow: bool,
    detach: bool,
    as_json: bool,
) -> None:
    """Give an index that exists vectors, in place: fields are added to its mapping, and one update to each document.

    It may run again at any time, and encodes only what is new or has changed. What cannot be encoded or written goes to
    INDEX.dead-letters.jsonl with its reason.
    """
    from es_mappings.settings import load_settings
    from maxcos import attach as attaching

    if propose + dry_run + follow + detach > 1:
        raise click.UsageError("--propose, --dry-run, --follow and --detach exclude each other")
    if engine and not propose:
        raise click.UsageError("--engine goes with --propose; else the settings name the engine")
    settings = load_settings(None if engine else config)
    if engine is not None:
        settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"url": engine})})
    if index is not None:
        settings = settings.model_copy(update={"engine": settings.engine.model_copy(update={"index": index})})
    start = base or config.parent
    if propose:
        attaching.print_proposal(attaching.run_propose(settings.engine), settings.engine, as_json)
    elif detach:
        done = attaching.run_detach(settings.engine)
        text = f"{done['index']}: {done['documents']} documents have no vectors any more"
        click.echo(json.dumps(done) if as_json else f"{text}; the mapping keeps their fields until it is reindexed")
    elif dry_run:
        attaching.print_estimate(attaching.estimate(settings, only, start), as_json)
    else:
        letters = Path(f"{settings.engine.index}.dead-letters.jsonl")
        summary = attaching.run_attach(settings, only, start, letters, follow=follow)
        attaching.print_summary(summary, letters, as_json)


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@CONFIG
@click.option("--triples", type=click.Path(path_type=Path, exists=True), help="TSV: head, relation, tail.")
@click.option("--names", type=click.Path(path_type=Path, exists=True), help="TSV: entity, language, name.")
@INTERACTIONS
@click.option("--replace", is_flag=True, help="The old index may be deleted where it cannot be kept.")
@click.option("--fewer", is_flag=True, help="The new index may hold fewer items than the old one.")
@click.option("--drop-old", "drop", is_flag=True, help="Instead: delete what the last rebuild has kept.")
@AS_JSON
def rebuild(
    source: Path | None,
    config: Path,
    triples: Path | None,
    names: Path | None,
    interactions: Path | None,
    replace: bool,
    fewer: bool,
    drop: bool,
    as_json: bool,
) -> None:
    """Build the index anew from SOURCE beside the old one, compare them, and let it take the old one's place.

    Readers find the old index until the very moment when they find the new one. When anything fails, the new index is
    deleted and nothing has changed. The old one is kept until `maxcos rebuild --drop-old`.
    """
    from es_mappings.settings import load_settings
    from maxcos.rebuild.run import drop_old, print_report, rebuild

    if drop == (source is not None):
        raise click.UsageError("give either SOURCE or --drop-old")
    settings = load_settings(config)
    if source is None:
        dropped = drop_old(settings)
        click.echo(json.dumps({"dropped": dropped}) if as_json else f"dropped: {dropped or 'nothing was kept'}")
        return
    report = rebuild(
        source, settings, triples=triples, names=names, interactions=interactions, replace=replace, fewer=fewer
    )
    print_report(report, settings, source, as_json)


def _print_values(values: Mapping[str, Any], as_json: bool) -> None:
    click.echo(json.dumps(values) if as_json else "\n".join(f"{key:<12} {value}" for key, value in values.items()))


@main.group()
def graph() -> None:
    """The knowledge graph's embeddings."""


@graph.command("train")
@click.argument("triples", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--names", type=click.Path(path_type=Path, exists=True), help="TSV: entity, language, name.")
@INTERACTIONS
@click.option("--output", type=click.Path(path_type=Path), default=Path("graph.npz"), show_default=True)
@click.option(
    "--model",
    help="Default: lightgcn with --interactions, else cosine-distmult. Or transe, distmult, complex, rotate, compgcn: "
    "link predictors, see docs/graph.md.",
)
@click.option("--valid", type=TRIPLES, help="Triples to validate by. Default: a few of TRIPLES.")
@click.option("--known", type=TRIPLES, multiple=True, help="More triples that validation takes for true.")
@click.option("--dims", type=click.IntRange(1), help="Default: the model's own.")
@click.option("--epochs", type=click.IntRange(1), help="At most so many. Default: the model's own.")
@click.option("--seed", default=0, show_default=True)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the state after every epoch, from which the same command goes on, and for TensorBoard's logs.",
)
@AS_JSON
def graph_train(
    triples: Path | None,
    names: Path | None,
    interactions: Path | None,
    output: Path,
    model: str | None,
    valid: Path | None,
    known: tuple[Path, ...],
    dims: int | None,
    epochs: int | None,
    seed: int,
    checkpoint: Path | None,
    as_json: bool,
) -> None:
    """Train one vector per entity of TRIPLES (TSV), of what users did with items, or of both, and save them."""
    from dataclasses import asdict

    from maxcos.build import train

    if triples is None and interactions is None:
        raise click.UsageError("give TRIPLES, --interactions or both")
    report = asdict(
        train(
            triples,
            names,
            output,
            interactions=interactions,
            model=model,
            valid=valid,
            known=known,
            dims=dims,
            epochs=epochs,
            seed=seed,
            checkpoint=checkpoint,
        )
    )
    _print_values(report, as_json)


@graph.command("update")
@click.argument("model", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--triples", type=TRIPLES, help="All triples of today.")
@click.option("--names", type=TRIPLES, help="All names of today.")
@INTERACTIONS
@AS_JSON
def graph_update(
    model: Path, triples: Path | None, names: Path | None, interactions: Path | None, as_json: bool
) -> None:
    """Bring MODEL, a trained .npz, to the graph of today without training: new and changed nodes get vectors.

    All other vectors stay as they are, so that the next `maxcos ingest` writes the items of changed ones alone. What is
    not given stays as the file has it.
    """
    from dataclasses import asdict

    from maxcos.build import update

    report = update(model, triples=triples, names=names, interactions=interactions)
    counts = f"{report.new} new, {report.changed} changed, {report.unchanged} unchanged, {report.gone} gone"
    click.echo(json.dumps(asdict(report)) if as_json else f"{model}: {counts}; {report.triples} triples")


@graph.command("eval")
@click.argument("model", type=click.Path(path_type=Path, exists=True))
@click.option("--test", type=TRIPLES, required=True, help="Triples (TSV) to predict.")
@click.option("--known", type=TRIPLES, multiple=True, help="More triples that count as true, such as those of --valid.")
@AS_JSON
def graph_eval(model: Path, test: Path, known: tuple[Path, ...], as_json: bool) -> None:
    """Predict links with MODEL, a trained .npz or a checkpoint's folder: filtered MRR and hits, both directions."""
    from dataclasses import asdict

    from maxcos.build import evaluate

    _print_values(asdict(evaluate(model, test, known)), as_json)


@main.command()
@CONFIG
@click.option("--queries", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="JSON lines: id, query.")
@click.option(
    "--qrels", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="TREC: query, 0, item, grade."
)
@click.option("--asked", type=TRIPLES, help="JSON lines of queries without judgments: what people really ask.")
@click.option(
    "--held-out", multiple=True, metavar="FIELD", help="Whose values to ask. Default: names no encoder reads."
)
@click.option("--sample", default=1000, show_default=True, type=click.IntRange(10, 10_000), help="Items to ask about.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@AS_JSON
def calibrate(
    config: Path,
    queries: Path | None,
    qrels: Path | None,
    asked: Path | None,
    held_out: tuple[str, ...],
    sample: int,
    seed: int,
    as_json: bool,
) -> None:
    """Fit how probable relevance is at a cosine, for each vector field of the index, and write it into the index.

    Without --queries and --qrels the items are asked for by what they hold themselves: a title in another language,
    half of the title's words, a part of the picture. What queries have in common says nothing about what is meant, and
    is taken off them: that of --asked, of --queries, or of words of titles.
    """
    from es_mappings.settings import load_settings
    from maxcos.calibration.run import calibrate, print_report

    if (queries is None) != (qrels is None):
        raise click.UsageError("--queries and --qrels belong together")
    if queries is not None and held_out:
        raise click.UsageError("--held-out makes queries of items, --queries brings its own: give one of them")
    judged = (queries, qrels) if queries is not None and qrels is not None else None
    report = calibrate(load_settings(config), judged=judged, asked=asked, held_out=held_out, sample=sample, seed=seed)
    print_report(report, as_json)


@main.command("eval")
@CONFIG
@click.option("--queries", type=TRIPLES, help="JSON lines: id, query, perhaps language.")
@click.option("--qrels", type=TRIPLES, help="TREC: query, 0, item, grade.")
@click.option("--ablate", is_flag=True, help="Also leave out one modality at a time.")
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write all of it there.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page with plots there.")
@click.option("--benchmark", metavar="NAME", help="Public data instead: emoji-zh, emoji-en, emoji, appstream, hpo.")
@click.option("--split", type=click.Choice(["dev", "test"]), default="test", show_default=True, help="Of a benchmark.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("benchmark"),
    show_default=True,
    help="A benchmark's data.",
)
@click.option("--engine", metavar="URL", help="Where a benchmark's index is made. Default: embedded in its folder.")
def evaluate(
    config: Path,
    queries: Path | None,
    qrels: Path | None,
    ablate: bool,
    output: Path | None,
    html: Path | None,
    benchmark: str | None,
    split: Literal["dev", "test"],
    folder: Path,
    engine: str | None,
) -> None:
    """Ask judged queries by words, by each modality, and by every fusion of them, and say what each is worth.

    nDCG@10, MRR@10 and recall@100 with intervals, paired differences, the time of a query, and who decides the first
    hits; by language, if the queries name theirs.
    """
    from es_mappings.settings import load_settings
    from maxcos.evaluation import benchmark as benchmarks
    from maxcos.evaluation import report as reports

    if (queries is None) != (qrels is None) or (benchmark is None) == (queries is None):
        raise click.UsageError("give --queries with --qrels, or --benchmark")
    if benchmark is not None:
        settings, files = benchmarks.build(benchmark, folder, engine, lambda text: click.echo(text, err=True))
        queries, qrels = files.queries(split), files.qrels(split)
    else:
        settings = load_settings(config)
    assert queries is not None and qrels is not None  # one of both ways gave them
    found = reports.evaluate(settings, queries, qrels, ablate=ablate)
    reports.print_report(found)
    if output is not None:
        output.write_text(reports.as_json(found) + "\n", "utf-8")
    if html is not None:
        from maxcos.evaluation.page import write_page

        write_page(found, settings, html)


@main.command()
@CONFIG
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Default: align.npz beside the settings; of adapters the folder align-lora.",
)
@click.option("--modality", help="Default: the first that can be aligned.")
@click.option("--lora", metavar="RANK", type=click.IntRange(1, 256), help="LoRA adapters for queries, see below.")
@click.option("--classes", metavar="FIELD", help="Whose values to classify by. Default: the first facet with a few.")
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for the state after every epoch, from which the same command goes on, and for TensorBoard's logs.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@AS_JSON
def align(
    config: Path,
    output: Path | None,
    modality: str | None,
    lora: int | None,
    classes: str | None,
    checkpoint: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Learn from the index's items where pictures belong among texts, and keep that only if it finds them better.

    With --modality of a text encoder: learn from names that it has not read, such as synonyms, what queries mean.
    With --lora too, where its encoder is transformers: by adapters of its network, of this rank, instead of a map.

    Pictures are read below page.media. Judged by the titles of items that were not learnt from; without a clear win
    over what there is, nothing is written and the exit code is still 0.
    """
    from encoders.parts.weights import require
    from es_mappings.errors import EncoderError
    from es_mappings.settings import load_settings

    try:
        require("torch", "scipy", *(["peft"] if lora else []))
    except ImportError as error:
        raise EncoderError(f"aligning needs the package {error.name!r}: install the extra 'train'") from error
    from maxcos.alignment.report import print_report
    from maxcos.alignment.run import align

    settings = load_settings(config)
    target = output or config.parent / ("align-lora" if lora else "align.npz")
    if target.exists() and target.is_dir() != bool(lora):
        raise click.BadParameter(f"{target} is {'no' if lora else 'a'} folder", param_hint="--output")
    report = align(settings, target, modality=modality, classes=classes, checkpoint=checkpoint, seed=seed, lora=lora)
    print_report(report, config, as_json)


@main.command()
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve(config: Path, host: str, port: int) -> None:
    """Serve the HTTP API and the search page."""
    from es_mappings.settings import load_settings

    _serve(load_settings(config), host, port)


main.add_command(keys)


@main.command()
@click.argument("words", required=False)
@CONFIG
@click.option("--image", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A picture to look for.")
@click.option("--item", help="An item to find others like.")
@click.option("--entity", help="A node of the knowledge graph.")
@click.option("--user", help="Somebody whose interactions the graph was trained with.")
@click.option("--fusion", type=click.Choice(["hybrid", "max", "rrf", "lexical"]), default="hybrid", show_default=True)
@click.option("--calibration", type=click.Choice(["fitted", "raw"]), help="Default: fitted where the index has maps.")
@click.option("--plan", type=click.Choice(["auto", "exact", "ann"]), default="auto", show_default=True)
@click.option(
    "--filter", "clause", metavar="JSON", help="""Such as '{"category": "Office"}'; docs/query.md has it all."""
)
@click.option("--size", default=10, show_default=True, type=click.IntRange(1, 200))
@AS_JSON
def search(
    words: str | None,
    config: Path,
    image: Path | None,
    item: str | None,
    entity: str | None,
    user: str | None,
    fusion: str,
    calibration: str | None,
    plan: str,
    clause: str | None,
    size: int,
    as_json: bool,
) -> None:
    """Search by WORDS, a picture, an item, an entity, a user, or several of them at once."""
    from es_mappings.settings import load_settings
    from query_api.service import SearchService

    given = {"text": words, "item": item, "entity": entity, "user": user}
    terms = [{kind: value} for kind, value in given.items() if value]
    if not terms and image is None:
        raise click.UsageError("say what to look for: WORDS, --image, --item, --entity or --user")
    settings = load_settings(config)
    service = SearchService.from_settings(settings)
    body = {
        "query": terms,
        "size": size,
        "fusion": {"method": fusion, "calibration": calibration},
        "plan": plan,
        "filter": _json_option("--filter", clause) if clause else None,
    }
    answer = service.search(body, image.read_bytes() if image else None)
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else _table(answer, settings.page.title))


@main.command()
@click.argument("identifier", metavar="ID")
@click.argument("words", required=False)
@CONFIG
@click.option("--image", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A picture looked for.")
@AS_JSON
def why(identifier: str, words: str | None, config: Path, image: Path | None, as_json: bool) -> None:
    """Why the item ID is a hit for WORDS or a picture: what each word and each part of its picture is worth."""
    from es_mappings.settings import load_settings
    from maxcos.why import table
    from query_api.service import SearchService

    if not words and image is None:
        raise click.UsageError("say what was looked for: WORDS or --image")
    body = {"query": words, "id": identifier}
    answer = SearchService.from_settings(load_settings(config)).why(body, image.read_bytes() if image else None)
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else table(answer))


@main.command()
@CONFIG
@AS_JSON
def doctor(config: Path, as_json: bool) -> None:
    """Look at the engine, the index and the settings, and say what is wrong and what to do about it.

    The exit code is 1 when a check failed; warnings leave it at 0.
    """
    from dataclasses import asdict

    from es_mappings.settings import load_settings
    from maxcos.doctor import examine

    marks = {"ok": "ok      ", "warning": "warning ", "failed": "FAILED  "}
    findings = []
    for finding in examine(load_settings(config)):
        findings.append(finding)
        if not as_json:
            click.echo(f"{marks[finding.status]}{finding.check}: {finding.detail}")
            if finding.remedy:
                click.echo(f"        -> {finding.remedy}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False))
    if any(finding.status == "failed" for finding in findings):
        sys.exit(1)


@main.command()
@CONFIG
@click.option(
    "--near", default=0.95, show_default=True, type=click.FloatRange(0.5, 0.999), help="Near-duplicates: cosine."
)
@click.option(
    "--compare", default=20_000, show_default=True, type=click.IntRange(100), help="Items compared; or a sample."
)
@click.option("--limit", default=10, show_default=True, type=click.IntRange(0), help="Cases shown of each finding.")
@AS_JSON
def audit(config: Path, near: float, compare: int, limit: int, as_json: bool) -> None:
    """Look at the quality of the index's data, and name what is wrong or odd, the worst first.

    Missing modalities, duplicates, broken vectors, modalities that disagree and which of them is wrong, items far from
    all others, texts in a script that their field is not for. Nothing is written; findings leave the exit code at 0.
    """
    from es_mappings.settings import load_settings
    from maxcos.audit.report import audit, print_report

    print_report(audit(load_settings(config), near_from=near, compared=compare), limit, as_json)


@main.group()
def kibana() -> None:
    """What Kibana shows of an index and of the searches in it."""


@kibana.command("export")
@CONFIG
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: standard output.")
@click.option(
    "--console", type=click.Path(path_type=Path, dir_okay=False), help="Also write requests for Kibana's Console there."
)
@click.option("--query", "words", help="With --console: also what a search for these words sends to the engine.")
def kibana_export(config: Path, out: Path | None, console: Path | None, words: str | None) -> None:
    """Write data views, saved searches and a dashboard as NDJSON, to be imported by Kibana 8 (from 8.14) and 9.

    A dashboard of searches needs the query log (log.index). An import of the same index takes the place of the last.
    """
    from es_mappings.settings import load_settings
    from maxcos.kibana.command import export

    if words and console is None:
        raise click.UsageError("--query goes with --console")
    export(load_settings(config), out, console, words)


@main.group()
def bench() -> None:
    """Measure an engine on synthetic data."""


@bench.command("query")
@click.option("--engine", required=True, metavar="URL", help="embedded:PATH or http(s)://HOST:PORT.")
@click.option("--documents", multiple=True, type=click.IntRange(1000), default=(50_000, 200_000), show_default=True)
@click.option("--shards", multiple=True, type=click.IntRange(1, 64), default=(1, 4), show_default=True)
@click.option("--dims", type=click.IntRange(8, 4096), default=384, show_default=True)
@click.option("--queries", type=click.IntRange(1), default=50, show_default=True)
@click.option("--segments", type=click.IntRange(1), help="Merge each shard to so many first. Default: leave them.")
@click.option("--keep", is_flag=True, help="Leave the indices maxcos-bench-* for the next run.")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Also write the figures there, as JSON."
)
def bench_query(
    engine: str,
    documents: tuple[int, ...],
    shards: tuple[int, ...],
    dims: int,
    queries: int,
    segments: int | None,
    keep: bool,
    output: Path | None,
) -> None:
    """Exact and approximate search against numpy and against the bare client, for each size and number of shards.

    Prints JSON: milliseconds at the client and in the engine, their ratios, and the recall of approximate search.
    """
    from es_mappings.cluster import is_embedded
    from es_mappings.settings import EngineSettings
    from maxcos.bench.query import run

    parts = (1,) if is_embedded(EngineSettings(url=engine)) else shards
    found = [
        run(
            engine,
            size,
            part,
            dims=dims,
            queries=queries,
            segments=segments,
            keep=keep,
            say=lambda text: click.echo(text, err=True),
        )
        for size in documents
        for part in parts
    ]
    text = json.dumps(found, indent=2)
    click.echo(text)
    if output:
        output.write_text(text + "\n", "utf-8")


@bench.command("ingest")
@click.option("--engine", required=True, metavar="URL", help="http(s)://HOST:PORT.")
@click.option("--documents", multiple=True, type=click.IntRange(256), default=(10_000, 40_000), show_default=True)
@click.option("--dims", type=click.IntRange(8, 4096), default=384, show_default=True)
@click.option("--layers", type=click.IntRange(1, 1000), default=100, show_default=True, help="Cost of its encoder.")
def bench_ingest(engine: str, documents: tuple[int, ...], dims: int, layers: int) -> None:
    """The pipeline against its encoder alone and against a bare client's bulk requests alone, for each size.

    Prints JSON: documents per second, their ratios, and the most memory used so far, sizes growing.
    """
    # One thread, as our encoders have: numpy's own wait for work in a loop, and take the processor from who has some.
    os.environ.update(dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    from maxcos.bench.ingest import run

    found = [
        run(engine, size, dims=dims, layers=layers, say=lambda text: click.echo(text, err=True))
        for size in sorted(documents)
    ]
    click.echo(json.dumps(found, indent=2))


def _json_option(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise click.BadOptionUsage(name, f"{name} is not JSON: {error}") from error


def _table(answer: dict[str, Any], title: str) -> str:
    """One line on the whole, then one per hit: score, what decided it, title, id, what each modality gave."""
    plan, total = answer["plan"], answer["total"]
    of = "matching items" if total["of"] == "matching" else "items"
    how = f"{plan['fusion']['method']} {plan['fusion']['calibration']} {plan['kind']}"
    lines = [f"the best of {total['value']} {of}, {how}, {answer['took_ms']:.0f} ms"]
    for hit in answer["hits"]:
        shares = "  ".join(_share(name, s) for name, s in hit["contributions"].items() if s is not None)
        lines.append(
            f"{hit['score']:.4f}  {hit['modality']:<10} {hit['source'].get(title, '')}  [{hit['id']}]  {shares}"
        )
    return "\n".join(lines)


def _share(name: str, share: dict[str, Any]) -> str:
    """A cosine or a keyword score, and under rrf the rank that it gave."""
    number = f"{name} {share['score' if name == 'lexical' else 'cosine']:.3f}"
    return f"{number} #{share['rank']}" if share.get("rank") else number


def _serve(settings: Settings, host: str, port: int) -> None:
    from maxcos.server import run

    run(settings, host, port, lambda text: click.echo(text, err=True))


if __name__ == "__main__":
    sys.exit(main())
