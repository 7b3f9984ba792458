"""Embeddings whose gradient is summed in fp32.

In bf16 on the CPU torch adds the gradients of one entry row by row in bf16; a sum of a thousand
small terms then stops growing, and every frequent unit learns too little.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids: Tensor) -> Tensor:
        ctx.save_for_backward(ids)
        ctx.shape, ctx.dtype = weight.shape, weight.dtype
        return weight[ids]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (ids,) = ctx.saved_tensors
        total = torch.zeros(ctx.shape, dtype=torch.float32, device=gradient.device)
        total.index_add_(0, ids.flatten(), gradient.flatten(0, -2).float())
        return total.to(ctx.dtype), None


class Embedding(nn.Embedding):
    """ids (...) -> embeddings (..., E), as `nn.Embedding`."""

    @override
    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dtype == torch.float32 or not torch.is_grad_enabled():
            return super().forward(input)
        return _Lookup.apply(self.weight, input)  # type: ignore[no-any-return, no-untyped-call]
