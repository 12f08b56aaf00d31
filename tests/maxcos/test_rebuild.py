"""`maxcos rebuild` on real engines: readers see the old index or the new one, and a failure leaves no trace."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engines import ENGINES
from es_mappings.cluster import connect, is_embedded
from es_mappings.embedded import open_store, store_file
from es_mappings.errors import EngineRefused, EngineUnavailable, RebuildFailed
from es_mappings.schema import build_schema
from es_mappings.settings import Settings, load_settings
from es_mappings.types import Calibration, Fusion, Plan, Walk
from ingest.places import open_place, previous
from ingest.places.cluster import ClusterPlace
from ingest.sinks import open_sink
from maxcos.build import ingest_file
from maxcos.cli import main
from maxcos.rebuild.run import drop_old, rebuild
from query_api.searchers import Searcher, open_searcher

NUMBER = 120
ALL = Plan((), "lamp", Fusion("lexical"), size=NUMBER)


def config(folder: Path, url: str, index: str, languages: str = '["en"]') -> Settings:
    file = folder / "maxcos.toml"
    file.write_text(
        f'[engine]\nurl = "{url}"\nindex = "{index}"\n'
        f'[lexical]\nfields = ["title^2"]\nfilters = ["edition"]\nlanguages = {languages}\n',
        "utf-8",
    )
    return load_settings(file)


def source(folder: Path, edition: str, number: int = NUMBER, title: str = "lamp number {}") -> Path:
    file = folder / f"{edition}.jsonl"
    items = [{"id": f"i{i}", "title": title.format(i), "edition": edition} for i in range(number)]
    file.write_text("\n".join(map(json.dumps, items)), "utf-8")
    return file


@pytest.fixture(params=ENGINES)
def settings(request: pytest.FixtureRequest, engine_url: Callable[[str], str], tmp_path: Path) -> Iterator[Settings]:
    found = config(tmp_path, engine_url(request.param), f"maxcos-test-{uuid.uuid4().hex}")
    yield found
    if not is_embedded(found.engine):
        with closing(connect(found.engine)) as cluster:
            for index in indices(found):
                cluster.request("DELETE", f"/{index}")


def indices(settings: Settings) -> list[str]:
    """The own names of all indices that the test has made."""
    if is_embedded(settings.engine):
        folder = store_file(settings.engine.url, settings.engine.index).parent
        return sorted(path.stem for path in folder.glob("*.sqlite") if not path.is_symlink())
    with closing(connect(settings.engine)) as cluster:
        return sorted(cluster.request("GET", f"/{settings.engine.index}*/_alias"))


def opened(settings: Settings, index: str | None = None) -> Searcher:
    engine = settings.engine.model_copy(update={"index": index or settings.engine.index})
    return open_searcher(engine, build_schema(settings.lexical, []))


def editions(searcher: Searcher) -> set[str]:
    hits = searcher.search(ALL).hits
    assert len(hits) == NUMBER
    return {hit.source["edition"] for hit in hits}


def test_from_nothing_to_a_second_index_and_its_end(settings: Settings, tmp_path: Path) -> None:
    first = rebuild(source(tmp_path, "one"), settings)
    assert (first.kept, first.items, first.comparison) == (None, NUMBER, None)
    assert indices(settings) == [first.index]
    second = rebuild(source(tmp_path, "two"), settings)
    assert (second.kept, second.items_before) == (first.index, NUMBER)
    assert second.comparison is not None
    assert second.comparison.asked == 100
    assert (second.comparison.found_old, second.comparison.found_new) == (1, 1)
    assert second.comparison.agreement["words"] > 0.9
    with closing(opened(settings)) as now, closing(opened(settings, previous(settings.engine.index))) as before:
        assert editions(now) == {"two"}
        assert editions(before) == {"one"}
        with pytest.raises(RebuildFailed, match="--drop-old"):
            rebuild(source(tmp_path, "three"), settings)
        assert drop_old(settings) == first.index
        assert editions(now) == {"two"}
    assert indices(settings) == [second.index]
    assert drop_old(settings) is None


def test_readers_are_never_interrupted_and_never_see_two_indices_at_once(settings: Settings, tmp_path: Path) -> None:
    rebuild(source(tmp_path, "0"), settings)
    seen: list[set[str]] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        with closing(opened(settings)) as searcher:
            while not stop.is_set():
                try:
                    seen.append(editions(searcher))
                except BaseException as error:
                    failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for number in range(1, 5):
            rebuild(source(tmp_path, str(number)), settings)
            drop_old(settings)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert all(len(found) == 1 for found in seen)
    assert {edition for found in seen for edition in found} >= {"0", "1", "2", "3"}


def test_walks_and_scans_go_on_across_a_swap(settings: Settings, tmp_path: Path) -> None:
    rebuild(source(tmp_path, "one"), settings)
    walked = Plan((), "lamp", Fusion("lexical"), size=50, walk=Walk())
    with closing(opened(settings)) as searcher:
        page = searcher.search(walked)
        scan = searcher.scan(50)
        found = next(scan)
        rebuild(source(tmp_path, "two"), settings)
        hits = list(page.hits)
        fresh = searcher.search(walked)  # begins after the swap, though the searcher remembers the old index
        while page.next is not None:
            page = searcher.search(Plan((), "lamp", Fusion("lexical"), size=50, walk=page.next))
            hits += page.hits
        found += [item for batch in scan for item in batch]
        assert {hit.source["edition"] for hit in fresh.hits} == {"two"}
    assert (len(hits), {hit.source["edition"] for hit in hits}) == (NUMBER, {"one"})
    assert (len(found), {item.source["edition"] for item in found}) == (NUMBER, {"one"})


def test_an_index_without_an_alias(settings: Settings, tmp_path: Path) -> None:
    """The embedded store keeps it; a cluster has to delete it, and does so only when told."""
    name = settings.engine.index
    ingest_file(source(tmp_path, "one"), settings)
    with closing(opened(settings)) as searcher:
        assert editions(searcher) == {"one"}
        if not is_embedded(settings.engine):
            with pytest.raises(RebuildFailed, match="--replace"):
                rebuild(source(tmp_path, "two"), settings)
            assert indices(settings) == [name]
        report = rebuild(source(tmp_path, "two"), settings, replace=True)
        assert editions(searcher) == {"two"}
    assert (report.kept is not None) == is_embedded(settings.engine)
    if report.kept:
        with closing(opened(settings, previous(name))) as before:
            assert editions(before) == {"one"}
        drop_old(settings)
    assert indices(settings) == [report.index]


def test_the_embedded_store_swaps_a_plain_file_under_its_readers(tmp_path: Path) -> None:
    """They go on with the old file and its log, and leave the new file's log alone when they end."""
    settings = config(tmp_path, f"embedded:{tmp_path}", "items")
    ingest_file(source(tmp_path, "one"), settings)
    schema = build_schema(settings.lexical, [])
    with closing(opened(settings)) as early:
        walked = Plan((), "lamp", Fusion("lexical"), size=50, walk=Walk())
        page = early.search(walked)
        report = rebuild(source(tmp_path, "two"), settings)
        sink = open_sink(settings.engine, schema)
        sink.calibrate({"text": Calibration(1.0, 0.0, 0.5, "0")})
        assert (tmp_path / f"{report.index}.sqlite-wal").is_file()
        assert page.next is not None
        rest = early.search(Plan((), "lamp", Fusion("lexical"), size=50, walk=page.next))
        assert {hit.source["edition"] for hit in rest.hits} == {"one"}
    with closing(opened(settings)) as late, closing(opened(settings, previous("items"))) as before:
        assert editions(late) == {"two"}
        assert set(late.state().manifest.calibration) == {"text"}
        assert editions(before) == {"one"}
    sink.close()


