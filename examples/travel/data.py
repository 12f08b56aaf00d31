"""Countries with their capitals, languages, currencies and neighbours, as items and as a knowledge graph.

Source: world-countries 5.1.0 (npm) by Mohammed Le Doze and contributors, under the Open Database License 1.0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from examples.writing import Triple, report, write
from maxcos.demo import cache_folder
from maxcos.evaluation.datasets.packages import npm

DATA = Path(__file__).parent / "data"
NAMES = {"deu": "de", "fra": "fr", "jpn": "ja", "spa": "es", "zho": "zh"}
"""The languages in which countries are found by name, as the source and as we write them."""
NOTICE = """world-countries 5.1.0, https://github.com/mledoze/countries, Open Database License 1.0 (ODbL).
What is made of it, the index too, is under the same licence where it is given to others.
"""

Country = Mapping[str, Any]


@click.command()
def main() -> None:
    """Write the countries into data/, beside this file."""
    report(write_countries, DATA)


def write_countries() -> int:
    """How many there are. Raises SettingsError when they cannot be had."""
    text = (npm("world-countries", "5.1.0", cache_folder()) / "countries.json").read_text("utf-8")
    countries = json.loads(text)
    return write(
        DATA,
        map(item, countries),
        (row for country in countries for row in triples(country)),
        (row for country in countries for row in names(country)),
        NOTICE,
    )


def item(country: Country) -> dict[str, Any]:
    """What is searched, shown and filtered by."""
    return {
        "id": country["cca3"],
        "title": country["name"]["common"],
        "title_zh": country["translations"]["zho"]["common"],
        "official": country["name"]["official"],
        "flag": country["flag"],
        "capital": country["capital"],
        "region": country["region"],
        "subregion": country["subregion"],
        "languages": list(country["languages"].values()),
        "currencies": [currency["name"] for currency in country["currencies"].values()],
        "landlocked": country["landlocked"],
        "area": country["area"],
    }


def triples(country: Country) -> Iterator[Triple]:
    """What a country is linked to."""
    code = country["cca3"]
    yield code, "in_region", f"region:{country['region']}"
    if country["subregion"]:
        yield code, "in_subregion", f"subregion:{country['subregion']}"
    for neighbour in country["borders"]:
        yield code, "borders", neighbour
    for capital in country["capital"]:
        yield code, "has_capital", f"city:{capital}"
    for language in country["languages"]:
        yield code, "speaks", f"language:{language}"
    for currency in country["currencies"]:
        yield code, "pays_in", f"currency:{currency}"


def names(country: Country) -> Iterator[Triple]:
    """Entity, language, name: how people call all of them."""
    code = country["cca3"]
    yield code, "en", country["name"]["common"]
    for source, language in NAMES.items():
        yield code, language, country["translations"][source]["common"]
    for kind in ("region", "subregion"):
        if country[kind]:
            yield f"{kind}:{country[kind]}", "en", country[kind]
    for capital in country["capital"]:
        yield f"city:{capital}", "en", capital
    for language, name in country["languages"].items():
        yield f"language:{language}", "en", name
    for currency, found in country["currencies"].items():
        yield f"currency:{currency}", "en", found["name"]


if __name__ == "__main__":
    main()
