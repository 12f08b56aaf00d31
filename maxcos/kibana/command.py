"""`maxcos kibana export`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click
import orjson

from encoders.contract import load_encoders
from es_mappings.schema import Schema, build_schema
from es_mappings.settings import Settings
from maxcos.kibana.console import Request, as_text, of_search, requests
from maxcos.kibana.contents import saved_objects
from query_api.service import SearchService


def export(settings: Settings, out: Path | None, console: Path | None, words: str | None) -> None:
    """Write the saved objects to a file or to standard output, and requests for the Console if they are asked for.

    words: a search for them is among the requests, for which the engine is asked.
    Raises SettingsError, EncoderError, and with words what `SearchService.search` raises.
    """
    schema = build_schema(settings.lexical, load_encoders(settings.modalities).values())
    objects = saved_objects(settings, schema)
    lines = b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in objects)
    if out is None:
        click.echo(lines, nl=False)
    else:
        out.write_bytes(lines)
    if console is not None:
        console.write_text(as_text(console_requests(settings, schema, words)), "utf-8")
    kinds = [one["type"] for one in objects]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    click.echo(f"{len(objects)} saved objects ({counts})", err=True)
    if settings.log.index is None:
        click.echo("without log.index there is no query log: panels about searches are left out", err=True)


def console_requests(settings: Settings, schema: Schema, words: str | None) -> list[Request]:
    asked = requests(settings, schema)
    if words is None:
        return asked
    with closing(SearchService.from_settings(settings)) as service:
        answer = service.search({"query": words, "explain": "engine"})
    return [*asked, *of_search(words, answer["explain"])]
