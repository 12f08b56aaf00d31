"""What a folder in sentence-transformers' layout says of a text model beside its weights; the settings may say it too.

Reimers and Gurevych 2019, arXiv:1908.10084; the layout is that of https://www.sbert.net.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from encoders.parts.model_folders import read_json
from es_mappings.errors import EncoderError, SettingsError

FILES = (
    "tokenizer*",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
)
"""What is fetched from a hub beside the weights."""
MODULES = {"Transformer", "Pooling", "Normalize"}
POOLINGS = ("mean", "cls")
MAX_TOKENS = 4096
QUERY, ITEM = ("query",), ("document", "passage", "corpus")
"""The names that models give to what stands before the two kinds of texts, as sentence-transformers looks for them."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What stands before a text, as the model was trained to read it: before a query, and before an item's text."""

    query: str = ""
    item: str = ""

    def queries(self, texts: Sequence[str]) -> list[str]:
        return [self.query + text for text in texts]

    def items(self, texts: Sequence[str]) -> list[str]:
        return [self.item + text for text in texts]


def version(base: str, prompts: Prompts) -> str:
    """What a fingerprint holds beside files: `base`, and prompts where there are any."""
    return base if prompts == Prompts() else f"{base}/{prompts.query}\0{prompts.item}"


def pooling_of(modality: str, options: Mapping[str, Any], folder: Path) -> str:
    """`mean` or `cls`: as the option `pooling` or else 1_Pooling/config.json says, mean without either.

    Raises SettingsError for another option, and EncoderError for another pooling of the model and for further layers:
    without them the vectors would be wrong.
    """
    _refuse_layers(folder)
    given = options.get("pooling")
    if given is not None:
        if given not in POOLINGS:
            raise SettingsError(f"modalities.{modality}.pooling: {given!r} is neither {' nor '.join(POOLINGS)}")
        return str(given)
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return "mean"
    config = read_json(path)
    old = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    on = [name for name, value in config.items() if name.startswith("pooling_mode_") and value is True]
    modes = [config["pooling_mode"]] if "pooling_mode" in config else [old.get(name, name) for name in on]
    if modes not in (["mean"], ["cls"]):
        raise EncoderError(f"{path}: pooling {modes} is not supported, only mean or cls")
    return str(modes[0])


def _refuse_layers(folder: Path) -> None:
    listed = folder / "modules.json"
    modules = {str(m["type"]).rpartition(".")[2] for m in read_json(listed)} if listed.is_file() else set()
    if modules - MODULES:
        raise EncoderError(f"{listed}: the layers {', '.join(sorted(modules - MODULES))} are not supported")


def prompts_of(modality: str, options: Mapping[str, Any], folder: Path | None) -> Prompts:
    """As the option `prompts` or else config_sentence_transformers.json says, none without either.

    folder: None for a model that has none. Raises SettingsError for another option than {query = …, item = …}, and
    EncoderError for a model whose pooling leaves its prompts out.
    """
    given = options.get("prompts")
    if given is None:
        return _own_prompts(folder) if folder else Prompts()
    if not isinstance(given, Mapping) or set(given) - {"query", "item"} or not _all_text(given.values()):
        raise SettingsError(f"modalities.{modality}.prompts: {given!r} is not {{query = TEXT, item = TEXT}}")
    return _pooled_with(Prompts(**given), folder)


def _own_prompts(folder: Path) -> Prompts:
    path = folder / "config_sentence_transformers.json"
    if not path.is_file():
        return Prompts()
    config = read_json(path)
    prompts, default = config.get("prompts") or {}, config.get("default_prompt_name")
    if not isinstance(prompts, Mapping) or not _all_text(prompts.values()):
        raise EncoderError(f"{path}: its prompts are no texts by their names")
    names = [[*QUERY, default], [*ITEM, default]]
    query, item = (next((prompts[name] for name in own if name in prompts), "") for own in names)
    return _pooled_with(Prompts(query, item), folder)


def _pooled_with(prompts: Prompts, folder: Path | None) -> Prompts:
    path = folder / "1_Pooling" / "config.json" if folder else None
    if path and prompts != Prompts() and path.is_file() and read_json(path).get("include_prompt") is False:
        raise EncoderError(f"{path}: its pooling leaves prompts out (include_prompt), which is not supported")
    return prompts


def _all_text(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """The numbers of texts of these lengths, `size` or fewer at once, such as are about as long as each other.

    So little of a batch is padding. With it a batch has at most MAX_TOKENS, unless one text alone has more: the memory
    that a network takes grows with them.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: lengths[number]):
        if batch and (len(batch) == size or (len(batch) + 1) * lengths[number] > MAX_TOKENS):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def read_limits(folder: Path) -> list[int]:
    """The most tokens of a text that the tokenizer's and sentence-transformers' own files allow."""
    found = []
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        path = folder / name
        value = read_json(path).get(key) if path.is_file() else None
        if isinstance(value, (int, float)) and value > 0:  # a tokenizer without a limit says 1e30
            found.append(int(value))
    return found