def test_an_index_of_an_older_maxcos_is_replaced_without_a_comparison(tmp_path: Path) -> None:
    settings = config(tmp_path, f"embedded:{tmp_path}", "items")
    ingest_file(source(tmp_path, "one"), settings)
    with closing(open_store(tmp_path / "items.sqlite")) as store:
        store.execute("""UPDATE meta SET value = json_set(value, '$.maxcos.schema', 1) WHERE key = '_meta'""")
    report = rebuild(source(tmp_path, "two"), settings)
    assert (report.comparison, report.items_before) == (None, NUMBER)
    with closing(opened(settings)) as searcher:
        assert editions(searcher) == {"two"}


def test_what_fails_leaves_no_trace(settings: Settings, tmp_path: Path) -> None:
    rebuild(source(tmp_path, "one"), settings)
    before = indices(settings)

    def fail(_: str) -> None:
        raise KeyboardInterrupt

    for attempt, why in (
        (lambda: rebuild(source(tmp_path, "few", 7), settings), "--fewer"),
        (lambda: rebuild(source(tmp_path, "none", 0), settings), "no record"),
        (lambda: rebuild(source(tmp_path, "other", title="chair"), settings), "own title"),
    ):
        with pytest.raises(RebuildFailed, match=why):
            attempt()
        assert indices(settings) == before
    with pytest.raises(KeyboardInterrupt):
        rebuild(source(tmp_path, "two"), settings, before_swap=fail)
    assert indices(settings) == before
    with closing(opened(settings)) as searcher:
        assert editions(searcher) == {"one"}
    report = rebuild(source(tmp_path, "few", 7), settings, fewer=True)
    assert (report.items, report.items_before) == (7, NUMBER)


