"""Spoilt pictures sent to a running service: nothing but answers, none of them late, and memory bounded.

    PYTHONPATH=.:tests/support python benchmarks/fuzz_pictures.py --pictures 5000 --output FILE

Builds the demo's index in `--folder` (embedded) unless it is there, serves it by `maxcos serve`, and posts each file to
/v1/search as `image` of a form. Each is drawn by its number: a real picture of one of seven formats, an animation, bomb
or a file of another kind, with bytes changed, cut, doubled or put together. Needs the extra dev.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import shlex
import struct
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psutil
import requests
from asking import JSON, worker_of
from PIL import Image

from maxcos.demo import build
from served import running

STATUSES = frozenset({200, 400, 413, 415, 422})
LATE = 5.0
"""Seconds."""
PATIENCE = 60.0
EVERY = 100
"""Files between two looks at the worker's memory."""

Spoil = Callable[[bytes, random.Random], bytes]


# --- what is spoilt


def whole(folder: Path) -> dict[str, bytes]:
    """Real pictures of every format that is read, animations, and what is no picture."""
    icons = sorted((folder / "icons").glob("*.png"))
    frames = [Image.open(path).convert("RGB").resize((96, 96)) for path in icons[:3]]
    first = frames[0]
    metadata = Image.Exif()
    metadata[0x0112], metadata[0x010E] = 6, "x" * 5000
    kinds = {
        "png": _saved(first, "PNG"),
        "png, transparent": icons[0].read_bytes(),
        "png, 16 bits": _saved(first.convert("I;16"), "PNG"),
        "png, palette": _saved(first.convert("P"), "PNG"),
        "png, moving": _saved(first, "PNG", save_all=True, append_images=frames[1:]),
        "jpeg": _saved(first, "JPEG"),
        "jpeg, progressive": _saved(first, "JPEG", progressive=True),
        "jpeg, cmyk": _saved(first.convert("CMYK"), "JPEG"),
        "jpeg, with exif": _saved(first, "JPEG", exif=metadata),
        "webp": _saved(first, "WEBP"),
        "webp, moving": _saved(first, "WEBP", save_all=True, append_images=frames[1:]),
        "gif": _saved(first, "GIF"),
        "gif, moving": _saved(first, "GIF", save_all=True, append_images=frames[1:]),
        "avif": _saved(first, "AVIF"),
        "bmp": _saved(first, "BMP"),
        "tiff": _saved(first, "TIFF"),
        "tiff, deflated": _saved(first, "TIFF", compression="tiff_deflate"),
        "ico": _saved(first, "ICO"),
        "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "pdf": b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF",
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{loop} exec\n",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200),
        "html": b"<!doctype html><title>no picture</title>",
        "empty": b"",
    }
    return kinds | {f"bomb, {name}": data for name, data in bombs().items()}


def bombs() -> dict[str, bytes]:
    """Small files that say they are large, and some that are."""

    def png(width: int, height: int, rows: int) -> bytes:
        """Of one bit per pixel, so many of its rows there."""
        line = bytes(1 + (width + 7) // 8)
        packer = zlib.compressobj(9)
        data = b"".join(packer.compress(line) for _ in range(rows)) + packer.flush()
        chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )

    return {
        "png, 60 megapixels": png(8000, 7500, 7500),
        "png, 100 megapixels": png(10_000, 10_000, 10_000),
        "png, a line of 60 million": png(60_000_000, 1, 1),
        "png, two billion wide": png(2**31 - 1, 2**31 - 1, 0),
        "png, no pixels": png(0, 0, 0),
        "gif, 65535 wide": b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0, 0, 0)
        + b",\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;",
        "bmp, huge": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 60, 0, 0, 54, 40, 2**30, 2**30, 1, 24, 0, 0, 0, 0, 0, 0),
        "text in a png": _saved(Image.new("L", (8, 8)), "PNG", pnginfo=_long_text()),
    }


def _long_text() -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Comment", "x" * 20_000_000, zip=True)
    return info


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# --- how it is spoilt


def flip_bits(data: bytes, draw: random.Random) -> bytes:
    spoilt = bytearray(data)
    for _ in range(draw.choice((1, 3, 30)) if data else 0):
        spoilt[draw.randrange(len(spoilt))] ^= 1 << draw.randrange(8)
    return bytes(spoilt)


