"""CLIP and its kin with tiny random models of each kind, held to what transformers itself computes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor, ChineseCLIPConfig, CLIPConfig, Siglip2Config, SiglipConfig

from encoders import clip
from encoders.contract import Encoder, ReadsFiles, available, load_encoder
from encoders.parts.towers import FAMILIES
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import EntityTerm, ImageTerm, ItemTerm, Space, TextTerm, Vector
from tiny_clip import DIMS, EDGE, MAKERS, save_tiny

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

KINDS = sorted(MAKERS)
TEXTS = ["a photo of a red sofa", "red", "红色的椅子"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a saved model, by its kind."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = save_tiny(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return folder


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copy(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    """A CLIP folder to be broken."""
    return shutil.copytree(tiny("clip"), tmp_path / "model")


def loaded(folder: Path, **options: Any) -> clip.ClipEncoder:
    return clip.load("image", ModalitySettings(encoder="clip", model=str(folder), source=("image",), **options), {})


@pytest.fixture
def encoder(tiny: Callable[[str], Path], kind: str) -> clip.ClipEncoder:
    return loaded(tiny(kind))


def noise(number: int, size: tuple[int, int]) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


PICTURES = [noise(0, (40, 40)), noise(1, (64, 48)), noise(2, (30, 90)), noise(3, (200, 100)), noise(4, (EDGE, EDGE))]


def png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, picture in enumerate(PICTURES):
        picture.save(folder / f"{number}.png")
    (folder / "broken.png").write_bytes(png(PICTURES[0])[:60])
    (folder / "notes.txt").write_text("no picture")
    return folder


def words(encoder: Encoder, text: str) -> Vector:
    return encoder.encode_query(TextTerm(text))["image"]


# --- what transformers itself computes ----------------------------------------------------------------------------


def reference(folder: Path, kind: str, texts: list[str], pictures: list[Image.Image]) -> tuple[Any, Any]:
    """The unit vectors of texts (one by one) and pictures (together) by the model's own forward pass."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    images = processor.image_processor(images=pictures, return_tensors="pt")
    found = []
    for text in texts:
        padded = {"padding": "max_length", "max_length": 64} if "siglip" in kind else {}
        inputs = processor.tokenizer([text], return_tensors="pt", **padded)
        if "siglip" in kind:
            del inputs["attention_mask"]
        with torch.inference_mode():
            answer = model(**inputs, **images)
        found.append(answer.text_embeds[0].numpy())
    return np.stack(found), answer.image_embeds.numpy()


def test_vectors_are_those_of_the_model(
    encoder: clip.ClipEncoder, tiny: Callable[[str], Path], kind: str, base: Path
) -> None:
    texts, pictures = reference(tiny(kind), kind, TEXTS, PICTURES)
    np.testing.assert_allclose([words(encoder, text) for text in TEXTS], texts, atol=1e-5)
    made = encoder.encode_items([[f"{number}.png"] for number in range(len(PICTURES))], base)
    assert not made.errors
    np.testing.assert_allclose(np.stack(made.vectors["image"]), pictures, atol=1e-5)  # type: ignore[arg-type]
    asked = encoder.encode_query(ImageTerm(png(PICTURES[3])))["image"]
    np.testing.assert_allclose(asked, pictures[3], atol=1e-5)


def test_the_contract(encoder: clip.ClipEncoder, base: Path) -> None:
    assert "clip" in available()
    assert isinstance(encoder, Encoder) and isinstance(encoder, ReadsFiles)
    assert encoder.spaces == (Space("image", "image", DIMS),)
    assert encoder.provenance["image"].encoder == "clip"
    assert encoder.provenance["image"].dims == DIMS
    vectors = [words(encoder, "red"), *encoder.encode_items([["0.png"]], base).vectors["image"]]
    for vector in vectors:
        assert vector is not None
        assert vector.dtype == np.float32 and vector.shape == (DIMS,)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)
    for term in (ItemTerm("1"), EntityTerm("e"), TextTerm("  ")):
        assert encoder.encode_query(term) == {}
    with pytest.raises(BadInput, match="not a picture: found text"):
        encoder.encode_query(ImageTerm(b"no picture"))


def test_batches_do_not_matter(tiny: Callable[[str], Path], kind: str, base: Path) -> None:
    values = [[f"{number % len(PICTURES)}.png"] for number in range(11)]
    one, three, all_ = (loaded(tiny(kind), batch_size=size).encode_items(values, base) for size in (1, "3", 16))
    for other in (three, all_):
        np.testing.assert_allclose(np.stack(one.vectors["image"]), np.stack(other.vectors["image"]), atol=1e-5)  # type: ignore[arg-type]