def test_a_swap_whose_answer_is_lost_is_not_undone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rebuild(source(tmp_path, "one"), settings)
    kind = type(open_place(settings.engine))
    swap = kind.swap

    def lose(self: object, fresh: str) -> None:
        swap(self, fresh)
        raise EngineUnavailable("no answer")

    monkeypatch.setattr(kind, "swap", lose)
    with pytest.raises(EngineUnavailable):
        rebuild(source(tmp_path, "two"), settings)
    with closing(opened(settings)) as searcher:
        assert editions(searcher) == {"two"}


def test_another_analysis_takes_over(settings: Settings, tmp_path: Path) -> None:
    rebuild(source(tmp_path, "one"), settings)
    changed = config(tmp_path, settings.engine.url, settings.engine.index, languages='["zh", "en"]')
    report = rebuild(source(tmp_path, "two"), changed)
    assert report.comparison is not None
    assert report.comparison.found_new == 1
    with closing(opened(changed)) as searcher:
        assert editions(searcher) == {"two"}


def test_everything_else_works_behind_the_name(settings: Settings, tmp_path: Path) -> None:
    report = rebuild(source(tmp_path, "one"), settings)
    ingest_file(source(tmp_path, "two"), settings)
    sink = open_sink(settings.engine, build_schema(settings.lexical, []))
    sink.calibrate({"text": Calibration(1.0, 0.0, 0.5, "0")})
    manifest = sink.manifest()
    sink.close()
    assert manifest is not None
    assert manifest.receipt is not None
    assert set(manifest.calibration) == {"text"}
    assert indices(settings) == [report.index]
    with closing(opened(settings)) as searcher:
        searcher.check()
        assert editions(searcher) == {"two"}
    done = CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "maxcos.toml")])
    assert done.exit_code == 0, done.output


def test_the_command_line(settings: Settings, tmp_path: Path) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["rebuild", "--config", str(tmp_path / "maxcos.toml"), *arguments])
        assert done.exit_code == 0, done.output
        return done.stdout

    assert f"with {NUMBER} items (0 before)" in run(str(source(tmp_path, "one")))
    text = run(str(source(tmp_path, "two")))
    assert "100 items asked for by their own title: found 100% before, 100% now" in text
    assert f"stays as {previous(settings.engine.index)}" in text
    assert "dropped: maxcos-test-" in run("--drop-old")
    assert "nothing was kept" in run("--drop-old")
    report = json.loads(run(str(source(tmp_path, "three")), "--json"))
    assert report["kept"].startswith(settings.engine.index)
    assert (report["items"], report["items_before"]) == (NUMBER, NUMBER)
    for wrong in ([], [str(source(tmp_path, "four")), "--drop-old"]):
        assert CliRunner().invoke(main, ["rebuild", *wrong]).exit_code == 2


