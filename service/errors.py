"""Everything that can go wrong with a request, and the one table from problem to status.

Answers follow RFC 9457 (`application/problem+json`); LibreTranslate's endpoints answer `{"error": …}`.
No message contains source text: a client's values are never echoed, pydantic's `input` included.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from nmt.errors import BundleError, ConfigError, InputError, InputTooLong, SeveralSentences

PROBLEMS: dict[str, tuple[int, str]] = {
    "invalid_json": (400, "The body is not JSON"),
    "invalid_form": (400, "The body is not a form"),
    "not_found": (404, "There is nothing here"),
    "model_not_found": (404, "There is no such model"),
    "method_not_allowed": (405, "This address does not take this method"),
    "body_timeout": (408, "The body took too long to arrive"),
    "body_too_large": (413, "The body is too large"),
    "too_many_texts": (413, "Too many texts"),
    "text_too_long": (413, "Too much text"),
    "unsupported_media_type": (415, "The body is of a kind that is not understood"),
    "invalid_request": (422, "The request does not have the right form"),
    "invalid_options": (422, "These options do not go together"),
    "invalid_text": (422, "This text cannot be taken as it is"),
    "unsupported_direction": (422, "No model translates in this direction"),
    "unknown_model": (422, "There is no such model"),
    "unknown_version": (422, "This version of the model is not served"),
    "unsupported_format": (422, "There is no such format"),
    "beam_size_too_large": (422, "The beam is too wide"),
    "n_best_too_large": (422, "Too many candidates asked for"),
    "too_many_alternatives": (422, "Too many words asked for"),
    "attention_too_large": (422, "The attention is too large to send"),
    "no_attention": (422, "This model has no attention"),
    "empty_text": (422, "There is no text"),
    "several_sentences": (422, "One sentence is needed"),
    "no_such_sentence": (422, "There is no such sentence"),
    "queue_full": (429, "Too many requests are waiting"),
    "client_closed_request": (499, "The client left"),
    "internal_error": (500, "Something went wrong here"),
    "loading": (503, "Models are still loading"),
    "draining": (503, "The server is stopping"),
    "deadline_exceeded": (504, "The deadline has passed"),
}
"""Stable code -> status and title. Documented in docs/serving.md."""

LIBRETRANSLATE_PATHS = ("/translate", "/languages", "/detect", "/frontend/settings", "/health")

_MOST_ERRORS = 20
"""Of one request that are told: who sends 100,000 wrong texts need not read of each."""

_FIELD_NAMES = [
    *("texts", "source", "target", "model", "version", "n_best", "beam_size", "return", "granularity"),
    *("text", "translation", "sentence", "target_prefix", "count", "length_penalty", "coverage_penalty"),
    *("no_repeat_ngram_size", "sampling", "temperature", "top_k", "top_p", "seed"),
]

_WORDS = {
    "missing": "This field is needed",
    "model_attributes_type": "The body must be a JSON object",
    "too_short": "At least one is needed",
    "int_type": "This must be a whole number",
    "string_type": "This must be a string",
    "list_type": "This must be a list",
}


class Problem(Exception):
    """A request that ends without a result; `detail` is fit to be shown and holds no source text.

    Attributes:
        code: A key of `PROBLEMS`.
        pointer: JSON pointer (RFC 6901) to the offending part of the body, if one part is to blame.
        extra: More members of the answer, e.g. the directions that are served.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        pointer: str | None = None,
        headers: dict[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status, self.title = PROBLEMS[code]
        self.detail = detail
        self.pointer = pointer
        self.headers = headers or {}
        self.extra = extra

    def to_dict(self, request_id: str) -> dict[str, Any]:
        """The members of the problem document."""
        document: dict[str, Any] = {
            "type": f"urn:interlinear:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id,
        }
        if self.pointer is not None:
            document["pointer"] = self.pointer
        return document | self.extra


def problem_from(error: Exception) -> Problem:
    """The table from error to problem. What is not in it is an `internal_error` without details."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, InputTooLong):
        return Problem("text_too_long", str(error))
    if isinstance(error, SeveralSentences):
        return Problem("several_sentences", str(error), pointer="/target_prefix")
    if isinstance(error, InputError):
        return Problem("invalid_text", str(error))
    if isinstance(error, ConfigError):
        return Problem("invalid_options", str(error))
    if isinstance(error, BundleError):
        return Problem("internal_error", "The model cannot be used; the server's log says why.")
    if isinstance(error, RequestValidationError | ValidationError):
        return problem_from_validation(list(error.errors()))
    if isinstance(error, HTTPException):
        return _problem_from_http(error)
    return Problem("internal_error", "Nothing is wrong with the request; the server's log has the request id.")


def _problem_from_http(error: HTTPException) -> Problem:
    headers = dict(error.headers or {})
    if error.status_code == 404:
        return Problem("not_found", "Nothing is served at this address; /docs lists the addresses.")
    if error.status_code == 405:
        allowed = headers.get("Allow") or headers.get("allow") or "another method"
        return Problem("method_not_allowed", f"Use {allowed} here.", headers=headers)
    if error.status_code == 413:
        return Problem("body_too_large", "The body is larger than max_body_bytes, see /v1/limits.")
    if error.status_code == 400:
        return Problem("invalid_form", "The body cannot be read.")
    problem = Problem("internal_error" if error.status_code >= 500 else "invalid_request", "The request failed.")
    problem.status = error.status_code
    return problem


def problem_from_validation(errors: list[ErrorDetails]) -> Problem:
    """One problem for what pydantic found, the first of it: messages and places, never the values."""
    missing = [str(error["loc"][-1]) for error in errors if error["type"] == "missing"]
    errors = errors[:_MOST_ERRORS]
    places = [_place(error, missing or _FIELD_NAMES) for error in errors]
    first = places[0]
    extra: dict[str, Any] = {"errors": places}
    if first.get("parameter") == "format":
        return Problem("unsupported_format", first["detail"], **extra)
    where = first.get("pointer", first.get("parameter", ""))
    detail = f"{where}: {first['detail']}" if where else first["detail"]
    return Problem("invalid_request", detail, pointer=first.get("pointer"), **extra)


def _place(error: ErrorDetails, names: list[str]) -> dict[str, str]:
    location = list(error["loc"])
    detail = _WORDS.get(error["type"], error["msg"])
    if location[:1] in (["query"], ["path"]):
        return {"detail": detail, "parameter": str(location[-1])}
    if location[:1] == ["body"]:
        location = location[1:]
    if error["type"] == "extra_forbidden":
        name = str(location[-1])
        near = get_close_matches(name, names, n=1) if len(name) <= 40 else []
        detail = "This field is not known" + (f"; did you mean {near[0]!r}?" if near else "")
        if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,40}", name):
            location = location[:-1]  # a name that long or odd may well be text
    return {"detail": detail, "pointer": pointer(*location)}


def pointer(*parts: str | int) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def respond(request: Request, error: Exception) -> Response:
    """The answer for `error`, in the shape that the address calls for."""
    problem = problem_from(error)
    if problem.code == "method_not_allowed" and request.method == "OPTIONS":
        return Response(status_code=204, headers=problem.headers)
    if request.scope["path"] in LIBRETRANSLATE_PATHS:
        status = 400 if problem.status in (415, 422) else problem.status
        return JSONResponse({"error": problem.detail}, status, headers=problem.headers)
    document = problem.to_dict(request.state.request_id)
    return JSONResponse(document, problem.status, headers=problem.headers, media_type="application/problem+json")
