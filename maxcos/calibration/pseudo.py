"""Queries whose answers are known without anybody's judgment, made of the items themselves.

Text: the whole value of a held-out field (one that no encoder makes vectors of, such as the title in another
language), and half of the words of a title. Picture: half of the area of an item's picture, mirrored.

An item answers such a query when one of its titles or held-out fields holds all of the query's words; it answers
another's picture when one of them holds all words of one of the other's titles. The query's own item always does.
Without that, a cropped picture would teach that only the very same picture is a hit: a picture of another sofa would
count nothing for sofas.

A graph knows names, held-out ones too. So a whole name is an easy query for it, as it is when a user types one; halves
of names are what shows how far its links can be trusted.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoders.parts.linking import tokens
from es_mappings.errors import BadInput, CalibrationError
from es_mappings.schema import Schema, as_values, lookup
from es_mappings.settings import Settings
from es_mappings.types import ImageTerm, StoredItem, TextTerm
from maxcos.calibration.pairs import Question

MOST_TEXTS = 300
"""Of either kind of texts, whole and half; one costs some milliseconds."""
MOST_PICTURES = 100
"""One costs some 20 ms."""
CROP = 0.5
"""The share of a picture's area that stays."""
HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff]{4,}")
MOST_SHARED = 10
"""A field whose values are shared by more items on average is a category, not a name."""


@dataclass(frozen=True, slots=True)
class Fields:
    """held_out: fields whose values are whole queries. titles: fields whose values are halved."""

    held_out: tuple[str, ...]
    titles: tuple[str, ...]


def choose_fields(settings: Settings, schema: Schema, items: Sequence[StoredItem], given: Sequence[str]) -> Fields:
    """The held-out fields that were asked for, else the names among the text fields that no encoder reads.

    Raises CalibrationError for a field that an encoder reads, whose values would find themselves, and for one that no
    item has.
    """
    read = {name: modality for modality, m in settings.modalities.items() for name in m.fields}
    for name in given:
        if name in read:
            raise CalibrationError(
                f"--held-out {name}: the modality {read[name]!r} reads this field, so it is not held out"
            )
        if not any(_values(item, [name]) for item in items):
            raise CalibrationError(f"--held-out {name}: none of {len(items)} items has this field")
    unread = (field.name for field in schema.text if field.name not in read)
    return Fields(tuple(given) or tuple(name for name in unread if _is_name(name, items)), schema.suggest)


def _is_name(field: str, items: Sequence[StoredItem]) -> bool:
    values = [value for item in items for value in _values(item, [field])]
    return 0 < len(values) <= MOST_SHARED * len(set(values))


def text_questions(items: Sequence[StoredItem], fields: Fields, random: np.random.Generator) -> list[Question]:
    """Distinct texts of both kinds, at most MOST_TEXTS random ones of each, with the items that answer them."""
    whole = dict.fromkeys(text for item in items for text in _values(item, fields.held_out))
    halves = dict.fromkeys(
        half for item in items for text in _values(item, fields.titles) if (half := halved(text, random))
    )
    answers = _answers(items, fields)
    texts = (*_some(list(whole), MOST_TEXTS, random), *_some(list(halves), MOST_TEXTS, random))
    questions = (Question("text", (TextTerm(text),), answers(text)) for text in dict.fromkeys(texts))
    return [question for question in questions if question.relevant]


def halved(text: str, random: np.random.Generator) -> str | None:
    """Half of the words of a text, side by side; of a Chinese word, half of its characters.

    None for a text that has no half. Kana are no words by themselves: half of ソファ means nothing.
    """
    words, joint = text.split(), " "
    if HAN.fullmatch(text):
        words, joint = list(text), ""
    if len(words) < 2:
        return None
    many = (len(words) + 1) // 2
    start = int(random.integers(0, len(words) - many + 1))
    return joint.join(words[start : start + many])


def picture_questions(
    items: Sequence[StoredItem],
    fields: Fields,
    paths: Callable[[StoredItem], Iterable[Path]],
    random: np.random.Generator,
) -> Iterator[Question]:
    """Cropped and mirrored pictures of random items, with the items that answer them.

    paths: where the item's pictures may be; the first that is one is taken. Raises ImportError without Pillow.
    """
    answers = _answers(items, fields)
    found = 0
    for position in random.permutation(len(items)):
        data = next(filter(None, (cropped(path, random) for path in paths(items[position]))), None)
        if data is not None:
            named = (answers(name) for name in _values(items[position], fields.titles))
            yield Question("image", (ImageTerm(data),), frozenset({int(position)}).union(*named))
            found += 1
        if found == MOST_PICTURES:
            return


def cropped(path: Path, random: np.random.Generator) -> bytes | None:
    """A part of the picture, mirrored, as PNG; None when the file is no picture."""
    from PIL import ImageOps

    from encoders.parts.pictures import open_picture

    try:
        picture = open_picture(path)
    except BadInput:
        return None
    width, height = (max(round(edge * CROP**0.5), 1) for edge in picture.size)
    left = int(random.integers(0, picture.width - width + 1))
    top = int(random.integers(0, picture.height - height + 1))
    out = io.BytesIO()
    ImageOps.mirror(picture.crop((left, top, left + width, top + height))).save(out, "PNG")
    return out.getvalue()


def _answers(items: Sequence[StoredItem], fields: Fields) -> Callable[[str], frozenset[int]]:
    """From a text to the positions of the items that have all of its words in one name."""
    holders: dict[str, set[tuple[int, int]]] = {}
    for position, item in enumerate(items):
        for number, name in enumerate(_values(item, (*fields.held_out, *fields.titles))):
            for token in tokens(name):
                holders.setdefault(token, set()).add((position, number))

    def answers(text: str) -> frozenset[int]:
        held = [holders.get(token, set()) for token in set(tokens(text))]
        return frozenset(position for position, _ in set.intersection(*held)) if held else frozenset()

    return answers


def _values(item: StoredItem, fields: Sequence[str]) -> list[str]:
    return [text for name in fields for value in as_values(lookup(item.source, name)) if (text := str(value).strip())]


def _some(texts: list[str], many: int, random: np.random.Generator) -> list[str]:
    return texts if len(texts) <= many else [texts[i] for i in random.choice(len(texts), many, replace=False)]
