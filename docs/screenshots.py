"""Make docs/images/page*.png: start the service, open the page, take its picture.

    python docs/screenshots.py [--models FOLDER] [--source en --target fr --text "…"] [--url http://…]

Needs the package playwright and a Chromium on the PATH (or named by CHROMIUM).
"""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TEXT = "I bought a red car and a white dress yesterday."
LONG = (
    "When I was a child, I used to spend the whole summer with my grandparents in a small village by the sea, "
    "where we went swimming every morning and listened to my grandfather's stories in the evening."
)
SKIPPED = (
    "If it rains tomorrow, we will stay at home, play cards, drink tea and tell each other the stories that "
    "our grandmother used to tell us."
)
Scene = Callable[[Page], None]


@dataclass(frozen=True)
class Picture:
    """One picture: what is done before it is taken, in which browser, and how much of the page it shows."""

    scene: Scene
    text: str = TEXT
    width: int = 1200
    scale: float = 1.5
    options: dict[str, Any] = field(default_factory=dict)
    clip: str | None = None
    top: int | None = None  # as many pixels from the top of the window, when not all
    whole: bool = True  # not only what the window shows


def point(page: Page, word: str) -> None:
    """The pointer on a word of the translation, or a finger that pins it."""
    page.locator("#output .word", has_text=word).first.hover()


def pin(page: Page, word: str) -> None:
    """A word pinned, and what else could stand there."""
    page.locator("#output .word", has_text=word).first.click()
    page.wait_for_selector("#choices .choice")
    page.mouse.move(0, 0)


def reading(page: Page) -> None:
    """The page as it is met first."""
    point(page, "voiture")


def question(page: Page) -> None:
    """The sentence begun otherwise, what changed underlined, doubts tinted, and another word questioned."""
    pin(page, "J'")
    page.locator("#beginning-text").fill("Hier")
    page.locator("#beginning-text").press("Enter")
    page.wait_for_selector("#output .is-changed")
    page.locator("#tint").click()
    pin(page, "voiture")


def interlinear(page: Page) -> None:
    """Glosses in the order of the source, and the reader's own translation scored."""
    page.locator("[name=view][value=gloss]").check()
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("Hier, j'ai acheté une auto rouge et une robe blanche.")
    page.wait_for_selector("#own-words li")
    page.locator("#own-words .word", has_text="auto").hover()


def trust(page: Page) -> None:
    """Doubts tinted, and a warning at the words it is about."""
    page.locator("#tint").click()
    page.wait_for_selector("#flags li")


def candidates(page: Page) -> None:
    """The n-best list."""
    page.locator("#tab-candidates").click()
    page.wait_for_selector("#candidate-list label")
    page.locator("#candidate-list input").nth(1).check()


def long(page: Page) -> None:
    """A long sentence at 100 %, with a word pinned."""
    page.locator("[name=zoom][value=full]").check()
    pin(page, "grands")


def card(page: Page) -> None:
    """The model's card."""
    page.locator("#made-by").click()
    page.wait_for_selector("#card-body dl")


def phone(page: Page) -> None:
    """A word pinned by a finger."""
    page.locator("#output .word", has_text="voiture").tap()
    page.wait_for_selector("#choices .choice")


DARK: dict[str, Any] = {"color_scheme": "dark"}
SMALL: dict[str, Any] = {"has_touch": True, "is_mobile": True}
PICTURES = {
    "page": Picture(reading),
    "page-question": Picture(question, clip="#panels"),
    "page-trust": Picture(trust, text=SKIPPED, top=480),
    "page-dark": Picture(interlinear, scale=1.25, options=DARK),
    "page-zh": Picture(candidates, scale=1.25, options={"locale": "zh-CN"}),
    "page-long": Picture(long, text=LONG, clip="#attention"),
    "page-card": Picture(card, whole=False),
    "page-phone": Picture(phone, width=360, scale=1.75, options=SMALL),
    "page-phone-zh-dark": Picture(phone, width=360, scale=1.75, options=SMALL | DARK | {"locale": "zh-CN"}),
}
PATIENCE = 120
"""Seconds the service may take until its models are loaded."""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Make docs/images/page*.png.")
    parser.add_argument("--models", default="models", help="model folder of the service (default: models)")
    parser.add_argument("--url", help="take pictures of a service that already runs")
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(PICTURES)} (default: all)")
    options = parser.parse_args()
    chromium = next(
        filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"))), None
    )
    if chromium is None:
        sys.exit("There is no Chromium on the PATH; install it, or name it in CHROMIUM.")
    IMAGES.mkdir(exist_ok=True)
    with service(options.url, options.models) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for name in options.names or PICTURES:
            path = IMAGES / f"{name}.png"
            take(browser, url, path, PICTURES[name])
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")
        browser.close()


def take(browser: Browser, url: str, path: Path, picture: Picture) -> None:
    """One picture, made small without loss where optipng is installed."""
    page = browser.new_context(
        viewport={"width": picture.width, "height": 860}, device_scale_factor=picture.scale, **picture.options
    ).new_page()
    page.goto(f"{url}/#source=en&target=fr&q={quote(picture.text)}")
    page.wait_for_selector("#matrix .cell")
    page.locator("#text").blur()
    picture.scene(page)
    page.wait_for_timeout(500)  # transitions end
    if picture.top:
        page.screenshot(path=path, clip={"x": 0, "y": 0, "width": picture.width, "height": picture.top})
    elif picture.clip:
        page.locator(picture.clip).screenshot(path=path)
    else:
        page.screenshot(path=path, full_page=picture.whole)
    page.context.close()
    if optipng := shutil.which("optipng"):
        subprocess.run([optipng, "-quiet", "-o2", "-strip", "all", path], check=True)


@contextmanager
def service(url: str | None, models: str) -> Iterator[str]:
    """Address of the service, started for the purpose unless one is given."""
    if url:
        yield url.rstrip("/")
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "service", "--host", "127.0.0.1", "--port", str(port), "--models", models]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + PATIENCE
        while not ready(url):
            if process.poll() is not None:
                sys.exit(f"The service ended with status {process.returncode}.")
            if time.monotonic() > end:
                sys.exit(f"No model was ready within {PATIENCE} seconds; is there one in {models}?")
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def ready(url: str) -> bool:
    """Whether the service has a model to translate with."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


if __name__ == "__main__":
    main()
