"""The arrays of an .npz file, mapped into memory: what nobody looks at is not read, and processes share the rest."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

LOCAL_HEADER = 30
"""Bytes before the name in a member's own header; the last four say how long its name and its extra field are
(APPNOTE 4.3.7 of the ZIP format). Only there is the place where the member's bytes begin.
"""


def mapped_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """By name the arrays that `numpy.savez` wrote, read-only; compressed ones are read at once.

    Raises OSError, ValueError and zipfile.BadZipFile for what is no such file, or holds pickled objects.
    """
    with zipfile.ZipFile(path) as archive:
        return {info.filename.removesuffix(".npy"): _array(path, archive, info) for info in archive.infolist()}


def _array(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        if info.compress_type != zipfile.ZIP_STORED:
            read: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            return read
        version = npy.read_magic(member)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = header(member)
        begin = member.tell()
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds pickled objects")
    if 0 in shape:  # nothing is there to be mapped
        return np.empty(shape, dtype)
    offset = _start(path, info) + begin
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<HH", file.read(LOCAL_HEADER)[-4:])
    return info.header_offset + LOCAL_HEADER + int(name) + int(extra)
