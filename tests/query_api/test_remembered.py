"""Query vectors are made once, by what decides them; nothing else about an answer changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoded, unit
from es_mappings.errors import EncoderError
from es_mappings.types import EntityTerm, ImageTerm, Provenance, Space, Term, TextTerm, Vector
from query_api.remembered import QueryVectors, RememberingEncoder
from query_api.stages import record


class Counting:
    """Another vector for each term that it is asked, and a list of those."""

    spaces = (Space("text", "text", 4),)

    def __init__(self, fingerprint: str = "a") -> None:
        self.provenance = {"text": Provenance("counting", fingerprint, 4)}
        self.asked: list[Term] = []
        self.broken = False

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        raise NotImplementedError

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        self.asked.append(term)
        if self.broken:
            raise EncoderError("broken")
        generator = np.random.default_rng(len(self.asked))
        return {"text": unit(generator.normal(size=(1, 4)).astype(np.float32), "a vector")[0]}


def test_a_term_is_encoded_once_whatever_its_weight() -> None:
    encoder = Counting()
    remembering = RememberingEncoder("text", encoder, QueryVectors())
    kept = record()
    first = remembering.encode_query(TextTerm("sofa"))
    assert remembering.encode_query(TextTerm("sofa", weight=-2.0, modalities=("text",))) is first
    assert encoder.asked == [TextTerm("sofa")]
    assert kept.events == {("vectors made", "text"): 1, ("vectors remembered", "text"): 1}
    assert kept.seconds["encode", "text"] > 0


@pytest.mark.parametrize(
    "other", [TextTerm("sofas"), EntityTerm("sofa"), EntityTerm("sofa", "of_kind", "in"), ImageTerm(b"sofa")]
)
def test_other_terms_have_other_vectors(other: Term) -> None:
    encoder = Counting()
    remembering = RememberingEncoder("text", encoder, QueryVectors())
    assert remembering.encode_query(TextTerm("sofa")) is not remembering.encode_query(other)
    assert len(encoder.asked) == 2


def test_other_weights_of_an_encoder_have_other_vectors() -> None:
    kept = QueryVectors()
    old, new = Counting("a"), Counting("b")
    for encoder in (old, new):
        RememberingEncoder("text", encoder, kept).encode_query(TextTerm("sofa"))
    assert (len(old.asked), len(new.asked)) == (1, 1)


def test_a_failure_is_not_remembered() -> None:
    encoder = Counting()
    remembering = RememberingEncoder("text", encoder, QueryVectors())
    encoder.broken = True
    with pytest.raises(EncoderError):
        remembering.encode_query(TextTerm("sofa"))
    encoder.broken = False
    assert set(remembering.encode_query(TextTerm("sofa"))) == {"text"}


def test_what_was_asked_last_stays_when_the_place_is_used_up() -> None:
    kept = QueryVectors(most=3)
    encoder = Counting()
    remembering = RememberingEncoder("text", encoder, kept)
    for text in ("a", "b", "c", "a", "d", "a"):
        remembering.encode_query(TextTerm(text))
    assert len(kept) == 3
    assert [term for term in encoder.asked if term == TextTerm("a")] == [TextTerm("a")]


def test_threads_share_it() -> None:
    kept = QueryVectors(most=8)
    found: list[bool] = []

    def ask(seed: int) -> None:
        remembering = RememberingEncoder("text", Counting(), kept)
        asked = (TextTerm(str(number)) for number in np.random.default_rng(seed).integers(0, 12, 500))
        found.extend(remembering.encode_query(term)["text"].shape == (4,) for term in asked)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 2000
    assert len(kept) == 8
