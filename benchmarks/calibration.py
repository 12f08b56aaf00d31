"""What calibration is worth on the demo catalogue: raw against fitted maps, and what the constants are good for.

    python benchmarks/calibration.py --config demo/maxcos.toml [--output FILE]

Queries: 50 titles in each of four languages, of which the words and the text vectors know en and zh but neither de nor
fr; 30 tags; all categories in en and zh; 100 halves of English titles.
An item's gain is the share of the query's words that its English title, tags and category hold, the words of a title in
another language being those of the English title beside it. nDCG@10 uses the gains; recall@10 counts those from 0.5 on,
out of at most 10. The graph links titles by the very names that the queries are, in every language; so each number is
also given without the graph, on the titles in de and fr.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.contract import load_encoders
from es_mappings.schema import build_schema
from es_mappings.settings import Settings, load_settings
from es_mappings.types import Fusion, TextTerm
from maxcos.calibration import pairs, pseudo
from maxcos.calibration.logistic import Map, fit
from maxcos.calibration.pairs import Pairs, Question, compare, matrices
from query_api.planner import combine
from query_api.searchers import open_searcher
from query_api.service import SearchService

DEPTH = 10
STOP = frozenset(["a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to", "with", "without"])
SIDE_BY_SIDE = (
    "sofa",
    "椅子",
    "a place to sleep",
    "植物",
    "wooden table",
    "lamp",
    "床",
    "red armchair",
    "kitchen sink",
)
PICTURE = "scopia-bed1"

Gains = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """A query, where it comes from, and the (items,) gains. item: whether `text` is an item's id."""

    kind: str
    text: str
    gains: Gains
    item: bool = False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("demo/maxcos.toml"))
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    settings = load_settings(given.config)
    catalogue = [
        json.loads(line) for line in (given.config.parent / "items.jsonl").read_text("utf-8").split("\n") if line
    ]
    asked, likes = list(queries(catalogue)), list(like_queries(catalogue))
    with closing(SearchService.from_settings(settings)) as service:
        found = {
            "engine": settings.engine.url.partition(":")[0],
            "queries": dict(Counter(query.kind for query in asked)),
            "quality": quality(service, asked, likes, catalogue),
            "constants": constants(service, settings, asked, catalogue),
            "side by side": side_by_side(service, given.config.parent / "icons" / f"{PICTURE}.png"),
        }
    text = json.dumps(found, indent=1, ensure_ascii=False)
    sys.stdout.write(text + "\n")
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


# --- queries and what answers them


def queries(catalogue: Sequence[Mapping[str, Any]], seed: int = 7) -> Iterator[Asked]:
    random = np.random.default_rng(seed)
    held = [words(" ".join((item["title"], item["category"], *item["tags"]))) for item in catalogue]

    def asked(kind: str, texts: Mapping[str, str], many: int | None = None) -> Iterator[Asked]:
        """texts: the query and the same in English."""
        answered = []
        for text, english in texts.items():
            needed = words(english)
            gains = np.array([len(needed & has) / max(len(needed), 1) for has in held])
            if (gains >= 0.5).any():
                answered.append(Asked(kind, text, gains))
        chosen = range(len(answered)) if many is None else random.choice(len(answered), many, replace=False)
        return (answered[i] for i in chosen)

    for field in ("title", "title_zh", "title_de", "title_fr"):
        yield from asked(field, {item[field]: item["title"] for item in catalogue if item.get(field)}, 50)
    yield from asked("tags", {tag: tag for item in catalogue for tag in item["tags"]}, 30)
    for field in ("category", "category_zh"):
        yield from asked(field, {item[field]: item["category"] for item in catalogue if item.get(field)})
    halves = (pseudo.halved(item["title"], random) for item in catalogue)
    yield from asked("half", {half: half for half in halves if half}, 100)


def like_queries(catalogue: Sequence[Mapping[str, Any]], seed: int = 7) -> Iterator[Asked]:
    """Items, and the gains of the others by the words of its title."""
    held = [words(" ".join((item["title"], item["category"], *item["tags"]))) for item in catalogue]
    for position in np.random.default_rng(seed).permutation(len(catalogue))[:150]:
        needed = words(catalogue[position]["title"])
        gains = np.array([len(needed & has) / max(len(needed), 1) for has in held])
        gains[position] = 0
        if (gains >= 0.5).any():
            yield Asked("item", catalogue[position]["id"], gains, item=True)


def words(text: str) -> set[str]:
    found = (re.sub(r"(?<=[a-z]{3})(?<!s)s$", "", word) for word in re.findall(r"[^\W\d_]+", text.lower()))
    return {word for word in found if word not in STOP}


