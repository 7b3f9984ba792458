"""Which language a text is in, by py3langid (docs/decisions/language-detection.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_CHARACTERS = 5_000
"""Of a text; more would take longer and change nothing."""

_KNOWN_AS = {"nb": "no"}
"""Codes that the detector has under another name."""

_lock = Lock()


async def detect(text: str, languages: Collection[str]) -> list[tuple[str, float]]:
    """How likely `text` is in each of `languages`, off the event loop.

    Args:
        text: Any text.
        languages: Codes such as en, zh-Hans. Those that the detector does not know are left out.

    Returns:
        Languages and probabilities that sum to 1, the likeliest first; evenly likely if nothing in the text tells.
        Empty if the detector knows none of the languages.
    """
    return await asyncio.to_thread(_detect, text[:_CHARACTERS], languages)


def _detect(text: str, languages: Collection[str]) -> list[tuple[str, float]]:
    with _lock:  # the languages to choose from are a state of the identifier
        identifier = _identifier()
        bases = {language: _base(language) for language in sorted(languages)}
        known = {base: language for language, base in reversed(bases.items()) if base in _all_languages()}
        if not known:
            return []
        if set(identifier.labels) != set(known):
            identifier.set_languages(known)
        return [(known[base], probability) for base, probability in identifier.rank(text)]


def _base(language: str) -> str:
    base = language.partition("-")[0].casefold()
    return _KNOWN_AS.get(base, base)


@cache
def _identifier() -> LanguageIdentifier:
    """Loaded when first asked for: it takes most of a second and 80 MB."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _all_languages() -> frozenset[str]:
    return frozenset(_identifier().labels)
