"""What noise in queries costs: the emoji of one language, asked with typing errors, other characters, and emoji.

    python benchmarks/noisy_queries.py --folder benchmark --output benchmarks/results/noisy-queries.json

Noises: `typo` (of each word of four letters or more two neighbouring letters change places, or one is missing; in
Chinese two neighbouring characters of the query change places), `upper` (capitals), `full width` (wide forms of Latin
letters), `traditional` (Chinese characters as in Hong Kong and Taiwan; labels have simplified ones), `emoji` (one at
the end that has nothing to do with it), `emoji instead` (one that answers it, in place of its last word), `mixed` (a
keyword in the other language, of an item that answers, beside it). Figures are of the queries that a noise changes,
from the test half, beside those of the same queries without it. Builds `benchmark/emoji-en` and `benchmark/emoji-zh`
where they are missing. Needs the extras text, image, graph, train, and for `traditional` the package of the extra dev.
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
from noise import COLUMNS, TEXT, cost, systems, values

from es_mappings.types import TextTerm
from maxcos.evaluation.benchmark import build
from maxcos.evaluation.datasets.files import SPLITS, Files
from maxcos.evaluation.metrics import METRICS
from maxcos.judgments import Judged, read_judged
from query_api.service import SearchService

Noise = Callable[[Judged, random.Random], str]
FOREIGN = "😀🎉🔥👍🙏"


# --- noises


def typo(query: Judged, draw: random.Random) -> str:
    def err(word: re.Match[str]) -> str:
        letters = list(word[0])
        place = draw.randrange(1, len(letters) - 1)
        if draw.random() < 0.5:
            letters[place : place + 2] = reversed(letters[place : place + 2])
        else:
            del letters[place]
        return "".join(letters)

    return re.sub(r"[A-Za-z]{4,}", err, str(query.query))


def swapped(query: Judged, draw: random.Random) -> str:
    letters = list(str(query.query))
    place = draw.randrange(len(letters) - 1) if len(letters) > 1 else 0
    letters[place : place + 2] = reversed(letters[place : place + 2])
    return "".join(letters)


def upper(query: Judged, draw: random.Random) -> str:
    return str(query.query).upper()


def full_width(query: Judged, draw: random.Random) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in str(query.query))


def traditional() -> Noise:
    from opencc import OpenCC

    converter = OpenCC("s2t")
    return lambda query, _: str(converter.convert(str(query.query)))


def emoji(query: Judged, draw: random.Random) -> str:
    return f"{query.query} {draw.choice(FOREIGN)}"


def emoji_instead(characters: Mapping[str, str]) -> Noise:
    """characters: of each item the emoji that it is."""

    def instead(query: Judged, draw: random.Random) -> str:
        *before, _ = str(query.query).split() or [""]
        return " ".join([*before, characters[draw.choice(sorted(query.grades))]])

    return instead


def mixed(others: Mapping[str, Sequence[str]]) -> Noise:
    """others: of each item its keywords in the other language."""

    def beside(query: Judged, draw: random.Random) -> str:
        words = sorted({word for item in query.grades for word in others.get(item, ())})
        return f"{query.query} {draw.choice(words)}" if words else str(query.query)

    return beside


def keywords(files: Files) -> dict[str, list[str]]:
    """Of each item the queries that it answers, of both halves."""
    found: dict[str, list[str]] = {}
    for split in SPLITS:
        text = {q["id"]: q["query"] for q in map(json.loads, files.queries(split).read_text("utf-8").splitlines())}
        for query, _, item, _ in map(str.split, files.qrels(split).read_text("utf-8").splitlines()):
            found.setdefault(item, []).append(text[query])
    return found


def noises(language: str, files: Files, others: Files) -> dict[str, Noise]:
    characters = {item["id"]: item["emoji"] for item in map(json.loads, files.items.read_text("utf-8").splitlines())}
    common = {"emoji": emoji, "emoji instead": emoji_instead(characters), "mixed": mixed(keywords(others))}
    if language == "zh":
        return {"typo": swapped, "traditional": traditional(), **common}
    return {"typo": typo, "upper": upper, "full width": full_width, **common}


# --- measuring


def noisy(query: Judged, noise: Noise) -> Judged:
    text = noise(query, random.Random(query.id))
    return replace(query, query=text, terms=(TextTerm(text),))


def measure(
    service: SearchService, language: str, queries: Sequence[Judged], kinds: Mapping[str, Noise]
) -> dict[str, object]:
    clean = values(service, systems(language), queries)
    told: dict[str, object] = {"queries": len(queries)}
    for kind, noise in kinds.items():
        asked = [noisy(query, noise) for query in queries]
        rows = [row for row, query in enumerate(asked) if query.query != queries[row].query]
        changed = [asked[row] for row in rows]
        after = values(service, systems(language), changed)
        found = {name: cost(clean[name][rows], after[name]) for name in clean}
        told[kind] = {"changed": len(changed), "example": [queries[rows[0]].query, changed[0].query], **found}
        click.echo(f"{language} {kind}: {json.dumps(told[kind], ensure_ascii=False)}", err=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark"))
    parser.add_argument("--queries", type=int, default=300, help="at most so many of each language, a random sample")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    built = {language: build(f"emoji-{language}", given.folder, None, click.echo) for language in TEXT}
    found: dict[str, object] = {"metric": METRICS[0], "columns": COLUMNS}
    for language, (settings, files) in built.items():
        (others,) = (other for name, (_, other) in built.items() if name != language)
        with closing(SearchService.from_settings(settings)) as service:
            queries = read_judged(files.queries("test"), files.qrels("test"), service.schema)
            queries = random.Random(0).sample(queries, min(given.queries, len(queries)))
            found[language] = measure(service, language, queries, noises(language, files, others))
    text = json.dumps(found, indent=1, ensure_ascii=False)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
