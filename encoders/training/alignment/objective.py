"""What training makes small: the symmetric InfoNCE loss, hard negatives counting for more."""

from __future__ import annotations

import torch
from torch import Tensor

NOTHING = -1e9
"""Instead of minus infinity, whose gradients are no numbers."""


def info_nce(texts: Tensor, placed: Tensor, groups: Tensor, scale: Tensor, hardness: float) -> Tensor:
    """The mean over b pairs, and over both directions (Radford et al. 2021, arXiv:2103.00020), of

        -log( exp(s_ii) / (exp(s_ii) + sum over negatives j of w_ij exp(s_ij)) )        s = scale * cosine

    with w_ij = N_i exp(hardness s_ij) / sum over negatives j' of exp(hardness s_ij'), N_i being how many there are: a
    negative counts for more the nearer it is, in the mean for 1 (Robinson et al. 2021, arXiv:2010.04592, eq. 4).

    texts, placed: (b, dims) of unit length. groups: (b,); pairs of the same group are no negatives of each other.
    """
    logits = (scale * texts @ placed.T).float()
    negative = groups[:, None] != groups[None, :]
    return (_one_way(logits, negative, hardness) + _one_way(logits.T, negative, hardness)) / 2


def _one_way(logits: Tensor, negative: Tensor, hardness: float) -> Tensor:
    right, wrong = logits.diagonal(), logits.masked_fill(~negative, NOTHING)
    with torch.no_grad():
        hard = (hardness * logits).masked_fill(~negative, NOTHING)
        counted = torch.log_softmax(hard, dim=1) + negative.sum(dim=1, keepdim=True).clamp(min=1).log()
        counted = counted.masked_fill(~negative, 0)
    return (torch.logaddexp(right, torch.logsumexp(wrong + counted, dim=1)) - right).mean()
