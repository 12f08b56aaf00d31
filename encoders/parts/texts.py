"""What text encoders share: the text of an item, and a modality around one function from texts to vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from encoders.contract import Encoded, Encoder, unit
from encoders.parts.queries import Embed, Queries, has_learnt
from encoders.parts.scripts import NONE, SCRIPTS, script
from encoders.parts.sentences import Prompts
from encoders.parts.typed import readable
from es_mappings.errors import BadInput, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import Matrix, Provenance, Space, Term, TextTerm, Vector

VERSION = "texts-1"
"""Part of every text encoder's fingerprint: raise it when `gather` makes another text of the same values."""
MAX_CHARACTERS = 10_000
"""Longer texts are cut: it bounds the time of one text to about 0.3 s."""
REMEMBERED = 1024


def scripts_of(modality: str, settings: ModalitySettings) -> frozenset[str]:
    """The option `scripts`: those of the queries that an encoder understands; empty for all.

    A query in another script gets no vector rather than a wrong one.
    Raises SettingsError for what is no list of scripts.
    """
    given = (settings.model_extra or {}).get("scripts", [])
    if not isinstance(given, list) or not set(map(str, given)) <= set(SCRIPTS):
        known = ", ".join(SCRIPTS)
        raise SettingsError(f"modalities.{modality}.scripts: {given!r} is no list of scripts, which are {known}")
    return frozenset(given)


def gather(values: Sequence[Any]) -> str | None:
    """The text of an item: its values without blanks and repetitions (in any case), joined by ". ".

    None if nothing is left. values: strings, numbers, lists of them; None counts as absent.
    Raises BadInput for any other value and for text that is not valid Unicode.
    """
    distinct: dict[str, str] = {}
    for value in values:
        for text in _texts(value):
            distinct.setdefault(text.casefold(), text)
    return _clean(". ".join(distinct.values()))


def _texts(value: Any) -> Iterator[str]:
    for part in value if isinstance(value, (list, tuple)) else (value,):
        text = _text(part)
        if text:
            yield text


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    raise BadInput(f"a text is a string, a number or a list of these, not {_shown(value)}")


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {value!r:.60}"


def _clean(text: str) -> str | None:
    """The text as encoders may see it: stripped, bounded, None when blank.

    Raises BadInput for lone surrogates, which JSON can carry and no tokenizer takes.
    """
    text = text.strip()[:MAX_CHARACTERS]
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"the text is not Unicode: half of a pair at character {error.start}") from error
    return text or None


def asked(text: str) -> str | None:
    """A query as encoders see it, read as `typed.readable` has it; None when blank. See `_clean` for errors."""
    return _clean(readable(text))


def text_peer(modality: str, options: Mapping[str, Any], peers: Mapping[str, Encoder]) -> Encoder | None:
    """The modality that the option `words` names, by default the first that is a TextEncoder; None for none, or "".

    What it has learnt of queries for its own items is left out.
    Raises SettingsError for a name that none of the peers has.
    """
    first = next((name for name, peer in peers.items() if isinstance(peer, TextEncoder)), "")
    words = str(options.get("words", first))
    if words and words not in peers:
        where, before = f"modalities.{modality}.words", ", ".join(peers) or "none"
        raise SettingsError(f"{where}: no modality {words!r} stands before it, only {before}")
    peer = peers[words] if words else None
    return peer.bare if isinstance(peer, TextEncoder) else peer


@dataclass(frozen=True, slots=True)
class Reading:
    """How the texts of items become vectors, and how queries do: some models read them differently."""

    items: Embed
    queries: Embed


def prompted(embed: Embed, prompts: Prompts) -> Reading:
    """As one network reads both, each behind its prompt."""
    return Reading(lambda batch: embed(prompts.items(batch)), lambda batch: embed(prompts.queries(batch)))


class TextEncoder:
    """A text modality with one space; thread safe if `reading` is.

    scripts: see `scripts_of`. queries: what it has learnt of queries, see `encoders.parts.queries`.
    """

    def __init__(
        self,
        modality: str,
        made_by: Provenance,
        reading: Reading,
        scripts: frozenset[str] = frozenset(),
        queries: Queries | None = None,
    ) -> None:
        self._space = Space(modality, modality, made_by.dims)
        self._made_by = made_by if queries is None else replace(made_by, queries=queries.fingerprint)
        self.reading = reading
        self._scripts = scripts
        self._queries = queries
        self.bare = self if queries is None else TextEncoder(modality, made_by, reading, scripts)
        # A query's text is asked for again by the modalities that build on this one.
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._vector)

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self._space,)

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        return {self._space.name: self._made_by}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See the contract; `values` may hold strings, numbers and lists of them."""
        vectors: list[Vector | None] = [None] * len(values)
        errors: dict[int, BadInput] = {}
        texts: dict[int, str] = {}
        for index, parts in enumerate(values):
            try:
                text = gather(parts)
            except BadInput as error:
                errors[index] = error
                continue
            if text is not None:
                texts[index] = text
        rows = self.reading.items(list(texts.values())) if texts else ()
        for index, row in zip(texts, rows, strict=True):
            try:
                vectors[index] = unit(row, "text")
            except BadInput as error:
                errors[index] = error
        return Encoded({self._space.name: vectors}, errors)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """The vector of a text; nothing for a blank one, one in another script, and for other terms.

        See `asked` for errors.
        """
        text = asked(term.text) if isinstance(term, TextTerm) else None
        if text is None or not self._understands(text):
            return {}
        return {self._space.name: self._remembered(text)}

    def encode_texts(self, texts: Sequence[str]) -> list[Vector | None]:
        """What `encode_query` gives for each, all at once; None where it gives nothing, or raises."""
        found: list[Vector | None] = [None] * len(texts)
        cleaned: dict[int, str] = {}
        for number, text in enumerate(texts):
            try:
                clean = asked(text)
            except BadInput:
                continue
            if clean is not None and self._understands(clean):
                cleaned[number] = clean
        rows = self._embed_queries(list(cleaned.values()), self.reading.queries) if cleaned else ()
        for number, row in zip(cleaned, rows, strict=True):
            try:
                found[number] = unit(row, "text")
            except BadInput:
                continue
        return found

    def has_learnt(self, text: str) -> bool:
        """Whether what it has learnt of queries was fitted to this very text."""
        return self._queries is not None and has_learnt(self._queries, text)

    def _understands(self, text: str) -> bool:
        """What has no letters, as numbers, everybody understands. (An emoji has a name by now.)"""
        return not self._scripts or script(text) in self._scripts | {NONE}

    def _vector(self, text: str) -> Vector:
        vector: Vector = unit(self._embed_queries([text], self._recall)[0], "text")
        vector.setflags(write=False)  # every later caller gets this very array
        return vector

    def _embed_queries(self, texts: Sequence[str], bare: Embed) -> Matrix:
        return self.reading.queries(texts) if self._queries is None else self._queries.embed(texts, bare)

    def _recall(self, texts: Sequence[str]) -> Matrix:
        """As the bare encoder has it, which other modalities ask too."""
        return np.stack([self.bare._remembered(text) for text in texts])
