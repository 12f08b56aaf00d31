"""From the bytes of a picture file to upright RGB pixels for feature extraction; full detail is not kept."""

from __future__ import annotations

import io
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from es_mappings.errors import BadInput

VERSION = "pictures-1"
"""Part of every image encoder's fingerprint: raise it when the same file gives other pixels."""
ACCEPTED = ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "TIFF")
"""No other format is tried: EPS would start a program, and each is one more parser of foreign bytes."""
MAX_PIXELS = 64_000_000
LARGE = 16_000_000
"""Pictures with more pixels are decoded one at a time: each may need half a gigabyte."""
DRAFT_EDGE = 512
"""JPEGs are decoded at 1/2, 1/4 or 1/8 of their size as long as both edges keep this many pixels."""

_large = threading.Lock()
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF 2.32, tag 0x0112: how to turn what is stored into what is meant."""


def open_picture(source: bytes | Path) -> Image.Image:
    """The picture as RGB, upright after EXIF, on white where transparent; the first frame of an animation.

    A JPEG may come back at 1/2, 1/4 or 1/8 of its size. Of a truncated JPEG or PNG the upper part comes back
    if it is at least half of the rows. Raises BadInput, and nothing else, for whatever else the bytes are.
    """
    with ExitStack() as stack:
        try:
            stream: IO[bytes] = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
            return _read(stack.enter_context(stream), stack)
        except BadInput:
            raise
        except UnidentifiedImageError as error:
            accepted = ", ".join(ACCEPTED)
            raise BadInput(f"not a picture: found {_found(stream)}; accepted are {accepted}") from error
        except FileNotFoundError as error:
            raise BadInput("no such file") from error
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise BadInput(_too_large("far above")) from error
        except Exception as error:  # on broken bytes Pillow's plugins raise struct, Key, Attribute … errors
            raise BadInput(f"a broken picture: {error or type(error).__name__}") from error


def _read(stream: IO[bytes], stack: ExitStack) -> Image.Image:
    Image.init()
    readable = [name for name in ACCEPTED if name in Image.OPEN]
    image: Image.Image = stack.enter_context(Image.open(stream, formats=readable))
    pixels = image.width * image.height
    if pixels == 0:
        raise BadInput(f"a picture without pixels ({image.width} x {image.height})")
    if pixels > MAX_PIXELS:
        raise BadInput(_too_large(f"{image.width} x {image.height} is above"))
    if pixels > LARGE:
        stack.enter_context(_large)
    image.draft(None, (DRAFT_EDGE, DRAFT_EDGE))
    decoded = _decode(image)
    turn = _UPRIGHT.get(_orientation(decoded))
    rgb = _rgb(decoded)
    return rgb.transpose(turn) if turn is not None else rgb


def _too_large(what: str) -> str:
    return f"the picture is too large: {what} {MAX_PIXELS // 1_000_000} megapixels"


def _decode(image: Image.Image) -> Image.Image:
    """The loaded image, or the upper part of a truncated one; Pillow's own switch for that is global."""
    try:
        image.load()
        return image
    except OSError as error:
        # These two store rows from top to bottom; the rows that a failed load left out are zero.
        if image.format not in {"JPEG", "MPO", "PNG"} or image.info.get("interlace"):
            raise BadInput(f"a truncated or broken {image.format} picture: {error}") from error
        image.tile = []  # type: ignore[attr-defined]  # else every method tries to load again
        box = image.getbbox()
        rows = box[3] if box else 0
        if 2 * rows < image.height:
            raise BadInput(f"a truncated picture: only {rows} of {image.height} rows are there") from error
        return image.crop((0, 0, image.width, rows))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken EXIF raises anything, and is no reason to lose the picture
        return 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    white = Image.new("RGB", image.size, "white")
    white.paste(seen, mask=seen)
    return white


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w) of (h, w): 16-bit grey keeps its high byte (Pillow would clip it), wider types their range."""
    if pixels.dtype.itemsize == 2:
        return (pixels >> 8).astype(np.uint8, copy=False)
    wide = np.where(np.isfinite(pixels), pixels, 0).astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    return ((wide - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8, copy=False)


def _found(stream: IO[bytes]) -> str:
    """What the file seems to be, for the error message."""
    stream.seek(0)
    head = stream.read(1024)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return "an empty file"
    if b"<svg" in text and text.startswith(b"<"):
        return "an SVG drawing (convert it to PNG)"
    for start, name in _STARTS.items():
        if text.startswith(start):
            return name
    if head[4:8] == b"ftyp":
        return "a HEIC picture or a video"
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return f"unknown bytes ({head[:8].hex(' ')})"
    return "text"


_STARTS = {
    b"<!doctype html": "an HTML page",
    b"<html": "an HTML page",
    b"<?xml": "an XML file",
    b"%pdf": "a PDF file",
    b"%!ps": "a PostScript file",
    b"pk\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip file",
    b"\xff\xd8\xff": "a JPEG file whose head is broken",
    b"\x89png": "a PNG file whose head is broken",
    b"gif8": "a GIF file whose head is broken",
}
