"""Where the model runs."""

from __future__ import annotations

import torch

from nmt.errors import ConfigError


def resolve_device(name: str) -> str:
    """`auto` -> `cuda` if there is a GPU, else `cpu`; `cpu`, `cuda`, `cuda:N` -> themselves, checked.

    Raises:
        ConfigError: The name is unknown, or there is no such GPU.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return name
    kind, _, number = name.partition(":")
    if kind != "cuda" or (":" in name and not (number.isascii() and number.isdigit())):
        raise ConfigError(f"device = {name!r} is not known; choose auto, cpu, cuda or cuda:N")
    if int(number or 0) >= torch.cuda.device_count():
        raise ConfigError(f"device = {name!r}, but this machine has {torch.cuda.device_count()} GPUs; use auto or cpu")
    return name
