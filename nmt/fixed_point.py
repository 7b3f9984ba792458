"""Arithmetic whose result for a row or a sentence does not depend on company, bit for bit.

Every product is FBGEMM's int8 product with a fixed input scale: whole numbers, summed exactly. What
stands between the products keeps to operations of which the same is true:

* add, subtract, multiply, divide: IEEE 754 rounds each element by itself (a factor that torch may
  fuse into an addition is a power of two, so fusing changes nothing);
* sums (scores, contexts) run over numbers on a grid so coarse that fp32 holds every partial sum
  exactly: order, padding and blocking cannot matter;
* the sigmoid is the only other function, tanh(x) = 2 sigmoid(2x) - 1. Torch computes what is left
  over at the end of a thread's share by another routine: `sigmoid` leaves nothing over;
* softmax runs over rows padded to whole vectors, where padding adds exact zeros.

Activations are 7 bits: AVX2, and AVX-512 without VNNI, add two 8-bit products in 16 bits. Their
ranges need no data: an LSTM's output lies within (-1, 1), a sigmoid within (0, 1).

Shapes: B sentences, S source length, R rows, H hidden, M memory, L layers, O and I a product's
output and input. Hidden states are halved and cell states doubled: so they come out of sigmoids,
and the weights that read them make up for it.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from typing_extensions import override

from nmt.attention import Attended
from nmt.cells import RecurrentState
from nmt.scripted import scripted

LANES = 32
"""Floats that torch's vector loops take at once: two AVX-512 registers; the other vectors divide it."""

FEW_ROWS = 8
"""Rows up to which products are bound by reading weights: one with twice the weights costs less than two,
and one thread takes hardly longer than two."""

_GRAIN = 32768
"""Elements up to which torch stays on one thread (`at::internal::GRAIN_SIZE`)."""

if TYPE_CHECKING:
    Packed = Any
else:
    Packed = torch.classes.quantized.LinearPackedParamsBase
    """A matrix as FBGEMM wants it, with its bias."""

_QUERY_STEP = 2.0**-8
_WEIGHT_STEP = 2.0**-12
"""Grids of queries, |q| <= 1/2, and of attention weights, where sums need them exact."""


@scripted
def product(inputs: Tensor, packed: Packed, scale: float = 0.5 / 63, zero_point: int = 64) -> Tensor:
    """X (R, I) -> x W^T + b (R, O), fp32 in and out.

    Args:
        inputs: In range, or sums of two products may overflow.
        packed: W and b.
        scale: Step of the quantised input, which has 127 of them.
        zero_point: The step at which the input is 0: 64 for signed input, 0 for input from 0 up.
    """
    multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32
    return multiply(inputs, scale, zero_point, packed)  # type: ignore[no-any-return]


class Int8Linear:
    """A product with its input's range.

    Args:
        weight: Shape (O, I); kept as int8 with one scale for each row.
        bias: Shape (O,).
        scale: See `product`.
        zero_point: See `product`.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, *, scale: float = 0.5 / 63, zero_point: int = 64) -> None:
        self.scale = scale
        self.zero_point = zero_point
        self.packed = pack(weight, bias)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The product."""
        return product(inputs, self.packed, self.scale, self.zero_point)


def pack(weight: Tensor, bias: Tensor | None) -> Packed:
    """W (O, I) as int8 with one scale for each row, and b (O,)."""
    whole, scales = by_rows(weight)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop quantised tensors: docs/decisions/cpu-runtime.md
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        rows = torch._make_per_channel_quantized_tensor(whole, scales.double(), zeros, 0)
        return torch.ops.quantized.linear_prepack(rows, None if bias is None else bias.detach())


def by_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """int8 (O, I) and scales (O,), max |row| / 127: a bundle's own whole numbers, if it is a bundle's matrix."""
    weight = weight.detach()
    least, most = weight.aminmax(dim=1)
    scales = (torch.maximum(-least, most) / 127).clamp_min(1e-12)
    return (weight / scales[:, None]).round_().to(torch.int8), scales


