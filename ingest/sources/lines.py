"""Lines of bytes, of a plain file or a compressed one."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from es_mappings.errors import BadInput

BOM = b"\xef\xbb\xbf"
OTHER_UNICODE = (b"\xff\xfe", b"\xfe\xff")


def lines(path: Path) -> Iterator[bytes]:
    """The lines with their ends, without a byte order mark.

    Raises BadInput when the file cannot be read, is UTF-16, or is compressed and broken: what is missing is unknown.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.startswith(OTHER_UNICODE):
                    raise BadInput(f"{path}: UTF-16; save it as UTF-8")
                yield line.removeprefix(BOM) if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{path}: the compressed file is broken after line {number}: {error}") from error
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error})") from error
