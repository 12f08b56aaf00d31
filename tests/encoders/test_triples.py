"""Reading triples and names."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from encoders.training.triples import Name, read_graph
from es_mappings.errors import BadInput


@pytest.fixture
def triples(tmp_path: Path) -> Path:
    return tmp_path / "triples.tsv"


def test_numbers_follow_first_appearance_and_duplicates_vanish(triples: Path) -> None:
    triples.write_text("# a comment\na\thas_tag\tx\n\nb\thas_tag\tx\na\thas_tag\tx\nb\tnear\ta\n", "utf-8")
    graph = read_graph(triples)
    assert graph.entities == ("a", "x", "b")
    assert graph.relations == ("has_tag", "near")
    assert graph.triples.tolist() == [[0, 0, 1], [2, 0, 1], [2, 1, 0]]
    assert graph.names == () and graph.problems == ()


def test_a_bad_line_is_named_and_the_rest_goes_on(triples: Path) -> None:
    triples.write_bytes(b"a\tr\tb\na\tr\na\tr\tb\tc\n\tr\tb\n\xff\tr\tb\na\x00\tr\tb\nc\tr\td\n")
    graph = read_graph(triples)
    assert len(graph.triples) == 2
    assert [place for place, _ in graph.problems] == [f"{triples}:{line}" for line in range(2, 7)]
    assert [reason for _, reason in graph.problems] == [
        "2 columns separated by tabs instead of 3",
        "4 columns separated by tabs instead of 3",
        "an empty column",
        "not UTF-8",
        "a NUL character",
    ]


def test_files_from_windows_and_strange_line_separators_inside_a_name(triples: Path, tmp_path: Path) -> None:
    triples.write_bytes(b"\xef\xbb\xbfa\tr\tb\r\nb\tr\tc\r\n")
    names = tmp_path / "names.tsv"
    names.write_bytes("a\ten\tone\u2028two\r\n".encode())
    graph = read_graph(triples, names)
    assert graph.entities == ("a", "b", "c")
    assert graph.names == (Name(0, "en", "one\u2028two"),)


def test_several_names_per_entity_and_none_for_unknown_entities(triples: Path, tmp_path: Path) -> None:
    triples.write_text("a\tr\tb\n", "utf-8")
    names = tmp_path / "names.tsv"
    names.write_text("a\ten\tSofa\na\tzh\t沙发\na\ten\tSofa\nzzz\ten\tNobody\na\ten\n", "utf-8")
    graph = read_graph(triples, names)
    assert graph.names == (Name(0, "en", "Sofa"), Name(0, "zh", "沙发"))
    assert graph.problems == ((f"{names}:5", "2 columns separated by tabs instead of 3"),)


def test_no_triple_at_all_is_an_error_that_shows_the_first_bad_line(triples: Path) -> None:
    triples.write_text("# nothing\na,r,b\n", "utf-8")
    with pytest.raises(BadInput, match=r"no triple .*triples\.tsv:2: 1 columns"):
        read_graph(triples)


def test_a_missing_file_is_an_error(triples: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_graph(triples)


NT = r"""# a comment
<http://e/a> <http://e/r> <http://e/b> .
<http://e/a> <http://e/name> "caf\u00e9 \"x\""@fr . # more
_:n1<http://e/r><http://e/b>.
<http://e/a> <http://e/year> "7"^^<http://www.w3.org/2001/XMLSchema#integer> .
<http://e/a> <http://e/r> .
<http://e/a> <http://e/r> "\uD800" .
"""


@pytest.mark.parametrize("ending", [".nt", ".nt.gz"])
def test_n_triples(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"graph{ending}"
    file.write_bytes(gzip.compress(NT.encode()) if ending == ".nt.gz" else NT.encode())
    graph = read_graph(file)
    assert graph.entities == ("http://e/a", "http://e/b", 'café "x"', "_:n1", "7")
    assert graph.relations == ("http://e/r", "http://e/name", "http://e/year")
    assert graph.problems == (
        (f"{file}:6", "not a statement of N-Triples"),
        (f"{file}:7", "an escape that is no character"),
    )


def test_compressed_tables(tmp_path: Path) -> None:
    file = tmp_path / "t.tsv.gz"
    file.write_bytes(gzip.compress(b"a\tr\tb\n"))
    assert read_graph(file).entities == ("a", "b")
    file.write_bytes(gzip.compress(b"a\tr\tb\n")[:-8])
    with pytest.raises(BadInput, match="compressed file is broken"):
        read_graph(file)


def test_parquet_has_the_same_three_columns(tmp_path: Path) -> None:
    table = pyarrow.table({"s": ["a", None, "b", "a"], "p": ["r", "r", "r", "r"], "o": [1, 2, 3, 1]})
    parquet.write_table(table, tmp_path / "t.parquet")
    graph = read_graph(tmp_path / "t.parquet")
    assert graph.entities == ("a", "1", "b", "3")
    assert graph.triples.tolist() == [[0, 0, 1], [2, 0, 3]]
    assert graph.problems == ((f"{tmp_path / 't.parquet'}:row 2", "an empty column"),)


def test_what_is_no_parquet_of_three_columns_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    file.write_text("a\tr\tb\n")
    with pytest.raises(BadInput, match="cannot be read as Parquet"):
        read_graph(file)
    parquet.write_table(pyarrow.table({"s": ["a"], "o": ["b"]}), file)
    with pytest.raises(BadInput, match="2 columns instead of 3"):
        read_graph(file)


# --- interactions


@pytest.fixture
def interactions(tmp_path: Path) -> Path:
    return tmp_path / "interactions.tsv"


def test_interactions_are_triples_of_users_who_are_entities_of_their_own(triples: Path, interactions: Path) -> None:
    triples.write_text("a\thas_tag\tx\n", "utf-8")
    interactions.write_text("a\ta\n7\ta\t2.5\t100\n7\tb\t\t50\n", "utf-8")
    graph = read_graph(triples, None, interactions)
    assert graph.entities == ("a", "x", "user:a", "user:7", "b")
    assert graph.relations == ("has_tag", "interacted")
    assert graph.triples.tolist() == [[0, 0, 1], [2, 1, 0], [3, 1, 0], [3, 1, 4]]
    assert graph.weights.tolist() == [1, 1, 2.5, 1]
    assert graph.times.tolist() == [-math.inf, -math.inf, 100, 50]
    assert graph.users == (2, 3)
    assert graph.interactions.tolist() == [False, True, True, True]


def test_what_is_done_again_adds_up_at_the_latest_time(interactions: Path) -> None:
    interactions.write_text("u\ta\t1\t9\nu\ta\t2\t3\nu\ta\n", "utf-8")
    graph = read_graph(None, None, interactions)
    assert (graph.triples.tolist(), graph.weights.tolist(), graph.times.tolist()) == ([[0, 0, 1]], [4], [9])


def test_a_bad_interaction_is_named_and_the_rest_goes_on(interactions: Path) -> None:
    lines = ["u\ta", "u", "u\ta\t1\t2\t3", "\ta", "u\ta\tmuch", "u\ta\t0", "u\ta\tnan", "u\ta\t1\tinf", "u\tb\t2"]
    interactions.write_text("\n".join(lines), "utf-8")
    graph = read_graph(None, None, interactions)
    assert graph.weights.tolist() == [1, 2]
    assert [place for place, _ in graph.problems] == [f"{interactions}:{line}" for line in range(2, 9)]
    assert [reason for _, reason in graph.problems] == [
        "1 columns separated by tabs instead of 2 to 4",
        "5 columns separated by tabs instead of 2 to 4",
        "an empty column",
        "weight and time are numbers, not 'much' and ''",
        "a weight is more than 0, not 0",
        "a weight is more than 0, not nan",
        "a time is a finite number",
    ]


def test_nothing_to_read_is_an_error(interactions: Path) -> None:
    interactions.write_text("u\n", "utf-8")
    with pytest.raises(BadInput, match=r"no interaction .*:1: 1 columns"):
        read_graph(None, None, interactions)
    with pytest.raises(BadInput, match="triples, of interactions"):
        read_graph(None)
