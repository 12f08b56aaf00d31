"""From records to an index: centres of a new one, kept centres of an old one, what gets lost on the way."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders.contract import Encoded
from encoders.parts.centring import centred
from es_mappings.embedded import open_store, store_file
from es_mappings.errors import EngineUnavailable
from es_mappings.provenance import Manifest, Receipt
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings
from es_mappings.types import EncodedItem, Item, Provenance, Space, Stored, Term, TextTerm, Tombstone, Vector
from ingest.centres import MOST_TEXTS, SAMPLE, words_of
from ingest.encoding import Encoding
from ingest.pipeline import BATCH, Summary, ingest
from ingest.records import Entry, Rejected
from ingest.sinks import open_sink

DIMS = 8


class Letters:
    """An encoder small enough to follow: a text becomes a direction that depends on its letters."""

    spaces = (Space("text", "text", DIMS),)
    provenance: Mapping[str, Provenance] = {"text": Provenance("letters", "1", DIMS)}

    def __init__(self) -> None:
        self.encoded = 0

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        self.encoded += len(values)
        return Encoded({"text": [direction(value[0]) if value else None for value in values]})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {"text": direction(term.text.upper())} if isinstance(term, TextTerm) else {}


def direction(text: str) -> Vector:
    row = np.random.default_rng(list(text.encode())).normal(size=DIMS) + 1
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


SCHEMA = build_schema(LexicalSettings(), [Letters()])
MODALITIES = {"text": ModalitySettings(encoder="letters", source=("title",))}
Run = Callable[[Sequence[Entry]], Summary]


@pytest.fixture
def engine(tmp_path: Path) -> EngineSettings:
    return EngineSettings(url=f"embedded:{tmp_path}", index="run")


@pytest.fixture
def encoder() -> Letters:
    return Letters()


@pytest.fixture
def run(engine: EngineSettings, encoder: Letters, tmp_path: Path) -> Iterator[Run]:
    with closing(open_sink(engine, SCHEMA)) as sink:
        yield lambda records: ingest(
            records,
            Encoding(SCHEMA, MODALITIES, {"text": encoder}, tmp_path),
            sink,
            source="test",
            dead_letters=tmp_path / "dead.jsonl",
        )


def items(start: int, stop: int) -> list[Item]:
    return [Item(f"i{n}", {"id": f"i{n}", "title": f"title {n}"}, f"f:{n}") for n in range(start, stop)]


def manifest(engine: EngineSettings) -> Manifest | None:
    with closing(open_sink(engine, SCHEMA)) as sink:
        return sink.manifest()


def stored(engine: EngineSettings) -> dict[str, Vector]:
    with closing(open_store(store_file(engine.url, engine.index))) as store:
        found = store.execute("SELECT id, vector FROM items JOIN vectors USING (row)").fetchall()
    return {identifier: np.frombuffer(data, dtype=np.float32) for identifier, data in found}


def test_a_new_index_is_centred_by_its_first_items_and_words_of_their_titles_as_queries(
    run: Run, engine: EngineSettings
) -> None:
    summary = run(items(0, 150))
    assert (summary.read, summary.written, dict(summary.vectors)) == (150, 150, {"text": 150})
    found = manifest(engine)
    assert found is not None
    assert found.receipt is not None
    titles = [f"title {n}" for n in range(150)]
    centre = found.centres["text"]
    np.testing.assert_allclose(centre.items, np.mean([direction(t) for t in titles], axis=0), atol=1e-6)
    draw = random.Random(0)
    asked = dict.fromkeys(words_of(title, draw) for title in titles)
    assert {len(words.split()) for words in asked} == {1, 2}
    np.testing.assert_allclose(
        centre.queries["text"], np.mean([direction(t.upper()) for t in asked], axis=0), atol=1e-6
    )
    np.testing.assert_allclose(stored(engine)["i7"], centred(direction("title 7"), centre.items), atol=1e-6)


@pytest.mark.parametrize(
    ("title", "possible"),
    [
        ("oak", {"oak"}),
        ("red oak chair", {"red", "oak", "chair", "red oak", "oak chair"}),
        ("椅子", {"椅子"}),
        ("登山鞋", {"登山", "山鞋"}),
        ("橡木 登山鞋", {"橡木", "登山", "山鞋", "橡木 登山", "橡木 山鞋"}),
        ("ソファベッド", {"ソファベッド"}),
    ],
)
def test_what_people_may_type_is_a_word_or_two(title: str, possible: set[str]) -> None:
    draw = random.Random(0)
    assert {words_of(title, draw) for _ in range(100)} == possible


def test_an_index_keeps_its_centres(run: Run, engine: EngineSettings) -> None:
    run(items(0, 150))
    before = manifest(engine)
    run(items(100, 400))
    after = manifest(engine)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before.centres["text"].items, after.centres["text"].items)
    assert len(stored(engine)) == 400
    np.testing.assert_allclose(
        stored(engine)["i399"], centred(direction("title 399"), before.centres["text"].items), atol=1e-6
    )


def test_the_first_items_are_encoded_once_and_later_ones_stream(
    run: Run, engine: EngineSettings, encoder: Letters
) -> None:
    many = SAMPLE + 3 * BATCH
    summary = run(items(0, many))
    assert (summary.written, encoder.encoded) == (many, many)
    assert len(stored(engine)) == many
    found = manifest(engine)
    assert found is not None
    sample = [direction(f"title {n}") for n in range(-(-SAMPLE // BATCH) * BATCH)]
    np.testing.assert_allclose(found.centres["text"].items, np.mean(sample, axis=0), atol=1e-6)
    assert MOST_TEXTS < SAMPLE


def test_few_items_are_not_centred(run: Run, engine: EngineSettings) -> None:
    run(items(0, 20))
    found = manifest(engine)
    assert found is not None
    assert found.centres == {}
    np.testing.assert_array_equal(stored(engine)["i7"], direction("title 7"))


def test_a_vector_like_all_others_is_lost_with_its_reason(run: Run, engine: EngineSettings, tmp_path: Path) -> None:
    same = [Item(f"s{n}", {"id": f"s{n}", "title": "same"}, f"f:{n}") for n in range(120)]
    summary = run(same)
    assert (summary.written, dict(summary.vectors), dict(summary.lost)) == (120, {}, {"text": 120})
    letter = json.loads((tmp_path / "dead.jsonl").read_text("utf-8").splitlines()[0])
    assert letter["place"] == "f:0"
    assert "nothing is left" in letter["reason"]
    assert stored(engine) == {}


def test_without_an_item_there_is_no_index(run: Run, engine: EngineSettings, tmp_path: Path) -> None:
    summary = run([Rejected("f:1", "not JSON", "{"), Item("a", {"title": {"en": "no text"}}, "f:2")])
    assert (summary.read, summary.written, dict(summary.lost)) == (2, 0, {"item": 2})
    assert len((tmp_path / "dead.jsonl").read_text("utf-8").splitlines()) == 2
    assert manifest(engine) is None
    assert run(items(0, 150)).written == 150
    found = manifest(engine)
    assert found is not None
    assert set(found.centres) == {"text"}


class Slow:
    """A sink that keeps nothing, takes its time, and may fail."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.begun: list[str] = []
        self.stopped = threading.Event()
        self.fails_at = fails_at

    def manifest(self, renewing: Collection[str] = ()) -> Manifest | None:
        return Manifest()

    def renew(self, manifest: Manifest) -> None: ...

    def prepare(self, centres: Mapping[str, Any]) -> None: ...

    def stored(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        return {}

    def write(self, batch: Sequence[EncodedItem | Tombstone]) -> list[Rejected]:
        assert isinstance(batch[0], EncodedItem)
        self.begun.append(batch[0].item.id)
        if len(self.begun) - 1 == self.fails_at:
            raise EngineUnavailable("gone")
        self.stopped.wait(0.05)
        return []

    def finish(self, receipt: Receipt) -> None: ...

    def calibrate(self, fitted: Mapping[str, Any]) -> None: ...

    def stop(self) -> None:
        self.stopped.set()

    def close(self) -> None: ...


class Sleepy(Letters):
    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        time.sleep(0.05)
        return super().encode_items(values, base)


def write_to(sink: Slow, records: Iterable[Item | Rejected], folder: Path) -> Summary:
    return ingest(
        records,
        Encoding(SCHEMA, MODALITIES, {"text": Sleepy()}, folder),
        sink,
        source="test",
        dead_letters=folder / "dead.jsonl",
    )


def test_encoding_and_writing_overlap_in_order(tmp_path: Path) -> None:
    sink = Slow()
    summary = write_to(sink, items(0, 10 * BATCH), tmp_path)
    assert sink.begun == [f"i{n * BATCH}" for n in range(10)]
    assert summary.written == summary.encoded == 10 * BATCH
    assert summary.seconds["total"] < 0.9 * (summary.seconds["encode"] + summary.seconds["write"])
    assert set(summary.per_second()) == {"read", "compare", "encode", "write", "total"}


def test_what_the_writer_raises_ends_the_run(tmp_path: Path) -> None:
    sink = Slow(fails_at=1)
    with pytest.raises(EngineUnavailable, match="gone"):
        write_to(sink, items(0, 50 * BATCH), tmp_path)
    assert len(sink.begun) < 6
    assert sink.stopped.is_set()


def test_an_interrupt_ends_the_run_with_the_batch_that_is_written(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Item | Rejected]:
        yield from items(0, 4 * BATCH)
        raise KeyboardInterrupt

    sink = Slow()
    with pytest.raises(KeyboardInterrupt):
        write_to(sink, interrupted(), tmp_path)
    assert sink.stopped.is_set()
    assert 1 <= len(sink.begun) <= 4
