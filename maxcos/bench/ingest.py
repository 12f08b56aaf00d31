"""`maxcos bench ingest`: the pipeline against the slower of its two halves, each measured alone in the same run.

The halves are the encoder without an engine, and the same documents as ready-made bulk requests from a bare client. As
both overlap in the pipeline, it can be as fast as the slower one, where they do not fight for the same processors.
"""

from __future__ import annotations

import http.client
import resource
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import orjson

from encoders.contract import Encoded, unit
from es_mappings.bulk import OPERATIONS
from es_mappings.cluster import addresses_of, connect, is_embedded
from es_mappings.errors import EngineError, SettingsError
from es_mappings.schema import VECTOR_OBJECT, build_schema
from es_mappings.settings import EngineSettings, LexicalSettings, ModalitySettings
from es_mappings.types import Item, Matrix, Provenance, Space, Term, Vector
from ingest.encoding import Encoding
from ingest.pipeline import BATCH, ingest
from ingest.sinks import open_sink
from maxcos.bench.data import Catalogue

JSON = dict[str, Any]
WIDTH = 1024
MODALITY = "text"
SOURCE = ("title",)


class Products:
    """An encoder of matrix products, one after the other, as a small network has them: real work for a processor.

    layers: how many products of (n, WIDTH) by (WIDTH, WIDTH) a batch takes.
    """

    def __init__(self, dims: int, layers: int) -> None:
        random = np.random.default_rng(0)
        self.spaces = tuple(Space(name, MODALITY, dims) for name in ("text", "image", "graph"))
        self.provenance: Mapping[str, Provenance] = {s.name: Provenance("bench", "products", dims) for s in self.spaces}
        self._layers = layers
        self._weights = np.asarray(random.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5, dtype=np.float32)
        self._heads = {s.name: random.standard_normal((WIDTH, dims)).astype(np.float32) for s in self.spaces}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        seeds = (list(str(value[0]).encode()) for value in values)
        states: Matrix = np.stack([np.random.default_rng(s).standard_normal(WIDTH, np.float32) for s in seeds])
        for _ in range(self._layers):
            states = np.tanh(states @ self._weights)
        return Encoded({name: list(unit(states @ head, "bench")) for name, head in self._heads.items()})

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {}


def run(url: str, documents: int, *, dims: int, layers: int, say: Callable[[str], object]) -> JSON:
    """Measure one cluster with so many documents; its indices are deleted. Raises what the engine raises.

    peak_mib: the most memory that this process has had until then; over growing sizes it shows what grows.
    """
    engine = EngineSettings(url=url, index=f"maxcos-bench-{uuid.uuid4().hex}", timeout=120)
    if is_embedded(engine):
        raise SettingsError("bench ingest compares with bulk requests: give the URL of a cluster")
    encoder = Products(dims, layers)
    seconds: dict[str, float] = {}
    say(f"{documents} documents: encoding alone")
    seconds["encoder"] = sum(spent for _, _, spent in _encoded(documents, encoder))
    say(f"{documents} documents: bulk requests alone")
    seconds["bulk"] = _bulk(engine, documents, encoder)
    say(f"{documents} documents: the pipeline")
    started = time.perf_counter()
    stages = _pipeline(engine, documents, encoder)
    seconds["pipeline"] = time.perf_counter() - started
    rates = {name: documents / spent for name, spent in seconds.items()}
    return {
        "documents": documents,
        "dims": dims,
        "spaces": len(encoder.spaces),
        "per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "stages_s": {name: round(spent, 2) for name, spent in stages.items()},
        "pipeline / slower half": round(rates["pipeline"] / min(rates["encoder"], rates["bulk"]), 3),
        "pipeline / one after the other": round((seconds["encoder"] + seconds["bulk"]) / seconds["pipeline"], 3),
        "peak_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _items(documents: int) -> Iterator[Item]:
    for batch in Catalogue(documents, 8).batches():
        yield from (encoded.item for encoded in batch)


def _encoded(documents: int, encoder: Products) -> Iterator[tuple[list[Item], Encoded, float]]:
    """The pipeline's batches with their vectors, and the seconds that making those took."""
    items = _items(documents)
    while batch := list(islice(items, BATCH)):
        values = [[item.source[name] for name in SOURCE] for item in batch]
        started = time.perf_counter()
        encoded = encoder.encode_items(values, Path())
        yield batch, encoded, time.perf_counter() - started


def _bulk(engine: EngineSettings, documents: int, encoder: Products) -> float:
    """Seconds that the engine takes for the pipeline's bodies; making them does not count."""
    schema = build_schema(_lexical(), [encoder])
    address = urlsplit(addresses_of(engine)[0])
    assert address.hostname is not None  # `connect` has seen it
    spent = 0.0
    try:
        with closing(open_sink(engine, schema)) as sink:
            sink.prepare({})
        with closing(http.client.HTTPConnection(address.hostname, address.port, timeout=engine.timeout)) as bare:
            for batch, encoded, _ in _encoded(documents, encoder):
                for start in range(0, len(batch), OPERATIONS):
                    body = _body(batch, encoded, range(start, min(start + OPERATIONS, len(batch))))
                    spent += _post(bare, f"/{engine.index}/_bulk", body)
            spent += _post(bare, f"/{engine.index}/_refresh", b"")
    finally:
        _delete(engine)
    return spent


def _body(batch: Sequence[Item], encoded: Encoded, rows: range) -> bytes:
    lines = []
    for row in rows:
        vectors = {name: column[row] for name, column in encoded.vectors.items()}
        lines.append(orjson.dumps({"index": {"_id": batch[row].id}}))
        lines.append(orjson.dumps({**batch[row].source, VECTOR_OBJECT: vectors}, option=orjson.OPT_SERIALIZE_NUMPY))
    return b"\n".join(lines) + b"\n"


def _post(bare: http.client.HTTPConnection, path: str, body: bytes) -> float:
    started = time.perf_counter()
    bare.request("POST", path, body, {"content-type": "application/x-ndjson"})
    answer = bare.getresponse()
    data = answer.read()
    if answer.status != 200 or b'"errors":true' in data:
        raise EngineError(f"the bare client is answered {answer.status}: {data[:300].decode('utf-8', 'replace')}")
    return time.perf_counter() - started


def _pipeline(engine: EngineSettings, documents: int, encoder: Products) -> dict[str, float]:
    schema = build_schema(_lexical(), [encoder])
    modalities = {MODALITY: ModalitySettings(encoder="bench", source=SOURCE)}
    try:
        with closing(open_sink(engine, schema)) as sink, TemporaryDirectory() as folder:
            summary = ingest(
                _items(documents),
                Encoding(schema, modalities, {MODALITY: encoder}, Path(folder)),
                sink,
                source="bench",
                dead_letters=Path(folder) / "dead-letters.jsonl",
            )
    finally:
        _delete(engine)
    if summary.written != documents:
        raise EngineError(f"only {summary.written} of {documents} documents were written")
    return summary.seconds


def _lexical() -> LexicalSettings:
    return LexicalSettings(languages=("en",), filters=("category", "price:number"))


def _delete(engine: EngineSettings) -> None:
    with closing(connect(engine)) as cluster:
        if cluster.exists(f"/{engine.index}"):
            cluster.request("DELETE", f"/{engine.index}")
