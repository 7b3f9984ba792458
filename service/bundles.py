"""Bundles on disk, and what the service needs of a translator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from service.threads import compute_alone

if TYPE_CHECKING:
    from nmt.options import SearchOptions
    from nmt.plan import Plan
    from nmt.search import RunningSet
    from nmt.translation import Translation
    from service.ticket import Search

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


class Bundle(Protocol):
    """What the service needs of `nmt.bundle.ModelBundle`."""

    @property
    def source(self) -> str:
        """Code of the source language."""

    @property
    def target(self) -> str:
        """Code of the target language."""

    @property
    def sha256(self) -> str:
        """Identity of the bundle."""

    @property
    def card(self) -> dict[str, Any]:
        """`card.json`."""

    @property
    def config(self) -> Any:
        """`config.json`, a dataclass."""


class TranslatorLike(Protocol):
    """What the service needs of `nmt.translator.Translator`."""

    @property
    def bundle(self) -> Bundle:
        """Where it came from."""

    @property
    def device(self) -> str:
        """Where it runs."""

    @property
    def has_attention(self) -> bool:
        """False for a model without attention."""

    @property
    def has_aligner(self) -> bool:
        """Whether something else than attention says which word stands for which."""

    def translate(self, texts: Sequence[str], *, options: SearchOptions = ...) -> list[Translation]:
        """One translation for each text, at once."""

    def plan(
        self,
        texts: Sequence[str],
        *,
        options: SearchOptions = ...,
        target_prefix: str | None = None,
        stream: bool = False,
        deadline: float | None = None,
        lazy: bool = False,
    ) -> Plan:
        """The sentences of texts, to be searched by a running set; see `nmt.plan`."""

    def plan_score(self, pairs: Sequence[tuple[str, str]], *, deadline: float | None = None) -> Search:
        """The same for the scores of given pairs."""

    def plan_alternatives(
        self, text: str, *, target_prefix: str, count: int = 5, deadline: float | None = None
    ) -> Search:
        """The same for the words that may follow a prefix."""

    def running_set(self, *, max_rows: int, max_units: int) -> RunningSet:
        """An empty set for sentences of this translator's plans."""


Loader = Callable[[Path, str], TranslatorLike]
"""From a version's folder and a device to a translator that has verified its checksums."""


_FIRST = (["a 1 b", "1 a 2 b 3 c", "a"], ["1 a"])
"""Translated before a model is served: PyTorch prepares itself at the first two calls, for a tenth of a second, and a
model that cannot translate is found out."""


def load_translator(path: Path, device: str, *, compute: str = "default") -> TranslatorLike:
    """The real loader; imported late, since PyTorch takes its time."""
    from nmt.translator import Translator

    compute_alone()
    translator = Translator.load(path, device=device, compute=compute)
    for texts in _FIRST:
        translator.translate(texts)
    return translator


Fingerprint = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version on disk. `fingerprint` changes when any of its files does."""

    name: str
    version: int
    folder: Path
    path: Path
    fingerprint: Fingerprint
    complete: bool


def find_candidates(folders: Iterable[Path]) -> dict[str, list[Candidate]]:
    """Candidates by name, best first: those of later folders before, higher versions before lower ones."""
    found: dict[str, list[Candidate]] = {}
    for folder in folders:
        for parent in _folders(folder, _NAME):
            versions = sorted(_folders(parent, _VERSION), key=lambda path: -int(path.name))
            candidates = [_candidate(folder, path) for path in versions]
            if candidates:
                found[parent.name] = candidates + found.get(parent.name, [])
    return found


def _folders(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """Those that are there and may be read; a failure of the machine itself is not the same as none."""
    try:
        return sorted(path for path in folder.iterdir() if name.fullmatch(path.name) and path.is_dir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []


def _candidate(folder: Path, path: Path) -> Candidate:
    files = []
    try:
        within = sorted(path.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        within = []  # it will be listed as incomplete
    for file in within:
        try:
            status = file.stat()
        except OSError:
            continue  # gone since
        files.append((file.name, status.st_size, status.st_mtime_ns))
    complete = any(name == "manifest.json" for name, _, _ in files)
    return Candidate(path.parent.name, int(path.name), folder, path, tuple(files), complete)
