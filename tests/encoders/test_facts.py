"""What a graph tells in words: the names of an entity, by language."""

from __future__ import annotations

import numpy as np
import pytest

from encoders.parts.facts import Facts
from encoders.parts.names import Name
from es_mappings.types import Entity

TRIPLES = np.array([[0, 0, 1]], dtype=np.int32)
NAMES = [
    Name(1, "zh-TW", "沙發"),
    Name(0, "", "Thing"),
    Name(1, "zh", "沙发"),
    Name(1, "en-GB", "Settee"),
    Name(1, "de", "Sofa"),
]
FACTS = Facts(["thing", "couch", "nameless"], ["is"], TRIPLES, NAMES)


@pytest.mark.parametrize(
    ("number", "languages", "expected"),
    [
        (1, ["zh", "en"], Entity("couch", "沙发", {"zh": "沙发", "en": "Settee"})),
        (1, ["en", "zh-TW"], Entity("couch", "Settee", {"en": "Settee", "zh-TW": "沙發"})),
        (1, ["fr"], Entity("couch", "沙發", {})),
        (0, ["en"], Entity("thing", "Thing", {})),
        (2, ["en"], Entity("nameless", "nameless", {})),
    ],
)
def test_a_name_is_one_of_the_languages_asked_for(number: int, languages: list[str], expected: Entity) -> None:
    assert FACTS.entity(number, languages) == expected


def test_the_language_of_what_was_found_is_told() -> None:
    assert [(m.alias, m.language, m.match) for m in FACTS.search("沙發", 5, ["en"])] == [("沙發", "zh-TW", "name")]
    assert [(m.alias, m.language, m.match) for m in FACTS.search("settees", 5, [])] == [("Settee", "en-GB", "name")]
