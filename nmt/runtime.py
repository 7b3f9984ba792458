"""How a model computes: the fp32 reference, 16-bit weights, or 8-bit integers.

`reference`  the `Seq2Seq` itself, fp32
`float16`    any architecture on the CPU: weights stored in 16 bits (FBGEMM), arithmetic in fp32
`int8`       LSTMs with attention (`fixed_model.supports`): 8-bit products, the same bits in any company
`bfloat16`   any architecture on a GPU: captured CUDA graphs (`cuda.GraphModel`)
`default`    the first of `int8`, `float16`, `reference` that works here for this model

See docs/decisions/cpu-runtime.md. Shapes: R rows, T steps, I input, O output, H hidden, L layers.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from nmt.cells import RecurrentStack, RecurrentState
from nmt.config import Cell, check_choice
from nmt.cuda import GraphModel, cuda_graphs
from nmt.decoder import Decoder, DecoderState, Step
from nmt.encoder import EncoderOutput
from nmt.errors import ConfigError
from nmt.fixed_model import FixedPointModel, supports
from nmt.model import DecodingModel, Seq2Seq

Compute = Literal["default", "reference", "float16", "int8", "bfloat16"]


@torch.no_grad()
def runtime_for(model: Seq2Seq, compute: str = "default", device: str = "cpu") -> DecodingModel:
    """The model ready to decode.

    Args:
        model: In evaluation mode; moved to `device`. Only `reference` keeps it.
        compute: One of `Compute`.
        device: `cpu`, `cuda` or `cuda:N`.

    Raises:
        ConfigError: The mode is unknown, or this model or machine cannot compute so.
    """
    check_choice("compute", compute, Compute)
    packed = device == "cpu" and "fbgemm" in torch.backends.quantized.supported_engines
    fixed = packed and supports(model.config)
    if compute == "default":
        compute = "int8" if fixed else "float16" if packed else "reference"
    if compute == "int8" and not fixed:
        raise ConfigError(
            "compute = 'int8' needs an x86 CPU and an LSTM with attention by product, no layer norm and widths that "
            "are multiples of 32; choose compute = 'default'"
        )
    if compute == "float16" and not packed:
        raise ConfigError("compute = 'float16' needs an x86 CPU; choose compute = 'default' or 'reference'")
    if compute == "bfloat16":
        if device == "cpu":
            raise ConfigError("compute = 'bfloat16' needs a GPU; choose compute = 'default'")
        return GraphModel(model, device=device, dtype=torch.bfloat16, capture=cuda_graphs())
    model = model.to(device).eval()
    if compute == "int8":
        return FixedPointModel(model)
    return Float16Model(model) if compute == "float16" else model


class Float16Model:
    """A `DecodingModel` of any architecture with the weights of a `Seq2Seq` in 16 bits, which it does not keep."""

    few_rows = 0

    def __init__(self, model: Seq2Seq) -> None:
        self.config = model.config
        self.device = torch.device("cpu")
        output = model.decoder.output
        self.rows, self.bias = output.weight.detach().half(), output.bias.detach().half()
        embeddings = model.encoder.embedding, model.decoder.embedding
        weights: dict[int, nn.Module] = {id(e): _Float16Embedding(e) for e in embeddings}
        self.encoder: Any = _packed(model.encoder, model.config.cell, weights)
        self.decoder: Any = _packed(model.decoder, model.config.cell, weights)
        self.asked: tuple[Tensor, Tensor, Tensor] | None = None

    def encode(self, source: Tensor) -> EncoderOutput:
        """Source ids with EOS, shape (B, S), padded on the right."""
        return self.encoder(source)  # type: ignore[no-any-return]

    def start(self, encoded: EncoderOutput) -> DecoderState:
        """The state before the first unit, one row for each sentence."""
        return self.decoder.start(encoded)  # type: ignore[no-any-return]

    def step(self, tokens: Tensor, state: DecoderState, vocabulary: Tensor | None = None) -> Step:
        """Read one unit of every row, shape (R,), and predict the next; as `DecodingModel.step`."""
        if vocabulary is None:
            return Decoder.step(self.decoder, tokens, state)
        feature, weights, after = self.decoder.wiring.step(self.decoder.embedding(tokens), state)
        if self.asked is None or self.asked[0] is not vocabulary:
            self.asked = vocabulary, self.rows[vocabulary].float(), self.bias[vocabulary].float()
        return Step(functional.linear(feature, *self.asked[1:]), weights, after)


def _packed(module: nn.Module, cell: Cell, memo: dict[int, nn.Module]) -> nn.Module:
    """A copy in which all that multiplies by a matrix has it packed; `memo` has the copies there are, by id."""
    if id(module) in memo:
        return memo[id(module)]
    if isinstance(module, nn.Linear):
        made: nn.Module = _Float16Linear(module.weight, module.bias)
    elif isinstance(module, nn.RNNBase):
        made = _Float16Layer(module, cell)
    else:
        made = copy.copy(module)
        made._modules = {name: child and _packed(child, cell, memo) for name, child in module._modules.items()}
        if isinstance(module, RecurrentStack):
            made.step = _Stepper(made)  # type: ignore[assignment]
    memo[id(module)] = made
    return made


class _Float16Linear(nn.Module):
    """x (..., I) -> x W^T + b (..., O), W in 16 bits, sums in fp32."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.quantized.linear_prepack_fp16(weight.detach(), None if bias is None else bias.detach())

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic_fp16(inputs, self.packed)  # type: ignore[no-any-return]


