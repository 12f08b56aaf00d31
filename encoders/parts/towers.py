"""The two towers of CLIP and its kin as transformers has them, and how each family was trained to read and to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from encoders.parts.model_folders import read_json
from encoders.parts.weights import import_torch
from es_mappings.errors import EncoderError
from es_mappings.types import Matrix

MAX_ASPECT = 8
"""Of a longer picture only the middle is looked at, where the model crops it to a square anyway."""


Prepared = Mapping[str, Any]
"""By the names of the vision tower's inputs the tensors of one picture, each of shape (1, …)."""


@dataclass(frozen=True)
class Family:
    """How the models of one kind were trained to read a text, and how wide they are unless they say so.

    longest: in tokens, beside what the model's own files allow.
    """

    width: int
    longest: int
    padding: Literal["longest", "max_length"] = "longest"
    masked: bool = True
    lower: bool = False


FAMILIES = {
    "clip": Family(width=512, longest=77),
    "siglip": Family(width=768, longest=64, padding="max_length", masked=False, lower=True),
    "siglip2": Family(width=768, longest=64, padding="max_length", masked=False, lower=True),
    "chinese_clip": Family(width=512, longest=52),
}
"""By `model_type`. The padding of SigLIP is part of the text: its vector is that of the last position, and nothing is
masked. It was trained on lower case, which the files of SigLIP 2 leave to the caller. All Chinese-CLIP models were
trained on 52 tokens, although their text tower would take 512.
"""


def kind_of(folder: Path) -> tuple[Family, int]:
    """The model's family and the width of its space. Raises EncoderError for models of other kinds."""
    path = folder / "config.json"
    config = read_json(path)
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise EncoderError(f"{path}: the model_type {kind!r} is none of {', '.join(FAMILIES)}")
    text = config.get("text_config") or {}
    said = text.get("projection_size") or text.get("hidden_size") if "siglip" in kind else config.get("projection_dim")
    return FAMILIES[kind], int(said or FAMILIES[kind].width)


def load_towers(folder: Path, family: Family, dims: int, dtype: str, device: str) -> Towers:
    """Read a model's weights, words and recipe. dims: what its config.json says.

    Raises EncoderError for what transformers cannot load, and where tensors are missing.
    """
    torch = import_torch()
    from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)  # type: ignore[no-untyped-call]
        model, report = AutoModel.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=any(folder.glob("model*.safetensors")),
            weights_only=True,
            output_loading_info=True,
        )
        model = model.to(device=device, dtype=getattr(torch, dtype)).eval()
    except Exception as error:  # whatever a broken folder makes of it: OSError, KeyError, SafetensorError, …
        raise EncoderError(f"{folder}: transformers cannot load this model: {str(error)[:500]}") from error
    if lacking := sorted(report["missing_keys"]):  # transformers would go on with random numbers
        raise EncoderError(f"{folder}: the weights lack {len(lacking)} of the model's tensors, such as {lacking[0]}")
    read = (family.longest, tokenizer.model_max_length, model.config.text_config.max_position_embeddings)
    return Towers(model, tokenizer, processor, family, min(read), dims)


@dataclass(frozen=True)
class Towers:
    """A model in evaluation mode with its tokenizer and its recipe for pictures. longest: tokens of a text."""

    model: Any
    tokenizer: Any
    processor: Any
    family: Family
    longest: int
    dims: int

    def prepared(self, picture: Image.Image) -> Prepared:
        """The picture as the model's own recipe wants it: sizes, crop, means, patches."""
        inputs: Prepared = self.processor(images=[self._middle(picture)], return_tensors="pt")
        return inputs

    def _middle(self, picture: Image.Image) -> Image.Image:
        """The recipe scales the shorter side and crops then, which would make a strip of 60000 x 10 gigabytes."""
        longest = MAX_ASPECT * min(picture.size)
        if max(picture.size) <= longest or not getattr(self.processor, "do_center_crop", False):
            return picture
        width, height = min(picture.width, longest), min(picture.height, longest)
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        return picture.crop((left, top, left + width, top + height))

    def of_pictures(self, batch: Sequence[Prepared]) -> Matrix:
        """(n, dims), not unit."""
        torch = import_torch()
        return self._run(self.model.get_image_features, {k: torch.cat([p[k] for p in batch]) for k in batch[0]})

    def of_texts(self, batch: Sequence[str]) -> Matrix:
        """(n, dims), not unit."""
        family = self.family
        inputs = self.tokenizer(
            [text.lower() if family.lower else text for text in batch],
            padding=family.padding,
            truncation=True,
            max_length=self.longest,
            return_tensors="pt",
        )
        if not family.masked:
            inputs.pop("attention_mask", None)
        return self._run(self.model.get_text_features, inputs)

    def _run(self, tower: Any, inputs: Mapping[str, Any]) -> Matrix:
        torch = import_torch()
        dtype, device = self.model.dtype, self.model.device
        moved = {name: t.to(device, dtype if t.is_floating_point() else None) for name, t in inputs.items()}
        with torch.inference_mode():
            made = tower(**moved)
        features = getattr(made, "pooler_output", made)  # before transformers 5 the tensor itself
        found: Matrix = features.float().cpu().numpy()
        if found.shape[1] != self.dims:
            raise EncoderError(f"the model makes vectors of {found.shape[1]} numbers, its config.json says {self.dims}")
        return np.ascontiguousarray(found)
