"""Running a source again: what is unchanged is left alone, and what has changed is all that is encoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from encoders.contract import Encoded
from es_mappings.embedded import open_store, store_file
from es_mappings.errors import BadInput, ProvenanceMismatch, SettingsError
from es_mappings.schema import build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings
from es_mappings.types import Fields, Item, Provenance, Space, Term, Tombstone, Vector
from ingest import pipeline
from ingest.encoding import Encoding
from ingest.pipeline import Summary, ingest
from ingest.records import Entry
from ingest.sinks import open_sink

MODALITIES = {
    "text": ModalitySettings(encoder="letters", source=("title",)),
    "image": ModalitySettings(encoder="letters", source=("photo",)),
}


class Letters:
    """A value becomes a direction of its own; "broken" cannot be encoded. asked: all values, in order."""

    def __init__(self, modality: str, version: str = "1") -> None:
        self.spaces = (Space(modality, modality, 4),)
        self.provenance = {modality: Provenance("letters", version, 4)}
        self.asked: list[str] = []

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        self.asked += [value[0] for value in values if value]
        bad = {i: BadInput("broken") for i, value in enumerate(values) if value and value[0] == "broken"}
        name = self.spaces[0].name
        return Encoded({name: [direction(v[0]) if v and i not in bad else None for i, v in enumerate(values)]}, bad)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {}


class Files(Letters):
    """Its values name files."""

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> Sequence[Any]:
        return [[(base / name).read_text() for name in value] for value in values]


def direction(text: str) -> Vector:
    row = np.random.default_rng(list(text.encode())).normal(size=4)
    return np.asarray(row / np.linalg.norm(row), dtype=np.float32)


class Index:
    """An index in a folder, and the encoders of its two modalities."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.encoders = {name: Letters(name) for name in MODALITIES}
        self.engine = EngineSettings(url=f"embedded:{folder}", index="items")

    def run(self, records: Sequence[Entry], *only: str) -> Summary:
        for encoder in self.encoders.values():
            encoder.asked = []
        schema = build_schema(LexicalSettings(), self.encoders.values())
        encoding = Encoding(schema, MODALITIES, self.encoders, self.folder, frozenset(only) or None)
        with closing(open_sink(self.engine, schema)) as sink:
            return ingest(records, encoding, sink, source="test", dead_letters=self.folder / "dead.jsonl")

    def asked(self) -> dict[str, list[str]]:
        return {name: encoder.asked for name, encoder in self.encoders.items()}

    def contents(self, *, companions: bool = True) -> dict[str, tuple[dict[str, Any], dict[str, bytes]]]:
        """By id the source and the vectors by space; and the companions say the same."""
        with closing(open_store(store_file(self.engine.url, self.engine.index))) as store:
            items = store.execute("SELECT row, id, source, body FROM items JOIN companions USING (row)").fetchall()
            vectors = store.execute("SELECT row, space, vector FROM vectors").fetchall()
            (rows,) = store.execute("SELECT count(*) FROM companions").fetchone()
        assert rows == len(items)
        found = {}
        for row, identifier, source, body in items:
            own = {space: vector for at, space, vector in vectors if at == row}
            assert not companions or orjson.loads(body)["modalities"] == [name for name in MODALITIES if name in own]
            found[identifier] = (orjson.loads(source), own)
        return found

    def expected(self, *items: Item) -> dict[str, tuple[dict[str, Any], dict[str, bytes]]]:
        fields = {"text": "title", "image": "photo"}
        return {
            item.id: (
                dict(item.source),
                {
                    space: direction(item.source[field]).tobytes()
                    for space, field in fields.items()
                    if item.source.get(field) not in (None, "broken")
                },
            )
            for item in items
        }


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index(tmp_path)


def item(identifier: str, **fields: Any) -> Item:
    return Item(identifier, {"id": identifier, **fields}, f"f:{identifier}")


A = item("a", title="oak", photo="a.png")
B = item("b", title="ash")


def test_an_encoder_reads_the_values_of_its_source_and_then_its_relations_by_name(index: Index) -> None:
    modality = ModalitySettings(encoder="graph", source=("id", "sku"), relations={"tags": "has_tag", "maker.id": "by"})
    schema = build_schema(LexicalSettings(), index.encoders.values())
    encoding = Encoding(schema, {"graph": modality}, {}, index.folder)
    assert encoding.values(item("1", tags=["a"], maker={"id": 2}), "graph") == [
        "1",
        Fields({"tags": ["a"], "maker.id": 2}),
    ]
    assert encoding.values(item("1", tags=None), "graph") == ["1"]


def test_what_is_there_is_left_alone(index: Index) -> None:
    assert index.run([A, B]).written == 2
    summary = index.run([A, B])
    assert (summary.read, summary.written, summary.unchanged, summary.encoded) == (2, 0, 2, 0)
    assert index.asked() == {"text": [], "image": []}
    assert index.contents() == index.expected(A, B)


