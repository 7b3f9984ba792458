"""What this server can do: languages, models, limits."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter

from service.answer_schemas import LanguagesAnswer, LimitsAnswer, ModelAnswer, ModelsAnswer
from service.errors import Problem
from service.languages import language_name
from service.models import ServedModel
from service.state import Running

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/languages", response_model=LanguagesAnswer, summary="Languages and directions")
async def languages(running: Running) -> dict[str, Any]:
    """Every language that a model reads or writes, and every direction with its default model."""
    served = running.models.served
    codes = sorted({code for model in served for code in (model.source, model.target)})
    pairs = sorted({(model.source, model.target) for model in served})
    defaults = [default for pair in pairs if (default := _default(running.models.serving(*pair))) is not None]
    return {
        "languages": [{"code": code, "name": language_name(code)} for code in codes],
        "directions": [
            {"source": model.source, "target": model.target, "model": model.name, "version": model.version}
            for model in defaults
        ],
    }


def _default(models: list[ServedModel]) -> ServedModel | None:
    return models[0] if models else None  # a model may go between two looks


@router.get("/models", response_model=ModelsAnswer, summary="Models and their versions")
async def models(running: Running) -> dict[str, Any]:
    """All models of all folders; one that cannot be served says why."""
    entries = [running.models.describe(name) for name in running.models.names()]
    return {"models": [entry for entry in entries if entry is not None]}


@router.get("/models/{name}", response_model=ModelAnswer, summary="A model and its card")
async def model(name: str, running: Running) -> dict[str, Any]:
    """One model, with the card and the configuration of the version that is served."""
    entry = running.models.describe(name)
    if entry is None:
        raise Problem("model_not_found", "No model has this name; /v1/models lists them.")
    for served in running.models.served:
        if served.name == name:
            bundle = served.translator.bundle
            entry |= {"card": bundle.card, "config": asdict(bundle.config)}
    return entry


@router.get("/limits", response_model=LimitsAnswer, summary="Limits of a request")
async def limits(running: Running) -> dict[str, float]:
    """The limits that this server enforces; each is one of its settings."""
    return running.settings.limits()