def test_long_texts_are_cut_where_training_cut_them(encoder: clip.ClipEncoder, kind: str) -> None:
    longest = {"clip": 77, "siglip": 64, "siglip2": 64, "chinese_clip": 52}[kind]
    room = longest - (1 if "siglip" in kind else 2)  # each text ends with a token, and but for SigLIP begins with one
    gap = "" if kind == "siglip2" else " "  # of which its letters are tokens, as the blanks between them
    full = gap.join(["a"] * room)
    more, less = f"{full}{gap}o", gap.join(["a"] * (room - 1))
    np.testing.assert_array_equal(words(encoder, full), words(encoder, more))
    assert not np.allclose(words(encoder, full), words(encoder, less), atol=1e-6)
    assert words(encoder, "红" * 10_000).shape == (DIMS,)


def test_siglip_reads_lower_case(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    """SigLIP 2 of one picture size is published as a SigLIP with a tokenizer that keeps capital letters."""
    folder = shutil.copytree(tiny("siglip"), tmp_path / "model")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, "normalizer": None}))
    encoder = loaded(folder)
    np.testing.assert_array_equal(words(encoder, "Red SOFA"), words(encoder, "red sofa"))
    assert not np.allclose(words(encoder, "red sofa"), words(encoder, "red lamp"), atol=1e-4)


def test_words_in_a_script_that_it_was_not_trained_on_have_no_vector(tiny: Callable[[str], Path]) -> None:
    english = loaded(tiny("clip"), scripts=["Latin"])
    assert english.encode_query(TextTerm("红色的沙发")) == {}
    assert set(english.encode_query(TextTerm("red sofa"))) == {"image"}
    assert set(english.encode_query(ImageTerm(png(PICTURES[0])))) == {"image"}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_gives_nearly_the_same(
    encoder: clip.ClipEncoder, tiny: Callable[[str], Path], kind: str, base: Path, dtype: str
) -> None:
    half = loaded(tiny(kind), dtype=dtype)
    assert half.provenance == encoder.provenance
    values = [[f"{number}.png"] for number in range(len(PICTURES))]
    for a, b in zip(
        [*half.encode_items(values, base).vectors["image"], words(half, "red")],
        [*encoder.encode_items(values, base).vectors["image"], words(encoder, "red")],
        strict=True,
    ):
        assert a is not None and a.dtype == np.float32
        assert float(a @ b) > 0.995
    assert next(iter(half._towers().model.parameters())).dtype == getattr(torch, dtype)


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3), (60_000, 10), (225, 223)])
def test_odd_shapes(encoder: clip.ClipEncoder, size: tuple[int, int]) -> None:
    assert encoder.encode_query(ImageTerm(png(Image.new("RGB", size, "red"))))["image"].shape == (DIMS,)


def test_of_a_strip_the_middle_counts(tiny: Callable[[str], Path]) -> None:
    """As in CLIP's own recipe, but without the gigabytes in between."""
    strip = Image.new("RGB", (4000, 40), "white")
    strip.paste(PICTURES[0], (1980, 0))
    _, expected = reference(tiny("clip"), "clip", ["red"], [strip])
    found = loaded(tiny("clip")).encode_query(ImageTerm(png(strip)))["image"]
    np.testing.assert_allclose(found, expected[0], atol=1e-4)


# --- items ---------------------------------------------------------------------------------------------------------


def test_bad_pictures_are_errors_of_their_items(encoder: clip.ClipEncoder, base: Path) -> None:
    values = [["broken.png"], ["0.png"], ["notes.txt"], [], ["missing.png", ["", "1.png"]], ["../0.png"], [5], [None]]
    made = encoder.encode_items(values, base)
    assert [vector is not None for vector in made.vectors["image"]] == [False, True, False, False, True, *[False] * 3]
    assert sorted(made.errors) == [0, 2, 5, 6]
    assert "broken.png" in str(made.errors[0])
    assert "not a picture: found text" in str(made.errors[2])
    assert "leaves the folder" in str(made.errors[5])
    assert "not by int 5" in str(made.errors[6])


