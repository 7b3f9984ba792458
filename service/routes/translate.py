"""The native API's two verbs: translate, and draw the attention."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nmt import __version__
from nmt.alignment import AttentionMatrix
from nmt.heatmap import to_csv, to_html, to_json, to_svg
from nmt.text import sentences
from service import answers
from service.errors import Problem
from service.incoming import JsonRoute, while_connected
from service.models import ServedModel
from service.schemas import Format, HeatmapRequest, TranslateAnswer, TranslateRequest
from service.settings import Settings
from service.state import Running, State

if TYPE_CHECKING:
    from nmt.translator import TranslatedHypothesis

router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["translate"])

_LARGE = 2_000
"""Characters from which an answer is put together off the event loop."""

_MEDIA_TYPES = {
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}

_FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@router.post("/translate", response_model=TranslateAnswer, summary="Translate texts")
async def translate(body: TranslateRequest, request: Request, running: Running) -> Response:
    """Translate texts, and show tokens, scores, alignment and attention where `return` asks for them."""
    settings = running.settings
    check_size(body.texts, settings, pointer="/texts")
    check_search(body.beam_size, body.n_best, settings)
    model = running.models.choose(body.source, body.target, body.model, body.version)
    if {"alignment", "attention"} & set(body.parts):
        check_attention(model, pointer="/return")
    answer = await while_connected(
        request,
        running.engine.translate(
            model, body.texts, beam_size=body.beam_size, n_best=body.n_best, deadline=request.state.deadline
        ),
    )

    def build() -> bytes:
        if "attention" in body.parts:
            answers.check_cells(answer.results, body.granularity, settings.max_attention_cells)
        return answers.to_json(
            answers.translate_answer(
                request.state.request_id, model, answer, parts=body.parts, granularity=body.granularity
            )
        )

    small = not body.parts and sum(map(len, body.texts)) < _LARGE
    return Response(build() if small else await asyncio.to_thread(build), media_type="application/json")


@router.post(
    "/heatmap",
    summary="Draw the attention of one sentence",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in _MEDIA_TYPES.values()}}},
)
async def heatmap(
    body: HeatmapRequest,
    request: Request,
    running: Running,
    format: Annotated[Format, Query(description="svg, html, csv or json.")] = "svg",
) -> Response:
    """The attention between a sentence and its translation, or between a given pair."""
    settings = running.settings
    check_size([body.text], settings, pointer="/text")
    check_size([body.translation or ""], settings, pointer="/translation")
    check_search(body.beam_size, 1, settings)
    model = running.models.choose(body.source, body.target, body.model, body.version)
    check_attention(model, pointer="/model")
    if not body.text.strip():
        raise Problem("empty_text", "The text is empty.", pointer="/text")
    scored = _given_pair(body, request, running, model) if body.translation is not None else None
    hypothesis, count = await while_connected(request, scored or _sentence(body, request, running, model))
    matrix = answers.matrix_of(hypothesis, body.granularity)
    if matrix.weights.size > settings.max_attention_cells:
        raise Problem(
            "attention_too_large",
            f"The figure has {matrix.weights.size} cells, but may have {settings.max_attention_cells}.",
            pointer="/text",
        )
    metadata = {
        "model": f"{model.name} {model.version}",
        "sha256": model.sha256,
        "direction": f"{model.source} to {model.target}",
        "sentence": f"{body.sentence + 1} of {count}",
        "score": f"{hypothesis.score:.4f}",
        "confidence": f"{hypothesis.confidence:.4f}",
        "granularity": body.granularity,
        "software": f"Interlinear {__version__}",
    }
    draw = functools.partial(_draw, matrix, format, metadata)
    return Response(
        await asyncio.to_thread(draw),
        media_type=_MEDIA_TYPES[format],
        headers={
            "content-security-policy": _FIGURE_POLICY,
            "content-disposition": f'inline; filename="attention.{format}"',
        },
    )


def check_size(texts: list[str], settings: Settings, *, pointer: str) -> None:
    """Raise `Problem` for too many texts or characters."""
    if len(texts) > settings.max_texts:
        raise Problem("too_many_texts", f"A request may hold {settings.max_texts} texts.", pointer=pointer)
    characters = sum(map(len, texts))
    if characters > settings.max_characters:
        raise Problem(
            "text_too_long",
            f"The request has {characters} characters, but may have {settings.max_characters}.",
            pointer=pointer,
        )


def check_search(beam_size: int, n_best: int, settings: Settings) -> None:
    """Raise `Problem` for a beam or a number of candidates that is not allowed."""
    if beam_size > settings.max_beam_size:
        raise Problem("beam_size_too_large", f"At most {settings.max_beam_size}.", pointer="/beam_size")
    if n_best > settings.max_n_best:
        raise Problem("n_best_too_large", f"At most {settings.max_n_best}.", pointer="/n_best")
    if n_best > beam_size:
        detail = f"n_best = {n_best} needs a beam at least as wide, but beam_size = {beam_size}."
        raise Problem("invalid_options", detail, pointer="/n_best")


def check_attention(model: ServedModel, *, pointer: str) -> None:
    """Raise `Problem` for a model that was built without attention."""
    if not model.translator.has_attention:
        detail = f"{model.name} reaches its source without attention, so there is none to show."
        raise Problem("no_attention", detail, pointer=pointer)


async def _given_pair(
    body: HeatmapRequest, request: Request, running: State, model: ServedModel
) -> tuple[TranslatedHypothesis, int]:
    translation = body.translation or ""
    if not translation.strip():
        raise Problem("empty_text", "The translation is empty; leave it out to have one made.", pointer="/translation")
    count = len(await asyncio.to_thread(sentences, body.text))
    if count > 1:
        raise Problem(
            "several_sentences",
            f"The text has {count} sentences; a given translation needs a text of one.",
            pointer="/text",
        )
    _check_sentence(body.sentence, count)
    answer = await running.engine.attend(model, body.text, translation, deadline=request.state.deadline)
    return answer.results[0], 1


async def _sentence(
    body: HeatmapRequest, request: Request, running: State, model: ServedModel
) -> tuple[TranslatedHypothesis, int]:
    answer = await running.engine.translate(
        model, [body.text], beam_size=body.beam_size, n_best=1, deadline=request.state.deadline
    )
    found = answer.results[0].sentences
    _check_sentence(body.sentence, len(found))
    return found[body.sentence].hypotheses[0], len(found)


def _check_sentence(index: int, count: int) -> None:
    if count == 0:
        raise Problem("empty_text", "The text has no sentence.", pointer="/text")
    if index >= count:
        raise Problem("no_such_sentence", f"The text has {count} sentences, counted from 0.", pointer="/sentence")


def _draw(matrix: AttentionMatrix, format: Format, metadata: dict[str, str]) -> str:
    title = f"Attention, {metadata['direction']}"
    if format == "svg":
        return to_svg(matrix, title=title, metadata=metadata)
    if format == "html":
        return to_html(matrix, title=title, metadata=metadata)
    if format == "csv":
        return to_csv(matrix)
    return to_json(matrix, title=title, metadata=metadata)
