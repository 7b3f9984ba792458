"""A lane: sentences of the same number of rows, stepped together.

Shapes: A sentences in the lane, K rows (slots) of each, U columns, C candidates of a row,
S source length.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.beam import Beam, Record, Sentence
from nmt.candidates import Candidates, best, best_allowed, drawn, gather, log_softmax, stack
from nmt.config import EOS, PAD
from nmt.decoder import DecoderState
from nmt.masks import Forbidden, Masks
from nmt.model import DecodingModel
from nmt.options import Sampling
from nmt.rules import Columns
from nmt.table import Table


@dataclass(frozen=True, slots=True)
class LaneKey:
    """What sentences of a lane have in common: rows, whether they have shortlists, how they draw."""

    rows: int
    shortlisted: bool
    sampling: tuple[float, int, float] | None

    @classmethod
    def of(cls, sentence: Sentence) -> LaneKey:
        """Of one sentence."""
        drawing = sentence.options.sampling
        how = None if drawing is None else (drawing.temperature, drawing.top_k, drawing.top_p)
        return cls(sentence.options.rows, sentence.shortlist is not None, how)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What the model says to the rows of some sentences.

    Attributes:
        state: After the step.
        candidates: Of every row.
        columns: Which id each column of the candidates is.
        forbidden: What came of the sentences' rules.
    """

    state: DecoderState
    candidates: Candidates
    columns: Columns
    forbidden: Forbidden

    @classmethod
    def of(cls, answers: Sequence[_Answer]) -> _Answer:
        """The answers of several lanes' worth of sentences in one."""
        state = reduce(lambda joined, answer: joined.join(answer.state), answers[1:], answers[0].state)
        faults = {beam: error for answer in answers for beam, error in answer.forbidden.faults.items()}
        bound = {beam: rows for answer in answers for beam, rows in answer.forbidden.bound.items()}
        candidates = stack([answer.candidates for answer in answers])
        return cls(state, candidates, answers[0].columns, Forbidden(faults, bound))


