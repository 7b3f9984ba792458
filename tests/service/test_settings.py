"""Settings: from the environment, from flags, in one line each."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import Settings, unknown_variables


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "PORT": "9000",
        "MODELS": "here:var/there",
        "PIN": "en-fr=2, fr-en=10",
        "CORS_ORIGINS": "https://a.example, https://b.example",
        "DEVICE": "cuda:1",
        "HOST": "",
    }.items():
        monkeypatch.setenv(f"INTERLINEAR_{name}", value)
    settings = Settings()
    assert settings.port == 9000
    assert settings.models == (Path("here"), Path("var/there"))
    assert settings.pin == {"en-fr": 2, "fr-en": 10}
    assert settings.cors_origins == ("https://a.example", "https://b.example")
    assert settings.device == "cuda:1"
    assert settings.host == "127.0.0.1"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "no"),
        ("PIN", "en-fr"),
        ("PIN", "=1"),
        ("DEVICE", "gpu"),
        ("MAX_TEXTS", "0"),
        ("DEADLINE_SECONDS", "nan"),
    ],
)
def test_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"INTERLINEAR_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_a_slip_of_the_pen_is_noticed() -> None:
    assert unknown_variables({"INTERLINEAR_PORT": "1", "PATH": "x"}) == []
    assert unknown_variables({"INTERLINEAR_DEVCE": "cpu"}) == [
        "INTERLINEAR_DEVCE is not a setting; did you mean INTERLINEAR_DEVICE?"
    ]