class _Float16Embedding(nn.Module):
    """ids (...) -> embeddings (..., E) in fp32."""

    def __init__(self, embedding: nn.Module) -> None:
        super().__init__()
        assert isinstance(embedding, nn.Embedding)
        self.rows = embedding.weight.detach().half()

    def forward(self, ids: Tensor) -> Tensor:
        return functional.embedding(ids, self.rows).float()


class _Float16Layer(nn.Module):
    """One recurrent layer: `step` by step, or called over whole sequences from the zero state."""

    def __init__(self, layer: nn.RNNBase, cell: Cell) -> None:
        super().__init__()
        input_weight, hidden_weight, input_bias, hidden_bias = layer.parameters()
        self.cell = cell
        self.size = layer.hidden_size
        self.inputs = _Float16Linear(input_weight, input_bias)
        self.hidden = _Float16Linear(hidden_weight, hidden_bias)

    def step(self, entering: Tensor, hidden: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """W x (R, gates H), the state (R, H) and, of an LSTM, the cell state -> both after the step."""
        recurrent = self.hidden(hidden)
        if self.cell == "gru":  # Cho et al. 2014, with the reset gate after the product, as torch has it
            reset, update = (entering + recurrent)[:, : 2 * self.size].sigmoid().chunk(2, dim=1)
            new = torch.addcmul(entering[:, 2 * self.size :], reset, recurrent[:, 2 * self.size :]).tanh()
            return torch.lerp(new, hidden, update), None
        gates = recurrent.add_(entering)
        if self.cell != "lstm":
            return gates.tanh_() if self.cell == "rnn_tanh" else gates.relu_(), None
        assert memory is not None
        i, f, g, o = gates.chunk(4, dim=1)
        memory = f.sigmoid().mul_(memory).addcmul_(i.sigmoid(), g.tanh())
        return memory.tanh().mul_(o.sigmoid()), memory

    def forward(self, inputs: Tensor) -> tuple[Tensor, None]:
        """Inputs (B, T, I) -> outputs (B, T, H)."""
        hidden = inputs.new_zeros(inputs.shape[0], self.size)
        memory = hidden if self.cell == "lstm" else None
        outputs = inputs.new_empty(*inputs.shape[:2], self.size)
        for step, entering in enumerate(self.inputs(inputs).unbind(1)):
            hidden, memory = self.step(entering, hidden, memory)
            outputs[:, step] = hidden
        return outputs, None


class _Stepper:
    """`RecurrentStack.step` over packed layers."""

    def __init__(self, stack: Any) -> None:
        self.stack = stack

    def __call__(
        self, inputs: Tensor, state: RecurrentState, extra: Tensor | None = None, masks: None = None
    ) -> tuple[Tensor, RecurrentState]:
        below = inputs
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        for index, layer in enumerate(self.stack.layers):
            entering = layer.inputs(self.stack._enter(index, below, None, extra))
            memory = None if state.cell is None else state.cell[index]
            output, memory = layer.step(entering, state.hidden[index], memory)
            hidden.append(output)
            if memory is not None:
                cells.append(memory)
            below = output + below if self.stack.residual[index] else output
        return below, RecurrentState(torch.stack(hidden), torch.stack(cells) if cells else None)
