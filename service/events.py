"""What a stream tells its client while it is translated."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # PyTorch takes seconds to import; the server answers before
    from nmt.alignment import Token
    from nmt.plan import Plan
    from nmt.search import Sentence
    from nmt.text import Span
    from nmt.translation import StreamedToken, TranslatedSentence


@dataclass(frozen=True, slots=True)
class Place:
    """A sentence of the request: which text, which sentence of it, where, and the columns of its attention."""

    text: int
    sentence: int
    span: Span
    source_tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class Started:
    """The first event: all sentences, in reading order."""

    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Committed:
    """A unit that will not change any more."""

    text: int
    sentence: int
    index: int
    token: StreamedToken


@dataclass(frozen=True, slots=True)
class Ended:
    """A sentence that is complete."""

    text: int
    sentence: int
    result: TranslatedSentence


Event = Started | Committed | Ended


class Follower:
    """Follows a plan in the engine's thread and says what is new.

    Args:
        emit: Takes events in the order in which they happened.
    """

    def __init__(self, emit: Callable[[list[Event]], None]) -> None:
        self._emit = emit
        self._places: dict[Sentence, tuple[int, int]] = {}
        self._sent: dict[Sentence, int] = {}

    def begin(self, plan: Plan) -> None:
        """The plan is complete; what needs no search is so already."""
        jobs = plan.jobs
        self._places = {job.sentence: (job.text, job.index) for job in jobs if job.sentence is not None}
        events: list[Event] = [
            Started(tuple(Place(job.text, job.index, job.span, tuple(plan.source_tokens(job))) for job in jobs))
        ]
        events += [Ended(*plan.sentence_result(job)) for job in jobs if job.sentence is None]
        self._emit(events)

    def step(self, plan: Plan, sentences: Iterable[Sentence]) -> None:
        """These sentences are one step further."""
        events = [event for sentence in sentences for event in self._news(plan, sentence)]
        if events:
            self._emit(events)

    def end(self, plan: Plan, sentence: Sentence) -> None:
        """The plan has accepted a sentence."""
        self._emit([*self._news(plan, sentence), Ended(*plan.sentence_result(sentence))])

    def _news(self, plan: Plan, sentence: Sentence) -> list[Event]:
        start, end = self._sent.get(sentence, 0), len(sentence.committed)
        self._sent[sentence] = end
        text, place = self._places[sentence]
        return [Committed(text, place, index, plan.token(sentence, index)) for index in range(start, end)]
