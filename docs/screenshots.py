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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"viewport": {"width": 1280, "height": 860}, "device_scale_factor": 2}
PICTURES: dict[str, dict[str, Any]] = {
    "page": DESKTOP | {"color_scheme": "light"},
    "page-dark": DESKTOP | {"color_scheme": "dark"},
    "page-phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
    "page-zh": DESKTOP | {"locale": "zh-CN"},
}
PATIENCE = 120
"""Seconds the service may take until its models are loaded."""


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description="Make docs/images/page*.png.")
    parser.add_argument("--models", default="models", help="model folder of the service (default: models)")
    parser.add_argument("--url", help="take pictures of a service that already runs")
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="fr")
    parser.add_argument("--text", default="I bought a red car and a white dress yesterday.")
    parser.add_argument("--word", type=int, default=5, help="which word of the translation to point at, from 1")
    options = parser.parse_args()
    chromium = next(
        filter(None, map(shutil.which, (os.environ.get("CHROMIUM", ""), "chromium", "google-chrome"))), None
    )
    if chromium is None:
        sys.exit("There is no Chromium on the PATH; install it, or name it in CHROMIUM.")
    IMAGES.mkdir(exist_ok=True)
    with service(options.url, options.models) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        link = f"{url}/#source={options.source}&target={options.target}&q={quote(options.text)}"
        for name, settings in PICTURES.items():
            path = IMAGES / f"{name}.png"
            picture(browser, link, path, settings, options.word)
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")
        browser.close()


def picture(browser: Browser, link: str, path: Path, settings: dict[str, Any], word: int) -> None:
    """One picture of the whole page, with the pointer on a word of the translation."""
    page = browser.new_context(**settings).new_page()
    page.goto(link)
    page.wait_for_selector("#heatmap .cell")
    page.locator("#text").blur()
    where = page.locator("#output .word").nth(word - 1)
    if settings.get("has_touch"):
        where.click()
    else:
        where.hover()
    page.wait_for_timeout(400)  # transitions end
    page.screenshot(path=path, full_page=True)
    page.context.close()


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
