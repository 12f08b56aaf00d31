"""A synthetic catalogue of any size: clustered vectors in three modalities, words by Zipf's law, a few fields.

Real vectors lie in clusters, which is what makes approximate search easy inside and hard between them; vectors drawn
from a sphere would make it look worse than it is, and a few tight clusters better.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from es_mappings.schema import Schema, build_schema
from es_mappings.settings import LexicalSettings
from es_mappings.types import EncodedItem, Item, Matrix, Provenance, Space, Vector

CHUNK = 1000
CLUSTERS = 1000
SPREAD = 0.8
"""Length of the noise round a cluster's centre of length 1: neighbours in a cluster have a cosine of about 0.6."""
VOCABULARY = 5000
CATEGORIES = 50


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`documents` items with one vector of `dims` numbers in each of three modalities; the seed decides all of it."""

    documents: int
    dims: int = 384
    seed: int = 0

    @property
    def spaces(self) -> tuple[Space, ...]:
        return tuple(Space(name, name, self.dims) for name in ("text", "image", "graph"))

    @property
    def provenance(self) -> dict[str, Provenance]:
        return {space.name: Provenance("bench", f"seed-{self.seed}", self.dims) for space in self.spaces}

    @property
    def digest(self) -> str:
        """What a receipt calls this catalogue."""
        return f"bench-{self.documents}x3x{self.dims}-{self.seed}"

    def schema(self) -> Schema:
        lexical = LexicalSettings(
            fields=("title",), languages=("en",), filters=("category", "price:number"), facets=("category",)
        )
        return build_schema(lexical, [self])

    def batches(self) -> Iterator[list[EncodedItem]]:
        """All items, CHUNK at a time."""
        for chunk, start in enumerate(range(0, self.documents, CHUNK)):
            size = min(CHUNK, self.documents - start)
            random = np.random.default_rng((self.seed, 1, chunk))
            columns = {name: column[:size] for name, column in self._chunk(chunk).items()}
            titles = self._titles(random, CHUNK)
            categories, prices = random.integers(0, CATEGORIES, CHUNK), random.uniform(1, 1000, CHUNK).round(2)
            yield [
                EncodedItem(
                    Item(
                        f"{start + i:08d}",
                        {
                            "id": f"{start + i:08d}",
                            "title": titles[i],
                            "category": f"category-{categories[i]}",
                            "price": float(prices[i]),
                        },
                    ),
                    {name: column[i] for name, column in columns.items()},
                )
                for i in range(size)
            ]

    def matrices(self) -> dict[str, Matrix]:
        """All vectors by space, each (documents, dims), in the order of the ids."""
        matrices = {space.name: np.empty((self.documents, self.dims), np.float32) for space in self.spaces}
        for chunk, start in enumerate(range(0, self.documents, CHUNK)):
            for name, column in self._chunk(chunk).items():
                part = matrices[name][start : start + CHUNK]
                part[:] = column[: len(part)]
        return matrices

    def queries(self, count: int) -> list[tuple[str, dict[str, Vector]]]:
        """Words and one vector per space, each near some cluster, the same one in all spaces."""
        random = np.random.default_rng((self.seed, 2))
        columns = self._near(random.integers(0, CLUSTERS, count), random)
        words = self._titles(random, count)
        return [(" ".join(words[i].split()[:2]), {n: c[i] for n, c in columns.items()}) for i in range(count)]

    def _chunk(self, chunk: int) -> dict[str, Matrix]:
        random = np.random.default_rng((self.seed, 0, chunk))
        return self._near(random.integers(0, CLUSTERS, CHUNK), random)

    def _near(self, clusters: np.ndarray, random: np.random.Generator) -> dict[str, Matrix]:
        """Unit vectors round the given clusters' centres, by space."""
        found = {}
        for number, space in enumerate(self.spaces):
            centres = _units(np.random.default_rng((self.seed, 3, number)).standard_normal((CLUSTERS, self.dims)))
            noise = _units(random.standard_normal((len(clusters), self.dims)))
            found[space.name] = _units(centres[clusters] + SPREAD * noise)
        return found

    def _titles(self, random: np.random.Generator, count: int) -> list[str]:
        lengths = random.integers(2, 7, count)
        words = np.minimum(random.zipf(1.3, (count, 6)), VOCABULARY)
        return [" ".join(f"w{w}" for w in words[i, : lengths[i]]) for i in range(count)]


def _units(matrix: np.ndarray) -> Matrix:
    return np.ascontiguousarray(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), dtype=np.float32)
