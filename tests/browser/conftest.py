"""A server over a fake translator, and a browser that reports whatever a page must not do.

Without Chromium these tests are skipped, and the summary says so; where `CI=true` they fail.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.conftest import CI

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE = 20_000
"""Milliseconds until a page that does not do what it should is given up; a busy machine is slow."""

QUESTION = "How are you today?"
ANSWER = "Comment vas tu aujourd'hui ?"
STREAM = "**/v1/translate/stream"
"""Where the page asks for translations."""

Open = Callable[..., "Page"]


def chromium() -> str | None:
    """Path of the browser: `CHROMIUM`, or one of the usual names."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def missing() -> str | None:
    """What is missing to run these tests, or None."""
    if find_spec("playwright") is None:
        return "the package playwright is not installed"
    return None if chromium() else "there is no Chromium on the PATH (CHROMIUM may name one)"


# Elsewhere than in CI the files cannot even be read without the package.
collect_ignore_glob = ["test_*.py"] if find_spec("playwright") is None and not CI else []


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "browser: needs Chromium")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say loudly that the page was not tested."""
    if reason := missing():
        terminalreporter.section("BROWSER TESTS DID NOT RUN", sep="!", red=True)
        terminalreporter.line(f"The page was not tested: {reason}.")


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests; it ends with them, since it keeps an event loop in this thread."""
    if reason := missing():
        message = f"the page was not tested: {reason}"
        if CI:
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def loader() -> Any:
    """What loads the server's models, and keeps them."""
    from tests.browser.fake import Loader

    return Loader()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory, loader: Any) -> Iterator[str]:
    """Address of the real application with fake translators for en-fr (two of them), fr-en and en-zh."""
    import uvicorn

    from service.app import create_app
    from service.settings import Settings
    from tests.browser.fake import write_bundle

    folder = tmp_path_factory.mktemp("models")
    for name in ("en-fr", "en-fr-quiet", "fr-en", "en-zh"):
        write_bundle(folder, name)
    app = create_app(Settings(models=(folder,), max_characters=2000, max_attention_cells=12_000), load=loader)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        end = time.monotonic() + 20
        while not (server.started and app.state.running.models.settled):
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


class Faults:
    """What a page did that it must not do."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.found: list[str] = []
        self.expected: tuple[str, ...] = ()

    def expect(self, *parts: str) -> None:
        """Let pass what contains any of `parts`."""
        self.expected += parts

    def watch(self, page: Page) -> None:
        """Note console errors, failed scripts and requests to other origins from now on."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(str(error)))
        page.on("request", lambda request: self._request(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.found.append(message.text)

    def _request(self, url: str) -> None:
        if not url.startswith((self.origin + "/", f"blob:{self.origin}/")):
            self.found.append(f"request to another origin: {url}")

    def unexpected(self) -> list[str]:
        """Faults that no test asked for."""
        return [fault for fault in self.found if not any(part in fault for part in self.expected)]


@pytest.fixture
def faults(server: str) -> Faults:
    """The faults of this test's pages."""
    return Faults(server)


@pytest.fixture
def open_page(browser: Browser, server: str, faults: Faults) -> Iterator[Open]:
    """`open_page(text)` opens a link with a text; keyword arguments go to the browser context."""
    contexts: list[BrowserContext] = []

    def start(
        text: str | None = None, *, source: str = "en", target: str = "fr", go: bool = True, **options: Any
    ) -> Page:
        options = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | options
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        faults.watch(page)
        if go:
            page.goto(server + "/" + link(text, source, target))
        if go and text and text.strip():
            page.wait_for_selector("#output:not(.is-stale) .sentence")
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults.unexpected() == []


def link(text: str | None, source: str = "en", target: str = "fr") -> str:
    """The part of a link that says what to translate."""
    return "" if text is None else f"#source={source}&target={target}&q={quote(text)}"