def measured(gains: Gains, ranking: Sequence[int]) -> tuple[float, float]:
    """nDCG and recall of the positions of the first DEPTH hits."""
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    best = np.sort(gains)[::-1][:DEPTH]
    got = gains[list(ranking[:DEPTH])]
    relevant = int((gains >= 0.5).sum())
    return float(got @ discounts[: len(got)] / (best @ discounts)), float((got >= 0.5).sum() / min(DEPTH, relevant))


# --- through the service


def quality(
    service: SearchService, asked: Sequence[Asked], likes: Sequence[Asked], catalogue: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    position = {item["id"]: place for place, item in enumerate(catalogue)}
    scores: dict[str, list[tuple[float, float]]] = {}
    found: dict[str, Any] = {}

    def ask(name: str, subset: Sequence[Asked], modalities: Sequence[str] | None, method: str, how: str | None) -> None:
        winners: Counter[str] = Counter()
        scores[name] = []
        for query in subset:
            term = {"item" if query.item else "text": query.text, "modalities": modalities}
            body = {"query": [term], "fusion": {"method": method, "calibration": how}, "size": DEPTH}
            hits = service.search(body)["hits"]
            winners.update(hit["modality"] for hit in hits)
            scores[name].append(measured(query.gains, [position[hit["id"]] for hit in hits]))
        by_kind = {
            kind: mean([s[0] for s, q in zip(scores[name], subset, strict=True) if q.kind == kind])
            for kind in dict.fromkeys(query.kind for query in subset)
        }
        found[name] = {
            "ndcg": mean([s[0] for s in scores[name]]),
            "recall": mean([s[1] for s in scores[name]]),
            "ndcg by kind": by_kind,
            "winners": {m: round(n / winners.total(), 3) for m, n in winners.most_common()},
        }

    ask("lexical", asked, None, "lexical", None)
    for modality in ("text", "image"):  # the graph has no vector for half of the queries
        ask(f"{modality} alone", asked, [modality], "max", "raw")
    unknown = [query for query in asked if query.kind in {"title_de", "title_fr"}]
    compared = [
        (method, label, subset, modalities)
        for method in ("max", "hybrid")
        for label, subset, modalities in (("", asked, None), (", no graph", unknown, ["text", "image"]))
    ]
    for method, label, subset, modalities in (*compared, ("max", ", like an item", likes, None)):
        for how in ("raw", "fitted"):
            ask(f"{method} {how}{label}", subset, modalities, method, how)
        raw, fitted = ([ndcg for ndcg, _ in scores[f"{method} {how}{label}"]] for how in ("raw", "fitted"))
        found[f"{method} fitted{label}"]["p of no gain in ndcg"] = p_value(np.array(fitted) - np.array(raw))
    ask("text alone, de and fr", unknown, ["text"], "max", "raw")
    return found


def p_value(differences: Gains) -> float:
    """How often a mean this large comes by chance, if each difference had either sign (paired, one-sided)."""
    signs = np.random.default_rng(0).choice([-1, 1], size=(10_000, len(differences)))
    return round(float((1 + ((signs * differences).mean(axis=1) >= differences.mean()).sum()) / 10_001), 5)


def mean(numbers: Sequence[float]) -> float:
    return round(float(np.mean(numbers)), 3)


def side_by_side(service: SearchService, icon: Path) -> dict[str, dict[str, list[str]]]:
    """Title, winner and score of the first five, by query and by fusion."""
    shown: dict[str, dict[str, list[str]]] = {}
    for text in (*SIDE_BY_SIDE, None):
        answers = shown[text or f"the picture of {PICTURE}"] = {}
        for method in ("max", "hybrid"):
            for how in ("raw", "fitted"):
                body = {"query": text, "fusion": {"method": method, "calibration": how}, "size": 5}
                hits = service.search(body, None if text else icon.read_bytes())["hits"]
                answers[f"{method} {how}"] = [
                    f"{hit['source']['title']} ({hit['modality']} {hit['score']:.3f})" for hit in hits
                ]
    return shown


# --- the constants, in numpy over the stored vectors


@dataclass(frozen=True)
class Scored:
    """A query with what every item has for it: (items,) cosines by space, and the share of a hybrid that words give."""

    asked: Asked
    cosines: Mapping[str, Gains]
    words: Gains

    def best(self, maps: Mapping[str, Map] | None, lost: NDArray[np.bool_] | None = None) -> Gains:
        """The largest value over the spaces. lost: items that are known by their pictures only."""
        values = []
        for space, column in self.cosines.items():
            value = column if maps is None else maps[space].probabilities(column)
            values.append(value if lost is None or space.startswith("image") else np.where(lost, -2.0, value))
        best: Gains = np.max(values, axis=0) if values else np.zeros(len(self.words))
        return best


def constants(
    service: SearchService, settings: Settings, asked: Sequence[Asked], catalogue: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Under max for several ALONE, also with half of the catalogue known by pictures only; hybrid for several PRIOR."""
    learnt, scored = _vectors(service, settings, asked, catalogue)
    lost = np.random.default_rng(3).random(len(catalogue)) < 0.5
    found: dict[str, Any] = {"raw": _under(None, scored, lost)}
    for alone in (0.0, 0.1, 0.2, 0.3, 0.5, 1.0):
        maps = fit(learnt.cosines, learnt.relevant, learnt.weights, alone)
        shown = {space: f"{m.slope:.2f}, {m.offset:.2f}" for space, m in maps.items()}
        found[f"alone {alone}"] = {**_under(maps, scored, lost), "slope, offset": shown}
    for prior in (0.5, 0.05, 0.01, 0.005, 0.002, 0.0005):
        odds = (1 - prior) / prior / ((1 - pairs.PRIOR) / pairs.PRIOR)
        maps = fit(learnt.cosines, learnt.relevant, np.where(learnt.relevant, 1, odds) * learnt.weights)
        found[f"prior {prior}"] = {
            "ndcg of max": mean([_ndcg(one.asked, one.best(maps)) for one in scored]),
            "ndcg of hybrid": mean([_ndcg(one.asked, one.best(maps) + one.words) for one in scored]),
        }
    return found


def _vectors(
    service: SearchService, settings: Settings, asked: Sequence[Asked], catalogue: Sequence[Mapping[str, Any]]
) -> tuple[Pairs, list[Scored]]:
    """The pairs that `maxcos calibrate` fits on, without pictures, and the benchmark's own queries."""
    encoders = load_encoders(settings.modalities)
    schema = build_schema(settings.lexical, encoders.values())
    position = {item["id"]: place for place, item in enumerate(catalogue)}
    with closing(open_searcher(settings.engine, schema)) as searcher:
        centres = searcher.state().manifest.centres
        items = sorted(searcher.sample(len(catalogue), 0), key=lambda item: position[item.id])

        def encode(question: Question) -> Mapping[str, Any]:
            return combine(question.terms, encoders, schema, centres, searcher.item)[0]

        vectors = matrices(items, {space.name: space.dims for space in schema.spaces})
        random = np.random.default_rng(0)
        questions = pseudo.text_questions(items, pseudo.choose_fields(settings, schema, items, ()), random)
        learnt = compare(questions, vectors, len(items), 1.0, encode, random)
        scored = []
        for query in asked:
            directions = encode(Question("", (TextTerm(query.text),), frozenset()))
            cosines = {space: (vectors[space] @ v).astype(np.float64) for space, v in directions.items()}
            scored.append(Scored(query, cosines, _words(service, query.text, position)))
    columns = {space: column for space, column in learnt.cosines.items() if not np.isnan(column).all()}
    return replace(learnt, cosines=columns), scored


def _words(service: SearchService, text: str, position: Mapping[str, int]) -> Gains:
    shares = np.zeros(len(position))
    fusion = Fusion("hybrid")
    for hit in service.search({"query": text, "fusion": {"method": "lexical"}, "size": 200})["hits"]:
        score = hit["contributions"]["lexical"]["score"]
        shares[position[hit["id"]]] = fusion.lexical_weight * score / (score + fusion.saturation)
    return shares


def _under(maps: Mapping[str, Map] | None, scored: Sequence[Scored], lost: NDArray[np.bool_]) -> dict[str, float]:
    return {
        "ndcg": mean([_ndcg(one.asked, one.best(maps)) for one in scored]),
        "ndcg, half by pictures only": mean([_ndcg(one.asked, one.best(maps, lost)) for one in scored]),
        "recall@100, half by pictures only": mean([_recall(one.asked, one.best(maps, lost)) for one in scored]),
    }


def _ndcg(query: Asked, scores: Gains) -> float:
    return measured(query.gains, np.argsort(-scores, kind="stable"))[0]


def _recall(query: Asked, scores: Gains) -> float:
    relevant = query.gains >= 0.5
    return float(relevant[np.argsort(-scores, kind="stable")[:100]].sum() / min(100, relevant.sum()))


if __name__ == "__main__":
    main()
