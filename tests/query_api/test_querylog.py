"""What the query log refuses, and what it never tells; tests/acceptance writes it to real engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from corner import write
from encoders.contract import Graph, load_encoder
from es_mappings.errors import SettingsError
from es_mappings.settings import EngineSettings, LogSettings, ModalitySettings, Settings
from es_mappings.types import EntityTerm, ItemTerm, Plan, TextTerm, UserTerm, VectorTerm, Walk
from query_api.paths import named
from query_api.planner import Planned
from query_api.querylog.entry import entry, same_text, writing
from query_api.querylog.heard import Search
from query_api.querylog.writer import check_log
from query_api.request import SearchRequest
from query_api.stages import Record

JSON = dict[str, Any]

CLUSTER = EngineSettings(url="http://127.0.0.1:1")


def test_a_log_needs_a_cluster() -> None:
    log = LogSettings(index="queries")
    with pytest.raises(SettingsError, match=r"log\.index: .*embedded"):
        check_log(Settings(engine=EngineSettings(), log=log))
    check_log(Settings(engine=CLUSTER, log=log))
    check_log(Settings(engine=EngineSettings()))


def test_hashing_needs_a_key() -> None:
    with pytest.raises(SettingsError, match=r"log\.texts: .*MAXCOS_LOG__HASH_KEY"):
        check_log(Settings(engine=CLUSTER, log=LogSettings(index="queries", texts="hashed")))
    hashed = LogSettings.model_validate({"index": "queries", "texts": "hashed", "hash_key": "x" * 16})
    check_log(Settings(engine=CLUSTER, log=hashed))


def test_a_hash_is_the_beginning_of_an_hmac() -> None:
    """The rest was computed by `openssl dgst -sha256 -hmac`."""
    written = writing(LogSettings.model_validate({"texts": "hashed", "hash_key": "Jefe Jefe Jefe Jefe"}))
    assert written is not None
    assert written(" What do ya WANT  for nothing? ") == "60347f019420a64681c874493b8b5d48"


@pytest.mark.parametrize(
    ("text", "same"), [("  Red\t SOFA ", "red sofa"), ("Ｓｏｆａ", "sofa"), ("Straße", "strasse"), ("沙发", "沙发")]
)
def test_texts_that_differ_in_form_alone_are_one(text: str, same: str) -> None:
    assert same_text(text) == same


@pytest.mark.parametrize(
    ("request_", "more", "told"),
    [
        (SearchRequest(()), {}, {"first_page": True, "zero_result": True}),
        (SearchRequest(()), {"partial": {"reason": "the time is over"}}, {"first_page": True}),
        (SearchRequest((), offset=10), {}, {"first_page": False}),
        (SearchRequest((), walk=Walk("view", ("9",))), {}, {"first_page": False}),
        (SearchRequest((), walk=Walk()), {}, {"first_page": True, "zero_result": True}),
        (SearchRequest((), size=0), {}, {"first_page": False}),
    ],
)
def test_only_a_whole_first_page_says_that_nothing_was_found(request_: SearchRequest, more: JSON, told: JSON) -> None:
    answer = {"took_ms": 1.0, "engine_ms": 1.0, "total": None, "hits": [], **more}
    search = Search(request_, Planned(Plan((), None), "exact", "", (), "raw"), answer, tuple)
    made = entry(search, Record(), None, {})
    assert {name: made[name] for name in ("first_page", "zero_result") if name in made} == told


def test_what_users_and_items_are_about_is_not_told(tmp_path: Path) -> None:
    write(tmp_path, {}, {})
    model = str(tmp_path / "graph.npz")
    graph = load_encoder("graph", ModalitySettings(encoder="graph", model=model, source=("id",)), {})
    assert isinstance(graph, Graph)
    others = (UserTerm("item-1"), ItemTerm("item-2"), VectorTerm("graph", ()))
    terms = (TextTerm("a red thing"), EntityTerm("item-3"), *others)
    assert named(terms, [graph])() == ("tag:red", "item-3")
