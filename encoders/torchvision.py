"""Image encoder: a torchvision classifier, for pictures against pictures and, through its classes, for words.

Its two spaces: the visual features in front of the classifier; and ConSE (Norouzi et al. 2014,
arXiv:1312.5650), which places a picture among texts at the weighted mean of the names of the classes that it
may show, corrected by heads where `maxcos align` has fitted some.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cachetools import LRUCache
from numpy.typing import NDArray
from PIL import Image

from encoders.contract import Encoded, Encoder, unit
from encoders.parts import pictures
from encoders.parts.alignment import Alignment, Ground, Keys, key_of, read_alignment
from encoders.parts.picture_files import digests, read_pictures
from encoders.parts.texts import text_peer
from encoders.parts.weights import (
    Once,
    contents_digest,
    existing_file,
    fingerprint,
    import_torch,
    model_of,
    require,
)
from es_mappings.errors import BadInput, EncoderError, SettingsError
from es_mappings.settings import ModalitySettings
from es_mappings.types import ImageTerm, Matrix, Provenance, Space, Term, TextTerm, Vector

VERSION = f"torchvision-1/{pictures.VERSION}"
DEFAULT_ARCHITECTURE = "mobilenet_v2"
WIDTHS = {DEFAULT_ARCHITECTURE: 1280}
"""Known without torch; of other architectures it is measured."""
TOP_CLASSES = 10
"""T of ConSE: its authors' best on ImageNet."""
BATCH = 8
"""On one core 8 pictures take 15 ms each, 32 take 28: what lies between the layers leaves the cache."""
REMEMBERED = 512
"""Pictures, of 9 KB each, that are not run again: items may share one, and two modalities read the same."""

Pixels = NDArray[np.uint8]
"""Shape (edge, edge, 3)."""


def load(modality: str, settings: ModalitySettings, peers: Mapping[str, Encoder]) -> TorchvisionEncoder:
    """An encoder for the state dict that `model` names; torch and the weights wait for the first use.

    Options: architecture (default mobilenet_v2), any torchvision classification builder that the state dict
    fits; words, the text modality in which class names and queries become vectors (default: the first that is
    a TextEncoder; "" for none), without which there is no words space; align, the file of `maxcos align` that
    corrects that space.
    Raises SettingsError for wrong options, EncoderError when the weights are missing or the heads of `align` do
    not fit them, ImportError when a package is.
    """
    require("torch", "torchvision")
    options = settings.options("words", "architecture", "align")
    architecture = str(options.get("architecture", DEFAULT_ARCHITECTURE))
    weights = existing_file(Path(model_of(modality, settings)))
    peer = text_peer(modality, options, peers)
    dims = WIDTHS.get(architecture) or _width(modality, architecture)
    align = options.get("align")
    if align and peer is None:
        raise SettingsError(f"modalities.{modality}.align: there is no text modality to align pictures with")
    return TorchvisionEncoder(modality, weights, architecture, dims, peer, Path(str(align)) if align else None)


def _width(modality: str, architecture: str) -> int:
    """How many features the architecture's last layer takes; builds it without memory for its weights."""
    torch = import_torch()
    from torchvision import models

    if architecture not in models.list_models(module=models):
        where = f"modalities.{modality}.architecture"
        raise SettingsError(f"{where}: torchvision has no classifier {architecture!r}")
    with torch.device("meta"):
        _, layer = _last_linear(models.get_model(architecture, weights=None))
    return int(layer.in_features)


