"""The OpenAPI document: FastAPI's own, with problem documents as the errors."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from service.answer_schemas import ProblemAnswer, SentenceEvent, StartEvent, TokenEvent
from service.errors import PROBLEMS

DESCRIPTION = (
    "A translation server that shows its attention. Every error of `/v1` is a problem document (RFC 9457) with a "
    'stable `code`; the endpoints of LibreTranslate answer `{"error": …}` instead. No error contains source text.'
)

_TITLES: dict[int, list[str]] = {}
for _code, (_status, _title) in PROBLEMS.items():
    _TITLES.setdefault(_status, []).append(f"`{_code}`: {_title}.")

_ENGINE = (400, 408, 413, 415, 422, 429, 500, 503, 504)
_VERBS = {
    "/v1/translate": _ENGINE,
    "/v1/translate/stream": _ENGINE,
    "/v1/score": _ENGINE,
    "/v1/alternatives": _ENGINE,
    "/v1/heatmap": _ENGINE,
    "/v1/models/{name}": (404,),
}
_LIBRETRANSLATE = (400, 408, 413, 429, 500, 503, 504)
_REFERENCE = "#/components/schemas/{model}"
_ERROR = {"type": "object", "required": ["error"], "properties": {"error": {"type": "string"}}}


def describe(app: FastAPI) -> dict[str, Any]:
    """The document; made once, since it never changes."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=app.openapi_tags
        )
        schemas = document["components"]["schemas"]
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        schemas["Problem"] = ProblemAnswer.model_json_schema(ref_template=_REFERENCE)
        for event in (StartEvent, TokenEvent, SentenceEvent):
            described = event.model_json_schema(ref_template=_REFERENCE)
            schemas |= described.pop("$defs", {}) | {event.__name__: described}
        for path, statuses in _VERBS.items():
            for operation in document["paths"][path].values():
                _set_errors(operation, {status: _problem(status) for status in statuses})
        errors = {status: _libretranslate(status) for status in _LIBRETRANSLATE}
        for path in ("/translate", "/detect"):
            _set_errors(document["paths"][path]["post"], errors)
        _set_errors(document["paths"]["/health"]["get"], {503: _libretranslate(503)})
        app.openapi_schema = document
    return app.openapi_schema


def _set_errors(operation: dict[str, Any], errors: dict[int, dict[str, Any]]) -> None:
    responses = {status: value for status, value in operation["responses"].items() if status.startswith("2")}
    operation["responses"] = responses | {str(status): value for status, value in errors.items()}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": " ".join(_TITLES[status]),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _libretranslate(status: int) -> dict[str, Any]:
    return {"description": " ".join(_TITLES[status]), "content": {"application/json": {"schema": _ERROR}}}
