"""Draw the attention, or the links, of one sentence."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nmt import __version__
from nmt.heatmap import to_csv, to_html, to_json, to_svg
from service import answers, work
from service.errors import Problem
from service.incoming import JsonRoute, while_connected
from service.models import ServedModel
from service.routes.checks import (
    check_attention,
    check_one_sentence,
    check_prefix,
    check_search,
    check_size,
    check_text,
    search_options,
)
from service.schemas import Format, HeatmapRequest
from service.state import Running, State

if TYPE_CHECKING:
    from nmt.translation import TranslatedHypothesis

router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["translate"])

_MEDIA_TYPES = {
    "svg": "image/svg+xml",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
}

_FIGURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@router.post(
    "/heatmap",
    summary="Draw the attention or the links of one sentence",
    response_class=Response,
    responses={200: {"content": {kind.partition(";")[0]: {} for kind in _MEDIA_TYPES.values()}}},
)
async def heatmap(
    body: HeatmapRequest,
    request: Request,
    running: Running,
    format: Annotated[Format, Query(description="svg, html, csv or json.")] = "svg",
) -> Response:
    """The attention, or the links, between a sentence and its translation, or between a given pair."""
    settings = running.settings
    check_size([body.text], settings, pointer="/text")
    check_size([body.translation or ""], settings, pointer="/translation")
    check_prefix(body.target_prefix, settings)
    check_search(body, settings)
    model = running.models.choose(body.source, body.target, body.model, body.version)
    if body.show == "attention" or not model.translator.has_aligner:
        check_attention(model, pointer="/model")
    check_text(body.text)
    find = _sentence if body.translation is None else _given_pair
    hypothesis, count = await while_connected(request, find(body, request, running, model))

    def draw() -> str:
        cells = answers.matrix_of(hypothesis, body.granularity).weights.size
        answers.check_cells(cells, settings.max_attention_cells, one_sentence=True)
        metadata = {
            "model": f"{model.name} {model.version}",
            "sha256": model.sha256,
            "direction": f"{model.source} to {model.target}",
            "shows": "attention" if body.show == "attention" else f"links by {hypothesis.alignment_by}",
            "sentence": f"{body.sentence + 1} of {count}",
            "score": f"{hypothesis.score:.4f}",
            "confidence": f"{hypothesis.confidence:.4f}",
            "granularity": body.granularity,
            "software": f"Interlinear {__version__}",
        }
        return _draw(hypothesis, body, format, metadata)

    return Response(
        await asyncio.to_thread(draw),
        media_type=_MEDIA_TYPES[format],
        headers={
            "content-security-policy": _FIGURE_POLICY,
            "content-disposition": f'inline; filename="{body.show}.{format}"',
        },
    )


async def _given_pair(
    body: HeatmapRequest, request: Request, running: State, model: ServedModel
) -> tuple[TranslatedHypothesis, int]:
    assert body.translation is not None
    if not body.translation.strip():
        raise Problem("empty_text", "The translation is empty; leave it out to have one made.", pointer="/translation")
    if body.target_prefix is not None:
        raise Problem("invalid_options", "A given translation needs no prefix.", pointer="/target_prefix")
    count = await check_one_sentence(body.text)
    _check_sentence(body.sentence, count)
    answer = await work.score(running.engine, model, body.text, body.translation, deadline=request.state.deadline)
    return answer.result[0], 1


async def _sentence(
    body: HeatmapRequest, request: Request, running: State, model: ServedModel
) -> tuple[TranslatedHypothesis, int]:
    answer = await work.translate(
        running.engine,
        model,
        [body.text],
        options=search_options(body, running.settings),
        target_prefix=body.target_prefix,
        deadline=request.state.deadline,
    )
    found = answer.result[0].sentences
    _check_sentence(body.sentence, len(found))
    return found[body.sentence].hypotheses[0], len(found)


def _check_sentence(index: int, count: int) -> None:
    if count == 0:
        raise Problem("empty_text", "The text has no sentence.", pointer="/text")
    if index >= count:
        raise Problem("no_such_sentence", f"The text has {count} sentences, counted from 0.", pointer="/sentence")


def _draw(hypothesis: TranslatedHypothesis, body: HeatmapRequest, format: Format, metadata: dict[str, str]) -> str:
    if body.show == "links":
        matrix = hypothesis.link_matrix(body.granularity)
    else:
        matrix = answers.matrix_of(hypothesis, body.granularity)
    title = f"{body.show.capitalize()}, {metadata['direction']}"
    if format == "svg":
        return to_svg(matrix, title=title, metadata=metadata, show=body.show)
    if format == "html":
        return to_html(matrix, title=title, metadata=metadata, show=body.show)
    if format == "csv":
        return to_csv(matrix)
    return to_json(matrix, title=title, metadata=metadata, show=body.show)
