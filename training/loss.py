"""Cross-entropy of the output layer without ever holding all its logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nmt.batch import Batch
from nmt.config import PAD
from nmt.model import Seq2Seq
from training.guidance import guidance_loss

ROWS = 512
"""Rows of logits in memory at once: at a vocabulary of 8,000 they stay in the cache."""

GPU_ROWS = 4096
"""The same on a GPU, which wants few large kernels: half a gigabyte at a vocabulary of 32,000."""


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
        at_once = ROWS if features.device.type == "cpu" else GPU_ROWS
        # what smoothing spreads evenly needs no pass over the logits
        mean_weight, mean_bias = weight.float().mean(dim=0), bias.float().mean()
        for start in range(0, len(features), at_once):
            at = slice(start, start + at_once)
            rows, target, into = features[at], targets[at], feature_gradient[at]
            logits = torch.addmm(bias, rows, weight.t()).float()  # (rows, V)
            true = logits.gather(1, target[:, None])[:, 0]
            spread = rows.float() @ mean_weight + mean_bias
            highest = logits.amax(dim=1)
            exponentials = logits.sub_(highest[:, None]).exp_()
            total = exponentials.sum(dim=1)
            normaliser = highest + total.log()
            likelihood -= (true - normaliser).sum()
            loss -= (1 - smoothing) * (true - normaliser).sum() + smoothing * (spread - normaliser).sum()
            gradient = exponentials.div_(total[:, None])
            gradient[torch.arange(len(target), device=target.device), target] += smoothing - 1
            bias_gradient += gradient.sum(dim=0)
            narrow = gradient.to(features.dtype)
            torch.mm(narrow, weight, out=into)
            if narrow.dtype == weight_gradient.dtype:
                weight_gradient.addmm_(narrow.t(), rows)
            else:
                weight_gradient += narrow.t() @ rows
        feature_gradient -= (smoothing * mean_weight).to(features.dtype)
        weight_gradient -= smoothing / vocabulary * features.sum(dim=0, dtype=torch.float32)
        bias_gradient -= smoothing / vocabulary * len(features)
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
        guidance: Weight of the loss that guides attention (see `training.guidance`); 0: none.
    """

    def __init__(self, model: Seq2Seq, smoothing: float, guidance: float = 0.0) -> None:
        super().__init__()
        self.model, self.smoothing, self.guidance = model, smoothing, guidance

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """What a batch costs, each a sum over its targets, in nats.

        Returns:
            The loss to follow; the negative log-likelihood (see `linear_cross_entropy`); and the
            guidance loss before its weight. Only the first has a gradient.
        """
        unrolled = self.model(batch)
        output = self.model.decoder.output
        real = batch.target_out != PAD  # (B, T)
        features, targets = unrolled.features[real], batch.target_out[real]  # (N, E), (N,)
        loss, likelihood = linear_cross_entropy(features, output.weight, output.bias, targets, smoothing=self.smoothing)
        if not self.guidance:
            return loss, likelihood, likelihood.new_zeros(())
        assert unrolled.weights is not None
        assert batch.links is not None
        guided = guidance_loss(unrolled.weights, batch.links)
        return loss + self.guidance * guided, likelihood, guided.detach()