class TorchvisionEncoder:
    """An image modality; see the module. Thread safe.

    peer: the text modality of the words space, None for no such space. align: a file of heads for it, None for none.
    """

    def __init__(
        self,
        modality: str,
        weights: Path,
        architecture: str,
        dims: int,
        peer: Encoder | None,
        align: Path | None = None,
    ) -> None:
        self._visual = Space(modality, modality, dims)
        self._weights = weights
        self._architecture = architecture
        self._network = Once(lambda: _Remembering(_load_network(weights, architecture, dims)))
        self._words = _Words(f"{modality}_words", modality, peer) if peer is not None else None
        self.alignment: Alignment | None = None
        ground = self.ground
        if align is not None and ground is not None:
            self.alignment = read_alignment(align, ground, dims, ground.texts.spaces[0].dims)

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self._visual, self._words.space) if self._words else (self._visual,)

    @property
    def provenance(self) -> Mapping[str, Provenance]:
        made = {self._visual.name: self._made_by(self._visual, self._version)}
        if self._words:
            heads = f"/{self.alignment.fingerprint}" if self.alignment else ""
            made[self._words.space.name] = self._made_by(self._words.space, f"{self._words_version}{heads}")
        return made

    @property
    def _version(self) -> str:
        return f"{VERSION}/{self._architecture}"

    @property
    def _words_version(self) -> str:
        """Of the words space without heads."""
        return f"{self._version}/{self._words.version}" if self._words else ""

    def _made_by(self, space: Space, version: str) -> Provenance:
        return Provenance("torchvision", fingerprint([self._weights], version), space.dims)

    @property
    def ground(self) -> Ground | None:
        """See `encoders.parts.alignment.Alignable`."""
        if not self._words:
            return None
        made_of = fingerprint([self._weights], self._words_version)
        return Ground(self._visual.name, self._words.space.name, "ConSE", self._words.texts, made_of)

    def encode_items(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See the contract; a value is a path inside `base` or a list of such.

        The first that is a picture counts; an item all of whose paths fail has an error that names them.
        """
        vectors: dict[str, list[Vector | None]] = {space.name: [None] * len(values) for space in self.spaces}
        errors: dict[int, BadInput] = {}
        network = self._network()
        keys = self.keys(values, base) if self.alignment else None
        for present, lost in read_pictures(values, base, network.pixels, BATCH):
            errors |= lost
            if present:
                self._encode(present, network, keys, vectors, errors)
        return Encoded(vectors, errors)

    def features(self, values: Sequence[Sequence[Any]], base: Path) -> Encoded:
        """See `encoders.parts.alignment.Alignable`: what a picture looks like, and where it is without heads."""
        return self.encode_items(values, base)

    def digest_items(self, values: Sequence[Sequence[Any]], base: Path) -> list[Any]:
        """See `encoders.contract.ReadsFiles`."""
        return digests(values, base)

    def keys(self, values: Sequence[Sequence[Any]], base: Path) -> Keys:
        """See `encoders.parts.alignment.Alignable`: of each item's first file that can be read."""
        found = (next((digest for _, digest in item if digest), None) for item in self.digest_items(values, base))
        return np.array([key_of(digest) for digest in found], dtype=np.uint64)

    def _encode(
        self,
        batch: Mapping[int, Pixels],
        network: _Remembering,
        keys: Keys | None,
        vectors: Mapping[str, list[Vector | None]],
        errors: dict[int, BadInput],
    ) -> None:
        """Fill in the vectors, or the error, of the pictures at the batch's indices."""
        features, probabilities = network.run(np.stack(list(batch.values())))
        matrices = {self._visual.name: features}
        if self._words:
            placed = self._words.of_pictures(probabilities)
            if self.alignment and keys is not None:
                placed = self.alignment.place(features, placed, keys[list(batch)])
            matrices[self._words.space.name] = placed
        for row, index in enumerate(batch):
            try:
                made = {name: unit(matrix[row], "picture") for name, matrix in matrices.items()}
            except BadInput as error:
                errors[index] = error
                continue
            for name, vector in made.items():
                vectors[name][index] = vector

    def encode_query(self, term: Term) -> Mapping[str, Vector]:
        """A picture's visual features, or a text's place among words for pictures; nothing for other terms.

        Raises BadInput for a picture that is none.
        """
        if isinstance(term, ImageTerm):
            network = self._network()
            features, _ = network.run(np.stack([network.pixels(pictures.open_picture(term.data))]))
            return {self._visual.name: unit(features[0], "picture")}
        if isinstance(term, TextTerm) and self._words:
            return self._words.of_query(term, self.alignment)
        return {}


class _Words:
    """The space of words for pictures, made of a text encoder and the names of the ImageNet classes.

    Centred on the mean of all class names: what every name has in common says nothing about a picture.
    """

    def __init__(self, name: str, modality: str, peer: Encoder) -> None:
        self.texts = peer
        self._text = peer.spaces[0]
        self.space = Space(name, modality, self._text.dims)
        self._names = Once(self._name_vectors)

    @property
    def version(self) -> str:
        """What decides the vectors beside the network."""
        return f"conse-1/{TOP_CLASSES}/{self.texts.provenance[self._text.name].fingerprint}"

    def of_pictures(self, probabilities: NDArray[np.float32]) -> Matrix:
        """(n, dims) of (n, classes).

        ConSE's f(x) = sum p_t s(t) / sum p_t over the T likeliest classes t with name vectors s(t), centred.
        """
        vectors, mean = self._names()
        top = np.argpartition(probabilities, -TOP_CLASSES, axis=1)[:, -TOP_CLASSES:]
        weights = np.take_along_axis(probabilities, top, axis=1)
        weights = weights / weights.sum(axis=1, keepdims=True)
        placed: Matrix = np.einsum("nt,ntd->nd", weights, vectors[top]) - mean
        return placed

    def of_query(self, term: TextTerm, alignment: Alignment | None) -> Mapping[str, Vector]:
        found = self.texts.encode_query(term).get(self._text.name)
        if found is None:
            return {}
        if alignment is not None:
            return {self.space.name: alignment.query(found)}
        _, mean = self._names()
        return {self.space.name: unit(found - mean, "text")}

    def _name_vectors(self) -> tuple[Matrix, Vector]:
        """(classes, dims) and their mean (dims,)."""
        vectors = []
        for name in _class_names():
            vector = self.texts.encode_query(TextTerm(name)).get(self._text.name)
            if vector is None:
                raise EncoderError(f"the modality {self._text.modality!r} has no vector for {name!r}")
            vectors.append(vector)
        matrix = np.stack(vectors)
        return matrix, matrix.mean(axis=0)


# --- network ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Network:
    """A classifier cut in front of its last layer, and what its weights' recipe says about pixels.

    mean, deviation: per channel, of values in [0, 1].
    """

    body: Any
    head: Any
    shorter: int
    edge: int
    resample: Image.Resampling
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def pixels(self, picture: Image.Image) -> Pixels:
        """(edge, edge, 3): the middle of the picture after its shorter side has been scaled to `shorter`.

        The same as torchvision's resize and crop, but in one step: a picture of 60000 x 10 stays small.
        """
        side = min(picture.size) * self.edge / self.shorter
        left, top = (picture.width - side) / 2, (picture.height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(picture.resize((self.edge, self.edge), self.resample, box=box))

    def run(self, batch: NDArray[np.uint8]) -> tuple[Matrix, Matrix]:
        """Of (n, edge, edge, 3) the features (n, dims), not unit, and the probabilities (n, 1000)."""
        torch = import_torch()
        with torch.inference_mode():
            scaled = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
            mean, deviation = torch.tensor(self.mean), torch.tensor(self.deviation)
            features = self.body((scaled - mean[:, None, None]) / deviation[:, None, None])
            probabilities = self.head(features).softmax(dim=1)
        return features.numpy(), probabilities.numpy()


class _Remembering:
    """A network that remembers the last pictures. Threads may share it."""

    def __init__(self, network: _Network, most: int = REMEMBERED) -> None:
        self.network, self.pixels = network, network.pixels
        self._lock = threading.Lock()
        self._seen: LRUCache[bytes, tuple[Vector, Vector]] = LRUCache(most)

    def run(self, batch: NDArray[np.uint8]) -> tuple[Matrix, Matrix]:
        """See `_Network.run`."""
        keys = [hashlib.sha256(picture.tobytes()).digest() for picture in batch]
        with self._lock:
            found = {key: self._seen[key] for key in keys if key in self._seen}
        new = {key: row for row, key in enumerate(keys) if key not in found}
        if new:
            features, probabilities = self.network.run(batch[list(new.values())])
            made = dict(zip(new, zip(features, probabilities, strict=True), strict=True))
            found |= made
            with self._lock:
                self._seen.update(made)
        rows = [found[key] for key in keys]
        return np.stack([features for features, _ in rows]), np.stack([chances for _, chances in rows])


def _load_network(path: Path, architecture: str, dims: int) -> _Network:
    torch = import_torch()
    from torchvision import models

    network = models.get_model(architecture, weights=None)
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # unpickling and fitting raise anything
        raise EncoderError(f"{path}: not the weights of {architecture}: {str(error)[:500]}") from error
    name, head = _last_linear(network)
    if head.in_features != dims or head.out_features != len(_class_names()):
        raise EncoderError(f"{path}: the last layer of {architecture} is not {dims} features to 1000 classes")
    network.set_submodule(name, torch.nn.Identity())
    recipe = _recipe(path, architecture)
    return _Network(
        body=network.eval(),
        head=head.eval(),
        shorter=recipe.resize_size[0],
        edge=recipe.crop_size[0],
        resample=Image.Resampling[recipe.interpolation.name],
        mean=tuple(recipe.mean),
        deviation=tuple(recipe.std),
    )


def _last_linear(network: Any) -> tuple[str, Any]:
    """The name of the last linear layer and the layer: what torchvision's classifiers end with."""
    torch = import_torch()
    linear = [named for named in network.named_modules() if isinstance(named[1], torch.nn.Linear)]
    if not linear:
        raise EncoderError(f"{type(network).__name__} does not end with a linear layer that takes features")
    name, layer = linear[-1]
    return name, layer


def _recipe(path: Path, architecture: str) -> Any:
    """What the weights were trained for; torchvision's files have their SHA-256 in their names."""
    from torchvision import models

    known = list(models.get_model_weights(architecture))
    digest = contents_digest(path)
    same = [entry for entry in known if digest.startswith(Path(entry.url).stem.rpartition("-")[2])]
    return (same or known)[0].transforms()


def _class_names() -> Sequence[str]:
    """The 1000 ImageNet classes in the order of the classifier's outputs."""
    from torchvision.models import MobileNet_V2_Weights

    names: Sequence[str] = MobileNet_V2_Weights.IMAGENET1K_V1.meta["categories"]
    return names
