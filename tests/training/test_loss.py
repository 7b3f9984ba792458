import torch
from torch.nn import functional

from training.loss import ROWS, linear_cross_entropy


def both(smoothing: float) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Loss, likelihood and the three gradients: ours, and torch's on whole logits."""
    torch.manual_seed(0)
    n, size, vocabulary = 2 * ROWS + 37, 12, 30
    results = []
    for ours in (True, False):
        torch.manual_seed(1)
        features = torch.randn(n, size, requires_grad=True)
        weight = torch.randn(vocabulary, size, requires_grad=True)
        bias = torch.randn(vocabulary, requires_grad=True)
        targets = torch.randint(vocabulary, (n,))
        if ours:
            loss, likelihood = linear_cross_entropy(features, weight, bias, targets, smoothing=smoothing)
        else:
            logits = features @ weight.t() + bias
            loss = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="sum")
            likelihood = functional.cross_entropy(logits, targets, reduction="sum")
        (loss / n).backward()
        gradients = [tensor.grad for tensor in (features, weight, bias)]
        results.append([loss.detach(), likelihood.detach(), *(g for g in gradients if g is not None)])
    return results[0], results[1]


def test_loss_and_gradients_equal_the_plain_ones() -> None:
    for smoothing in (0.0, 0.1):
        ours, plain = both(smoothing)
        for a, b in zip(ours, plain, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
