"""Downloads a file whole or not at all: progress, retries, and going on after a cut."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from tqdm import tqdm

import nmt
from nmt.errors import CorpusError
from training.files import read_json, write_json

AGENT = f"Mozilla/5.0 (compatible; interlinear/{nmt.__version__})"
"""Some hosts refuse what does not look like a browser."""

_ATTEMPTS = 5
_PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses that may be another one in a moment."""


def download(url: str, path: Path, *, pause: float = 1.0) -> None:
    """Fetch `url` to `path`, going on with what an earlier call left in `path.part`.

    A server that has sent part of a file is asked for the rest of that same file; when the file has changed
    since, or the server cannot tell, it is fetched from the start.

    Args:
        url: What to fetch.
        path: Appears when the file is whole; its folder exists.
        pause: Seconds before the second attempt; doubled before every further one.

    Raises:
        CorpusError: The server cannot be reached, or does not have the file; the message says how to do without.
    """
    part, about = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    failed = 0
    with httpx.Client(headers={"User-Agent": AGENT}, timeout=30.0, follow_redirects=True) as client:
        while True:
            before = part.stat().st_size if part.exists() else 0
            try:
                _attempt(client, url, part, about)
                break
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status not in _PASSING:
                    reason = f"the server answers {status} {error.response.reason_phrase}"
                    raise CorpusError(_without(url, path, reason)) from None
                reason = f"status {status}"
            except httpx.RequestError as error:
                reason = str(error) or type(error).__name__
            came = part.exists() and part.stat().st_size > before
            failed = 1 if came else failed + 1
            if failed == _ATTEMPTS:
                raise CorpusError(_without(url, path, reason))
            print(f"{path.name}: {reason}; trying again", file=sys.stderr, flush=True)
            time.sleep(pause * 2 ** (failed - 1))
    part.replace(path)
    about.unlink(missing_ok=True)


def _attempt(client: httpx.Client, url: str, part: Path, about: Path) -> None:
    """Fetch the rest of the file, or all of it."""
    known = read_json(about) or {}
    there = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if there and known.get("url") == url and known.get("version"):
        headers |= {"Range": f"bytes={there}-", "If-Range": known["version"]}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416 and part.exists():  # the part is as long as the file, or longer
            part.unlink()
            return _attempt(client, url, part, about)
        response.raise_for_status()
        goes_on = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(
            f"bytes {there}-"
        )
        if response.status_code == 206 and not goes_on:
            raise httpx.RemoteProtocolError("the server sends another part of the file than was asked for")
        start = there if goes_on else 0
        if not goes_on:
            write_json(about, {"url": url, "version": _version(response.headers)})
        length = response.headers.get("Content-Length")
        with part.open("ab" if goes_on else "wb") as file, _bar(url, start, length) as bar:
            for block in response.iter_raw():  # as it comes: what is held back would be lost at a cut
                file.write(block)
                bar.update(len(block))


def _version(headers: httpx.Headers) -> str:
    """What names this very file for `If-Range`; empty when the server gives no such thing (RFC 9110, 13.1.5)."""
    tag: str = headers.get("ETag", "")
    date: str = headers.get("Last-Modified", "")
    return tag if tag and not tag.startswith("W/") else date


def _bar(url: str, start: int, length: str | None) -> tqdm[Any]:
    interval = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(
        desc=url.rpartition("/")[2],
        initial=start,
        total=start + int(length) if length else None,
        unit="B",
        unit_scale=True,
        mininterval=interval,
        leave=False,
        delay=interval,
    )


def _without(url: str, path: Path, reason: str) -> str:
    return (
        f"{url} cannot be downloaded ({reason}). Give the same command again to go on where it stopped; or download "
        f"the file by other means, put it at {path}, and give the same command again"
    )


def digest(path: Path, algorithm: str) -> str:
    """The file's digest, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
