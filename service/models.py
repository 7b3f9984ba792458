"""The model folders: find bundles, load, verify, warm up, swap.

A folder holds `<name>/<version>/`. For every name the highest complete version of the last folder
that has the name is served, unless a version is pinned. A bundle that cannot be loaded is logged
and listed, and the next best one is served in its place. The folders are looked at every few
seconds; a new model takes over between two requests, and the old one lives until the requests
that hold it have ended.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.errors import NmtError
from nmt.options import SearchOptions
from service.bundles import Candidate, Fingerprint, Loader, TranslatorLike, find_candidates, load_translator
from service.errors import Problem
from service.memory import give_back

logger = logging.getLogger("interlinear.models")


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A loaded model; equal to nothing but itself, so that batches never mix two versions."""

    name: str
    version: int
    source: str
    target: str
    sha256: str
    device: str
    translator: TranslatorLike
    candidate: Candidate


class ModelStore:
    """The served models, kept up to date by a thread of their own.

    Args:
        folders: Model folders; in the later one a name wins.
        device: As in the settings.
        pin: Name to version, instead of the highest.
        poll_seconds: Seconds between two looks at the folders.
        load: Makes a translator from a version's folder.
        on_change: Called with the served models after every change.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        device: str = "auto",
        pin: Mapping[str, int] | None = None,
        poll_seconds: float = 5.0,
        load: Loader = load_translator,
        on_change: Callable[[list[ServedModel]], None] = lambda served: None,
    ) -> None:
        self._folders = list(folders)
        self._device = device
        self._pin = dict(pin or {})
        self._poll_seconds = poll_seconds
        self._load = load
        self._on_change = on_change
        self._served: dict[str, ServedModel] = {}
        self._candidates: dict[str, list[Candidate]] = {}
        self._failures: dict[tuple[Path, Fingerprint], str] = {}
        self._loading: Candidate | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="interlinear-models", daemon=True)
        self.settled = False
        """Whether every model found at the start has been tried."""

    def start(self) -> None:
        """Load in the background, then keep looking."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; a load in progress is left to the end of the process."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception:
                logger.exception("the model folders could not be looked at; trying again")
            self._stop.wait(self._poll_seconds)

    # --- reading ---

    @property
    def served(self) -> list[ServedModel]:
        """The models that are served now, by name."""
        return [model for _, model in sorted(self._served.items())]

    def choose(self, source: str, target: str, name: str | None = None, version: int | None = None) -> ServedModel:
        """The model for a request.

        Raises:
            Problem: None fits; the message says what would.
        """
        served = self._served
        there = name in served if name is not None else bool(self.serving(source, target))
        if not self.settled and not there:
            raise Problem("loading", "Models are still loading; ask again.", headers={"Retry-After": "2"})
        if name is not None:
            if name not in served:
                raise Problem("unknown_model", "No such model is served; see /v1/models.", pointer="/model")
            choices = [served[name]]
        else:
            choices = self.serving(source, target)
        choices = [model for model in choices if _same(model.source, source) and _same(model.target, target)]
        if not choices:
            raise Problem(
                "unsupported_direction",
                f"No model translates in this direction; served: {self._directions()}.",
                pointer="/source" if not any(_same(model.source, source) for model in self.served) else "/target",
                directions=[[model.source, model.target] for model in self.served],
            )
        if version is not None and choices[0].version != version:
            raise Problem("unknown_version", f"Version {choices[0].version} is served.", pointer="/version")
        return choices[0]

    def _directions(self) -> str:
        names = sorted({f"{model.source} to {model.target}" for model in self.served})
        return ", ".join(names[:20]) + (", …" if len(names) > 20 else "") if names else "none"

    def serving(self, source: str, target: str) -> list[ServedModel]:
        """Models for a direction; one that is named after it comes first."""
        found = [model for model in self.served if _same(model.source, source) and _same(model.target, target)]
        return sorted(found, key=lambda model: (not _same(model.name, f"{source}-{target}"), model.name))

    def describe(self, name: str) -> dict[str, Any] | None:
        """The entry of /v1/models for `name`; None if nothing on disk or in memory has the name."""
        candidates, served, loading = self._candidates.get(name, []), self._served.get(name), self._loading
        if not candidates and served is None:
            return None
        versions = []
        for candidate in candidates:
            error = self._failures.get((candidate.path, candidate.fingerprint))
            if served is not None and candidate.path == served.candidate.path:
                status = "ready"
            else:
                status = "loading" if candidate == loading else "failed" if error else "available"
            entry = {"version": candidate.version, "folder": str(candidate.folder), "status": status, "error": error}
            versions.append(entry)
        entry = {"name": name, "status": "ready" if served else "loading", "error": None, "versions": versions}
        if served is not None:
            entry |= {key: getattr(served, key) for key in ("version", "source", "target", "sha256", "device")}
            return entry
        pinned = self._pin.get(name)
        tried = [version for version in versions if pinned in (None, version["version"])]
        if self.settled and not any(version["status"] in ("loading", "available") for version in tried):
            reason = tried[0]["error"] if tried else f"version {pinned} is pinned, but it is not there"
            entry |= {"status": "failed", "error": reason}
        return entry

    def names(self) -> list[str]:
        """All names, broken models included."""
        return sorted(self._candidates.keys() | self._served.keys())

    # --- looking, loading, swapping ---

    def refresh(self) -> None:
        """Look at the folders once and bring the served models up to date."""
        self._candidates = found = find_candidates(self._folders)
        for name in sorted(found):
            self._update(name, found[name])
            if self._stop.is_set():
                return
        for name in sorted(self._served.keys() - found.keys()):
            logger.warning("%s: gone from disk; not served any more", name)
            self._serve({key: model for key, model in self._served.items() if key != name})
        present = {(candidate.path, candidate.fingerprint) for name in found for candidate in found[name]}
        self._failures = {key: reason for key, reason in self._failures.items() if key in present}
        if not self.settled:
            for name, version in self._pin.items():
                if not any(candidate.version == version for candidate in found.get(name, [])):
                    logger.warning(
                        "%s version %d is pinned, but it is not there; %s is not served", name, version, name
                    )
        self.settled = True

    def _update(self, name: str, candidates: list[Candidate]) -> None:
        pinned = self._pin.get(name)
        served = self._served.get(name)
        for candidate in candidates:
            if pinned is not None and candidate.version != pinned:
                continue
            if served is not None and candidate == served.candidate:
                return
            key = (candidate.path, candidate.fingerprint)
            if key in self._failures:
                if served is not None and candidate.path == served.candidate.path:
                    return  # damaged on disk since it was loaded; what is in memory is sound
                continue
            self._loading = candidate
            try:
                model = self._open(candidate)
            except Exception as error:
                self._failures[key] = reason = _reason(error)
                logger.error("%s version %d cannot be served: %s", name, candidate.version, reason)
                if not isinstance(error, NmtError):
                    logger.debug("while loading %s", candidate.path, exc_info=error)
                if served is not None and candidate.path == served.candidate.path:
                    return
                continue
            finally:
                self._loading = None
            self._serve({**self._served, name: model})
            logger.info(
                "%s version %d (%s to %s) is served on %s",
                *(name, candidate.version, model.source, model.target, model.device),
            )
            return
        if served is not None and not any(candidate.path == served.candidate.path for candidate in candidates):
            logger.warning("%s version %d: gone from disk; not served any more", name, served.version)
            self._serve({key: model for key, model in self._served.items() if key != name})

    def _open(self, candidate: Candidate) -> ServedModel:
        if not os.access(candidate.path, os.R_OK | os.X_OK):
            raise NmtError("the folder may not be read; give the server's user the permission")
        if not candidate.complete:
            raise NmtError("manifest.json is missing, so the bundle is not complete; publish it again")
        started = time.monotonic()
        translator = self._load(candidate.path, self._device)
        bundle = translator.bundle
        # the first call is the slow one; it must not be a client's
        translator.translate(["1 2 3."], options=SearchOptions(beam_size=2))
        give_back()
        logger.debug("%s loaded and warm after %.1f s", candidate.path, time.monotonic() - started)
        return ServedModel(
            candidate.name,
            candidate.version,
            bundle.source,
            bundle.target,
            bundle.sha256,
            translator.device,
            translator,
            candidate,
        )

    def _serve(self, served: dict[str, ServedModel]) -> None:
        self._served = served  # one assignment: a reader sees the old state or the new one
        self._on_change(self.served)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, NmtError) else f"it failed to load ({type(error).__name__})"