def spoil_head(data: bytes, draw: random.Random) -> bytes:
    """Sizes, kinds and lengths stand in the first bytes."""
    spoilt = bytearray(data)
    for _ in range(draw.randint(1, 4) if data else 0):
        spoilt[draw.randrange(min(64, len(spoilt)))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(spoilt)


def cut(data: bytes, draw: random.Random) -> bytes:
    return data[: draw.randint(0, len(data))]


def leave_out(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    return data[:start] + data[start + draw.randint(1, 200) :]


def repeat(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    return data[:start] + data[start : start + 300] * draw.randint(2, 40) + data[start:]


def overwrite(data: bytes, draw: random.Random) -> bytes:
    start = draw.randint(0, len(data))
    junk = draw.randbytes(draw.randint(1, 500))
    return data[:start] + junk + data[start + len(junk) :]


def follow_by_junk(data: bytes, draw: random.Random) -> bytes:
    return data + draw.choice((b"PK\x03\x04", b"<script>", b"%PDF-1.7", b"")) + draw.randbytes(draw.randint(1, 2000))


SPOILS: tuple[Spoil, ...] = (flip_bits, spoil_head, cut, leave_out, repeat, overwrite, follow_by_junk)


def drawn(kinds: dict[str, bytes], number: int) -> tuple[str, bytes]:
    """The file of that number, and what it was: one in twenty is whole, one in ten is two kinds put together."""
    draw = random.Random(number)
    kind = draw.choice(list(kinds))
    data = kinds[kind]
    if draw.random() < 0.05:
        return kind, data
    if draw.random() < 0.1:
        other = draw.choice([name for name in kinds if not name.startswith("bomb")])
        return f"{kind} + {other}", data[: draw.randint(0, len(data))] + kinds[other]
    for spoil in draw.choices(SPOILS, k=draw.randint(1, 2)):
        data = spoil(data, draw)
    return kind, data


# --- sending them


def send(url: str, process: int, kinds: dict[str, bytes], pictures: int) -> JSON:
    statuses: Counter[str] = Counter()
    faults: list[JSON] = []
    took: list[float] = []
    worker = worker_of(process)
    before = worker.memory_info().rss
    memory = [before]
    with requests.Session() as session:
        for number in range(pictures):
            kind, data = drawn(kinds, number)
            started = time.perf_counter()
            try:
                answer = session.post(f"{url}/v1/search", files={"image": ("p", data)}, timeout=PATIENCE)
                ended = str(answer.status_code)
                fine = answer.status_code in STATUSES
            except requests.RequestException as error:
                ended, fine = type(error).__name__, False
            took.append(time.perf_counter() - started)
            statuses[ended] += 1
            if not fine or took[-1] > LATE:
                faults.append({"number": number, "kind": kind, "ended": ended, "seconds": round(took[-1], 2)})
            if number % EVERY == 0:
                memory.append(worker.memory_info().rss)
                click.echo(f"{number} files, {len(faults)} faults, {memory[-1] >> 20} MiB", err=True)
    took.sort()
    return {
        "pictures": pictures,
        "statuses": dict(statuses),
        "p50_ms": round(took[len(took) // 2] * 1000, 1),
        "slowest_s": round(took[-1], 2),
        "faults": faults,
        "same_worker": worker_of(process).pid == worker.pid,
        "memory_mib": {
            "before": before >> 20,
            "after": worker.memory_info().rss >> 20,
            "peak": _peak(worker) >> 10,
            "every_tenth_part": [m >> 20 for m in memory[1 :: max(1, len(memory) // 10)]],
        },
    }


def _peak(process: psutil.Process) -> int:
    """VmHWM, in KiB."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark/fuzz"), help="of the demo's data")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    service = build(given.folder, None, lambda text: click.echo(text, err=True))
    log, config = given.folder / "service.log", given.folder / "maxcos.toml"
    with log.open("w", encoding="utf-8") as output, running(service, config, output) as (url, process):
        told = send(url, process.pid, whole(given.folder), given.pictures)
    text = json.dumps({"command": f"python {shlex.join(sys.argv)}", **told}, indent=1)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")
    sys.exit(bool(told["faults"]))


if __name__ == "__main__":
    main()
