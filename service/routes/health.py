"""Liveness, readiness, metrics."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse, Response

from service.answer_schemas import StatusAnswer
from service.state import Running, State

router = APIRouter(tags=["health"])


@router.get(
    "/livez", response_model=StatusAnswer, summary="Is the process sound?", responses={500: {"model": StatusAnswer}}
)
async def livez(running: Running) -> Response:
    """200 while the event loop turns and the engine's thread lives."""
    alive = running.engine.alive
    return JSONResponse({"status": "ok" if alive else "engine stopped"}, 200 if alive else 500)


@router.get(
    "/readyz", response_model=StatusAnswer, summary="Can it take requests?", responses={503: {"model": StatusAnswer}}
)
async def readyz(running: Running) -> Response:
    """200 once every model found at the start has been tried and one is served; 503 before, and when stopping."""
    found = status(running)
    return JSONResponse({"status": found}, 200 if found == "ready" else 503)


def status(running: State) -> str:
    """`ready`, or why it cannot take requests: `loading`, `no model`, `draining`."""
    if running.engine.draining:
        return "draining"
    if not running.models.settled:
        return "loading"
    return "ready" if running.models.served else "no model"


@router.get("/metrics", response_class=Response, summary="Prometheus metrics")
async def metrics(running: Running) -> Response:
    """Counters and histograms in the text format of Prometheus."""
    return Response(running.metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})
