"""What several routes ask of a request before the engine sees it."""

from __future__ import annotations

import asyncio

from nmt.options import Sampling, SearchOptions
from nmt.text import sentences
from service.errors import Problem
from service.models import ServedModel
from service.schemas import HeatmapRequest, TranslateRequest
from service.settings import Settings

_LARGE = 5_000
"""Characters from which sentences are looked for off the event loop."""


def check_size(texts: list[str], settings: Settings, *, pointer: str) -> None:
    """Raise `Problem` for too many texts or characters."""
    if len(texts) > settings.max_texts:
        raise Problem("too_many_texts", f"A request may hold {settings.max_texts} texts.", pointer=pointer)
    characters = sum(map(len, texts))
    if characters > settings.max_characters:
        raise Problem(
            "text_too_long",
            f"The request has {characters} characters, but may have {settings.max_characters}.",
            pointer=pointer,
        )


def check_prefix(prefix: str | None, settings: Settings) -> None:
    """Raise `Problem` for a target prefix of too many characters."""
    if prefix is not None and len(prefix) > settings.max_prefix_characters:
        raise Problem(
            "text_too_long",
            f"The prefix has {len(prefix)} characters, but may have {settings.max_prefix_characters}.",
            pointer="/target_prefix",
        )


def _beam_size(body: TranslateRequest | HeatmapRequest, settings: Settings) -> int:
    """As asked for, else the usual one, or as much of it as is allowed."""
    return body.beam_size if "beam_size" in body.model_fields_set else min(body.beam_size, settings.max_beam_size)


def check_search(body: TranslateRequest | HeatmapRequest, settings: Settings) -> None:
    """Raise `Problem` for a beam or a number of candidates that is not allowed."""
    beam_size = _beam_size(body, settings)
    n_best, sampling = (body.n_best, body.sampling) if isinstance(body, TranslateRequest) else (1, None)
    if beam_size > settings.max_beam_size and sampling is None:
        raise Problem("beam_size_too_large", f"At most {settings.max_beam_size}.", pointer="/beam_size")
    if n_best > settings.max_n_best:
        raise Problem("n_best_too_large", f"At most {settings.max_n_best}.", pointer="/n_best")
    if n_best > beam_size and sampling is None:
        detail = f"n_best = {n_best} needs a beam at least as wide, but beam_size = {beam_size}."
        raise Problem("invalid_options", detail, pointer="/n_best")


def check_attention(model: ServedModel, *, pointer: str) -> None:
    """Raise `Problem` for a model that was built without attention."""
    if not model.translator.has_attention:
        detail = f"{model.name} reaches its source without attention, so there is none to show."
        raise Problem("no_attention", detail, pointer=pointer)


def check_text(text: str, *, pointer: str = "/text") -> None:
    """Raise `Problem` for a text of nothing but white space."""
    if not text.strip():
        raise Problem("empty_text", "There is no text here.", pointer=pointer)


async def check_one_sentence(text: str) -> int:
    """The number of sentences, 0 or 1.

    Raises:
        Problem: There are several.
    """
    count = len(sentences(text) if len(text) < _LARGE else await asyncio.to_thread(sentences, text))
    if count > 1:
        raise Problem("several_sentences", f"The text has {count} sentences; here it must be one.", pointer="/text")
    return count


def search_options(body: TranslateRequest | HeatmapRequest, settings: Settings) -> SearchOptions:
    """The options as the search knows them."""
    beam_size = _beam_size(body, settings)
    if isinstance(body, HeatmapRequest):
        return SearchOptions(beam_size=beam_size)
    return SearchOptions(
        beam_size=beam_size if body.sampling is None else 1,
        n_best=body.n_best,
        length_penalty=body.length_penalty,
        coverage_penalty=body.coverage_penalty,
        no_repeat_ngram_size=body.no_repeat_ngram_size,
        sampling=None if body.sampling is None else Sampling(**body.sampling.model_dump()),
    )
