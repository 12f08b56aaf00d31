"""The heads: ridge regression to begin with, and the same as a module of torch to go on from there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from encoders.training.alignment.pairs import Numbers, Pairs
from es_mappings.types import Matrix, Vector

TEMPERATURE = 0.07
"""What training begins with; CLIP's (Radford et al. 2021, arXiv:2103.00020)."""
LARGEST_SCALE = 100.0
"""One over the least temperature, as in CLIP."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """z = share * base + weights @ features + bias: (dims, width), (dims,) and a number."""

    weights: Matrix
    bias: Vector
    share: float

    def place(self, features: Matrix, base: Matrix) -> Matrix:
        """(n, dims) of (n, width) and (n, dims)."""
        placed: Matrix = (np.float32(self.share) * base + features @ self.weights.T + self.bias).astype(np.float32)
        return placed


def ridge(pairs: Pairs, wanted: Matrix, rows: Numbers, penalty: float) -> Matrix:
    """(dims, width): W with the least sum over the rows of |y - W x|^2 + penalty |W|^2, y being what is wanted.

    By the smaller of X'X + penalty and XX' + penalty (Saunders et al. 1998, "Ridge Regression Learning Algorithm in
    Dual Variables").
    """
    x, y = pairs.features[rows].astype(np.float64), wanted[rows].astype(np.float64)
    many, width = x.shape
    if many <= width:
        solved = x.T @ np.linalg.solve(x @ x.T + penalty * np.eye(many), y)
    else:
        solved = np.linalg.solve(x.T @ x + penalty * np.eye(width), x.T @ y)
    weights: Matrix = np.ascontiguousarray(solved.T, dtype=np.float32)
    return weights


class HeadModule(nn.Module):
    """A head that can be trained, with the scale of its cosines."""

    def __init__(self, begin: Head) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.from_numpy(begin.weights.copy()))
        self.bias = nn.Parameter(torch.from_numpy(begin.bias.copy()))
        self.share = nn.Parameter(torch.tensor(begin.share))
        self.log_scale = nn.Parameter(torch.tensor(-math.log(TEMPERATURE)))

    def forward(self, features: Tensor, base: Tensor) -> Tensor:
        """(b, dims) of unit length."""
        placed = self.share * base + nn.functional.linear(features, self.weights, self.bias)
        return nn.functional.normalize(placed, dim=1)

    @property
    def scale(self) -> Tensor:
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def head(self) -> Head:
        """A copy of the parameters."""
        weights, bias = (part.detach().float().cpu().numpy().copy() for part in (self.weights, self.bias))
        return Head(weights, bias, float(self.share.detach()))
