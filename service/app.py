"""create_app: settings in, an ASGI application out."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from nmt import __version__
from nmt.errors import NmtError
from service import openapi
from service.bundles import Loader, load_translator
from service.engine import Engine
from service.errors import Problem, respond
from service.metrics import Metrics
from service.middleware import Envelope
from service.models import ModelStore
from service.routes import catalogue, docs, health, heatmap, libretranslate, study, translate
from service.settings import Settings
from service.state import State

logger = logging.getLogger("interlinear")

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings | None = None, *, load: Loader | None = None) -> FastAPI:
    """The application; models load in the background once it starts.

    Args:
        settings: Where they come from is the caller's business; by default the environment.
        load: Makes a translator from a bundle's folder; tests bring their own.
    """
    settings = settings or Settings()
    metrics = Metrics()
    app = FastAPI(
        title="Interlinear",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # it would hand bodies and exception messages to whatever collector the environment names
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.settings = settings
    app.state.metrics = metrics
    app.state.load = load or functools.partial(load_translator, compute=settings.compute)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    app.add_middleware(Envelope, metrics=metrics, deadline_seconds=settings.deadline_seconds)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    for kind in (Problem, NmtError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _answer_error)
    for routes in (translate, study, heatmap, catalogue, health, libretranslate, docs):
        app.include_router(routes.router)
    docs.mount_assets(app)
    app.add_api_route("/", page, include_in_schema=False)
    app.mount("/static", PageFiles(directory=STATIC), name="static")
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    metrics: Metrics = app.state.metrics
    models = ModelStore(
        settings.models,
        device=settings.device,
        pin=settings.pin,
        poll_seconds=settings.poll_seconds,
        load=app.state.load,
        on_change=metrics.models,
    )
    engine = Engine(
        queue_size=settings.queue_size,
        queue_units=settings.queue_units,
        max_rows=settings.max_rows,
        max_units=settings.max_units,
        threads=settings.threads,
        metrics=metrics,
    )
    app.state.running = State(settings, models, engine, metrics)
    engine.start()
    models.start()
    try:
        yield
    finally:
        engine.drain()
        models.stop()
        await asyncio.to_thread(engine.close)


async def _answer_error(request: Request, error: Exception) -> Response:
    return respond(request, error)


async def page() -> Response:
    """The page."""
    file = STATIC / "index.html"
    if not file.is_file():
        raise HTTPException(404)
    return FileResponse(file, headers={"cache-control": "no-cache"})


class PageFiles(StaticFiles):
    """The page's files; browsers ask each time whether they are still current."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """A file with its cache header."""
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response
