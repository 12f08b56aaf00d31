"""Why a hit is here, in the words of the knowledge graph: how the query's entities are linked to it.

Paths explain, they do not score: they are looked for whatever the fusion counts, in the memory of this process alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from encoders.contract import Graph
from es_mappings.types import EntityTerm, GraphPath, ItemTerm, Page, StoredItem, Term, TextTerm


def explained(
    page: Page,
    terms: Iterable[Term],
    items: Mapping[str, StoredItem],
    graphs: Mapping[str, Graph],
    languages: Sequence[str],
) -> list[list[GraphPath]]:
    """The paths of each hit, graph by graph; from the terms with a positive weight, as others explain no hit.

    items: those of the item terms, as far as they are known. graphs: by modality.
    """
    wanted = [term for term in terms if term.weight > 0]
    found: list[list[GraphPath]] = [[] for _ in page.hits]
    targets = [{**hit.source, "id": hit.id} for hit in page.hits]
    for modality, graph in graphs.items():
        heard = (term for term in wanted if term.modalities is None or modality in term.modalities)
        origins = dict.fromkeys(entity for term in heard for entity in graph.named(term, _item(term, items)))
        for paths, more in zip(found, graph.paths(list(origins), targets, languages), strict=True):
            paths += more
    return found


def named(terms: Iterable[Term], graphs: Iterable[Graph]) -> Callable[[], tuple[str, ...]]:
    """The entities that texts name and that are asked for themselves; what users and items are about is not told.

    To be asked for when there is time: to find them in 500 characters can take ten milliseconds.
    """
    asked = [term for term in terms if isinstance(term, TextTerm | EntityTerm)]
    known = tuple(graphs)
    return lambda: tuple(dict.fromkeys(e for graph in known for term in asked for e in graph.named(term, None)))


def _item(term: Term, items: Mapping[str, StoredItem]) -> dict[str, object] | None:
    if not isinstance(term, ItemTerm):
        return None
    return {**(items[term.id].source if term.id in items else {}), "id": term.id}
