"""Every setting of the server: an environment variable `INTERLINEAR_<NAME>`, some of them flags too."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "INTERLINEAR_"

_PATH_SEPARATOR = os.pathsep


class Settings(BaseSettings):
    """What the server may be told. Lists are written in one line, see each field."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; 0.0.0.0 for every interface.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    models: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(Path("models"), Path("var/models")),
        description="Model folders, separated by ':' (';' on Windows); the same name in a later folder wins.",
    )
    device: str = Field(default="auto", description="auto (a GPU when there is one), cpu, cuda or cuda:N.")
    compute: Literal["default", "reference", "float16", "int8", "bfloat16"] = Field(
        default="default",
        description="Arithmetic: default is the fastest exact enough for model and device; bfloat16 needs a GPU.",
    )
    pin: Annotated[dict[str, int], NoDecode] = Field(
        default_factory=dict, description="Versions to serve instead of the highest, as in en-fr=5,fr-en=5."
    )
    threads: int = Field(
        default=0, ge=0, le=1024, description="CPU threads for the model; 0 leaves the choice to PyTorch."
    )
    poll_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Seconds between two looks at the model folders."
    )
    drain_seconds: int = Field(
        default=30, ge=0, le=3600, description="Seconds that running requests get when the server stops."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Other origins whose pages may call the API, separated by commas; none by default."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="How much is logged.")

    max_body_bytes: int = Field(default=1_048_576, ge=1, description="Bytes of a request body.")
    max_texts: int = Field(default=128, ge=1, description="Texts of one request.")
    max_characters: int = Field(
        default=50_000, ge=1, description="Characters (code points) of all texts of one request."
    )
    max_beam_size: int = Field(default=16, ge=1, le=200, description="Beam size of one request.")
    max_n_best: int = Field(default=10, ge=1, le=200, description="Candidates for each sentence.")
    max_prefix_characters: int = Field(default=2_000, ge=1, description="Characters of a target prefix.")
    max_alternatives: int = Field(default=20, ge=1, le=50, description="Alternatives for one word.")
    max_attention_cells: int = Field(default=250_000, ge=1, description="Attention weights in one answer.")
    queue_size: int = Field(default=16, ge=1, description="Requests that may wait when the model has no room.")
    queue_units: int = Field(default=40_000, ge=1, description="Source units of all sentences that may wait.")
    deadline_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="Seconds from a request's arrival to its answer."
    )
    max_rows: int = Field(default=320, ge=1, description="Hypotheses that a step of one model extends at once.")
    max_units: int = Field(default=8_192, ge=1, description="Source units, padding included, in a model at once.")

    @field_validator("models", mode="before")
    @classmethod
    def _split_paths(cls, value: Any) -> Any:
        return [part for part in value.split(_PATH_SEPARATOR) if part] if isinstance(value, str) else value

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("pin", mode="before")
    @classmethod
    def _split_pins(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        pins = dict(part.partition("=")[::2] for part in value.split(",") if part.strip())
        if not all(name.strip() and version.strip().isdecimal() for name, version in pins.items()):
            raise ValueError("must look like en-fr=5,fr-en=5")
        return {name.strip(): int(version) for name, version in pins.items()}

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
            raise ValueError("must be auto, cpu, cuda or cuda:N")
        return value

    def limits(self) -> dict[str, float]:
        """The limits that clients should know, as `GET /v1/limits` publishes them."""
        return {name: getattr(self, name) for name in LIMITS}


LIMITS = (
    "max_body_bytes",
    "max_texts",
    "max_characters",
    "max_beam_size",
    "max_n_best",
    "max_prefix_characters",
    "max_alternatives",
    "max_attention_cells",
    "queue_size",
    "queue_units",
    "deadline_seconds",
)


def unknown_variables(environment: dict[str, str]) -> list[str]:
    """A warning for every `INTERLINEAR_` variable that is no setting, most likely a slip of the pen."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    warnings = []
    for name in sorted(environment):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), known, n=1)
            warnings.append(f"{name} is not a setting" + (f"; did you mean {near[0]}?" if near else ""))
    return warnings
