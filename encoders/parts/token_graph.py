"""ONNX graphs that take the tokens of a text: exports of sentence-transformers, Optimum and transformers.js.

Their folder has Hugging Face's layout: the graph, alone or in the folder `onnx`, and `tokenizer.json`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from encoders.parts.sentences import batches, read_limits
from es_mappings.errors import EncoderError
from es_mappings.types import Matrix

TOKENIZER = "tokenizer.json"
NEEDED, TAKEN = {"input_ids", "attention_mask"}, {"input_ids", "attention_mask", "token_type_ids"}
POOLED, STATES = "sentence_embedding", ("last_hidden_state", "token_embeddings")
"""What the exports call a text's vector, and the states of its tokens."""
PADDING = ("[PAD]", "<pad>")
LONGEST = 512
"""Tokens of a text, where no file says how many the model was made for."""


def tokenizer_folder(path: Path) -> Path:
    """Where the tokenizer of a graph is: beside it, or above its folder. Raises EncoderError."""
    for folder in path.parents[:2]:
        if (folder / TOKENIZER).is_file():
            return folder
    raise EncoderError(f"{path}: the graph takes no strings, and no {TOKENIZER} is beside it or above it")


class TokenGraph:
    """A tokenizer and a graph; thread safe. `pools`: whether the graph gives one vector for a text by itself.

    `longest` tokens of a text are read, the rest is cut.
    """

    def __init__(self, session: onnxruntime.InferenceSession, folder: Path, path: Path) -> None:
        """Raises EncoderError for a graph that takes or gives anything else, and for what is no tokenizer."""
        self._session, self._tokenizer = session, _tokenizer(folder / TOKENIZER)
        self._inputs = {one.name for one in session.get_inputs()}
        if not NEEDED <= self._inputs <= TAKEN:
            raise EncoderError(f"{path}: the graph takes {', '.join(sorted(self._inputs))}: not the tokens of a text")
        outputs = {one.name: one.shape for one in session.get_outputs()}
        self._output = next((name for name in (POOLED, *STATES) if name in outputs), "")
        width = outputs[self._output][-1] if self._output else None
        if not isinstance(width, int):
            raise EncoderError(f"{path}: the graph gives {outputs}: none of {POOLED}, {', '.join(STATES)} with a width")
        self.dims, self.pools = width, self._output == POOLED
        self.longest = min(_limits(self._tokenizer, folder), default=LONGEST)
        self._padding = _padding(self._tokenizer)
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_length=self.longest)

    def embed(self, batch: Sequence[str], pooling: str, batch_size: int) -> Matrix:
        """(n, dims) of n texts. pooling: `mean` or `cls`, of no meaning where the graph pools."""
        tokens = [found.ids for found in self._tokenizer.encode_batch(list(batch))]
        rows = np.empty((len(tokens), self.dims), dtype=np.float32)
        for chosen in batches(list(map(len, tokens)), batch_size):
            rows[chosen] = self._run([tokens[number] for number in chosen], pooling)
        return rows

    def _run(self, tokens: Sequence[Sequence[int]], pooling: str) -> Matrix:
        lengths = np.array([len(own) for own in tokens])
        longest = max(int(lengths.max()), 1)
        ids = np.full((len(tokens), longest), self._padding, dtype=np.int64)
        for row, own in zip(ids, tokens, strict=True):
            row[: len(own)] = own
        mask = (np.arange(longest) < lengths[:, None]).astype(np.int64)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        (found,) = self._session.run([self._output], {name: given[name] for name in self._inputs})
        states: Matrix = np.asarray(found, dtype=np.float32)
        if self.pools:
            return states
        if pooling == "cls":
            return states[:, 0]
        weights = mask[:, :, None].astype(np.float32)
        mean: Matrix = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return mean


def _tokenizer(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise EncoderError(f"{path}: tokenizers cannot read it: {error}") from error


def _limits(tokenizer: Tokenizer, folder: Path) -> list[int]:
    own = (tokenizer.truncation or {}).get("max_length")
    return [*read_limits(folder), *([own] if own else [])]


def _padding(tokenizer: Tokenizer) -> int:
    """The number of the token that fills a batch up. It is masked, but some models count positions by it."""
    known = (tokenizer.token_to_id(token) for token in PADDING)
    found = (tokenizer.padding or {}).get("pad_id", next((number for number in known if number is not None), 0))
    return int(found)
