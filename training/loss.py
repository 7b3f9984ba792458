"""Cross-entropy of the output layer without ever holding all its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nmt.batch import Batch
from nmt.config import PAD
from nmt.model import Seq2Seq

ROWS = 512
"""Rows of logits in memory at once: at a vocabulary of 8,000 they stay in the cache."""


class _LinearCrossEntropy(torch.autograd.Function):
    """Computes the gradients on the way forward, while a chunk's logits are at hand."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
    ) -> tuple[Tensor, Tensor]:
        vocabulary = weight.shape[0]
        loss = features.new_zeros((), dtype=torch.float32)
        likelihood = features.new_zeros((), dtype=torch.float32)
        feature_gradient = torch.empty_like(features)
        weight_gradient = torch.zeros_like(weight, dtype=torch.float32)
        bias_gradient = torch.zeros_like(bias, dtype=torch.float32)
        for start in range(0, len(features), ROWS):
            at = slice(start, start + ROWS)
            rows, target, into = features[at], targets[at], feature_gradient[at]
            logits = torch.addmm(bias, rows, weight.t()).float()  # (rows, V)
            normaliser = logits.logsumexp(dim=1)
            true = logits.gather(1, target[:, None])[:, 0] - normaliser
            spread = logits.mean(dim=1) - normaliser
            likelihood -= true.sum()
            loss -= (1 - smoothing) * true.sum() + smoothing * spread.sum()
            gradient = logits.sub_(normaliser[:, None]).exp_().sub_(smoothing / vocabulary)
            gradient[torch.arange(len(target), device=target.device), target] += smoothing - 1
            bias_gradient += gradient.sum(dim=0)
            narrow = gradient.to(features.dtype)
            torch.mm(narrow, weight, out=into)
            weight_gradient += narrow.t() @ rows
        ctx.save_for_backward(feature_gradient, weight_gradient.to(weight.dtype), bias_gradient.to(bias.dtype))
        ctx.mark_non_differentiable(likelihood)
        return loss, likelihood

    @staticmethod
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, bias = ctx.saved_tensors
        return features * scale, weight * scale, bias * scale, None, None


def linear_cross_entropy(
    features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Label-smoothed cross-entropy of softmax(features @ weight.T + bias), summed over rows.

    Args:
        features: Shape (N, E).
        weight: Shape (V, E).
        bias: Shape (V,).
        targets: True ids, shape (N,), without padding.
        smoothing: Mass spread evenly over the vocabulary (Szegedy et al. 2016, section 7).

    Returns:
        The smoothed loss and the plain negative log-likelihood, in nats, both sums in fp32; only
        the first has a gradient.
    """
    loss, likelihood = _LinearCrossEntropy.apply(features, weight, bias, targets, smoothing)  # type: ignore[no-untyped-call]
    return loss, likelihood


class TrainingModel(nn.Module):
    """The model and its loss as one module, so that everything with a gradient is inside.

    Args:
        model: A `Seq2Seq`.
        smoothing: Of the labels.
    """

    def __init__(self, model: Seq2Seq, smoothing: float) -> None:
        super().__init__()
        self.model, self.smoothing = model, smoothing

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and negative log-likelihood of a batch's targets, both summed (see `linear_cross_entropy`)."""
        unrolled = self.model(batch)
        output = self.model.decoder.output
        real = batch.target_out != PAD  # (B, T)
        features, targets = unrolled.features[real], batch.target_out[real]  # (N, E), (N,)
        return linear_cross_entropy(features, output.weight, output.bias, targets, smoothing=self.smoothing)
