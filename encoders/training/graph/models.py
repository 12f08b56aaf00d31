"""What a triple scores: TransE, DistMult, ComplEx and RotatE, each as a question that is compared with every answer.

All four can be written as score(h, r, t) = compare(ask(h, r), t), so that one question costs one vector, however many
entities answer it. A relation has one vector for its tails and another one for its heads (reciprocal relations, Lacroix
et al. 2018, "Canonical Tensor Decomposition for Knowledge Base Completion", arXiv:1806.07297): "what is the head of
(?, r, t)" is the question ask(t, reverse of r), and both ends are predicted by the same function.

Shapes: b questions, k answers, vectors of `dims` numbers; of complex ones the first half is the real part and the
second half the imaginary part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

MARGIN = 3.0
"""gamma of the distance models: what a distance is taken from, so that near pairs score above zero."""


class Scoring(ABC):
    """A score of triples without parameters of its own."""

    is_complex: ClassVar[bool] = False
    is_distance: ClassVar[bool] = False

    def relation_width(self, dims: int) -> int:
        """How many numbers a relation has beside entities of `dims` numbers."""
        return dims

    @abstractmethod
    def ask(self, heads: Tensor, relations: Tensor) -> Tensor:
        """Questions (b, dims) from entities (b, dims) and relations (b, relation_width)."""

    @abstractmethod
    def compare(self, asked: Tensor, answers: Tensor) -> Tensor:
        """Scores (b, k) of all answers (k, dims) to all questions (b, dims); higher is better."""

    @abstractmethod
    def pairs(self, asked: Tensor, answers: Tensor) -> Tensor:
        """Scores (b,) of one answer (b, dims) to each question (b, dims)."""

    def n3(self, *factors: Tensor) -> Tensor:
        """The nuclear 3-norm of Lacroix et al. 2018, sum of |x|^3 over a triple's factors (b, dims), mean over b."""
        moduli = [_moduli(factor) if self.is_complex else factor.abs() for factor in factors]
        return torch.stack([modulus.pow(3).sum(dim=1).mean() for modulus in moduli]).sum()


class _Product(Scoring):
    def compare(self, asked: Tensor, answers: Tensor) -> Tensor:
        return asked @ answers.T

    def pairs(self, asked: Tensor, answers: Tensor) -> Tensor:
        return (asked * answers).sum(dim=1)


class DistMult(_Product):
    """sum_i h_i r_i t_i (Yang et al. 2015, arXiv:1412.6575)."""

    def ask(self, heads: Tensor, relations: Tensor) -> Tensor:
        return heads * relations


class ComplEx(_Product):
    """Re sum_i h_i r_i conj(t_i) over complex numbers (Trouillon et al. 2016, arXiv:1606.06357).

    The real part of x conj(y) is the inner product of (Re x, Im x) and (Re y, Im y).
    """

    is_complex = True

    def ask(self, heads: Tensor, relations: Tensor) -> Tensor:
        return _complex_product(heads, relations)


class TransE(Scoring):
    """gamma - ||h + r - t||_1 (Bordes et al. 2013)."""

    is_distance = True

    def ask(self, heads: Tensor, relations: Tensor) -> Tensor:
        return heads + relations

    def compare(self, asked: Tensor, answers: Tensor) -> Tensor:
        return MARGIN - torch.cdist(asked, answers, p=1)

    def pairs(self, asked: Tensor, answers: Tensor) -> Tensor:
        return MARGIN - (asked - answers).abs().sum(dim=1)


class RotatE(Scoring):
    """gamma - ||h e^(i r) - t||_2 over complex numbers, r being angles (Sun et al. 2019, arXiv:1902.10197)."""

    is_complex = True
    is_distance = True

    def relation_width(self, dims: int) -> int:
        return dims // 2

    def ask(self, heads: Tensor, relations: Tensor) -> Tensor:
        return _complex_product(heads, torch.cat([relations.cos(), relations.sin()], dim=1))

    def compare(self, asked: Tensor, answers: Tensor) -> Tensor:
        return MARGIN - torch.cdist(asked, answers)

    def pairs(self, asked: Tensor, answers: Tensor) -> Tensor:
        return MARGIN - (asked - answers).square().sum(dim=1).add(1e-12).sqrt()


def _complex_product(left: Tensor, right: Tensor) -> Tensor:
    (a, b), (c, d) = left.chunk(2, dim=1), right.chunk(2, dim=1)
    return torch.cat([a * c - b * d, a * d + b * c], dim=1)


def _moduli(vectors: Tensor) -> Tensor:
    real, imaginary = vectors.chunk(2, dim=1)
    # The gradient of the root has no value at zero.
    return (real.square() + imaginary.square() + 1e-12).sqrt()
