"""Vectors that no encoder of maxcos would have written."""

from __future__ import annotations

import numpy as np

from es_mappings.types import Vector

UNIT = 1e-3
"""How far from 1 a length may be: float32's rounding of 4,096 components stays below a tenth of it."""


def fault(vector: Vector, dims: int) -> str | None:
    """What is wrong with a vector of a space with `dims` dimensions; None when nothing is. The first that holds:

    "wrong dimension", "not finite", "empty" (all zero), "constant" (all components equal), "not unit length".
    """
    if vector.shape != (dims,):
        return "wrong dimension"
    if not np.isfinite(vector).all():
        return "not finite"
    if not vector.any():
        return "empty"
    if dims > 1 and bool((vector == vector[0]).all()):
        return "constant"
    length = float(np.linalg.norm(vector.astype(np.float64)))
    return "not unit length" if abs(length - 1) > UNIT else None
