"""Tiny models of each kind that `encoders.clip` reads, with random weights, saved as transformers saves them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertTokenizer,
    ChineseCLIPConfig,
    ChineseCLIPImageProcessor,
    ChineseCLIPModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTokenizer,
    PreTrainedTokenizerFast,
    Siglip2Config,
    Siglip2ImageProcessor,
    Siglip2Model,
    Siglip2Tokenizer,
    SiglipConfig,
    SiglipImageProcessor,
    SiglipModel,
)

WORDS = ["a", "photo", "of", "red", "green", "blue", "white", "square", "sofa", "lamp", *"红色的方块绿蓝圆椅子"]
EDGE = 32
DIMS = 24


def save_tiny(kind: str, folder: Path) -> Path:
    """The folder with a model of this `model_type`; weights are the same in every run."""
    torch.manual_seed(7)
    for part in MAKERS[kind]():
        part.save_pretrained(folder)
    return folder


def _clip() -> tuple[Any, ...]:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|startoftext|>", "<|endoftext|>"]  # its pooling looks for the highest id
    vocabulary = {token: i for i, token in enumerate([*letters, *(f"{c}</w>" for c in letters), *special])}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    ends = {"bos_token_id": vocabulary[special[0]], "eos_token_id": vocabulary[special[1]]}
    text = {**_tower(), "vocab_size": len(vocabulary), "max_position_embeddings": 77, "projection_dim": DIMS, **ends}
    vision = {**_tower(), **_patches(), "projection_dim": DIMS}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=DIMS))
    return model, tokenizer, CLIPImageProcessor(size={"shortest_edge": EDGE}, crop_size=EDGE)


def _chinese_clip() -> tuple[Any, ...]:
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=512)
    text = {**_tower(), "vocab_size": len(vocabulary), "max_position_embeddings": 512}
    vision = {**_tower(), **_patches(), "projection_dim": DIMS}
    model = ChineseCLIPModel(ChineseCLIPConfig(text_config=text, vision_config=vision, projection_dim=DIMS))
    size = {"height": EDGE, "width": EDGE}
    return model, tokenizer, ChineseCLIPImageProcessor(size=size, do_center_crop=False)


def _siglip() -> tuple[Any, ...]:
    """With a tokenizer as theirs: an end after the text, then nothing but padding; it offers a mask all the same."""
    special = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    vocabulary = {**special, **{word: i for i, word in enumerate(WORDS, len(special))}}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.normalizer = normalizers.Lowercase()
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])
    ends = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=64, **ends)
    text = {**_tower(DIMS), "vocab_size": len(vocabulary), "max_position_embeddings": 64}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config={**_tower(DIMS), **_patches()}))
    return model, tokenizer, SiglipImageProcessor(size={"height": EDGE, "width": EDGE})


def _siglip2() -> tuple[Any, ...]:
    """With patches of the picture's own shape (NaFlex)."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocabulary = {token: i for i, token in enumerate([*special, "▁", *sorted(set("".join(WORDS)))])}
    ends = {"padding_side": "right", "add_bos_token": False, "add_eos_token": True}
    tokenizer = Siglip2Tokenizer(vocab=vocabulary, merges=[], model_max_length=64, **ends)
    text = {**_tower(DIMS), "vocab_size": len(vocabulary), "max_position_embeddings": 64}
    vision = {**_tower(DIMS), "patch_size": 8, "num_patches": 16}
    model = Siglip2Model(Siglip2Config(text_config=text, vision_config=vision))
    return model, tokenizer, Siglip2ImageProcessor(patch_size=8, max_num_patches=16)


MAKERS = {"clip": _clip, "siglip": _siglip, "siglip2": _siglip2, "chinese_clip": _chinese_clip}


def _tower(width: int = 32) -> dict[str, Any]:
    return {"hidden_size": width, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}


def _patches() -> dict[str, Any]:
    return {"image_size": EDGE, "patch_size": 8}
