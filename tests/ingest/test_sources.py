"""Every kind of source gives the same items; what is wrong with one is said with its place."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from es_mappings.errors import BadInput
from es_mappings.schema import build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import Item
from ingest.check import check
from ingest.records import Rejected
from ingest.sources import base_of, digest, read

SCHEMA = build_schema(
    LexicalSettings(
        filters=("tags", "price:number", "fresh:boolean", "made:date", "parts.n:number"), nested=("parts",)
    ),
    [],
)
ROWS: list[dict[str, Any]] = [
    {"id": "1", "title": "Lamp, small", "tags": ["a", "b"], "price": 12.5, "fresh": True, "made": "2020-01-02"},
    {"id": "2", "title": '台灯 "x"\nline', "price": [1, 2], "parts": [{"n": 1}], "size": "7"},
]
CSV = (
    'id,title,tags,price,fresh,made,parts,size\r\n1,"Lamp, small","[""a"", ""b""]",12.5,TRUE,2020-01-02,,\r\n\r\n'
    '2,"台灯 ""x""\nline",,"[1, ""2""]",,,"[{""n"": 1}]",7\r\n'
).encode()


def parquet(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {
        "id": [1, 2],
        "title": ["Lamp, small", '台灯 "x"\nline'],
        "tags": [["a", "b"], None],
        "made": [date(2020, 1, 2), None],
        "fresh": [True, None],
        "cost": [Decimal("1.5"), None],
        "weight": [float("nan"), 2.0],
    }
    parquet.write_table(pyarrow.table(columns), path)


WRITERS: dict[str, Callable[[Path], object]] = {
    "items.jsonl": lambda path: path.write_text("\n".join(map(json.dumps, ROWS)), "utf-8"),
    "items.jsonl.gz": lambda path: path.write_bytes(gzip.compress("\n".join(map(json.dumps, ROWS)).encode())),
    "items.csv": lambda path: path.write_bytes(b"\xef\xbb\xbf" + CSV),
    "items.csv.gz": lambda path: path.write_bytes(gzip.compress(CSV)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_items_of_every_kind_of_text(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    found = list(read(tmp_path / name, SCHEMA))
    assert [dict(item.source) for item in found if isinstance(item, Item)] == ROWS
    lines = (2, 4) if "csv" in name else (1, 2)
    assert [item.place for item in found] == [f"{name}:{line}" for line in lines]
    assert check(found, SCHEMA).lost == 0


def test_tabs_separate_and_large_numbers_stay_json(tmp_path: Path) -> None:
    (tmp_path / "items.tsv").write_text(
        "id\tprice\tfresh\n1\t99999999999999999999\tno\n2\t1e3\t0\n3\tnan\t1\n", "utf-8"
    )
    found = list(read(tmp_path / "items.tsv", SCHEMA))
    assert [dict(item.source) for item in found if isinstance(item, Item)] == [
        {"id": "1", "price": 1e20, "fresh": "no"},
        {"id": "2", "price": 1000.0, "fresh": False},
        {"id": "3", "price": "nan", "fresh": True},
    ]
    report = check(found, SCHEMA)
    assert {kind: problem.places for kind, problem in report.problems.items()} == {
        "fresh: expected a boolean": ["items.tsv:2"],
        "price: expected a finite number": ["items.tsv:4"],
    }


def test_parquet_has_types_of_its_own(tmp_path: Path) -> None:
    parquet(tmp_path / "items.parquet")
    first, second = read(tmp_path / "items.parquet", SCHEMA)
    assert isinstance(first, Item)
    assert isinstance(second, Item)
    assert first.source == {
        "id": "1",
        "title": "Lamp, small",
        "tags": ["a", "b"],
        "made": "2020-01-02",
        "fresh": True,
        "cost": 1.5,
    }
    assert second.source == {"id": "2", "title": '台灯 "x"\nline', "weight": 2.0}
    assert second.place == "items.parquet:row 2"


def test_parquet_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BadInput, match="extra 'parquet'"):
        list(read(tmp_path / "items.parquet", SCHEMA))


def test_bad_rows_cost_themselves(tmp_path: Path) -> None:
    file = tmp_path / "items.csv"
    file.write_bytes(b'id,title\n1,a,b\n2,\xff\n3,"x"y\n4,fine\n,none\n5,"open\n6,x\n')
    found = list(read(file, SCHEMA))
    assert [item.id for item in found if isinstance(item, Item)] == ["4"]
    assert [(r.place, r.reason.split(":")[0]) for r in found if isinstance(r, Rejected)] == [
        ("items.csv:2", "3 columns, but the header has 2"),
        ("items.csv:3", "not UTF-8"),
        ("items.csv:4", "not a row"),
        ("items.csv:6", "id"),
        ("items.csv:7", "not a row"),
    ]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"id;title\n1;2\n", "no column 'id', only 'id;title'"),
        ("a.csv", b"id,title,title\n", "'title' stands there twice"),
        ("a.csv", b"id,,x\n", "column 2 has no name"),
        ("a.csv", b"id,\xff\n", "header is not UTF-8"),
        ("a.csv", "id,x\n".encode("utf-16"), "UTF-16"),
        ("a.jsonl.gz", gzip.compress(b'{"id": "1"}\n' * 9)[:-9], "compressed file is broken"),
        ("a.jsonl.gz", b"{}", "compressed file is broken"),
        ("a.parquet", b"PAR1", "cannot be read as Parquet"),
        ("a.xml", b"", "neither a folder nor one of"),
    ],
)
def test_a_source_that_cannot_be_read_is_an_error_that_says_why(
    name: str, data: bytes, reason: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(BadInput, match=reason):
        list(read(tmp_path / name, SCHEMA))


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_pictures_with_their_fields_beside_them(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", "a.jpg", "a.png", "b.jpg", "sub/c.PNG", "notes.txt")
    (folder / "a.json").write_text('{"title": "A"}')
    (folder / "b.json").write_text("{")
    (folder / "d.json").write_text("{}")
    found = list(read(folder, SCHEMA))
    assert [dict(item.source) for item in found if isinstance(item, Item)] == [
        {"id": "a", "image": "a.jpg", "title": "A"},
        {"id": "sub/c", "image": "sub/c.PNG"},
    ]
    assert [r.place for r in found if isinstance(r, Rejected)] == ["a.png", "b.json", "d.json"]
    assert base_of(folder) == folder
    before = digest(folder)
    (folder / "a.json").write_text('{"title": "B!"}')
    assert digest(folder) != before


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_pictures_with_one_table_for_all(kind: str, tmp_path: Path) -> None:
    folder = pictures(tmp_path / "p", "a.jpg", "b.jpg", "c.jpg")
    rows = {
        "csv": "file_name,id,title\na.jpg,x,A\nb.jpg,,B\nz.jpg,,Z\n",
        "jsonl": '{"file_name": "a.jpg", "id": "x", "title": "A"}\n'
        '{"file_name": "b.jpg", "title": "B"}\n{"title": "Z"}\n',
    }
    (folder / f"metadata.{kind}").write_text(rows[kind])
    found = list(read(folder, SCHEMA))
    assert [dict(item.source) for item in found if isinstance(item, Item)] == [
        {"id": "x", "image": "a.jpg", "file_name": "a.jpg", "title": "A"},
        {"id": "b", "image": "b.jpg", "file_name": "b.jpg", "title": "B"},
    ]
    line = 4 if kind == "csv" else 3
    assert [r.place for r in found if isinstance(r, Rejected)] == [f"metadata.{kind}:{line}", "c.jpg"]


def test_a_check_names_what_would_be_lost_by_kind(tmp_path: Path) -> None:
    lines = [{"id": "1"}, {"id": "1"}, {"id": "2", "price": "x"}, {"id": "3", "price": "y"}, {"id": 4}]
    (tmp_path / "i.jsonl").write_text("\n".join(map(json.dumps, lines)))
    report = check(read(tmp_path / "i.jsonl", SCHEMA), SCHEMA)
    assert (report.read, report.lost) == (5, 4)
    assert {problem.example.split(";")[0]: problem.places for problem in report.problems.values()} == {
        "id: stands there before": ["i.jsonl:2"],
        "price: expected a finite number, got 'x'": ["i.jsonl:3", "i.jsonl:4"],
        "id: must be a non-empty string": ["i.jsonl:5"],
    }
