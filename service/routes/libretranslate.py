"""LibreTranslate's endpoints, so that its clients work unchanged.

Shapes follow https://docs.libretranslate.com: JSON or a form, `q` a string or a list, unknown
fields (`api_key`) are left alone, errors are `{"error": …}`, confidence in a language is in percent.
Text alone is translated: no HTML, no files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nmt.options import SearchOptions
from nmt.text import replace_surrogates
from service import work
from service.answers import to_json
from service.detection import detect
from service.errors import Problem
from service.incoming import FormRoute, LimitedRequest, is_json, while_connected
from service.languages import language_name
from service.models import ModelStore
from service.routes.checks import check_size
from service.routes.health import status
from service.state import Running

if TYPE_CHECKING:
    from nmt.translation import Translation

router = APIRouter(route_class=FormRoute, tags=["LibreTranslate"])

_FIELDS = ("q", "source", "target", "format", "alternatives")
_BEAM_SIZE = 5

_PAUSE = 500
"""Milliseconds after the last key that LibreTranslate's own page waits before it asks."""

_Q = {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_KEY = {"type": "string", "description": "Not needed; ignored."}
_SCHEMA = {
    "type": "object",
    "required": ["q", "source", "target"],
    "properties": {
        "q": _Q,
        "source": {"type": "string", "examples": ["en", "auto"]},
        "target": {"type": "string", "examples": ["fr"]},
        "format": {"type": "string", "enum": ["text"], "default": "text"},
        "alternatives": {"type": "integer", "minimum": 0, "default": 0},
        "api_key": _KEY,
    },
}
_DETECT_SCHEMA = {"type": "object", "required": ["q"], "properties": {"q": _Q, "api_key": _KEY}}


def _documented(schema: dict[str, Any]) -> dict[str, Any]:
    """What OpenAPI says of a route that reads its own body."""
    kinds = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}}


@dataclass(frozen=True, slots=True)
class _Call:
    """A checked request; `single` if `q` was a string."""

    texts: list[str]
    single: bool
    source: str
    target: str
    alternatives: int


@router.post(
    "/translate",
    summary="Translate, as LibreTranslate does",
    response_class=Response,
    openapi_extra=_documented(_SCHEMA),
    responses={200: {"content": {"application/json": {}}}},
)
async def translate(request: Request, running: Running) -> Response:
    """Translate a text or a list of texts; for clients of LibreTranslate."""
    assert isinstance(request, LimitedRequest)  # FormRoute sees to it
    call = _check(await _read(request))
    check_size(call.texts, running.settings, pointer="/q")
    source, confidence = call.source, 0.0
    if source == "auto":
        source, confidence = await _source(running.models, call)
    n_best = call.alternatives + 1
    most = min(running.settings.max_n_best, running.settings.max_beam_size)
    if n_best > most:
        raise Problem("n_best_too_large", f"Invalid request: at most {most - 1} alternatives")
    beam_size = min(max(_BEAM_SIZE, n_best), running.settings.max_beam_size)
    if call.source == "auto" and source.casefold() == call.target.casefold():
        return _respond(call, call.texts, [[] for _ in call.texts], source, confidence)
    model = running.models.choose(source, call.target)
    answer = await while_connected(
        request,
        work.translate(
            running.engine,
            model,
            call.texts,
            options=SearchOptions(beam_size=beam_size, n_best=n_best),
            deadline=request.state.deadline,
        ),
    )
    results: list[Translation] = answer.result
    others = [_alternative_texts(result, call.alternatives) for result in results]
    return _respond(call, [result.text for result in results], others, model.source, confidence)


@router.post(
    "/detect",
    summary="Detect the language, as LibreTranslate does",
    response_class=Response,
    openapi_extra=_documented(_DETECT_SCHEMA),
    responses={200: {"content": {"application/json": {}}}},
)
async def detect_language(request: Request, running: Running) -> Response:
    """Which of the served languages a text is in (texts: all of them together), with percentages, likeliest first."""
    assert isinstance(request, LimitedRequest)  # FormRoute sees to it
    texts = _texts(await _read(request))
    check_size(texts, running.settings, pointer="/q")
    ranked = await detect("\n".join(texts), _languages(running.models))
    if not ranked:
        raise Problem("unsupported_direction", "None of the languages that are served can be detected.")
    found = [_detected(language, probability) for language, probability in ranked]
    return Response(to_json(found), media_type="application/json")


@router.get("/frontend/settings", summary="Settings, as LibreTranslate tells its clients")
async def frontend_settings(running: Running) -> dict[str, Any]:
    """What this server can do, in LibreTranslate's words."""
    targets = [model.target for model in running.models.served]
    target = targets[0] if targets else "en"
    return {
        "apiKeys": False,
        "charLimit": running.settings.max_characters,
        "filesTranslation": False,
        "frontendTimeout": _PAUSE,
        "keyRequired": False,
        "language": {
            "source": {"code": "auto", "name": "Auto Detect"},
            "target": {"code": target, "name": language_name(target)},
        },
        "suggestions": False,
        "supportedFilesFormat": [],
    }