def test_only_what_has_changed_is_encoded(index: Index) -> None:
    index.run([A, B])
    cheaper = item("a", title="oak", photo="a.png", price=3)
    with_photo = item("b", title="ash", photo="b.png")
    summary = index.run([cheaper, with_photo])
    assert (summary.written, summary.unchanged, dict(summary.vectors)) == (2, 0, {"image": 1})
    assert index.asked() == {"text": [], "image": ["b.png"]}
    assert index.contents() == index.expected(cheaper, with_photo)


def test_what_an_item_has_lost_its_vector_has_too(index: Index) -> None:
    index.run([A, B])
    bare = item("a", title="oak")
    index.run([bare])
    assert index.asked() == {"text": [], "image": []}
    assert index.contents() == index.expected(bare, B)


def test_what_cannot_be_encoded_is_tried_in_each_run_and_written_once(index: Index) -> None:
    broken = item("a", title="oak", photo="broken")
    assert index.run([A]).lost == {}
    first, again = index.run([broken]), index.run([broken])
    assert (first.written, again.unchanged) == (1, 1)
    assert first.lost == again.lost == {"image": 1}
    assert index.contents() == index.expected(broken)
    index.run([A])
    assert index.contents() == index.expected(A)


def test_a_file_that_has_changed_under_its_name_is_encoded_again(index: Index) -> None:
    index.encoders["image"] = Files("image")
    (index.folder / "a.png").write_text("one")
    index.run([A])
    index.run([A])
    assert index.asked()["image"] == []
    (index.folder / "a.png").write_text("two")
    index.run([A])
    assert index.asked() == {"text": [], "image": ["a.png"]}


def test_one_modality_at_a_time(index: Index) -> None:
    index.run([A, B])
    other = item("a", title="elm", photo="b.png")
    index.run([other], "image")
    assert index.asked() == {"text": [], "image": ["b.png"]}
    source, vectors = index.contents()["a"]
    assert source == other.source
    # Nobody looked at the text, so that the next run finds it changed.
    assert vectors == {"text": direction("oak").tobytes(), "image": direction("b.png").tobytes()}
    index.run([other])
    assert index.asked() == {"text": ["elm"], "image": []}
    assert index.contents() == index.expected(other, B)


def test_an_item_that_comes_twice_keeps_its_other_modalities(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "BATCH", 1)
    index.run([A])
    index.run([item("a", title="oak", photo=name) for name in ("1.png", "2.png", "a.png")], "image")
    assert index.contents() == index.expected(A)


def test_another_encoder_fills_its_modality_anew_and_no_other(index: Index) -> None:
    many = [item(f"i{n}", title=f"title {n}", photo=f"{n}.png") for n in range(20)]
    index.run([*many, B])
    index.encoders["image"] = Letters("image", version="2")
    with pytest.raises(ProvenanceMismatch, match="--only"):
        index.run(many)
    with pytest.raises(ProvenanceMismatch, match="built differently"):
        index.run(many, "text")
    # Half of the items are not there any more: their old vectors must not stay beside the new ones.
    summary = index.run(many[:10], "image")
    assert index.asked() == {"text": [], "image": [f"{n}.png" for n in range(10)]}
    assert (summary.written, dict(summary.vectors)) == (10, {"image": 10})
    found = index.contents(companions=False)
    assert [name for name, (_, vectors) in found.items() if "image" in vectors] == [f"i{n}" for n in range(10)]
    assert all("text" in vectors for _, vectors in found.values())
    assert index.run(many[10:]).encoded == 10
    assert index.contents() == index.expected(*many, B)


def test_the_first_run_encodes_all(index: Index) -> None:
    with pytest.raises(SettingsError, match="no index yet"):
        index.run([A], "text")


def test_a_tombstone_deletes(index: Index) -> None:
    index.run([A, B])
    summary = index.run([Tombstone("a", "f:1"), Tombstone("nobody", "f:2")])
    assert (summary.read, summary.written, summary.deleted, summary.lost) == (2, 0, 2, {})
    assert index.contents() == index.expected(B)
    assert index.run([A]).written == 1
    assert index.contents() == index.expected(A, B)


records = st.one_of(
    st.builds(Tombstone, st.sampled_from("abc")),
    st.builds(
        item,
        st.sampled_from("abc"),
        title=st.sampled_from(["oak", "ash", "broken"]),
        photo=st.sampled_from([None, "1.png", "2.png"]),
    ),
)


@given(runs=st.lists(st.lists(records, max_size=12), min_size=1, max_size=3))
def test_the_last_of_each_id_stays_whatever_the_order(runs: list[list[Entry]]) -> None:
    last: dict[str, Item | None] = {}
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "BATCH", 3)
        index = Index(Path(folder))
        index.run([B])
        last["b"] = B
        for records in runs:
            index.run(records)
            last |= {record.id: record if isinstance(record, Item) else None for record in entries(records)}
        assert index.contents() == index.expected(*(found for found in last.values() if found is not None))


def entries(records: Sequence[Entry]) -> Iterator[Item | Tombstone]:
    for record in records:
        assert isinstance(record, Item | Tombstone)
        yield record
