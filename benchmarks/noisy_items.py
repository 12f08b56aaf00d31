"""What noise in items costs: English emoji of which a share is damaged after the index was built and calibrated.

    python benchmarks/noisy_items.py --folder benchmark --output benchmarks/results/noisy-items.json

Damages, of 30 % of the items: `corrupted picture` (JPEG of quality 5, blurred, noisy, or half of it black), `wrong
picture` (that of another damaged item), `adversarial picture` (at most 8/255 off at each pixel, by PGD, Madry et al.
2018, arXiv:1706.06083, towards the features of another item's picture), `missing text` (no label, and its name is not
in the graph either). What is touched is ingested again; neither alignment nor calibration is made again. A damaged
picture is placed among words by the head that has not seen the item, as it was before. What happens where that is not
known, as the file is another one, is told by `same picture`: the same pixels in another file.

Then, of 5 % and of 30 %: how many of the damaged items `maxcos audit` finds.

Needs the extras text, image, graph, train.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from noise import COLUMNS, cost, systems, values
from PIL import Image, ImageFilter

from encoders.contract import load_encoders
from encoders.parts.alignment import Keys
from encoders.parts.pictures import open_picture
from encoders.training.update import update_graph
from es_mappings.schema import build_schema
from es_mappings.settings import Settings, load_settings
from ingest.encoding import Encoding
from ingest.pipeline import ingest
from ingest.sinks import open_sink
from ingest.sources import digest, read
from maxcos.audit.report import audit
from maxcos.evaluation.benchmark import build
from maxcos.evaluation.datasets.files import Files
from maxcos.evaluation.metrics import METRICS, Floats
from maxcos.judgments import Judged, read_judged
from query_api.service import SearchService

Record = dict[str, Any]
Encoders = Mapping[str, Any]
Damage = Callable[[Sequence[Record], Files, Any], None]
"""Changes records, and the files beside them; knows the encoder of pictures."""

SYSTEMS = systems("en", "image")
MEASURED = 0.3
"""The share whose cost in quality is measured."""
SHARES = (0.05, MEASURED)
EDGE, SEEN = 256, 224
"""The encoder scales a picture to EDGE and looks at the SEEN pixels in the middle."""
BOUND, STEP, STEPS = 8 / 255, 3 / 255, 4


# --- damages


def wrong_picture(records: Sequence[Record], files: Files, encoder: Any) -> None:
    images = [record["image"] for record in records]
    for record, image in zip(records, images[1:] + images[:1], strict=True):
        record["image"] = image


def missing_text(records: Sequence[Record], files: Files, encoder: Any) -> None:
    for record in records:
        for name in [name for name in record if name.startswith("label_")]:
            del record[name]
    nameless = {record["id"] for record in records}
    rows = files.names.read_text("utf-8").splitlines(keepends=True)
    files.names.write_text("".join(row for row in rows if row.split("\t")[0] not in nameless), "utf-8")
    update_graph(files.folder / "graph.npz", names=files.names)


def same_picture(records: Sequence[Record], files: Files, encoder: Any) -> None:
    for record in records:
        _replace(record, files, open_picture(files.folder / record["image"]))


def corrupted_picture(records: Sequence[Record], files: Files, encoder: Any) -> None:
    ways = (_pressed, _blurred, _noisy, _half_black)
    for number, record in enumerate(records):
        _replace(record, files, ways[number % len(ways)](open_picture(files.folder / record["image"]), number))


def _pressed(picture: Image.Image, seed: int) -> Image.Image:
    from io import BytesIO

    file = BytesIO()
    picture.save(file, "JPEG", quality=5)
    return Image.open(file)


def _blurred(picture: Image.Image, seed: int) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(min(picture.size) / 16))


def _noisy(picture: Image.Image, seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).normal(scale=80, size=(picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _half_black(picture: Image.Image, seed: int) -> Image.Image:
    black = picture.copy()
    black.paste((0, 0, 0), (0, 0, picture.width // 2, picture.height))
    return black


def adversarial_picture(records: Sequence[Record], files: Files, encoder: Any) -> None:
    """Each towards the next one's features."""
    import torch

    network = encoder._network().network
    mean, deviation = (torch.tensor(numbers)[:, None, None] for numbers in (network.mean, network.deviation))

    def features(pixels: Any) -> Any:
        return torch.nn.functional.normalize(network.body((pixels - mean) / deviation), dim=1)

    margin = (EDGE - SEEN) // 2
    whole = [open_picture(files.folder / record["image"]).resize((EDGE, EDGE)) for record in records]
    seen = np.stack([np.asarray(p.crop((margin, margin, EDGE - margin, EDGE - margin))) for p in whole])
    clean = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        towards = torch.cat([features(batch) for batch in clean.split(8)]).roll(-1, 0)
    for at in range(0, len(records), 8):
        here = slice(at, at + 8)
        start = clean[here]
        moved = start.clone()
        for _ in range(STEPS):
            moved.requires_grad_()
            (gradient,) = torch.autograd.grad((features(moved) * towards[here]).sum(), moved)
            moved = (moved.detach() + STEP * gradient.sign()).clamp(start - BOUND, start + BOUND).clamp(0, 1)
        pixels = (moved * 255).round().byte().permute(0, 2, 3, 1).numpy()
        for record, picture, inner in zip(records[here], whole[here], pixels, strict=True):
            picture.paste(Image.fromarray(inner), (margin, margin))
            _replace(record, files, picture)


def _replace(record: Record, files: Files, picture: Image.Image) -> None:
    record["image"] = f"pictures/{record['id']}-damaged.png"
    picture.save(files.folder / record["image"])


