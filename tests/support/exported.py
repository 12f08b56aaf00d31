"""A real model as somebody exported it: all-MiniLM-L6-v2 (Apache-2.0) in ONNX, as langchain4j packs it (Apache-2.0)."""

from __future__ import annotations

from pathlib import Path

from maxcos.demo import cache_folder
from maxcos.evaluation.datasets import packages


def exported_minilm() -> Path:
    """The graph, its tokenizer beside it; fetched once by Maven, which the engines of the tests come by too."""
    return packages.langchain4j("all-minilm-l6-v2", "1.19.0-beta29", cache_folder())
