"""Beam search over a batch of sentences.

Shapes: A sentences still open, K slots of each, R = A K rows, V vocabulary, S source length,
N steps taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.config import BOS, EOS, PAD, UNK, check_range
from nmt.errors import ConfigError
from nmt.model import Seq2Seq


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One finished candidate.

    Attributes:
        tokens: Target ids; the last one is EOS unless `truncated`.
        score: Sum of `token_scores` over the length penalty.
        token_scores: Natural-log probability of every token, (T,).
        attention: One row for each token, (T, S), S with the source's EOS; None without attention.
        truncated: The length limit ended it.
    """

    tokens: list[int]
    score: float
    token_scores: NDArray[np.float32]
    attention: NDArray[np.float32] | None
    truncated: bool = False


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6) ** alpha (Wu et al. 2016, eq. 14); EOS counts."""
    return float(((5 + length) / 6) ** alpha)


@dataclass(slots=True)
class _Sentence:
    place: int
    limit: int
    source_length: int
    finished: list[Hypothesis] = field(default_factory=list)


@dataclass(slots=True)
class _Beam:
    """The open rows of all sentences; slots that are not open score -inf."""

    scores: Tensor  # (A, K)
    tokens: Tensor  # (A, K, N)
    token_scores: Tensor  # (A, K, N)
    attention: Tensor | None  # (A, K, N, S)

    def select(self, sentences: Tensor, slots: Tensor) -> _Beam:
        """Sentence `sentences[a]`'s slots `slots[a]` for every a."""
        at = (sentences[:, None], slots)
        attention = None if self.attention is None else self.attention[at]
        return _Beam(self.scores[at], self.tokens[at], self.token_scores[at], attention)


@torch.inference_mode()
def beam_search(
    model: Seq2Seq,
    source: Tensor,
    *,
    limits: Sequence[int],
    beam_size: int = 5,
    n_best: int = 1,
    alpha: float = 1.0,
) -> list[list[Hypothesis]]:
    """The best translations of every sentence of a batch.

    A finished hypothesis takes a slot of its sentence's beam, so a beam of one is greedy search.
    A sentence ends when no slot is open, or when no open hypothesis can still beat its n-th best
    finished one within the length limit. A hypothesis has no more unknown units than its source
    (each is copied from one of them).

    Args:
        model: In evaluation mode.
        source: Ids with EOS, shape (B, S), padded on the right.
        limits: For each sentence, the most target units, EOS included.
        beam_size: K.
        n_best: How many hypotheses to return for each sentence, at most K.
        alpha: Exponent of the length penalty; 0 compares plain log-probabilities.

    Returns:
        For each sentence, `n_best` hypotheses, best first (fewer only if fewer exist).

    Raises:
        ConfigError: `n_best` is larger than `beam_size`, or a value is out of range.
    """
    check_search(beam_size, n_best, alpha)
    encoded = model.encode(source)
    lengths = encoded.mask.sum(dim=1).tolist()
    sentences = [_Sentence(b, limits[b], int(lengths[b])) for b in range(len(limits))]
    everything = list(sentences)
    device, count = source.device, len(sentences)
    state = model.decoder.start(encoded)
    state = state.select(torch.arange(count, device=device).repeat_interleave(beam_size))
    forbidden = torch.zeros(count, model.config.target_vocabulary, dtype=torch.bool, device=device)
    forbidden[:, [PAD, BOS]] = True
    unknowns = (source == UNK).sum(dim=1)

    scores = torch.full((count, beam_size), -torch.inf, device=device)
    scores[:, 0] = 0.0  # the K rows start equal: let only the first one speak
    nothing = torch.zeros(count, beam_size, 0, device=device)
    beam = _Beam(scores, nothing.long(), nothing, None)
    read = torch.full((count * beam_size,), BOS, device=device)
    while sentences:
        step = model.decoder.step(read, state)
        log_probabilities = step.logits.log_softmax(dim=-1).view(len(sentences), beam_size, -1)
        allowed = log_probabilities.masked_fill(forbidden[:, None], -torch.inf)
        spent = (beam.tokens == UNK).sum(dim=2) >= unknowns[:, None]  # (A, K)
        allowed[:, :, UNK].masked_fill_(spent, -torch.inf)
        candidates = (beam.scores[:, :, None] + allowed).flatten(1)  # (A, K V)
        best, flat = candidates.topk(min(beam_size, candidates.shape[1]), dim=1)
        vocabulary = log_probabilities.shape[-1]
        slots, tokens = flat // vocabulary, flat % vocabulary
        here = torch.arange(len(sentences), device=device)
        beam = beam.select(here, slots)
        chosen = log_probabilities[here[:, None], slots, tokens]
        beam.tokens = torch.cat((beam.tokens, tokens[:, :, None]), dim=2)
        beam.token_scores = torch.cat((beam.token_scores, chosen[:, :, None]), dim=2)
        if step.weights is not None:
            weights = step.weights.view(len(sentences), beam_size, -1)[here[:, None], slots][:, :, None]
            beam.attention = weights if beam.attention is None else torch.cat((beam.attention, weights), dim=2)
        beam.scores = best
        _finish(sentences, beam, alpha)
        keep = [a for a, sentence in enumerate(sentences) if not _ended(sentence, beam.scores[a], n_best, alpha)]
        rows = here[:, None] * beam_size + slots
        if len(keep) < len(sentences):
            sentences = [sentences[a] for a in keep]
            if not sentences:
                break
            kept = torch.tensor(keep, device=device)
            width = max(sentence.source_length for sentence in sentences)
            beam = beam.select(kept, torch.arange(beam_size, device=device).expand(len(keep), -1))
            if beam.attention is not None:
                beam.attention = beam.attention[..., :width]
            forbidden, unknowns = forbidden[kept], unknowns[kept]
            state = step.state.select(rows[kept].flatten(), kept)
        else:
            state = step.state.select(rows.flatten())
        read = beam.tokens[:, :, -1].flatten()
    return [sorted(s.finished, key=lambda h: -h.score)[:n_best] for s in everything]


