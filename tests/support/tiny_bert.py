"""A tiny text model with random weights, saved as transformers saves it, and a catalogue that it can learn from.

Items are named by two WORDS; people put FILLERS between them, of which the model knows nothing but that they are alike.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertModel, BertTokenizer

WORDS = [f"w{number}" for number in range(50)]
FILLERS = [f"f{number}" for number in range(50)]
DIMS = 32


def save_tiny(folder: Path, seed: int = 7) -> Path:
    """The folder with the model; weights are the same in every run."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS, *FILLERS])}
    BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=DIMS,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=DIMS,
        max_position_embeddings=32,
        initializer_range=0.4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertModel(config)
        with torch.no_grad():
            model.embeddings.position_embeddings.weight.zero_()
            model.embeddings.word_embeddings.weight[vocabulary[FILLERS[0]] :] += torch.randn(DIMS)
    model.save_pretrained(folder)
    return folder


def catalogue(many: int) -> list[dict[str, Any]]:
    """Items with a `title` and one `other` name."""
    draw = random.Random(0)
    pairs = draw.sample([(one, other) for one in WORDS for other in WORDS if one < other], many)
    return [
        {"id": str(number), "title": " ".join(pair), "other": " ".join([pair[0], *draw.sample(FILLERS, 3), pair[1]])}
        for number, pair in enumerate(pairs)
    ]
