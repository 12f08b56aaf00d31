"""What noise in queries costs: the bilingual emoji, asked with typing errors, other forms of characters, and emoji.

    python benchmarks/noisy_queries.py --config benchmark/emoji/maxcos.toml [--queries 500] [--output FILE]

Noises: `typo` (two neighbouring letters of each word of four letters or more change places, or one is missing), `upper`
(capitals), `full width` (wide forms of Latin letters), `traditional` (characters as in Hong Kong and Taiwan), `emoji`
(one at the end that has nothing to do with it), `mixed` (a keyword of the other language, of an item that answers,
beside it). The same queries throughout, from the test half. Needs the extras text, image, graph, eval, and the package
opencc-python-reimplemented.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import click

from es_mappings.settings import load_settings
from es_mappings.types import TextTerm
from maxcos.evaluation.datasets.files import Files
from maxcos.evaluation.metrics import METRICS, differences, per_query
from maxcos.evaluation.run import ask
from maxcos.evaluation.systems import System
from maxcos.judgments import Judged, read_judged
from query_api.service import SearchService

Noise = Callable[[str, random.Random], str]
SYSTEMS = (
    System("lexical", "lexical"),
    System("max raw", "max", "raw"),
    System("max", "max"),
    System("hybrid", "hybrid"),
)


def typo(text: str, draw: random.Random) -> str:
    def err(word: re.Match[str]) -> str:
        letters = list(word[0])
        place = draw.randrange(1, len(letters) - 1)
        if draw.random() < 0.5:
            letters[place : place + 2] = reversed(letters[place : place + 2])
        else:
            del letters[place]
        return "".join(letters)

    return re.sub(r"[A-Za-z]{4,}", err, text)


def full_width(text: str, draw: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def traditional(text: str, draw: random.Random) -> str:
    from opencc import OpenCC

    return str(OpenCC("s2t").convert(text))


def noises(queries: Sequence[Judged]) -> Mapping[str, Mapping[str, Noise]]:
    """By language the noises that it has."""
    answering: dict[tuple[str | None, str], list[str]] = {}
    for query in queries:
        for item in query.grades:
            answering.setdefault((query.language, item), []).append(str(query.query))
    of_query = {str(query.query): query for query in queries}

    def mixed(text: str, draw: random.Random) -> str:
        query = of_query[text]
        other = "zh" if query.language == "en" else "en"
        beside = sorted({word for item in query.grades for word in answering.get((other, item), ())})
        return f"{text} {draw.choice(beside)}" if beside else text

    def emoji(text: str, draw: random.Random) -> str:
        return f"{text} {draw.choice('😀🎉🔥👍🙏')}"

    common: dict[str, Noise] = {"emoji": emoji, "mixed": mixed}
    latin: dict[str, Noise] = {"typo": typo, "upper": lambda text, _: text.upper(), "full width": full_width}
    return {"en": {**latin, **common}, "zh": {"traditional": traditional, **common}}


def noisy(query: Judged, noise: Noise) -> Judged:
    text = noise(str(query.query), random.Random(query.id))
    return replace(query, query=text, terms=(TextTerm(text),))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=500, help="of each language")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    settings = load_settings(given.config)
    files = Files(given.config.parent)
    found: dict[str, dict[str, object]] = {}
    with closing(SearchService.from_settings(settings)) as service:
        every = read_judged(files.queries("test"), files.qrels("test"), service.schema)
        by_language = noises(every)
        for language, kinds in by_language.items():
            queries = [query for query in every if query.language == language]
            queries = random.Random(0).sample(queries, min(given.queries, len(queries)))
            clean = {s.name: per_query(ask(service, s, queries).rankings, queries)[METRICS[0]] for s in SYSTEMS}
            told: dict[str, object] = {"clean": {name: round(float(v.mean()), 4) for name, v in clean.items()}}
            for kind, noise in kinds.items():
                asked = [noisy(query, noise) for query in queries]
                rows = {}
                for system in SYSTEMS:
                    values = per_query(ask(service, system, asked).rankings, asked)[METRICS[0]]
                    (cost,) = differences(values, {"clean": clean[system.name]})
                    rows[system.name] = [round(x, 4) for x in (float(values.mean()), cost.mean, cost.low, cost.high)]
                changed = sum(a.query != b.query for a, b in zip(asked, queries, strict=True))
                told[kind] = {"changed": changed, **rows}
                click.echo(f"{language} {kind}: {json.dumps(told[kind])}", err=True)
            found[language] = told
    text = json.dumps({"metric": METRICS[0], "columns": ["mean", "cost", "low", "high"], **found}, indent=1)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
