from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from training import precision
from training.config import Recipe, load_recipe
from training.precision import fitting, noted, settled

RUN = Path("runs/tiny")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "fp32"),
        ({"avx512_f": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
    ],
)
def test_a_cpu_computes_in_bf16_only_with_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert fitting("cpu") == expected


def test_a_torch_that_cannot_be_asked_gets_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert fitting("cpu") == "fp32"


@pytest.fixture
def tiny(recipe_file: Callable[..., Path]) -> Callable[..., Recipe]:
    return lambda *overrides: load_recipe(recipe_file(), [f"training.{one}" for one in overrides])


def chosen(recipe: Recipe) -> str:
    return settled(recipe, RUN).training.precision


def test_a_run_keeps_the_precision_it_began_with(tiny: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "fitting", lambda device: "bf16")
    assert chosen(tiny()) == "bf16"
    (RUN / "checkpoints").mkdir()
    (RUN / "checkpoints" / "last.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(precision, "fitting", lambda device: "fp32")  # it goes on on another machine
    assert chosen(tiny()) == "bf16"
    assert noted(tiny(), RUN).training.precision == "bf16"
    assert chosen(tiny("precision=fp32")) == "fp32"
    assert chosen(tiny()) == "fp32"


def test_without_checkpoints_the_machine_decides_anew(
    tiny: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(tiny("precision=bf16")) == "bf16"
    monkeypatch.setattr(precision, "fitting", lambda device: "fp32")
    assert chosen(tiny()) == "fp32"
