"""Functions without Python between their operations."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

import nmt
from nmt import candidates, fixed_encoder, fixed_model, fixed_point, masks
from nmt.scripted import scripted
from tests.nmt.test_runtime import FIXED, forced, sentences
from tests.nmt.test_runtime import fixed_model as random_model


def test_what_torch_can_script_is_scripted() -> None:
    modules = (candidates, fixed_encoder, fixed_model, fixed_point, masks)
    found = {name for module in modules for name, value in vars(module).items() if hasattr(value, "graph")}
    arithmetic = {"product", "sigmoid", "to_grid", "lstm", "attend"}
    sources = {"_whole", "_widened", "_ready", "_chosen", "_kept", "_joined", "_rows"}
    encoder, decoder = {"_gates", "_run", "_encode"}, {"_attend", "_decode"}
    assert found == arithmetic | sources | encoder | decoder | {
        "_of_blocks",
        "_of_logits",
        "_by_sentence",
        "strike_out",
    }


def test_a_function_stays_what_it_is_where_there_is_no_torchscript(monkeypatch: pytest.MonkeyPatch) -> None:
    def double(values: Tensor) -> Tensor:
        return values + values

    monkeypatch.delattr(torch.jit, "script")
    assert scripted(double) is double


@pytest.mark.parametrize("architecture", FIXED)
def test_the_numbers_are_the_same_without_torchscript(
    monkeypatch: pytest.MonkeyPatch, architecture: dict[str, Any]
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(torch.jit, "script")
        for name in ("nmt.fixed_point", "nmt.fixed_encoder", "nmt.fixed_model"):
            patch.delitem(sys.modules, name)
        plain = importlib.import_module("nmt.fixed_model")
    for module in (fixed_point, fixed_encoder, fixed_model):
        monkeypatch.setattr(nmt, module.__name__.removeprefix("nmt."), module)
    assert not hasattr(plain._decode, "graph")
    model, sources = random_model(**architecture), sentences([7, 2, 11])
    models = fixed_model.FixedPointModel(model), plain.FixedPointModel(model)
    for ours, theirs in zip(*(forced(one, sources, rows=3) for one in models), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True) if a is not None and b is not None)
