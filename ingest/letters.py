"""Dead letters: what did not get into an index, why, and from where it came; and the way back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

import orjson

from ingest.records import Entry, Record, Rejected, item_of
from ingest.sources import jsonl


class DeadLetters(AbstractContextManager["DeadLetters"]):
    """The file of what did not get into the index: JSON lines {place, reason, lost, record}, made on the first one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: Any = None

    def __enter__(self) -> Self:
        self.path.unlink(missing_ok=True)
        return self

    def add(self, rejected: Rejected) -> None:
        if self._file is None:
            self._file = self.path.open("wb")
        letter = {"place": rejected.place, "reason": rejected.reason, "lost": rejected.lost, "record": rejected.record}
        self._file.write(orjson.dumps(letter) + b"\n")
        self._file.flush()

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()


def read_letters(path: Path) -> Iterator[Entry]:
    """The records of a file of dead letters, at the places where they were read first; one that lost several
    modalities comes once. Raises BadInput when the file cannot be read.
    """
    last: tuple[str, object] | None = None
    for letter in jsonl.records(path):
        if isinstance(letter, Rejected):
            yield letter
            continue
        place, record = str(letter.fields.get("place", letter.place)), letter.fields.get("record")
        if (place, record) == last:
            continue
        last = (place, record)
        if isinstance(record, dict):
            yield item_of(Record(place, record))
        else:
            yield Rejected(place, str(letter.fields.get("reason", "no record in this letter")), record)
