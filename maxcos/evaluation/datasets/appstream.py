"""Desktop applications, asked for by the themes of Debian's Blends.

Source: the AppStream metadata and icons of Debian 12, as its archive serves them for apt. Names, summaries,
descriptions and icons are their projects' own, each under the licence that its metadata names.

A Blend's metapackage brings together what serves a theme: its short description is a query, and the applications that
it depends on, recommends or suggests are the answers, with the grades 3, 2 and 1. Metapackages are neither in the index
nor in the graph, which holds the applications' categories, keywords, sections and what they depend on.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from maxcos.evaluation.datasets import packages
from maxcos.evaluation.datasets.files import Asked, Files, Triple, write
from maxcos.evaluation.datasets.weights import e5, ensemble, minilm, mobilenet, use

NOTICE = """AppStream metadata and icons of Debian 12 (bookworm), main. Each application's name, summary, description
and icon are its project's; their licences are in the metadata (MetadataLicense is CC0-1.0, FSFAP or MIT-like as a rule,
icons are under the project's licence). Queries: descriptions of the metapackages of Debian's Blends.
"""
BLENDS = re.compile(r"debian-|debichem")
"""Sources of metapackages that are about a theme, not about a desktop or a release."""
GRADES = {"Suggests": 1, "Recommends": 2, "Depends": 3}
LEAST_ANSWERS = 2
COMMONEST = 300
"""What more applications than this depend on, such as the C library, says nothing about them."""
TITLE = re.compile(
    r"^(Jr\.\s|(Debian('s)?|DebiChem|Edu|GIS|Hamradio|Junior|Med|Multimedia|Science|Astro|suggestions|packages?|for|working"
    r"|dealing|with|the|of)\b)\s*|\s*\b(packages?|metapackage)$",
    re.IGNORECASE,
)

Record = Mapping[str, Any]


def write_appstream(files: Files, cache: Path, models: Path) -> None:
    """Raises SettingsError when the data cannot be had."""
    lists = packages.apt_lists(cache)
    available = _packages(packages.read_list(lists, "main_binary-*_Packages*"))
    apps = _apps(packages.read_list(lists, "main_dep11_Components-*"), available)
    icons = _icons(lists, apps, files.folder / "icons")
    write(
        files,
        (_item(app, icons.get(identifier)) for identifier, app in apps.items()),
        _triples(apps, available),
        _names(apps),
        _queries(apps, available),
        _config(cache, models),
        NOTICE,
    )


def _packages(text: str) -> dict[str, dict[str, str]]:
    """By name the fields of each package; continuation lines are left out."""
    found = {}
    for stanza in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if line[:1] != " " and ": " in line)
        if "Package" in fields:
            found[fields["Package"]] = fields
    return found


def _apps(text: str, available: Mapping[str, Record]) -> dict[str, Record]:
    """By id the desktop applications that have an icon."""
    import yaml

    records = yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return {
        _slug(record["ID"]): record
        for record in records
        if record and record.get("Type") == "desktop-application" and _icon(record) and record["Package"] in available
    }


def _icon(app: Record) -> str | None:
    cached = app.get("Icon", {}).get("cached", ())
    return next((str(icon["name"]) for icon in cached if icon["width"] == 64), None)


def _icons(lists: Path, apps: Mapping[str, Record], folder: Path) -> dict[str, str]:
    """By id the place of an application's icon."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {_icon(app): identifier for identifier, app in apps.items()}
    found = {}
    for archive in lists.glob("*main_dep11_icons-64x64.tar*"):
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream) as tar:
            for member in tar:
                identifier = wanted.get(Path(member.name).name)
                content = tar.extractfile(member) if identifier else None
                if identifier and content:
                    (folder / f"{identifier}.png").write_bytes(content.read())
                    found[identifier] = f"icons/{identifier}.png"
    return found


