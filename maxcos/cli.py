"""The command line. Every command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from es_mappings.settings import Settings

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), default=Path("maxcos.toml"), show_default=True, help="Settings file."
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
@click.argument("source", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@CONFIG
@click.option("--triples", type=click.Path(path_type=Path, exists=True), help="TSV: head, relation, tail.")
@click.option("--names", type=click.Path(path_type=Path, exists=True), help="TSV: entity, language, name.")
@AS_JSON
def ingest(source: Path, config: Path, triples: Path | None, names: Path | None, as_json: bool) -> None:
    """Encode the items of SOURCE (JSON lines) and write them to the index.

    With --triples the graph is trained first if its model file is missing. What cannot be indexed goes to
    SOURCE.dead-letters.jsonl with its reason and place; the exit code is then still 0 if anything was written.
    """
    from es_mappings.errors import BadInput
    from es_mappings.settings import load_settings
    from maxcos.build import ingest_file, print_summary

    summary = ingest_file(source, load_settings(config), triples, names)
    print_summary(summary, source, as_json)
    if summary.read and not summary.written:
        raise BadInput("no record could be indexed")


@main.group()
def graph() -> None:
    """The knowledge graph's embeddings."""


@graph.command("train")
@click.argument("triples", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--names", type=click.Path(path_type=Path, exists=True), help="TSV: entity, language, name.")
@click.option("--output", type=click.Path(path_type=Path), default=Path("graph.npz"), show_default=True)
@click.option("--seed", default=0, show_default=True)
@AS_JSON
def graph_train(triples: Path, names: Path | None, output: Path, seed: int, as_json: bool) -> None:
    """Train one vector per entity of TRIPLES (TSV) and save them for serving."""
    from dataclasses import asdict

    from maxcos.build import train

    report = asdict(train(triples, names, output, seed=seed))
    click.echo(json.dumps(report) if as_json else "\n".join(f"{key:<12} {value}" for key, value in report.items()))


@main.command()
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
def serve(config: Path, host: str, port: int) -> None:
    """Serve the HTTP API and the search page."""
    from es_mappings.settings import load_settings

    _serve(load_settings(config), host, port)


@main.command()
@click.argument("words", required=False)
@CONFIG
@click.option("--image", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A picture to look for.")
@click.option("--item", help="An item to find others like.")
@click.option("--entity", help="A node of the knowledge graph.")
@click.option("--fusion", type=click.Choice(["hybrid", "max", "lexical"]), default="hybrid", show_default=True)
@click.option("--size", default=10, show_default=True, type=click.IntRange(1, 200))
@AS_JSON
def search(
    words: str | None,
    config: Path,
    image: Path | None,
    item: str | None,
    entity: str | None,
    fusion: str,
    size: int,
    as_json: bool,
) -> None:
    """Search by WORDS, a picture, an item, an entity, or several of them at once."""
    from es_mappings.settings import load_settings
    from query_api.service import SearchService

    given = {"text": words, "item": item, "entity": entity}
    terms = [{kind: value} for kind, value in given.items() if value]
    if not terms and image is None:
        raise click.UsageError("say what to look for: WORDS, --image, --item or --entity")
    settings = load_settings(config)
    service = SearchService.from_settings(settings)
    body = {"query": terms, "size": size, "fusion": {"method": fusion}}
    answer = service.search(body, image.read_bytes() if image else None)
    click.echo(json.dumps(answer, ensure_ascii=False) if as_json else _table(answer, settings.page.title))


def _table(answer: dict[str, Any], title: str) -> str:
    lines = [f"{answer['total']['value']} items, {answer['took_ms']:.0f} ms"]
    for hit in answer["hits"]:
        shares = "  ".join(
            f"{name} {share.get('cosine', share['score' if name == 'lexical' else 'cosine']):.3f}"
            for name, share in hit["contributions"].items()
            if share is not None
        )
        lines.append(
            f"{hit['score']:.4f}  {hit['modality']:<8} {hit['source'].get(title, '')}  [{hit['id']}]  {shares}"
        )
    return "\n".join(lines)


def _serve(settings: Settings, host: str, port: int) -> None:
    from maxcos.server import run

    run(settings, host, port, lambda text: click.echo(text, err=True))


if __name__ == "__main__":
    sys.exit(main())
