"""What this machine can do at most, measured: matrix products, reading memory, the LSTM kernel."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.report import timed


def matrix_peak(dtype: torch.dtype, size: int = 1024, device: str = "cpu") -> float:
    """Operations a second of a square matrix product, the best of several; a small one where the type crawls."""
    if size > 256 and device == "cpu" and crawls(dtype):
        size = 256
    a, b = torch.randn(size, size, device=device).to(dtype), torch.randn(size, size, device=device).to(dtype)
    out = torch.empty_like(a)
    return 2 * size**3 / min(_times(lambda: torch.mm(a, b, out=out), device))


def crawls(dtype: torch.dtype) -> bool:
    """Whether the processor has to emulate the type: below 5 GFLOP/s."""
    return dtype != torch.float32 and matrix_peak(dtype, 256) < 5e9


def read_bandwidth(size: int, device: str = "cpu") -> float:
    """Bytes a second when the same `size` bytes are read again and again, as a decoder reads its weights.

    What fits in a cache is read from there, as it would be while decoding; the best of a sum and a
    matrix-vector product.
    """
    values = torch.randn(max(1, size // 4096), 1024, device=device)
    vector = torch.randn(1024, device=device)
    seconds = min(*_times(lambda: values.sum(), device), *_times(lambda: torch.mv(values, vector), device))
    return values.numel() * 4 / seconds


def lstm_peak(dtype: torch.dtype, *, width: int = 512, rows: int = 128, steps: int = 32, device: str = "cpu") -> float:
    """Operations a second of torch's LSTM layer, forward and backward (three products for each weight)."""
    layer = nn.LSTM(width, width, batch_first=True).to(device, dtype)
    inputs = torch.randn(rows, steps, width, device=device).to(dtype).requires_grad_()

    def once() -> None:
        layer(inputs)[0].sum().backward()

    return 3 * 2 * rows * steps * 8 * width * width / min(_times(once, device))


def _times(call: object, device: str) -> list[float]:
    assert callable(call)

    def whole() -> None:
        call()
        if device != "cpu":
            torch.cuda.synchronize()

    whole()
    return [timed(whole, least_seconds=0.05, most_calls=20) for _ in range(3)]
