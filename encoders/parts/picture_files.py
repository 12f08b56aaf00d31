"""The pictures of items: named by their paths, read in threads while the batch before them is encoded."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from encoders.parts.pictures import open_picture
from es_mappings.errors import BadInput

READERS = 2
URL = re.compile(r"(data:|[a-z][a-z0-9+.-]*://)", re.IGNORECASE)

T = TypeVar("T")


def read_pictures(
    values: Sequence[Sequence[Any]], base: Path, prepare: Callable[[Image.Image], T], batch: int
) -> Iterator[tuple[dict[int, T], dict[int, BadInput]]]:
    """By `batch` the items that have a picture, as `prepare` makes it, and why those have none that name one.

    Keys are positions in `values`. A value is a path inside `base` or a list of such; the first that is a picture
    counts. An item that names none is in neither; one all of whose paths fail has an error that names them.
    """
    with ThreadPoolExecutor(READERS) as pool:
        for start, read in _ahead(pool, lambda value: _attempt(value, base, prepare), values, batch):
            there = {start + i: found for i, found in enumerate(read) if found is not None}
            lost = {i: found for i, found in there.items() if isinstance(found, BadInput)}
            yield {i: found for i, found in there.items() if not isinstance(found, BadInput)}, lost


def first_picture(values: Sequence[Any], base: Path) -> Image.Image | None:
    """The picture that counts for an item; None when no path is given. Raises BadInput when none can be read."""
    found = _attempt(values, base, lambda picture: picture)
    if isinstance(found, BadInput):
        raise found
    return found


def digests(values: Sequence[Sequence[Any]], base: Path) -> list[Any]:
    """What `encoders.contract.ReadsFiles` asks for."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda value: _digests(value, base), values))


def _attempt(values: Sequence[Any], base: Path, prepare: Callable[[Image.Image], T]) -> T | BadInput | None:
    """The first path that is a picture; None when no path is given; else why all failed."""
    problems = []
    try:
        for value in _paths(values):
            try:
                return prepare(open_picture(_file(value, base)))
            except BadInput as error:
                problems.append(f"{value:.100}: {error}")
    except BadInput as error:
        problems.append(str(error))
    return BadInput("; ".join(problems)) if problems else None


def _ahead(
    pool: ThreadPoolExecutor, read: Callable[[Sequence[Any]], T], values: Sequence[Sequence[Any]], batch: int
) -> Iterator[tuple[int, list[T]]]:
    """By batch the position of the first value and what was read; the next ones are read while these are worked on."""
    waiting: deque[tuple[int, list[Future[T]]]] = deque()
    for start in range(0, len(values), batch):
        waiting.append((start, [pool.submit(read, value) for value in values[start : start + batch]]))
        if len(waiting) > 1:
            begin, reading = waiting.popleft()
            yield begin, [future.result() for future in reading]
    for begin, reading in waiting:
        yield begin, [future.result() for future in reading]


def _digests(values: Sequence[Any], base: Path) -> list[Any]:
    """Of each value that names a file the name and a digest of its bytes; other values as they are."""
    names = (name for value in values for name in (value if isinstance(value, list | tuple) else (value,)))
    return [[name, _digest(name.strip(), base) if isinstance(name, str) else None] for name in names]


def _digest(name: str, base: Path) -> str | None:
    try:
        with _file(name, base).open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
    except (BadInput, OSError):
        return None


def _paths(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        for path in value if isinstance(value, (list, tuple)) else (value,):
            if path is not None and not isinstance(path, str):
                raise BadInput(f"a picture is given by its path, not by {type(path).__name__} {path!r:.60}")
            if path and path.strip():
                yield path.strip()


def _file(value: str, base: Path) -> Path:
    """The file at a path inside `base`. Raises BadInput for URLs, paths that leave it, and where there is none."""
    if URL.match(value):
        raise BadInput("URLs are not fetched; give a path relative to the data file")
    try:
        path = (base / value).resolve()
        inside = not Path(value).is_absolute() and path.is_relative_to(base.resolve())
        found = inside and path.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero byte, a loop of links
        reason = error.strerror if isinstance(error, OSError) else error
        raise BadInput(f"not a path: {reason!s:.100}") from error
    if not inside:
        raise BadInput("the path leaves the folder of the data file; give a path relative to it")
    if not found:
        raise BadInput("no such file")
    return path
