"""Emoji: pictures with one label each, asked for by the keywords that Unicode's CLDR gives them in two languages.

Sources: labels and keywords of emojibase-data (MIT; after Unicode CLDR, Unicode licence), pictures of Fluent Emoji by
Microsoft (MIT) as packed in @lobehub/fluent-emoji-3d.

An item has its label and its picture. Its keywords are the queries, so they are neither in the index nor in the graph,
which holds what Unicode says of a character: its group and subgroup, which one stands beside it there, what a sequence
is composed of. An item whose label is the query answers it too, since CLDR may leave the label out of the keywords.
Codes of countries are no queries.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from maxcos.evaluation.datasets import packages
from maxcos.evaluation.datasets.files import Asked, Files, Triple, write
from maxcos.evaluation.datasets.weights import e5, ensemble, minilm, mobilenet, multilingual_e5, use

LANGUAGES = ("en", "zh")
WEIGHTS = {("en",): (0.2, 0.5, 0.8), ("zh",): (0.06, 0.5, 0.5), LANGUAGES: (0.06, 0.4, 0.6)}
"""Of words, of pictures and graph each, and of both together: the best of some on the dev half."""
OTHER_LANGUAGES = ("ja", "de", "fr", "es")
"""Their labels are kept in the items, unsearched: a calibration may ask for them."""
NOTICE = """Labels and keywords: emojibase-data 17.0.0 (MIT), after Unicode CLDR (Unicode-3.0).
Pictures: Fluent Emoji, Microsoft (MIT), as in @lobehub/fluent-emoji-3d 1.1.0.
"""

COUNTRY = re.compile("[A-Z]{2}")
JOINERS = {"200D", "FE0F", "20E3", "2640", "2642"}
"""What glues a sequence together, and the signs of the genders."""

Emoji = Mapping[str, Any]


def write_emoji(
    files: Files, cache: Path, models: Path, languages: Sequence[str] = LANGUAGES, removed: float = 0.0, seed: int = 0
) -> None:
    """The data set with labels in these languages, and queries in them.

    removed: the share of items that lose their labels, drawn by the seed. Raises SettingsError when it cannot be had.
    """
    data, art = (
        packages.npm("emojibase-data", "17.0.0", cache),
        packages.npm("@lobehub/fluent-emoji-3d", "1.1.0", cache),
    )
    pictures = {_key(path.stem): path for path in (art / "assets").glob("*.webp")}
    by_language = {
        language: {e["hexcode"]: e for e in _read(data, language, "data")}
        for language in (*LANGUAGES, *OTHER_LANGUAGES)
    }
    emojis = [e for e in by_language["en"].values() if _key(e["hexcode"]) in pictures]
    folder = files.folder / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for emoji in emojis:
        shutil.copyfile(pictures[_key(emoji["hexcode"])], folder / f"{_id(emoji)}.webp")
    ids = [_id(emoji) for emoji in emojis]
    nameless = set(random.Random(seed).sample(ids, round(removed * len(ids))))
    labels = {
        language: {code.lower(): e["label"] for code, e in found.items()} for language, found in by_language.items()
    }
    groups = {language: _read(data, language, "messages") for language in languages}
    write(
        files,
        (_item(emoji, {} if _id(emoji) in nameless else _labels(_id(emoji), labels)) for emoji in emojis),
        _triples(emojis, set(ids)),
        _names(ids, nameless, labels, groups, languages),
        (query for language in languages for query in _queries(language, by_language[language], set(ids))),
        _config(cache, models, languages),
        NOTICE,
    )


def _read(data: Path, language: str, name: str) -> Any:
    return json.loads((data / language / f"{name}.json").read_text("utf-8"))


def _key(code: str) -> str:
    """Pictures and data disagree on where the variation selector stands."""
    return "-".join(part for part in code.upper().split("-") if part != "FE0F")


def _id(emoji: Emoji) -> str:
    return str(emoji["hexcode"]).lower()


def _labels(identifier: str, labels: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {language: found[identifier] for language, found in labels.items() if identifier in found}


def _item(emoji: Emoji, labels: Mapping[str, str]) -> dict[str, Any]:
    item = {"id": _id(emoji), "emoji": emoji["emoji"], "image": f"pictures/{_id(emoji)}.webp"}
    return item | {f"label_{language}": label for language, label in labels.items()}


def _triples(emojis: Sequence[Emoji], ids: set[str]) -> Iterator[Triple]:
    before: Emoji | None = None
    whole = {_key(identifier.upper()): identifier for identifier in ids}
    for emoji in sorted(emojis, key=lambda e: e.get("order", 10**6)):
        identifier = _id(emoji)
        if "group" in emoji:
            yield identifier, "in_group", f"group:{emoji['group']}"
            yield identifier, "in_subgroup", f"subgroup:{emoji['subgroup']}"
            if before is not None and before["subgroup"] == emoji["subgroup"]:
                yield identifier, "stands_beside", _id(before)
            before = emoji
        parts = [part for part in emoji["hexcode"].split("-") if part not in JOINERS]
        if len(parts) > 1:
            for part in parts:
                yield identifier, "composed_of", whole.get(part, f"sign:{part.lower()}")


def _names(
    ids: Sequence[str],
    nameless: set[str],
    labels: Mapping[str, Mapping[str, str]],
    groups: Mapping[str, Any],
    languages: Sequence[str],
) -> Iterator[Triple]:
    for language in languages:
        for identifier in ids:
            if identifier in labels[language] and identifier not in nameless:
                yield identifier, language, labels[language][identifier]
        for kind in ("group", "subgroup"):
            for one in groups[language][f"{kind}s"]:
                yield f"{kind}:{one['order']}", language, one["message"]


def _queries(language: str, emojis: Mapping[str, Emoji], ids: set[str]) -> Iterator[Asked]:
    answers: dict[str, dict[str, int]] = defaultdict(dict)
    labelled: dict[str, list[str]] = defaultdict(list)
    text: dict[str, str] = {}
    for emoji in emojis.values():
        if _id(emoji) in ids:
            labelled[emoji["label"].casefold()].append(_id(emoji))
            for keyword in emoji.get("tags", ()):
                if not COUNTRY.fullmatch(keyword):
                    answers[keyword.casefold()][_id(emoji)] = 1
                    text.setdefault(keyword.casefold(), keyword)
    for keyword, grades in sorted(answers.items()):
        yield Asked(text[keyword], language, grades | dict.fromkeys(labelled.get(keyword, ()), 1))


def _config(cache: Path, models: Path, languages: Sequence[str]) -> str:
    """Where both languages are indexed, one encoder reads both, and English queries reach a better one too."""
    labels = json.dumps([f"label_{language}" for language in languages])
    members = {
        "en": (use(models), minilm(models), {**e5(cache), "weight": 6}) if "en" in languages else (),
        "zh": (use(models), {**multilingual_e5(cache), "weight": 6}) if "zh" in languages else (),
    }
    both = len(languages) > 1
    lexical, weak, joint = WEIGHTS[tuple(languages)]
    names = {"en": "english", "zh": "multilingual" if both else "chinese"}
    texts = {
        "en": f"""
[modalities.english]
{ensemble(*members["en"])}
source = "label_en"
{'scripts = ["Latin"]' if both else ""}
""",
        "zh": f"""
[modalities.{names["zh"]}]
{ensemble(*members["zh"])}
source = {labels}
{"weight = 0.8" if both else ""}
""",
    }
    return f"""[engine]
url = "embedded:./store"
index = "emoji-{"-".join(languages)}"

[lexical]
fields = {labels}
languages = {json.dumps(list(languages))}
weight = {lexical}
saturation = 16
{"".join(texts[language] for language in languages)}
[modalities.image]
encoder = "torchvision"
model = {json.dumps(str(mobilenet(models)))}
source = "image"
words = "{names[languages[-1]]}"
weight = {weak}

[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"
words = "{names[languages[-1]]}"
weight = {weak}

[modalities.joint]
encoder = "joint"
of = ["image", "graph"]
words = "{names[languages[-1]]}"
weight = {joint}

[page]
title = "label_{languages[0]}"
image = "image"
"""
