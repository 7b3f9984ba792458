"""LibreTranslate's endpoints, so that its clients work unchanged.

Shapes follow https://docs.libretranslate.com: JSON or a form, `q` a string or a list, unknown
fields (`api_key`) are left alone, errors are `{"error": …}`. Languages are not detected: with
`"source": "auto"` the language is taken that alone can be translated into the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nmt.options import SearchOptions
from nmt.text import replace_surrogates, restore
from service import work
from service.answers import to_json
from service.errors import Problem
from service.incoming import FormRoute, LimitedRequest, is_json, while_connected
from service.languages import language_name
from service.models import ModelStore
from service.routes.checks import check_size
from service.state import Running

if TYPE_CHECKING:
    from nmt.translation import Translation

router = APIRouter(route_class=FormRoute, tags=["LibreTranslate"])

_FIELDS = ("q", "source", "target", "format", "alternatives")
_BEAM_SIZE = 5

_SCHEMA = {
    "type": "object",
    "required": ["q", "source", "target"],
    "properties": {
        "q": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
        "source": {"type": "string", "examples": ["en", "auto"]},
        "target": {"type": "string", "examples": ["fr"]},
        "format": {"type": "string", "enum": ["text"], "default": "text"},
        "alternatives": {"type": "integer", "minimum": 0, "default": 0},
        "api_key": {"type": "string", "description": "Not needed; ignored."},
    },
}


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
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _SCHEMA},
                "application/x-www-form-urlencoded": {"schema": _SCHEMA},
                "multipart/form-data": {"schema": _SCHEMA},
            },
        }
    },
    responses={200: {"content": {"application/json": {}}}},
)
async def translate(request: Request, running: Running) -> Response:
    """Translate a text or a list of texts; for clients of LibreTranslate."""
    assert isinstance(request, LimitedRequest)  # FormRoute sees to it
    call = _check(await _read(request))
    source = _detect(running.models, call.target) if call.source == "auto" else call.source
    check_size(call.texts, running.settings, pointer="/q")
    n_best = call.alternatives + 1
    most = min(running.settings.max_n_best, running.settings.max_beam_size)
    if n_best > most:
        raise Problem("n_best_too_large", f"Invalid request: at most {most - 1} alternatives")
    beam_size = min(max(_BEAM_SIZE, n_best), running.settings.max_beam_size)
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
    return Response(to_json(_answer(call, answer.result, model.source)), media_type="application/json")


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
    texts, source, target = (fields.get(name) for name in ("q", "source", "target"))
    for name, value in (("q", texts), ("source", source), ("target", target)):
        if not value:
            raise Problem("invalid_request", f"Invalid request: missing {name} parameter")
    single = isinstance(texts, str)
    listed = [texts] if single else texts
    if not isinstance(listed, list) or not all(isinstance(text, str) for text in listed):
        raise Problem("invalid_request", "Invalid request: q must be a string or a list of strings")
    if not isinstance(source, str) or not isinstance(target, str):
        raise Problem("invalid_request", "Invalid request: source and target must be strings")
    if fields.get("format") not in (None, "", "text"):
        raise Problem("unsupported_format", "Invalid request: only the text format is supported")
    return _Call([replace_surrogates(text) for text in listed], single, source, target, _alternatives(fields))


def _alternatives(fields: dict[str, Any]) -> int:
    value = fields.get("alternatives") or 0
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Problem("invalid_request", "Invalid request: alternatives must be a whole number, 0 or more")
    return value


def _detect(models: ModelStore, target: str) -> str:
    """The only language that is translated into `target`."""
    sources = sorted({model.source for model in models.served if model.target.casefold() == target.casefold()})
    if len(sources) != 1:
        if not models.settled:
            raise Problem("loading", "Models are still loading; ask again.", headers={"Retry-After": "2"})
        reason = f"name one of {', '.join(sources)}" if sources else "no model translates into the target"
        raise Problem("unsupported_direction", f"The source language is not detected: {reason}")
    return sources[0]


def _answer(call: _Call, results: list[Translation], source: str) -> dict[str, Any]:
    texts = [result.text for result in results]
    answer: dict[str, Any] = {"translatedText": texts[0] if call.single else texts}
    if call.source == "auto":
        # nothing was detected, so there is no confidence in it
        detected = [{"confidence": 0.0, "language": source} for _ in texts]
        answer["detectedLanguage"] = detected[0] if call.single else detected
    if call.alternatives:
        pairs = zip(call.texts, results, strict=True)
        alternatives = [_alternative_texts(text, result, call.alternatives) for text, result in pairs]
        answer["alternatives"] = alternatives[0] if call.single else alternatives
    return answer


def _alternative_texts(text: str, result: Translation, count: int) -> list[str]:
    """Up to `count` other translations: the n-th joins the n-th best candidates of all sentences."""
    spans = [sentence.source_span for sentence in result.sentences]
    found = [result.text]
    for rank in range(1, count + 1):
        candidates = [sentence.hypotheses[min(rank, len(sentence.hypotheses) - 1)] for sentence in result.sentences]
        other, _ = restore(text, spans, [candidate.text for candidate in candidates])
        if other not in found:
            found.append(other)
    return found[1:]