def test_interactions_train_the_graph_that_is_missing(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "maxcos.toml"
    rebuild(source(tmp_path, "one"), settings)
    with file.open("a", encoding="utf-8") as more:
        more.write(f'[modalities.graph]\nencoder = "graph"\nmodel = "{tmp_path}/liked.npz"\nsource = "id"\n')
    rows = (f"{user}\ti{(user * 5 + n) % NUMBER}\n" for user in range(20) for n in range(8))
    (tmp_path / "interactions.tsv").write_text("".join(rows), "utf-8")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(main, [*arguments, "--config", str(file)])

    items = str(source(tmp_path, "two"))
    refused = run("rebuild", items)
    assert refused.exit_code == 1 and "--interactions" in refused.stderr and len(indices(settings)) == 1
    done = run("rebuild", items, "--interactions", str(tmp_path / "interactions.tsv"), "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert (report["items"], report["items_before"]) == (NUMBER, NUMBER)
    assert report["summary"]["vectors"] == {"graph": len({(u * 5 + n) % NUMBER for u in range(20) for n in range(8)})}
    found = json.loads(run("search", "--user", "3", "--fusion", "max", "--json").stdout)
    assert found["hits"][0]["modality"] == "graph" and found["hits"][0]["source"]["edition"] == "two"


CLUSTERS = pytest.mark.parametrize("settings", [name for name in ENGINES if name != "embedded"], indirect=True)


@CLUSTERS
def test_an_index_of_somebody_else_is_left_alone(settings: Settings, tmp_path: Path) -> None:
    name = settings.engine.index
    with closing(connect(settings.engine)) as cluster:
        cluster.request("PUT", f"/{name}", body={})
        with pytest.raises(RebuildFailed, match="not made by maxcos"):
            rebuild(source(tmp_path, "one"), settings, replace=True)
    assert indices(settings) == [name]


@CLUSTERS
def test_of_two_rebuilds_that_meet_one_is_undone(settings: Settings, tmp_path: Path) -> None:
    """The other one's swap, and the end of what it kept, come between this one's checks and its swap."""
    first = rebuild(source(tmp_path, "one"), settings).index
    place = ClusterPlace(settings.engine)
    believed = place._behind
    stale = believed(settings.engine.index)
    second = rebuild(source(tmp_path, "two"), settings).index
    with closing(connect(settings.engine)) as cluster:
        cluster.request("PUT", f"/{settings.engine.index}-third", body={})
        place._behind = lambda name: stale if name == settings.engine.index else believed(name)  # type: ignore[method-assign]
        with pytest.raises(EngineRefused, match="missing"):
            place.swap(f"{settings.engine.index}-third")
        place.close()
        assert set(cluster.request("GET", f"/_alias/{settings.engine.index}")) == {second}
        assert set(cluster.request("GET", f"/_alias/{previous(settings.engine.index)}")) == {first}


@CLUSTERS
def test_aliases_keep_their_options_and_strange_ones_are_refused(settings: Settings, tmp_path: Path) -> None:
    name = settings.engine.index
    first = rebuild(source(tmp_path, "one"), settings).index
    with closing(connect(settings.engine)) as cluster:
        only = {"term": {"edition": "two"}}
        cluster.request("PUT", f"/{first}/_alias/{name}", body={"filter": only})
        second = rebuild(source(tmp_path, "two"), settings, fewer=True).index
        found = cluster.request("GET", f"/_alias/{name}")
        assert found == {second: {"aliases": {name: {"filter": only}}}}
        cluster.request("PUT", f"/{first}/_alias/{name}", body={})
        drop_old(settings)  # which is not deleted, since the name leads to it
        assert set(cluster.request("GET", f"/_alias/{name}")) == {first, second}
        with pytest.raises(RebuildFailed, match="several indices"):
            rebuild(source(tmp_path, "three"), settings)


def test_an_index_that_somebody_else_made_is_never_replaced(settings: Settings, tmp_path: Path) -> None:
    """Not even when its deletion is allowed: its documents are its owner's."""
    if is_embedded(settings.engine):
        return
    path = f"/{settings.engine.index}"
    with closing(connect(settings.engine)) as cluster:
        cluster.request("PUT", f"{path}/_doc/1", params={"refresh": "true"}, body={"title": "mine"})
        for meta in ({}, {"maxcos": {"layout": {}}}):
            cluster.request("PUT", f"{path}/_mapping", body={"_meta": meta})
            with pytest.raises(RebuildFailed, match="was not made by maxcos ingest"):
                rebuild(source(tmp_path, "one"), settings, replace=True)
        assert cluster.request("GET", f"{path}/_count")["count"] == 1
    assert indices(settings) == [settings.engine.index]