class Lane:
    """Sentences of the same `LaneKey`."""

    def __init__(self, model: DecodingModel, key: LaneKey) -> None:
        self.model = model
        self.device = model.device
        self.rows = key.rows
        self.sampling = None
        if key.sampling is not None:
            temperature, top_k, top_p = key.sampling
            self.sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
        self.beams: list[Beam] = []
        self._state: DecoderState | None = None
        self._table: Table | None = None
        self._masks: Masks | None = None  # made when needed

    def join(self, beams: Sequence[Beam], state: DecoderState) -> None:
        """Let sentences in; `state` has one row for each."""
        if self.rows > 1:
            rows = torch.arange(len(beams), device=self.device).repeat_interleave(self.rows)
            state = state.select(rows)
        table = Table.of([beam.sentence for beam in beams], self.rows)
        self._state = state if self._state is None else self._state.join(state)
        self._table = table if self._table is None else self._table.join(table)
        self.beams += beams
        self._masks = None

    def leave(self, gone: Collection[Beam]) -> None:
        """Let sentences out before they have ended."""
        keep = [place for place, beam in enumerate(self.beams) if beam not in gone]
        if len(keep) < len(self.beams):
            self._keep(keep, np.arange(len(self.beams) * self.rows).reshape(-1, self.rows))

    def step(self) -> list[Beam]:
        """One unit for every open row; sentences that ended leave, their outcome set."""
        if self._masks is None:
            self._masks = Masks.of(self.beams, self.device)
        failed: list[Beam] = []
        answer: _Answer | None
        try:
            answer = self._ask(None)
        except Exception:
            answer, failed = self._ask_one_by_one()
        return failed if answer is None else failed + self._follow(answer)

    def _ask(self, place: int | None) -> _Answer:
        """Step the model for all sentences, or for one of them alone; nothing of the lane changes."""
        assert self._state is not None
        assert self._table is not None
        assert self._masks is not None
        state, read, masks, beams = self._state, self._table.read, self._masks, self.beams
        if place is not None:
            one = torch.tensor([place], device=self.device)
            rows = torch.arange(place * self.rows, (place + 1) * self.rows, device=self.device)
            state, masks = state.select(rows, one), masks.select(one)
            read, beams = read[place : place + 1], [beams[place]]
        tokens = torch.from_numpy(read.reshape(-1)).to(self.device)
        step = self.model.step(tokens, state, masks.vocabulary)
        masks.narrow(step.logits)
        count = min(self.rows, step.logits.shape[1])
        if self.sampling is None and not any(beam.rules for beam in beams):
            candidates, forbidden = best_allowed(step.logits, masks.special, count, step.weights), Forbidden({}, {})
            return _Answer(step.state, candidates, masks.columns, forbidden)
        scores = log_softmax(step.logits)
        forbidden = masks.forbid(scores, beams)
        if self.sampling is None:
            candidates = best(scores, count, step.weights)
        else:
            uniforms = np.concatenate([beam.uniforms[len(beam.trail)] for beam in beams])
            candidates = gather(*drawn(scores, self.sampling, uniforms), step.weights)
        return _Answer(step.state, candidates, masks.columns, forbidden)

    def _ask_one_by_one(self) -> tuple[_Answer | None, list[Beam]]:
        """After a failure: every sentence alone, from the state before the step; the guilty leave.

        Returns:
            The answer for those that are left, None if nobody is; and the guilty.
        """
        assert self._table is not None
        answers: list[_Answer] = []
        keep: list[int] = []
        failed: list[Beam] = []
        for place, beam in enumerate(self.beams):
            try:
                answers.append(self._ask(place))
                keep.append(place)
            except Exception as error:
                beam.sentence.error = error
                failed.append(beam)
        if not answers:
            self._clear()
            return None, failed
        self.beams = [self.beams[place] for place in keep]
        self._table = self._table.select(np.array(keep))
        self._masks = None if self._masks is None else self._masks.select(self._tensor(np.array(keep)))
        return _Answer.of(answers), failed

    def _choose(self, found: Candidates, columns: Columns) -> tuple[Record, NDArray[np.float64]]:
        """The K best candidates of every sentence, and the log-probabilities of those hypotheses, (A, K)."""
        assert self._table is not None
        count, rows, width = len(self.beams), self.rows, found.values.shape[1]
        attention = None if found.attention is None else found.attention.reshape(count, rows, -1)
        if rows == 1:
            parents, tokens, logprobs = np.zeros((count, 1), np.int64), found.columns, found.values
            scores = self._table.scores + logprobs
        else:
            values = found.values.reshape(count, rows, width)
            total = self._table.scores[:, :, None] + values  # (A, K, C)
            for place in [place for place, beam in enumerate(self.beams) if beam.apart]:
                total[place, :, 1:] = -np.inf
            ranking = (-total).reshape(count, -1).argsort(axis=1, kind="stable")[:, :rows]
            at = ranking + np.arange(count)[:, None] * (rows * width)
            parents, tokens, logprobs, scores = (
                ranking // width,
                found.columns.take(at),
                values.take(at),
                total.take(at),
            )
        if columns.ids is not None:
            tokens = columns.ids[tokens]
        alive = scores > -np.inf  # false for what is not a number, too
        if rows > 1:
            alive &= np.arange(rows) < self._table.open[:, None]  # a finished hypothesis takes a slot
        if not alive.all():
            scores, tokens = np.where(alive, scores, -np.inf), np.where(alive, tokens, PAD)
        return Record(parents, tokens, logprobs, attention), scores

    def _follow(self, answer: _Answer) -> list[Beam]:
        """Extend the hypotheses by the best candidates; sentences that ended leave and are returned."""
        assert self._table is not None
        table, before = self._table, self._table.scores
        record, scores = self._choose(answer.candidates, answer.columns)
        table.length += 1
        table.scores, table.read = scores, record.tokens
        full = table.length >= table.limit
        done = (record.tokens == EOS) | (full[:, None] & (scores > -np.inf))  # (A, K)
        finishing = done.any(axis=1).tolist()
        faults, bound = answer.forbidden.faults, answer.forbidden.bound
        for place, beam in enumerate(self.beams):
            beam.trail.append((record, place))
            if beam.special or finishing[place]:
                try:
                    if beam not in faults:
                        if beam.apart and beam.sentence.stop is not None:
                            self._stop(place, beam, before[place], bound.get(beam, []), done[place])
                        self._account(place, beam, done[place])
                except Exception as error:
                    faults[beam] = error
            if beam.sentence.independent and not beam.apart:
                # the first step with a choice took the K best, from now on every row goes its own way
                beam.apart = 0 not in bound.get(beam, []) or bool((record.tokens[place] != PAD).sum() > 1)
        over = table.scores.max(axis=1) / table.hope <= table.bar
        ended: list[Beam] = []
        keep: list[int] = []
        for place, beam in enumerate(self.beams):
            if beam in faults:
                beam.sentence.error = faults[beam]
                ended.append(beam)
            elif over[place]:
                beam.settle()
                ended.append(beam)
            else:
                keep.append(place)
        self._state = answer.state
        if ended or self.rows > 1:
            origins = np.arange(len(done))[:, None] * self.rows + record.parents  # (A, K)
            if ended:
                self._keep(keep, origins)
            else:
                self._state = answer.state.select(self._tensor(origins.reshape(-1)))
        return ended

    def _stop(
        self, place: int, beam: Beam, before: NDArray[np.float64], bound: list[int], done: NDArray[np.bool_]
    ) -> None:
        """End rows of one sentence before the unit they have just chosen, where the sentence's `stop` says so."""
        assert self._table is not None
        assert beam.sentence.stop is not None
        record, _ = beam.trail[-1]
        scores = self._table.scores[place]
        for slot in np.flatnonzero(scores > -np.inf).tolist():
            parent, token = int(record.parents[place, slot]), int(record.tokens[place, slot])
            if token != EOS and parent not in bound and beam.sentence.stop(token):
                beam.end(int(self._table.length[place]) - 1, parent, float(before[parent]), truncated=False)
                scores[slot] = -np.inf
                done[slot] = False
                self._table.open[place] -= 1

    def _account(self, place: int, beam: Beam, done: NDArray[np.bool_]) -> None:
        """What concerns one sentence after a step: its rules, what finished, what is certain."""
        assert self._table is not None
        table = self._table
        record, _ = beam.trail[-1]
        scores, tokens, length = table.scores[place], record.tokens[place], int(table.length[place])
        sentence = beam.sentence
        parents = record.parents[place].tolist()
        if beam.rules:
            followed = tokens.tolist()
            beam.rules = [rule.advance(parents, followed) for rule in beam.rules]
        for slot in np.flatnonzero(done).tolist():
            beam.end(length, slot, float(scores[slot]), truncated=bool(tokens[slot] != EOS))
            scores[slot] = -np.inf
            table.open[place] -= 1
        if len(beam.endings) >= beam.answers:
            table.bar[place] = beam.ranked()[beam.answers - 1].score
        if sentence.stream:
            beam.commit(scores)

    def _keep(self, places: list[int], rows: NDArray[np.int64]) -> None:
        """Only these sentences stay; row k of place a goes on from row `rows[a, k]` of the state.

        The last ones move to the places that become free: the fewest moves.
        """
        if not places:
            self._clear()
            return
        assert self._state is not None
        assert self._table is not None
        staying, count = set(places), len(places)
        last = iter(places[sum(place < count for place in places) :])
        places = [place if place in staying else next(last) for place in range(count)]
        kept = np.array(places)
        at = self._tensor(kept)
        self._state = self._state.keep(self._tensor(rows[kept].reshape(-1)), at)
        self._table = self._table.select(kept)
        self._masks = None if self._masks is None else self._masks.select(at)
        self.beams = [self.beams[place] for place in places]

    def _clear(self) -> None:
        self.beams, self._state, self._table, self._masks = [], None, None, None

    def _tensor(self, values: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(values).to(self.device)
