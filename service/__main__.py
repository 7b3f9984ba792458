"""`python -m service`: the server on the command line."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError

from nmt import __version__
from nmt.errors import ConfigError
from service.app import create_app
from service.memory import keep_few_heaps
from service.protocol import LimitedProtocol
from service.settings import PREFIX, Settings, unknown_variables
from service.state import State

logger = logging.getLogger("interlinear")

_SWITCH_SECONDS = 1e-4
"""For which one thread keeps the interpreter while others want it: Python's 5 ms are as long as a step."""

_KEEP_ALIVE_SECONDS = 75
"""For which an idle connection stays open: longer than balancers keep theirs (60 is common), since a request that
meets the end of its connection is lost."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until stopped; returns the exit status."""
    options = vars(parser().parse_args(arguments))
    given = {name: value for name, value in options.items() if value is not None}
    try:
        settings = Settings(**given)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0])
            place = f"--{name}" if name in given else PREFIX + name.upper()
            print(f"{place}: {problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        return 2
    _configure_logging(settings.log_level)
    for warning in unknown_variables(dict(os.environ)):
        logger.warning(warning)
    if settings.device.startswith("cuda") and not _has_device(settings.device):
        return 2
    try:
        listener = listen(settings.host, settings.port)
    except OSError as error:
        print(
            f"Cannot listen on {settings.host}:{settings.port} ({error.strerror or error}); choose another address "
            f"with --host and --port or {PREFIX}HOST and {PREFIX}PORT.",
            file=sys.stderr,
        )
        return 1
    keep_few_heaps()
    sys.setswitchinterval(_SWITCH_SECONDS)
    app = create_app(settings)
    server = Server(configuration(app, settings))
    threading.Thread(target=_report, args=(server, settings, listener), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C again once it has stopped
        server.run(sockets=[listener])
    return 0 if server.started else 1


def configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves."""
    return uvicorn.Config(
        app,
        http=LimitedProtocol,
        log_config=None,
        access_log=False,  # it would write query strings
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.drain_seconds,
    )


class Server(uvicorn.Server):
    """uvicorn, which says that it is stopping before it does."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Turn new requests away, let the running ones end; a second signal ends at once."""
        running = self.running
        if running is not None:
            running.engine.drain()
        super().handle_exit(sig, frame)

    @property
    def running(self) -> State | None:
        """The application's state, once it has started."""
        app: Any = self.config.app
        return getattr(app.state, "running", None)


def parser() -> argparse.ArgumentParser:
    """The flags; each is also a setting."""
    parser = argparse.ArgumentParser(
        prog="python -m service",
        description="Serve translations and their attention.",
        epilog=f"Every flag is also a variable ({PREFIX}PORT=8080); docs/serving.md lists all settings.",
    )
    fields = Settings.model_fields
    for name, kind in (("host", str), ("port", int), ("models", str), ("device", str)):
        parser.add_argument(f"--{name}", type=kind, help=fields[name].description)
    parser.add_argument("--version", action="version", version=f"Interlinear {__version__}")
    return parser


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, bound before anything slow starts."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def _has_device(device: str) -> bool:
    """Whether there is such a GPU; says so if not, before anything else starts."""
    from nmt.device import resolve_device  # imports PyTorch, which takes seconds

    try:
        resolve_device(device)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return False
    return True


def _report(server: Server, settings: Settings, listener: socket.socket) -> None:
    """Say where the server is and what it serves, once that is known."""
    wait = threading.Event()
    while not (server.started and server.running and server.running.models.settled):
        if server.should_exit or wait.wait(0.1):
            return
    port = listener.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host else host
    lines = [f"Interlinear {__version__} at http://{host}:{port}/ (API: /docs)"]
    served = server.running.models.served
    lines += [f"  {model.name} {model.version}: {model.source} to {model.target} on {model.device}" for model in served]
    if not served:
        folders = ", ".join(str(folder) for folder in settings.models)
        lines.append(f"  no model can be served from {folders}; docs/training.md says how to make one")
    print("\n".join(lines), flush=True)


def _configure_logging(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


if __name__ == "__main__":
    sys.exit(main())
