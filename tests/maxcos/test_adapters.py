"""`maxcos align --lora`: adapters that win on a toy catalogue, what they do to queries, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from transformers import DistilBertConfig, DistilBertModel

from encoders.contract import load_encoder
from encoders.parts.alignment import directions
from encoders.parts.queries import ADAPTERS, LEARNT
from encoders.parts.texts import TextEncoder
from encoders.training.alignment import Pairs
from encoders.training.alignment.adapters import Adapters, fit_adapters
from encoders.training.alignment.queries import QueryFit
from encoders.transformers import Network, open_network
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings, load_settings
from es_mappings.types import TextTerm, Vector
from maxcos.alignment.run import align
from maxcos.build import ingest_file
from maxcos.cli import main
from tiny_bert import DIMS, catalogue, save_tiny

ITEMS = 900


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index whose items have a name that the model does not read, and the model in `model`."""
    folder = tmp_path_factory.mktemp("adapters")
    save_tiny(folder / "model")
    (folder / "maxcos.toml").write_text(
        f"""
[engine]
url = "embedded:./store"
[lexical]
fields = ["title", "other"]
[modalities.text]
encoder = "transformers"
model = "{folder / "model"}"
source = "title"
""",
        "utf-8",
    )
    (folder / "items.jsonl").write_text("\n".join(map(json.dumps, catalogue(ITEMS))), "utf-8")
    ingest_file(folder / "items.jsonl", load_settings(folder / "maxcos.toml"))
    return folder


@pytest.fixture(scope="module")
def told(folder: Path) -> str:
    command = ["align", "--config", str(folder / "maxcos.toml"), "--modality", "text", "--lora", "4"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture
def adapters(folder: Path, told: str) -> Path:
    return folder / "align-lora"


def load(folder: Path, **options: Any) -> TextEncoder:
    settings = ModalitySettings(encoder="transformers", model=str(folder / "model"), source="title", **options)
    encoder = load_encoder("text", settings, {})
    assert isinstance(encoder, TextEncoder)
    return encoder


def query(encoder: TextEncoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))["text"]


def test_adapters_that_win_over_the_map_are_written(told: str, adapters: Path) -> None:
    assert "adapted against as they are: +" in told and "adapted against moved: +" in told
    assert 'align = "align-lora"\nand run `maxcos calibrate`' in told
    assert {file.name for file in adapters.iterdir()} == {"adapter_config.json", ADAPTERS, LEARNT}
    assert str(adapters.parent) not in (adapters / "adapter_config.json").read_text("utf-8")


def test_queries_are_adapted_and_items_stay(folder: Path, adapters: Path) -> None:
    plain, adapted = load(folder), load(folder, align=str(adapters))
    texts = [[item["title"]] for item in catalogue(ITEMS)]
    one, other = (np.stack(e.encode_items(texts, Path()).vectors["text"]) for e in (plain, adapted))
    np.testing.assert_array_equal(one, other)
    names = [item["other"] for item in catalogue(ITEMS)]
    unseen = [number for number, name in enumerate(names) if not adapted.has_learnt(name)]
    assert len(unseen) == ITEMS // 5 and not any(map(plain.has_learnt, names))
    items = directions(one - one.mean(axis=0))

    def recall(encoder: TextEncoder) -> float:
        asked = np.stack([vector for vector in encoder.encode_texts(names) if vector is not None])
        best = np.argsort(-directions(asked - asked.mean(axis=0))[unseen] @ items.T)[:, :10]
        return float(np.mean((best == np.array(unseen)[:, None]).any(axis=1)))

    assert recall(adapted) > recall(plain) + 0.1
    before, after = (encoder.provenance["text"] for encoder in (plain, adapted))
    assert before.queries != after.queries and replace(after, queries=before.queries) == before
    assert adapted.bare.provenance == plain.provenance
    np.testing.assert_array_equal(query(adapted.bare, names[0]), query(plain, names[0]))


def test_threads_get_what_one_gets(folder: Path, adapters: Path) -> None:
    names = [item["other"] for item in catalogue(64)]
    alone, shared = load(folder, align=str(adapters)), load(folder, align=str(adapters))
    with ThreadPoolExecutor(8) as pool:
        items = pool.map(lambda name: shared.encode_items([[name]], Path()).vectors["text"][0], names)
        together = list(pool.map(lambda name: query(shared, name), names))
    for name, item, vector in zip(names, items, together, strict=True):
        np.testing.assert_allclose(vector, query(alone, name), atol=1e-6)
        np.testing.assert_allclose(item, query(alone.bare, name), atol=1e-6)