DAMAGES: Mapping[str, Damage] = {
    "same picture": same_picture,
    "corrupted picture": corrupted_picture,
    "wrong picture": wrong_picture,
    "adversarial picture": adversarial_picture,
    "missing text": missing_text,
}
AUDITED = ("corrupted picture", "wrong picture", "adversarial picture")
"""What is also looked for where few items are damaged."""


# --- measuring


def damaged(kind: str, share: float, clean: Settings, encoders: Encoders, folder: Path) -> tuple[Settings, set[str]]:
    """An index in which a share of the items is damaged, and which ones they are. encoders: of the clean index."""
    before = Files(Path(str(clean.modalities["graph"].model)).parent)
    files = Files(folder / f"{kind.replace(' ', '-')}-{round(share * 100)}")
    shutil.rmtree(files.folder, ignore_errors=True)
    shutil.copytree(before.folder, files.folder, ignore=shutil.ignore_patterns("pictures"))
    shutil.copytree(before.folder / "pictures", files.folder / "pictures", copy_function=os.link)
    records = [json.loads(line) for line in before.items.read_text("utf-8").splitlines()]
    touched = random.Random(0).sample(records, round(share * len(records)))
    settings = load_settings(files.config)
    images = [[record["image"]] for record in touched]
    DAMAGES[kind](touched, files, encoders["image"])
    files.items.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    schema = build_schema(settings.lexical, encoders.values())
    learnt = encoders["image"].alignment
    if kind != "same picture":
        changed = [[record["image"]] for record in touched]
        keys = [encoders["image"].keys(names, files.folder) for names in (images, changed)]
        encoders["image"].alignment = _as_before(learnt, *keys)
    with closing(open_sink(settings.engine, schema)) as sink:
        encoding = Encoding(schema, settings.modalities, encoders, files.folder)
        letters = files.folder / "dead-letters.jsonl"
        summary = ingest(read(files.items, schema), encoding, sink, source=digest(files.items), dead_letters=letters)
    encoders["image"].alignment = learnt
    click.echo(f"{kind}, {share:.0%}: {summary.written} items written, {dict(summary.vectors)}", err=True)
    return settings, {record["id"] for record in touched}


def _as_before(alignment: Any, before: Keys, after: Keys) -> Any:
    """The heads, where what has the keys `after` counts as learnt by those who learnt what has the keys `before`."""
    folds = alignment._folds(before)
    keys = np.concatenate([alignment.keys, after[folds >= 0]])
    keys, first = np.unique(keys, return_index=True)
    return replace(alignment, keys=keys, folds=np.concatenate([alignment.folds, folds[folds >= 0]])[first].astype("u1"))


def sampled(settings: Settings, files: Files, encoders: Encoders, most: int) -> list[Judged]:
    """Judged queries of the test half."""
    schema = build_schema(settings.lexical, encoders.values())
    queries = read_judged(files.queries("test"), files.qrels("test"), schema)
    return random.Random(0).sample(queries, min(most, len(queries)))


def answers(settings: Settings, queries: Sequence[Judged]) -> Mapping[str, Floats]:
    """By system the metric of each query."""
    with closing(SearchService.from_settings(settings)) as service:
        return values(service, SYSTEMS, queries)


def audited(settings: Settings, touched: set[str]) -> dict[str, dict[str, int]]:
    """By finding how many items are listed, how many of them are damaged, and how many of the first `touched`."""
    told = {}
    for finding in audit(settings).findings:
        if finding.kind in ("inconsistent", "modalities disagree"):
            listed = [case.ids[0] for case in finding.cases]
            first = listed[: len(touched)]
            told[f"{finding.kind}: {finding.about}"] = {
                "listed": len(listed),
                "damaged": len(touched & set(listed)),
                "first": len(first),
                "damaged of the first": len(touched & set(first)),
            }
    return told


def quality(
    settings: Settings, touched: set[str], queries: Sequence[Judged], clean: Mapping[str, Floats]
) -> dict[str, Any]:
    """By group of queries (`touched`: a damaged item answers it) and system what the damage costs."""
    after = answers(settings, queries)
    is_touched = np.array([bool(touched & query.grades.keys()) for query in queries])
    groups = {"all": np.ones_like(is_touched), "touched": is_touched, "untouched": ~is_touched}
    return {
        group: {"queries": int(rows.sum()), **{name: cost(clean[name][rows], after[name][rows]) for name in clean}}
        for group, rows in groups.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("benchmark"))
    parser.add_argument("--queries", type=int, default=300, help="at most so many, a random sample")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    clean_settings, files = build("emoji-en", given.folder, None, click.echo)
    found: dict[str, Any] = {"metric": METRICS[0], "columns": COLUMNS}
    found |= {"quality": {}, "audit": {"nothing": {"damaged": 0, **audited(clean_settings, set())}}}
    encoders = load_encoders(clean_settings.modalities)
    queries = sampled(clean_settings, files, encoders, given.queries)
    clean = answers(clean_settings, queries)
    for share in SHARES:
        for kind in DAMAGES if share == MEASURED else AUDITED:
            settings, touched = damaged(kind, share, clean_settings, encoders, given.folder / "noisy-items")
            name = f"{kind}, {share:.0%}"
            found["audit"][name] = {"damaged": len(touched), **audited(settings, touched)}
            click.echo(f"{name}: {json.dumps(found['audit'][name])}", err=True)
            if share == MEASURED:
                found["quality"][kind] = quality(settings, touched, queries, clean)
                click.echo(f"{name}: {json.dumps(found['quality'][kind])}", err=True)
    text = json.dumps(found, indent=1)
    click.echo(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
