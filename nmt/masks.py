"""What the sentences of a lane may not use: special units, what is off their shortlists, what rules forbid.

Shapes: A sentences, K rows of each, U columns (ids that a step scores).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nmt.beam import Beam
from nmt.rules import Columns
from nmt.scripted import scripted

SPECIAL = 4
"""Ids below are PAD, UNK, BOS and EOS; they are always the first columns."""


@dataclass(frozen=True, slots=True)
class Forbidden:
    """What came of applying the rules.

    Attributes:
        faults: Sentences whose own rules failed, and how.
        bound: Of a sentence, the rows whose next unit a rule prescribes.
    """

    faults: dict[Beam, Exception]
    bound: dict[Beam, list[int]]


@scripted
def _by_sentence(scores: Tensor, masks: Tensor) -> Tensor:
    """(A K, U) -> (A, K, U), with masks (A, ...)."""
    return scores.view(masks.size(0), -1, scores.size(1))


@scripted
def strike_out(scores: Tensor, special: Tensor) -> None:
    """-inf for special units (A, 1, 3), the first columns of (A K, U), in place."""
    _by_sentence(scores, special)[:, :, :3].masked_fill_(special, -math.inf)


@dataclass(frozen=True, slots=True)
class Masks:
    """Made anew when sentences come.

    Attributes:
        special: Which of PAD, UNK, BOS a sentence may not use, (A, 1, 3).
        outside: Columns that are not on its shortlist, (A, 1, U); None without shortlists.
        columns: Which id each column is.
        vocabulary: The ids that a step shall score, (U,); None is all.
    """

    special: Tensor
    outside: Tensor | None
    columns: Columns
    vocabulary: Tensor | None

    @classmethod
    def of(cls, beams: Sequence[Beam], device: torch.device) -> Masks:
        """Of sentences that all have a shortlist, or none has."""
        special = torch.tensor([[[True, not beam.copies, True]] for beam in beams], device=device)
        lists = [beam.sentence.shortlist for beam in beams if beam.sentence.shortlist is not None]
        if not lists:
            return cls(special, None, Columns(), None)
        wanted = np.zeros(max(SPECIAL, 1 + max(int(own[-1]) for own in lists)), np.bool_)
        wanted[:SPECIAL] = True
        for own in lists:
            wanted[own] = True
        ids = np.flatnonzero(wanted)
        column = wanted.cumsum() - 1  # of every id
        outside = np.ones((len(lists), 1, len(ids)), np.bool_)
        for place, own in enumerate(lists):
            outside[place, 0, column[own]] = False
        return cls(special, torch.from_numpy(outside).to(device), Columns(ids), torch.from_numpy(ids).to(device))

    def select(self, places: Tensor) -> Masks:
        """Of these sentences, over the same columns: the model need not gather others."""
        outside = None if self.outside is None else self.outside.index_select(0, places)
        return Masks(self.special.index_select(0, places), outside, self.columns, self.vocabulary)

    def narrow(self, logits: Tensor) -> None:
        """-inf for what is not on a sentence's shortlist, in place: logits (A K, U)."""
        if self.outside is not None:
            _by_sentence(logits, self.outside).masked_fill_(self.outside, -math.inf)

    def forbid(self, log_probabilities: Tensor, beams: Sequence[Beam]) -> Forbidden:
        """-inf for what is not allowed, in place: log-probabilities (A K, U)."""
        faults: dict[Beam, Exception] = {}
        bound: dict[Beam, list[int]] = {}
        ruled = [(place, beam) for place, beam in enumerate(beams) if beam.rules]
        scores = _by_sentence(log_probabilities, self.special)
        prescribed: dict[Beam, list[tuple[int, list[int], Tensor]]] = {}
        for place, beam in ruled:
            try:
                rows = prescribed[beam] = self._prescribed(beam, scores[place])
                bound[beam] = [row for row, _, _ in rows]
            except Exception as error:
                faults[beam] = error
        strike_out(log_probabilities, self.special)
        for place, beam in ruled:
            if beam in faults:
                continue
            try:
                for rule in beam.rules:
                    rule.forbid(scores[place], self.columns)
            except Exception as error:
                faults[beam] = error
            for row, columns, kept in prescribed[beam]:
                scores[place, row] = -math.inf
                scores[place, row, columns] = kept
        return Forbidden(faults, bound)

    def _prescribed(self, beam: Beam, scores: Tensor) -> list[tuple[int, list[int], Tensor]]:
        """Rows that a rule leaves no choice but some ids: row, their columns, their scores (K, U) as they are."""
        rows = []
        for row in range(scores.shape[0]):
            for rule in beam.rules:
                if (ids := rule.only(row)) is not None:
                    columns = self.columns.of(ids)
                    rows.append((row, columns, scores[row, columns]))
        return rows
