"""Every picture file that people have, and everything that only pretends to be one."""

from __future__ import annotations

import io
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFile

from encoders.parts.pictures import DRAFT_EDGE, open_picture
from es_mappings.errors import BadInput

WHITE = (255, 255, 255)


def drawing(size: tuple[int, int] = (120, 80)) -> Image.Image:
    """A house that looks different from every side."""
    picture = Image.new("RGB", size, (90, 160, 230))
    draw = ImageDraw.Draw(picture)
    w, h = size
    draw.rectangle((0, h * 3 // 4, w, h), fill=(60, 140, 60))
    draw.rectangle((w // 8, h // 2, w // 2, h - 1), fill=(200, 80, 60))
    draw.polygon([(w // 8, h // 2), (w // 3, h // 5), (w // 2, h // 2)], fill=(120, 40, 30))
    draw.ellipse((w * 3 // 4, h // 10, w * 7 // 8, h // 3), fill=(250, 220, 60))
    return picture


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def difference(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference of two RGB pictures, 0 to 255."""
    assert one.mode == other.mode == "RGB"
    assert one.size == other.size
    return float(np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean())


# --- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "AVIF", "JPEG"])
def test_formats(form: str) -> None:
    options = {"lossless": True} if form == "WEBP" else {"quality": 95} if form in {"JPEG", "AVIF"} else {}
    read = open_picture(saved(drawing(), form, **options))
    assert difference(read, drawing()) < (3 if form in {"JPEG", "AVIF", "GIF"} else 1e-9)


def test_a_path_is_read_like_bytes(tmp_path: Path) -> None:
    path = tmp_path / "名前 ü.png"
    path.write_bytes(saved(drawing(), "PNG"))
    assert difference(open_picture(path), drawing()) == 0


UNDO = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""What a camera did to the upright picture, by the orientation it wrote: the opposite of what a viewer does."""


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF", "JPEG"])
@pytest.mark.parametrize("orientation", UNDO)
def test_orientation(orientation: int, form: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = UNDO[orientation]
    stored = drawing() if undo is None else drawing().transpose(undo)
    options = {"lossless": True} if form == "WEBP" else {}
    read = open_picture(saved(stored, form, exif=exif, **options))
    assert difference(read, drawing()) < (8 if form == "JPEG" else 1e-9)


def test_broken_exif_does_not_lose_the_picture() -> None:
    assert difference(open_picture(saved(drawing(), "JPEG", exif=b"Exif\0\0garbage")), drawing()) < 8


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(mode: str) -> None:
    picture = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    ImageDraw.Draw(picture).rectangle((10, 10, 29, 29), fill=(0, 0, 0, 255))
    stored = picture.quantize(4) if mode == "P" else picture.convert(mode)
    read = open_picture(saved(stored, "PNG"))
    assert read.getpixel((0, 0)) == WHITE
    assert read.getpixel((20, 20)) == (0, 0, 0)


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    read = open_picture(saved(Image.new("RGBA", (4, 4), (255, 0, 0, 128)), "PNG"))
    assert read.getpixel((1, 1)) == pytest.approx((255, 127, 127), abs=1)


def test_a_colour_named_transparent() -> None:
    picture = Image.new("RGB", (8, 8), (1, 2, 3))
    picture.putpixel((4, 4), (200, 0, 0))
    read = open_picture(saved(picture, "PNG", transparency=(1, 2, 3)))
    assert (read.getpixel((0, 0)), read.getpixel((4, 4))) == (WHITE, (200, 0, 0))


def test_palette_grey_bilevel_and_cmyk() -> None:
    colours = drawing().quantize(64)
    assert difference(open_picture(saved(colours, "PNG")), drawing()) < 3
    assert difference(open_picture(saved(drawing().convert("L"), "PNG")), drawing().convert("L").convert("RGB")) == 0
    bilevel = drawing().convert("1")
    assert difference(open_picture(saved(bilevel, "PNG")), bilevel.convert("RGB")) == 0
    assert difference(open_picture(saved(drawing().convert("CMYK"), "JPEG", quality=95)), drawing()) < 4
    assert difference(open_picture(saved(drawing().convert("CMYK"), "TIFF")), drawing()) < 1


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits(form: str) -> None:
    grey = drawing().convert("L")
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert deep.mode == "I;16"
    assert difference(open_picture(saved(deep, form)), grey.convert("RGB")) == 0


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_wider_numbers_are_stretched(kind: type) -> None:
    ramp: np.ndarray[Any, Any] = np.tile(np.linspace(-1000, 100_000, 64).astype(kind), (8, 1))
    read = np.asarray(open_picture(saved(Image.fromarray(ramp), "TIFF")))
    assert (read[:, 0].max(), read[:, -1].min()) == (0, 255)
    flat = open_picture(saved(Image.fromarray(np.full((4, 4), 7, kind)), "TIFF"))
    assert flat.size == (4, 4)


def test_numbers_that_are_none() -> None:
    values = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    values[0] = [np.nan, np.inf, -np.inf, 0]
    read = open_picture(saved(Image.fromarray(values), "TIFF"))
    assert read.getpixel((3, 3)) == WHITE


def test_of_an_animation_the_first_frame() -> None:
    frames = [drawing(), Image.new("RGB", drawing().size, "red")]
    for form in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if form == "WEBP" else {}
        data = saved(frames[0], form, save_all=True, append_images=frames[1:], **options)
        assert difference(open_picture(data), drawing()) < 3


# --- size ------------------------------------------------------------------------------------------------------


def test_a_photo_of_fifty_megapixels_is_cheap() -> None:
    data = saved(drawing((8660, 5774)), "JPEG")
    start = time.process_time()
    read = open_picture(data)
    assert time.process_time() - start < 2
    assert min(read.size) >= DRAFT_EDGE
    assert max(read.size) < 1200


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that claims a size, whatever it holds."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8001, 8000), (10_000, 10_000), (60_000, 60_000), (2**31 - 1, 1)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput, match="64 megapixels"):
        open_picture(png(*size))


def test_the_largest_picture_is_still_read() -> None:
    row = b"\0" + b"\xff" * 1000
    assert open_picture(png(8000, 8000, row * 8000)).size == (8000, 8000)


@pytest.mark.parametrize("size", [(0, 8), (8, 0)])
def test_no_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(BadInput):
        open_picture(png(*size))


# --- truncated -------------------------------------------------------------------------------------------------


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(7).integers(1, 255, (200, 100, 3), dtype=np.uint8))


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_the_upper_part_of_a_truncated_picture(form: str) -> None:
    data = saved(noise(), form)
    read = open_picture(data[: len(data) * 3 // 4])
    whole = open_picture(data)
    assert read.width == 100
    assert 130 <= read.height <= 155
    sure = read.height - 17  # the last row of JPEG blocks may be incomplete
    box = (0, 0, 100, sure)
    assert difference(read.crop(box), whole.crop(box)) < 1
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_truncated_photo_is_turned_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(noise(), "JPEG", exif=exif)
    read = open_picture(data[: len(data) * 3 // 4])
    assert read.height == 100
    assert 130 <= read.width <= 155


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_too_little_of_a_picture(form: str) -> None:
    data = saved(noise(), form)
    with pytest.raises(BadInput, match=r"only \d+ of 200 rows"):
        open_picture(data[: len(data) // 3])


@pytest.mark.parametrize("form", ["WEBP", "GIF", "AVIF", "TIFF", "BMP"])
def test_other_formats_are_refused_when_truncated(form: str) -> None:
    data = saved(noise(), form)
    with pytest.raises(BadInput):
        open_picture(data[: len(data) * 3 // 4])


def test_a_truncated_progressive_or_interlaced_picture_is_refused() -> None:
    data = saved(noise(), "JPEG", progressive=True)
    with pytest.raises(BadInput, match="truncated"):
        open_picture(data[: len(data) * 3 // 4])


# --- no pictures -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", "an empty file"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- drawn -->\n<svg/>", "an SVG drawing"),
        (b"<?xml version='1.0'?><feed/>", "an XML file"),
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"%PDF-1.7\n", "a PDF file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n", "a PostScript file"),
        (b"PK\x03\x04" + bytes(40), "a ZIP archive"),
        (b"\x00\x00\x00\x18ftypheic" + bytes(40), "a HEIC picture or a video"),
        ("椅子 is a chair".encode(), "text"),
        (("椅" * 400).encode()[:1024], "text"),
        (bytes(range(128, 160)), "unknown bytes (80 81 82"),
        (b"\xff\xd8\xff\xe0", "a JPEG file whose head is broken"),
        (b"\x89PNG\r\n\x1a\n", "a PNG file whose head is broken"),
    ],
)
def test_the_error_says_what_was_found_and_what_is_accepted(data: bytes, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        open_picture(data)
    assert f"found {found}" in str(caught.value)
    assert "accepted are JPEG, PNG, WEBP, GIF, AVIF, BMP, TIFF" in str(caught.value)


def test_paths_that_hold_no_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        open_picture(tmp_path / "missing.png")
    with pytest.raises(BadInput):
        open_picture(tmp_path)


SEEDS: dict[str, bytes] = {
    "png": saved(drawing((40, 30)), "PNG"),
    "palette": saved(drawing((40, 30)).quantize(16), "PNG"),
    "jpeg": saved(drawing((40, 30)), "JPEG"),
    "gif": saved(drawing((40, 30)), "GIF"),
    "webp": saved(drawing((40, 30)), "WEBP"),
    "tiff": saved(drawing((40, 30)), "TIFF", compression="tiff_lzw"),
    "bmp": saved(drawing((40, 30)), "BMP"),
}
Change = tuple[int, int, bytes]


def changed(data: bytes, changes: list[Change]) -> bytes:
    """Each change replaces some bytes at some place by others; lengths may change."""
    for place, length, new in changes:
        at = place % (len(data) + 1)
        data = data[:at] + new + data[at + length :]
    return data


def with_sums_mended(data: bytes) -> bytes:
    """A PNG whose chunks have right checksums again, so that a decoder looks at what they hold."""
    out, at = data[:8], 8
    while at + 12 <= len(data):
        length = min(struct.unpack(">I", data[at : at + 4])[0], len(data) - at - 12)
        body = data[at + 4 : at + 8 + length]
        out += struct.pack(">I", length) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return out


def only_bad_input(data: bytes) -> None:
    try:
        assert open_picture(data).mode == "RGB"
    except BadInput as error:
        assert str(error)


places = st.one_of(st.integers(0, 80), st.integers(0, 5000))
changes = st.lists(st.tuples(places, st.integers(0, 8), st.binary(max_size=8)), min_size=1, max_size=6)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=500)
@given(st.sampled_from(sorted(SEEDS)), changes, st.booleans())
def test_mutated_files_are_pictures_or_bad_input(name: str, edits: list[Change], mend: bool) -> None:
    data = changed(SEEDS[name], edits)
    only_bad_input(with_sums_mended(data) if mend and name in {"png", "palette"} else data)


@pytest.mark.filterwarnings("ignore")
@given(st.binary(max_size=200), st.sampled_from([b"", *(data[:12] for data in SEEDS.values())]))
@example(b"", b"")
def test_garbage_is_bad_input(data: bytes, start: bytes) -> None:
    only_bad_input(start + data)


def test_truncation_is_safe_in_threads() -> None:
    """No switch is thrown for one thread that another could see."""
    data = saved(noise(), "JPEG")
    parts: list[bytes] = [data[: len(data) * 3 // 4], data[: len(data) // 3], data] * 10

    def read(part: bytes) -> int:
        try:
            return open_picture(part).height
        except BadInput:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, parts)) == [read(part) for part in parts[:3]] * 10