def check_search(beam_size: int, n_best: int, alpha: float) -> None:
    """Raise `ConfigError` unless the three go together."""
    check_range("beam_size", beam_size, 1, 200)
    check_range("n_best", n_best, 1, 200)
    check_range("length penalty", alpha, 0.0, 10.0)
    if n_best > beam_size:
        raise ConfigError(f"n_best = {n_best} is larger than beam_size = {beam_size}; raise beam_size or lower n_best")


def _finish(sentences: list[_Sentence], beam: _Beam, alpha: float) -> None:
    """Move what ended from the open slots to `finished`; close the slots it took.

    What a hypothesis keeps is copied: a view would hold the whole batch's tensors in memory.
    """
    beam_size = beam.scores.shape[1]
    length = beam.tokens.shape[2]
    scores = beam.scores.tolist()
    ended = (beam.tokens[:, :, -1] == EOS).tolist()
    for a, sentence in enumerate(sentences):
        open_slots = beam_size - len(sentence.finished)
        for k in range(beam_size):
            if k >= open_slots or scores[a][k] == -torch.inf:
                beam.scores[a, k] = -torch.inf
            elif ended[a][k] or length >= sentence.limit:
                attention = None
                if beam.attention is not None:
                    attention = beam.attention[a, k, :, : sentence.source_length].cpu().numpy().copy()
                sentence.finished.append(
                    Hypothesis(
                        tokens=beam.tokens[a, k].tolist(),
                        score=scores[a][k] / length_penalty(length, alpha),
                        token_scores=beam.token_scores[a, k].cpu().numpy().copy(),
                        attention=attention,
                        truncated=not ended[a][k],
                    )
                )
                beam.scores[a, k] = -torch.inf


def _ended(sentence: _Sentence, open_scores: Tensor, n_best: int, alpha: float) -> bool:
    best_open = float(open_scores.max())
    if best_open == -torch.inf:
        return True
    if len(sentence.finished) < n_best:
        return False
    worst_kept = sorted((h.score for h in sentence.finished), reverse=True)[n_best - 1]
    # log-probabilities only fall, so the longest length is the kindest an open one can hope for
    return best_open / length_penalty(sentence.limit, alpha) <= worst_kept