def test_digests_follow_the_bytes(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    encoder = loaded(tiny("clip"))
    PICTURES[0].save(tmp_path / "a.png")
    before = encoder.digest_items([["a.png"], ["missing.png"], []], tmp_path)
    PICTURES[1].save(tmp_path / "a.png")
    after = encoder.digest_items([["a.png"], ["missing.png"], []], tmp_path)
    assert before[0] != after[0]
    assert before[1:] == after[1:] == [[["missing.png", None]], []]


# --- models --------------------------------------------------------------------------------------------------------


def test_widths_that_a_model_does_not_tell_are_those_of_transformers() -> None:
    for name, made in {
        "clip": CLIPConfig().projection_dim,
        "chinese_clip": ChineseCLIPConfig().projection_dim,
        "siglip": SiglipConfig().text_config.projection_size,
        "siglip2": Siglip2Config().text_config.projection_size,
    }.items():
        assert FAMILIES[name].width == made


def test_loading_and_provenance_need_no_torch(tiny: Callable[[str], Path]) -> None:
    program = (
        "import sys; from encoders import clip; from es_mappings.settings import ModalitySettings as M\n"
        "made = clip.load('image', M(encoder='clip', model=sys.argv[1], source=('x',)), {})\n"
        "print(made.spaces[0].dims, made.provenance['image'].fingerprint, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tiny("siglip"))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    dims, fingerprint, imported = done.stdout.split()
    assert (dims, len(fingerprint), imported) == (str(DIMS), 16, "False")


def test_the_fingerprint_follows_weights_words_and_recipe(tiny: Callable[[str], Path], copy: Path) -> None:
    whole = loaded(tiny("clip")).provenance["image"].fingerprint
    assert loaded(copy).provenance["image"].fingerprint == whole
    seen = {whole}
    for name in ("preprocessor_config.json", "tokenizer.json", "config.json"):
        text = (copy / name).read_text()
        (copy / name).write_text(text + " ")
        seen.add(loaded(copy).provenance["image"].fingerprint)
        (copy / name).write_text(text)
    tensors = load_file(copy / "model.safetensors")
    tensors["logit_scale"] += 1
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})
    seen.add(loaded(copy).provenance["image"].fingerprint)
    assert len(seen) == 5


def test_weights_in_the_older_format_are_read(tiny: Callable[[str], Path], copy: Path) -> None:
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    np.testing.assert_allclose(words(loaded(copy), "red"), words(loaded(tiny("clip")), "red"), atol=1e-6)


def test_weights_that_would_run_something_are_refused(copy: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (copy / "sprung",))

    torch.save({"logit_scale": Trap()}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="cannot load this model"):
        words(loaded(copy), "red")
    assert not (copy / "sprung").exists()


def test_missing_weights(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="no weights"):
        loaded(copy)
    half = {name: tensor for name, tensor in tensors.items() if not name.startswith("text_model")}
    save_file(half, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"the weights lack \d+ of the model's tensors, such as text_model"):
        words(loaded(copy), "red")
    (copy / "model.safetensors").write_bytes(b"none")
    with pytest.raises(EncoderError, match="cannot load this model"):
        words(loaded(copy), "red")


def test_a_folder_without_its_recipe_or_its_words(copy: Path) -> None:
    (copy / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match="cannot load this model"):
        words(loaded(copy), "red")
    (copy / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"no vocabulary: none of tokenizer\.json"):
        loaded(copy)


@pytest.mark.parametrize("model_type", ["bert", "clip_text_model", None])
def test_other_kinds_of_models(copy: Path, model_type: str | None) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    with pytest.raises(EncoderError, match="is none of clip, siglip, siglip2, chinese_clip"):
        loaded(copy)


def test_a_width_that_is_not_the_model_s(copy: Path) -> None:
    encoder = clip.ClipEncoder("image", loaded(copy).provenance["image"], loaded(copy)._towers, 1)
    object.__setattr__(encoder._towers(), "dims", DIMS + 1)
    with pytest.raises(EncoderError, match=f"vectors of {DIMS} numbers, its config.json says {DIMS + 1}"):
        words(encoder, "red")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, r"modalities\.image\.dtype"),
        ({"device": "tpu"}, r"modalities\.image\.device"),
        ({"device": "cuda:x"}, r"modalities\.image\.device"),
        ({"batch_size": 0}, r"modalities\.image\.batch_size"),
        ({"batch_size": 17}, r"modalities\.image\.batch_size"),
        ({"scripts": ["Klingon"]}, r"modalities\.image\.scripts"),
        ({"pooling": "mean"}, "has no option pooling, only batch_size, dtype, device, scripts"),
    ],
)
def test_wrong_options(tiny: Callable[[str], Path], options: dict[str, Any], message: str) -> None:
    settings = ModalitySettings(encoder="clip", model=str(tiny("clip")), source=("image",), **options)
    with pytest.raises(SettingsError, match=message):
        load_encoder("image", settings, {})


def test_a_device_that_is_not_there(tiny: Callable[[str], Path]) -> None:
    with pytest.raises(EncoderError, match="cannot load this model"):
        words(loaded(tiny("clip"), device="cuda:99"), "red")


def test_no_folder_and_no_model() -> None:
    with pytest.raises(EncoderError, match="no such folder"):
        loaded(Path("./nowhere").absolute())
    with pytest.raises(SettingsError, match="needs a model"):
        clip.load("image", ModalitySettings(encoder="clip", source=("image",)), {})


def test_an_id_that_no_hub_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="neither a folder nor a model"):
        loaded(Path("nobody/nothing"))
