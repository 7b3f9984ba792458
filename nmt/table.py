"""Numbers of every sentence of a lane, in arrays. Shapes: A sentences, K rows (slots) of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmt.beam import Sentence, length_penalty
from nmt.config import BOS


@dataclass(slots=True)
class Table:
    """Numbers of every sentence, for arithmetic on all at once.

    Attributes:
        scores: Log-probability of each row so far, -inf where it is closed, (A, K).
        read: The unit each row reads next, (A, K).
        length: Units so far, (A,).
        limit: Most units, (A,).
        open: Slots that no finished hypothesis has taken, (A,).
        hope: Length penalty at the limit, the kindest an open row can get, (A,).
        bar: Score of the worst hypothesis that would be returned; -inf until there are enough, (A,).
    """

    scores: NDArray[np.float64]
    read: NDArray[np.int64]
    length: NDArray[np.int64]
    limit: NDArray[np.int64]
    open: NDArray[np.int64]
    hope: NDArray[np.float64]
    bar: NDArray[np.float64]

    @classmethod
    def of(cls, sentences: Sequence[Sentence], rows: int) -> Table:
        """Before the first step."""
        count = len(sentences)
        scores = np.zeros((count, rows))
        if sentences[0].options.sampling is None:
            scores[:, 1:] = -np.inf  # the K rows start equal: let only the first one speak
        return cls(
            scores=scores,
            read=np.full((count, rows), BOS),
            length=np.zeros(count, np.int64),
            limit=np.array([sentence.limit for sentence in sentences], np.int64),
            open=np.full(count, rows),
            hope=np.array([length_penalty(s.limit, s.options.length_penalty) for s in sentences]),
            bar=np.full(count, -np.inf),
        )

    def select(self, places: NDArray[np.int64]) -> Table:
        """These sentences, in this order."""
        return Table(**{f.name: getattr(self, f.name)[places] for f in fields(self)})

    def join(self, other: Table) -> Table:
        """The sentences of both, these first."""
        joined: dict[str, Any] = {
            f.name: np.concatenate((getattr(self, f.name), getattr(other, f.name))) for f in fields(self)
        }
        return Table(**joined)
