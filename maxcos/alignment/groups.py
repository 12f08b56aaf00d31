"""Items that are the same, or nearly: their pictures, or one of their titles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from es_mappings.types import Matrix
from maxcos.audit.findings import NEAR
from maxcos.audit.groups import near


def grouped(features: Matrix, titles: Sequence[Iterable[str]]) -> NDArray[np.int64]:
    """(n,) the number of each item's group: chains of items with a title in common, or a cosine from NEAR on.

    features: (n, width), centred. titles: of each item, as they are to be compared.
    """
    holders: dict[str, list[int]] = {}
    for position, own in enumerate(titles):
        for title in own:
            holders.setdefault(title, []).append(position)
    _, equal = np.unique(features, axis=0, return_inverse=True)
    same = [np.flatnonzero(equal == number).tolist() for number in np.flatnonzero(np.bincount(equal.reshape(-1)) > 1)]
    leader = list(range(len(features)))

    def first(position: int) -> int:
        while leader[position] != position:
            leader[position] = leader[leader[position]]
            position = leader[position]
        return position

    alike: list[Sequence[int]] = [*holders.values(), *same, *(cluster.members for cluster in near(features, NEAR))]
    for members in alike:
        for member in members[1:]:
            one, other = sorted((first(members[0]), first(member)))
            leader[other] = one
    return np.array([first(position) for position in range(len(features))], dtype=np.int64)
