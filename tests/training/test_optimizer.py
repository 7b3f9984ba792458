from typing import Literal

import pytest
import torch
from torch import nn

from training.config import TrainingConfig
from training.optimizer import MasterAdam

Precision = Literal["bf16", "fp32"]


def begun(precision: Precision) -> MasterAdam:
    model = nn.Linear(3, 2).to(torch.bfloat16 if precision == "bf16" else torch.float32)
    optimizer = MasterAdam(model, TrainingConfig(precision=precision, average=0.9))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return optimizer


@pytest.mark.parametrize(("before", "after"), [("bf16", "fp32"), ("fp32", "bf16")])
def test_a_checkpoint_does_not_depend_on_the_precision(before: Precision, after: Precision) -> None:
    first, second = begun(before), begun(after)
    first.step(0)
    second.load(first.tensors())
    for name, tensor in first.tensors().items():
        assert tensor.dtype == torch.float32
        torch.testing.assert_close(second.tensors()[name], tensor, rtol=0, atol=0)
    second.step(1)
    assert all(torch.isfinite(tensor).all() for tensor in second.tensors().values())