def fit(folder: Path, network: Network) -> tuple[QueryFit[Adapters], list[float]]:
    """What is learnt of 300 items of the catalogue, and the losses."""
    items, encoder = catalogue(300), load(folder)
    titles, texts = ([item[field] for item in items] for field in ("title", "other"))
    vectors = [np.stack([v for v in encoder.encode_texts(own) if v is not None]) for own in (titles, texts)]
    features, asked = (directions(own - own.mean(axis=0)) for own in vectors)
    number = np.arange(len(items))
    pairs = Pairs(features, features, asked, number, np.zeros_like(number), ("other",), number)
    losses: list[float] = []
    mean = vectors[1].mean(axis=0)
    return fit_adapters(network, 4, pairs, texts, mean, tell=lambda told: losses.append(told["loss"])), losses


def test_the_loss_falls_and_one_seed_gives_the_same_numbers(folder: Path) -> None:
    settings = ModalitySettings(encoder="transformers", model=str(folder / "model"), source="title")
    (one, losses), (other, again) = (fit(folder, open_network("text", settings)) for _ in range(2))
    assert losses[-1] < losses[0] - 0.1 and losses == again
    assert one.epochs > 0 and np.mean(one.after <= 10) > np.mean(one.before <= 10)
    assert one.weights.tensors.keys() == other.weights.tensors.keys()
    for name, tensor in one.weights.tensors.items():
        np.testing.assert_array_equal(tensor, other.weights.tensors[name])


def test_where_peft_knows_no_projections_all_linear_layers_are_adapted(folder: Path) -> None:
    settings = ModalitySettings(encoder="transformers", model=str(folder / "model"), source="title")
    network = open_network("text", settings)
    config = DistilBertConfig(
        vocab_size=network.model.config.vocab_size, dim=DIMS, hidden_dim=DIMS, n_layers=1, n_heads=2
    )
    found, losses = fit(folder, replace(network, model=DistilBertModel(config).eval()))
    assert losses[-1] < losses[0]
    assert {"q_lin", "v_lin", "lin1"} <= {name.split(".")[-3] for name in found.weights.tensors}


def test_what_are_no_adapters_for_this_encoder_is_refused(folder: Path, adapters: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(adapters, tmp_path / "own"))
    (own / ADAPTERS).write_bytes(b"torn")
    with pytest.raises(EncoderError, match="peft cannot load these adapters"):
        query(load(folder, align=str(own)), "w1")
    (own / ADAPTERS).unlink()
    with pytest.raises(EncoderError, match=re.escape(f"{own / ADAPTERS}: missing; fit it with `maxcos align`")):
        load(folder, align=str(own))
    save_tiny(tmp_path / "model", seed=8)
    with pytest.raises(EncoderError, match=r"learnt\.npz: fitted for another encoder or other weights"):
        load(tmp_path, align=str(adapters))
    member = {"encoder": "transformers", "model": str(folder / "model")}
    ensemble = ModalitySettings(encoder="ensemble", members=[member, member], source="title", align=str(adapters))
    with pytest.raises(EncoderError, match="`align` takes with the encoder transformers only"):
        load_encoder("text", ensemble, {})


def test_what_cannot_be_asked_for(folder: Path, tmp_path: Path) -> None:
    settings = load_settings(folder / "maxcos.toml")
    with pytest.raises(SettingsError, match="--lora: name a text modality"):
        align(settings, tmp_path / "x", lora=4)
    member = {"encoder": "transformers", "model": str(folder / "model")}
    ensemble = ModalitySettings(encoder="ensemble", members=[member, member], source="title")
    given = settings.model_copy(update={"modalities": {"text": ensemble}})
    with pytest.raises(SettingsError, match=r"--lora: modalities\.text\.encoder is 'ensemble', only transformers"):
        align(given, tmp_path / "x", modality="text", lora=4)
    file = tmp_path / "file"
    file.touch()
    for output, more, why in ((file, ["--lora", "4"], "is no folder"), (tmp_path, [], "is a folder")):
        command = [
            "align",
            "--config",
            str(folder / "maxcos.toml"),
            "--output",
            str(output),
            "--modality",
            "text",
            *more,
        ]
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2 and why in done.output
