"""What the handlers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from service.engine import Engine
from service.metrics import Metrics
from service.models import ModelStore
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class State:
    """One running server."""

    settings: Settings
    models: ModelStore
    engine: Engine
    metrics: Metrics


async def state_of(request: Request) -> State:
    """The state that the lifespan put on the app; async, since FastAPI sends a plain function to a thread."""
    state: State = request.app.state.running
    return state


Running = Annotated[State, Depends(state_of)]
