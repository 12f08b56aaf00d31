"""Image encoder with a tower for pictures and one for words that meet in one space: CLIP and its kin.

CLIP (Radford et al. 2021, arXiv:2103.00020), SigLIP (Zhai et al. 2023, arXiv:2303.15343), SigLIP 2 (Tschannen et al.
2025, arXiv:2502.14786) and Chinese-CLIP (Yang et al. 2022, arXiv:2211.01335), as transformers has them. Items are
encoded by their pictures alone; queries by words and by pictures.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from encoders.contract import Encoded, Encoder, unit
from encoders.parts import pictures, texts
from encoders.parts.model_folders import batch_size_of, model_folder
from encoders.parts.picture_files import digests, read_pictures
from encoders.parts.sentences import Prompts
from encoders.parts.towers import Towers, kind_of, load_towers
from encoders.parts.weights import Once, fingerprint, model_of, require
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import ImageTerm, Provenance, Space, Term, TextTerm, Vector

VERSION = f"clip-1/{pictures.VERSION}/{texts.VERSION}"
SAFE, PICKLED = ("model*.safetensors", "model.safetensors.index.json"), ("pytorch_model*.bin", "pytorch_model.bin.*")
"""Weights in both of their formats. Some models come as the second alone; it is read without running what it holds."""
VOCABULARY = ("tokenizer.json", "vocab.json", "vocab.txt", "*.model")
FILES = (
    *VOCABULARY,
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "merges.txt",
)
"""What decides the vectors beside the weights, and so what is fetched from a hub and fingerprinted."""
DTYPES = ("float32", "float16", "bfloat16")
DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")
MAX_BATCH = 16


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> ClipEncoder:
    """Read the configuration of the model that `model` names: a folder, or the id of a hub's repository.

    Weights, and torch itself, are loaded at the first use.
    Options: batch_size (1 to 16, default 16), pictures per run of the network; dtype (float32, float16 or bfloat16;
    default float32), in which the network computes, vectors are float32 all the same; device (cpu, cuda, cuda:N or
    mps; default cpu); scripts, see `texts.scripts_of`. Type and device are no part of the vectors' provenance: one
    index may be written on a GPU in half precision and asked on a CPU in full.
    Raises SettingsError for wrong options, EncoderError when the model is missing or of another kind, ImportError when
    a package is not installed.
    """
    require("transformers", "torch", "torchvision")
    options = settings.options("batch_size", "dtype", "device", "scripts")
    batch_size = batch_size_of(modality, options, MAX_BATCH)
    dtype, device = str(options.get("dtype", DTYPES[0])), str(options.get("device", "cpu"))
    if dtype not in DTYPES:
        raise SettingsError(f"modalities.{modality}.dtype: {dtype!r} is not one of {', '.join(DTYPES)}")
    if not DEVICE.fullmatch(device):
        raise SettingsError(f"modalities.{modality}.device: {device!r} is not one of cpu, cuda, cuda:N, mps")
    folder = _folder(model_of(modality, settings))
    family, dims = kind_of(folder)
    made_by = Provenance("clip", fingerprint(_files(folder), VERSION), dims)
    towers = Once(lambda: load_towers(folder, family, dims, dtype, device))
    return ClipEncoder(modality, made_by, towers, batch_size, texts.scripts_of(modality, settings))


class ClipEncoder:
    """A modality of pictures with one space, in which words meet them. Thread safe. scripts: see `texts.scripts_of`."""

    def __init__(
        self,
        modality: str,
        made_by: Provenance,
        towers: Once[Towers],
        batch_size: int,
        scripts: frozenset[str] = frozenset(),
    ) -> None:
        self._space = Space(modality, modality, made_by.dims)
        self._made_by = made_by
        self._towers = towers
        self._batch_size = batch_size
        reading = texts.prompted(lambda batch: towers().of_texts(batch), Prompts())
        self._words = texts.TextEncoder(modality, made_by, reading, scripts)

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self._space,)

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        return {self._space.name: self._made_by}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See the contract; a value is a path inside `base` or a list of such.

        The first that is a picture counts; an item all of whose paths fail has an error that names them.
        """
        vectors: list[Vector | None] = [None] * len(values)
        errors: dict[int, BadInput] = {}
        towers = self._towers()
        for present, lost in read_pictures(values, base, towers.prepared, self._batch_size):
            errors |= lost
            rows = towers.of_pictures(list(present.values())) if present else ()
            for index, row in zip(present, rows, strict=True):
                try:
                    vectors[index] = unit(row, "picture")
                except BadInput as error:
                    errors[index] = error
        return Encoded({self._space.name: vectors}, errors)

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> list[Any]:
        """See `encoders.contract.ReadsFiles`."""
        return digests(values, base)

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """The vector of a picture or a text; nothing for a blank text and for other terms.

        Raises BadInput for a picture that is none.
        """
        if isinstance(term, TextTerm):
            return self._words.encode_query(term)
        if not isinstance(term, ImageTerm):
            return {}
        towers = self._towers()
        row = towers.of_pictures([towers.prepared(pictures.open_picture(term.data))])[0]
        return {self._space.name: unit(row, "picture")}


# --- files --------------------------------------------------------------------------------------------------------


def _folder(model: str) -> Path:
    folder = model_folder(model, (*FILES, *SAFE))
    if not Path(model).is_dir() and not _matching(folder, SAFE):
        folder = model_folder(model, (*FILES, *PICKLED))
    return folder


def _files(folder: Path) -> list[Path]:
    """What decides the vectors. Raises EncoderError where there are no weights, or no words."""
    weights = _matching(folder, SAFE) or _matching(folder, PICKLED)
    if not weights:
        raise EncoderError(f"{folder}: no weights: neither {SAFE[0]} nor {PICKLED[0]}")
    if not _matching(folder, VOCABULARY):  # transformers would go on with a tokenizer that knows nothing
        raise EncoderError(f"{folder}: no vocabulary: none of {', '.join(VOCABULARY)}")
    return sorted({*_matching(folder, FILES), *weights})


def _matching(folder: Path, patterns: Sequence[str]) -> set[Path]:
    return {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
