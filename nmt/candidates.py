"""From the log-probabilities of a step to the few candidates that bookkeeping looks at.

Shapes: R rows, U columns, C candidates of a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.masks import strike_out
from nmt.options import Sampling
from nmt.scripted import scripted

_BLOCK = 64
"""Columns whose maximum is taken first on the CPU."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The units a row may go on with.

    Attributes:
        values: Log-probabilities, best first, (R, C); -inf where there is none.
        columns: Where they stand among the step's columns, (R, C).
        attention: The step's weights, (R, S); None without attention.
    """

    values: NDArray[np.float32]
    columns: NDArray[np.int64]
    attention: NDArray[np.float32] | None


def log_softmax(logits: Tensor) -> Tensor:
    """Of every row (R, U); overwrites them where that saves time."""
    if logits.device.type != "cpu":
        return logits.log_softmax(dim=1)
    # in place: at (320, 8000) a fresh 10 MB would take a third more time
    return torch._log_softmax(logits, 1, False, out=logits)


def best_allowed(logits: Tensor, special: Tensor, count: int, weights: Tensor | None) -> Candidates:
    """`best` of the logits (R, U), which it overwrites, without the special units (A, 1, 3) of each sentence."""
    if count == 1 or not _by_blocks(logits, count):
        scores = log_softmax(logits)
        strike_out(scores, special)
        return best(scores, count, weights)
    return gather(*_of_logits(logits, special, count), weights)


def best(log_probabilities: Tensor, count: int, weights: Tensor | None) -> Candidates:
    """The `count` most likely units of every row (R, U), with the step's attention weights (R, S)."""
    if count > 1 or log_probabilities.device.type != "cpu":
        return gather(*most_likely(log_probabilities, count), weights)
    array = log_probabilities.numpy()  # NumPy's argmax is several times faster than torch's
    columns = array.argmax(axis=1)
    values = array[np.arange(len(columns)), columns]
    return Candidates(values[:, None], columns[:, None], None if weights is None else weights.numpy())


def gather(values: Tensor, columns: Tensor, weights: Tensor | None) -> Candidates:
    """Bring them to the CPU, where the bookkeeping is."""
    if values.device.type != "cpu":
        return transfer(values, columns, weights)
    return Candidates(values.numpy(), columns.numpy(), None if weights is None else weights.numpy())


def transfer(values: Tensor, columns: Tensor, weights: Tensor | None) -> Candidates:
    """From another device in one piece, so that it is waited for once; columns travel as the bits of floats."""
    parts = [values, columns.int().view(torch.float32)] + ([] if weights is None else [weights.float()])
    together = torch.cat(parts, dim=1).cpu().numpy()
    count = values.shape[1]
    return Candidates(
        together[:, :count],
        together[:, count : 2 * count].copy().view(np.int32).astype(np.int64),
        None if weights is None else together[:, 2 * count :],
    )


def stack(parts: Sequence[Candidates]) -> Candidates:
    """The rows of all, attention padded with zeros to the widest."""
    attention = None
    if all(part.attention is not None for part in parts):
        weights = [part.attention for part in parts if part.attention is not None]
        width = max(rows.shape[1] for rows in weights)
        attention = np.concatenate([np.pad(rows, ((0, 0), (0, width - rows.shape[1]))) for rows in weights])
    values = np.concatenate([part.values for part in parts])
    return Candidates(values, np.concatenate([part.columns for part in parts]), attention)


def most_likely(log_probabilities: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of every row (R, U), best first, and their columns: (R, count) each."""
    if _by_blocks(log_probabilities, count):
        return _of_blocks(log_probabilities, count)
    return log_probabilities.topk(count, dim=1)


def _by_blocks(values: Tensor, count: int) -> bool:
    """Whether `_of_blocks` is the quicker way."""
    return values.device.type == "cpu" and count * 8 <= values.shape[1] // _BLOCK


@scripted
def _of_blocks(values: Tensor, count: int, block: int = _BLOCK) -> tuple[Tensor, Tensor]:
    """The same by a cheap pass over everything and top-k of a few hundred.

    The largest `count` lie in the `count` blocks with the largest maxima.
    """
    columns = values.size(1)
    whole = columns // block
    blocks = values[:, : whole * block].view(-1, whole, block).amax(dim=2).topk(count, dim=1)[1]  # (R, count)
    at = (blocks[:, :, None] * block + torch.arange(block)).flatten(1)  # (R, count * block)
    if columns > whole * block:
        last = torch.arange(whole * block, columns).expand(values.size(0), -1)
        at = torch.cat((at, last), dim=1)
    found, chosen = values.gather(1, at).topk(count, dim=1)
    return found, at.gather(1, chosen)


@scripted
def _of_logits(logits: Tensor, special: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """All of `best_allowed` in one call: whoever waits for the interpreter's lock has it meanwhile."""
    scores = torch._log_softmax(logits, 1, False, out=logits)
    strike_out(scores, special)
    return _of_blocks(scores, count)


def drawn(log_probabilities: Tensor, sampling: Sampling, uniforms: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
    """One unit for every row by inverse transform, most likely units first.

    Args:
        log_probabilities: Shape (R, U).
        sampling: What may be drawn.
        uniforms: In [0, 1), one for each row, (R,).

    Returns:
        Log-probabilities of the drawn, untempered, and their columns: (R, 1) each.
    """
    count = log_probabilities.shape[1]
    values, columns = log_probabilities.topk(min(sampling.top_k or count, count), dim=1)
    # a row of -inf alone stays one
    mass = (values / sampling.temperature).softmax(dim=1).nan_to_num(0.0).cumsum(dim=1)
    total = mass[:, -1:]
    if sampling.top_p < 1.0:
        # the first unit that reaches top_p is the last that may be drawn
        reached = (mass < sampling.top_p * total).sum(dim=1, keepdim=True).clamp(max=mass.shape[1] - 1)
        total = mass.gather(1, reached)
    point = torch.from_numpy(uniforms).to(mass.device)[:, None] * total
    at = (mass <= point).sum(dim=1, keepdim=True).clamp(max=mass.shape[1] - 1)
    return values.gather(1, at), columns.gather(1, at)