@scripted
def sigmoid(values: Tensor, threads: int, out: Tensor | None = None, lanes: int = LANES, grain: int = _GRAIN) -> Tensor:
    """Sigmoid of a contiguous tensor, of which each element's depends on that element alone.

    Args:
        values: Any shape.
        threads: `torch.get_num_threads()`.
        out: Where to write it, contiguous too; `values` itself is allowed.
        lanes: Never given.
        grain: Never given.
    """
    result = torch.empty_like(values) if out is None else out
    count = values.numel()
    shares = min(threads, -(-count // grain))
    if count % (shares * lanes) == 0:
        torch.sigmoid(values, out=result)
    else:  # a thread's share would end within a vector: take shares of our own
        parts = torch.split(values.view(-1), grain)
        for place, part_out in enumerate(torch.split(result.view(-1), grain)):
            torch.sigmoid(parts[place], out=part_out)
    return result


@scripted
def to_grid(values: Tensor, step: float) -> Tensor:
    """The nearest multiples of `step`, a power of two, for |values| below 2^21 steps."""
    magic = 1.5 * 8388608.0 * step  # floats of this size, 2^23 steps, are a step apart
    return values.add(magic).sub_(magic)


@scripted
def lstm(gates: Tensor, cell: Tensor, threads: int, out: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What an LSTM does after its products.

    Args:
        gates: i, f, g, o before the sigmoid, g doubled, shape (..., 4H), contiguous; overwritten.
        cell: Doubled cell state, (..., H).
        threads: See `sigmoid`.
        out: Where to write the hidden state.

    Returns:
        The halved hidden state and the doubled cell state, (..., H).
    """
    i, f, g, o = sigmoid(gates, threads, gates).chunk(4, dim=-1)
    cell = (f * cell).add_(i * g, alpha=4).sub_(i, alpha=2)  # 2 c = f (2 c) + 2 i (2 g - 1)
    squashed = sigmoid(cell, threads).mul_(o)
    if out is None:
        return torch.sub(squashed, o, alpha=0.5), cell  # h / 2 = o (sigmoid(2 c) - 1/2)
    return torch.sub(squashed, o, alpha=0.5, out=out), cell


@scripted
def attend(
    queries: Tensor,
    memory: Tensor,
    keys: Tensor,
    bias: Tensor,
    query_step: float = _QUERY_STEP,
    weight_step: float = _WEIGHT_STEP,
) -> tuple[Tensor, Tensor]:
    """Contexts (B, Q, M) and weights (B, Q, S) of halved queries (B, Q, H); the sources as in `FixedSource`."""
    scores = torch.baddbmm(bias, to_grid(queries, query_step), keys.transpose(1, 2))
    weights = scores.softmax(dim=-1)
    return torch.bmm(to_grid(weights, weight_step), memory), weights


@scripted
def _whole(width: int) -> int:
    """The next multiple of 16: softmax then works on whole vectors."""
    return -(-width // 16) * 16


@scripted
def _widened(memory: Tensor, keys: Tensor, bias: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Sources padded to S = `width`, which is no less than theirs."""
    by = width - memory.size(1)
    if by == 0:
        return memory, keys, bias
    return (
        torch.constant_pad_nd(memory, [0, 0, 0, by]),
        torch.constant_pad_nd(keys, [0, 0, 0, by]),
        torch.constant_pad_nd(bias, [0, by], -math.inf),
    )


@scripted
def _ready(memory: Tensor, keys: Tensor, lengths: Tensor, terms: int) -> tuple[Tensor, Tensor, Tensor]:
    """Memory, keys and bias of `FixedSource.of`."""
    largest = keys.abs().amax(dim=-1, keepdim=True).clamp_min(2.0**-40)
    least = largest * (terms * keys.size(-1) / 131072)
    step = least / torch.frexp(least)[0]  # the power of two above it
    keys = (keys / step).round_().mul_(step)
    over = torch.arange(memory.size(1)) >= lengths[:, None]
    bias = torch.zeros(over.size()).masked_fill_(over, -math.inf)[:, None]
    return _widened(memory, keys, bias, _whole(memory.size(1)))


@scripted
def _chosen(
    memory: Tensor, keys: Tensor, bias: Tensor, lengths: Tensor, sentences: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`FixedSource.select`."""
    lengths = lengths[sentences]
    width = _whole(int(lengths.max()))
    return memory[sentences, :width], keys[sentences, :width], bias[sentences, :, :width], lengths


@scripted
def _kept(
    memory: Tensor, keys: Tensor, bias: Tensor, lengths: Tensor, sentences: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`FixedSource.keep`."""
    count = sentences.size(0)
    moved = (sentences != torch.arange(count)).nonzero()[:, 0]
    if moved.size(0) > 0:
        origins = sentences[moved]
        for whole in [memory, keys, bias, lengths]:
            whole[moved] = whole[origins]
    lengths = lengths[:count]
    width = _whole(int(lengths.max()))
    return memory[:count, :width], keys[:count, :width], bias[:count, :, :width], lengths


@scripted
def _joined(
    memory: Tensor, keys: Tensor, bias: Tensor, other_memory: Tensor, other_keys: Tensor, other_bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Memory, keys and bias of `FixedSource.join`."""
    width = max(memory.size(1), other_memory.size(1))
    memory, keys, bias = _widened(memory, keys, bias, width)
    other_memory, other_keys, other_bias = _widened(other_memory, other_keys, other_bias, width)
    return torch.cat((memory, other_memory)), torch.cat((keys, other_keys)), torch.cat((bias, other_bias))


@scripted
def _rows(hidden: Tensor, cell: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """`FixedState.select`: (R, L H) each, of these rows."""
    return hidden.index_select(0, rows), cell.index_select(0, rows)


@dataclass(frozen=True, slots=True)
class FixedSource:
    """Sources ready for queries. S is a multiple of 16: softmax works on whole vectors.

    Attributes:
        memory: Shape (B, S, M), on a grid.
        keys: Shape (B, S, H), each on a grid that keeps its scores exact.
        bias: 0 at real tokens, -inf at padding, (B, 1, S).
        lengths: Real tokens of each sentence, (B,).
    """

    memory: Tensor
    keys: Tensor
    bias: Tensor
    lengths: Tensor

    @classmethod
    def of(cls, memory: Tensor, keys: Tensor, lengths: Tensor, terms: int = 1) -> FixedSource:
        """Pad S, and put each key on the finest grid that keeps scores of queries, sums of so many states, exact.

        A query has at most 2^7 steps a term, a key at most 2^17 / (H terms): H products make 2^24, which fp32 holds.
        """
        return cls(*_ready(memory, keys, lengths, terms), lengths)

    def read(self, queries: Tensor) -> Attended:
        """Attend: queries (B, Q, H), halved."""
        return Attended(*attend(queries, self.memory, self.keys, self.bias))

    def select(self, sentences: Tensor) -> FixedSource:
        """These sentences, in this order, with no more padding than the longest of them needs."""
        return FixedSource(*_chosen(self.memory, self.keys, self.bias, self.lengths, sentences))

    def keep(self, sentences: Tensor) -> FixedSource:
        """As `select`, but those that stay in their places are not copied: what is here must not be used any more."""
        return FixedSource(*_kept(self.memory, self.keys, self.bias, self.lengths, sentences))

    def join(self, other: FixedSource) -> FixedSource:
        """The sentences of both, these first, padded to the longest of all."""
        ours, theirs = (self.memory, self.keys, self.bias), (other.memory, other.keys, other.bias)
        return FixedSource(*_joined(*ours, *theirs), torch.cat((self.lengths, other.lengths)))


class FixedState(RecurrentState):
    """All layers side by side: halved hidden states (R, L H) and doubled cell states (R, L H)."""

    @override
    def select(self, rows: Tensor) -> FixedState:
        assert self.cell is not None
        return FixedState(*_rows(self.hidden, self.cell, rows))

    @override
    def join(self, other: RecurrentState) -> FixedState:
        assert self.cell is not None
        assert other.cell is not None
        return FixedState(torch.cat((self.hidden, other.hidden)), torch.cat((self.cell, other.cell)))