def _item(app: Record, icon: str | None) -> dict[str, Any]:
    item = {
        "id": _slug(app["ID"]),
        "title": app["Name"].get("C", ""),
        "title_zh": app["Name"].get("zh_CN"),
        "summary": app.get("Summary", {}).get("C"),
        "summary_zh": app.get("Summary", {}).get("zh_CN"),
        "description": _plain(app.get("Description", {}).get("C", "")),
        "keywords": [word for word in app.get("Keywords", {}).get("C", ()) if word],
        "category": [_words(category) for category in app.get("Categories", ())],
        "package": app["Package"],
        "image": icon,
    }
    return {name: value for name, value in item.items() if value}


def _plain(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def _words(category: str) -> str:
    """ArcadeGame: arcade game"""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", category).lower()


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _triples(apps: Mapping[str, Record], available: Mapping[str, Record]) -> Iterator[Triple]:
    needed = {identifier: _needs(available[app["Package"]].get("Depends", "")) for identifier, app in apps.items()}
    many = Counter(name for names in needed.values() for name in names)
    for identifier, app in apps.items():
        yield identifier, "in_section", f"section:{available[app['Package']].get('Section', 'none')}"
        for category in app.get("Categories", ()):
            yield identifier, "in_category", f"category:{_slug(category)}"
        for keyword in app.get("Keywords", {}).get("C", ()):
            if slug := _slug(keyword or ""):
                yield identifier, "has_keyword", f"keyword:{slug}"
        for name in needed[identifier]:
            if 1 < many[name] <= COMMONEST:
                yield identifier, "depends_on", f"package:{name}"


def _needs(field: str) -> list[str]:
    """The names of a field of dependencies, alternatives too."""
    return list(dict.fromkeys(re.findall(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)", field)))


def _names(apps: Mapping[str, Record]) -> Iterator[Triple]:
    for identifier, app in apps.items():
        for language, tag in (("C", "en"), ("zh_CN", "zh")):
            if name := app["Name"].get(language):
                yield identifier, tag, _plain(name)
        for category in app.get("Categories", ()):
            yield f"category:{_slug(category)}", "en", _words(category)
        for keyword in app.get("Keywords", {}).get("C", ()):
            if slug := _slug(keyword or ""):
                yield f"keyword:{slug}", "en", _plain(keyword)


def _queries(apps: Mapping[str, Record], available: Mapping[str, Record]) -> Iterator[Asked]:
    by_package: dict[str, list[str]] = defaultdict(list)
    for identifier, app in apps.items():
        by_package[app["Package"]].append(identifier)
    asked: dict[str, dict[str, int]] = defaultdict(dict)
    text: dict[str, str] = {}
    for package in available.values():
        if "metapackages" not in package.get("Section", "") or not BLENDS.match(package.get("Source", "")):
            continue
        grades: dict[str, int] = {}
        for field, grade in GRADES.items():
            for name in _needs(package.get(field, "")):
                grades |= dict.fromkeys(by_package.get(name, ()), grade)
        if len(grades) >= LEAST_ANSWERS:
            about = theme(package["Description"])
            asked[about.casefold()] |= grades
            text.setdefault(about.casefold(), about)
    for key, grades in sorted(asked.items()):
        yield Asked(text[key], "en", grades)


def theme(description: str) -> str:
    """What a metapackage is about: its description without the words that all of them have."""
    before, text = "", description
    while text != before:
        before, text = text, TITLE.sub("", text).strip()
    return text or description


def _config(cache: Path, models: Path) -> str:
    members = ensemble(use(models), minilm(models), {**e5(cache), "weight": 4})
    image = json.dumps(str(mobilenet(models)))
    return f"""[engine]
url = "embedded:./store"
index = "appstream"

[lexical]
fields = ["title^2", "summary^2", "keywords", "category", "description", "title_zh^2", "summary_zh"]
languages = ["en", "zh"]
filters = ["category"]
facets = ["category"]
suggest = ["title", "summary"]
weight = 1
saturation = 16

[modalities.text]
{members}
source = ["title", "summary", "keywords", "category"]

[modalities.image]
encoder = "torchvision"
model = {image}
source = "image"
words = "text"

[modalities.graph]
encoder = "graph"
model = "graph.npz"
source = "id"
weight = 0.2

[page]
title = "title"
image = "image"
"""