@router.get("/health", summary="Can it take requests, as LibreTranslate says it")
async def health(running: Running) -> dict[str, str]:
    """`ok` where `/readyz` says `ready`; 503 otherwise."""
    found = status(running)
    if found != "ready":
        raise Problem("draining" if found == "draining" else "loading", f"Not ready: {found}.")
    return {"status": "ok"}


@router.get("/languages", summary="Languages, as LibreTranslate lists them")
async def languages(running: Running) -> list[dict[str, Any]]:
    """Every language, with the languages it can be translated into."""
    targets: dict[str, set[str]] = {}
    for model in running.models.served:
        targets.setdefault(model.source, set()).add(model.target)
        targets.setdefault(model.target, set())
    return [
        {"code": code, "name": language_name(code), "targets": sorted(found)} for code, found in sorted(targets.items())
    ]


async def _read(request: LimitedRequest) -> dict[str, Any]:
    """The fields of a JSON body or a form."""
    request.check_encoding()
    if is_json(request.kind()):
        document = await request.json()
        if not isinstance(document, dict):
            raise Problem("invalid_request", "The body must be a JSON object.")
        return document
    if request.kind() not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        raise Problem("unsupported_media_type", "Send JSON or a form.")
    async with request.form(max_files=0, max_fields=1000, max_part_size=request.settings.max_body_bytes) as form:
        fields: dict[str, Any] = {name: form[name] for name in _FIELDS if name in form}
        texts = form.getlist("q")
    if len(texts) > 1:
        fields["q"] = list(texts)
    return fields


def _check(fields: dict[str, Any]) -> _Call:
    """LibreTranslate's own checks, in its own words."""
    texts = _texts(fields)
    source, target = fields.get("source"), fields.get("target")
    for name, value in (("source", source), ("target", target)):
        if not value:
            raise Problem("invalid_request", f"Invalid request: missing {name} parameter")
    if not isinstance(source, str) or not isinstance(target, str):
        raise Problem("invalid_request", "Invalid request: source and target must be strings")
    if fields.get("format") not in (None, "", "text"):
        raise Problem("unsupported_format", "Invalid request: only the text format is supported")
    return _Call(texts, isinstance(fields["q"], str), source, target, _alternatives(fields))


def _texts(fields: dict[str, Any]) -> list[str]:
    texts = fields.get("q")
    if not texts:
        raise Problem("invalid_request", "Invalid request: missing q parameter")
    listed = [texts] if isinstance(texts, str) else texts
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise Problem("invalid_request", "Invalid request: q must be a string or a list of strings")
    return [replace_surrogates(text) for text in listed]


def _alternatives(fields: dict[str, Any]) -> int:
    value = fields.get("alternatives") or 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Problem("invalid_request", "Invalid request: alternatives must be a whole number, 0 or more")
    return value


def _languages(models: ModelStore) -> set[str]:
    """All that are served, on either side.

    Raises:
        Problem: Not all models are loaded yet.
    """
    if not models.settled:
        raise Problem("loading", "Models are still loading; ask again.", headers={"Retry-After": "2"})
    return {language for model in models.served for language in (model.source, model.target)}


async def _source(models: ModelStore, call: _Call) -> tuple[str, float]:
    """The language of the texts, or the target if they are in it already, and its probability.

    Raises:
        Problem: They are in a language that is not translated into the target.
    """
    target = call.target.casefold()
    languages = _languages(models)
    sources = {model.source for model in models.served if model.target.casefold() == target}
    if not sources:
        raise Problem("unsupported_direction", "No model translates into the target; see /languages.")
    ranked = await detect("\n".join(call.texts), languages)
    if not ranked and len(sources) == 1:
        return sources.pop(), 0.0  # nothing to choose from
    # of languages that are as likely, one that can be translated
    fit = {language for language in languages if language in sources or language.casefold() == target}
    language, probability = max(ranked, key=lambda found: (found[1], found[0] in fit), default=("", 0.0))
    if language not in fit:
        looks = f"The text looks like {language_name(language)}" if language else "The language is not known"
        listed = ", ".join(sorted(sources))
        raise Problem("unsupported_direction", f"{looks}; into the target these are translated: {listed}")
    return language, probability


def _detected(language: str, probability: float) -> dict[str, Any]:
    return {"confidence": round(100 * probability, 1), "language": language}


def _respond(call: _Call, texts: list[str], others: list[list[str]], source: str, confidence: float) -> Response:
    answer: dict[str, Any] = {"translatedText": texts[0] if call.single else texts}
    if call.source == "auto":
        detected = [_detected(source, confidence) for _ in texts]
        answer["detectedLanguage"] = detected[0] if call.single else detected
    if call.alternatives:
        answer["alternatives"] = others[0] if call.single else others
    return Response(to_json(answer), media_type="application/json")


def _alternative_texts(result: Translation, count: int) -> list[str]:
    """Up to `count` other translations: the n-th joins the n-th best candidates of all sentences."""
    found = [result.text]
    for rank in range(1, count + 1):
        pieces, at = [], 0
        for sentence in result.sentences:
            start, end = sentence.target_span
            candidate = sentence.hypotheses[min(rank, len(sentence.hypotheses) - 1)]
            pieces += [result.text[at:start], candidate.text]
            at = end
        other = "".join(pieces) + result.text[at:]
        if other not in found:
            found.append(other)
    return found[1:]
