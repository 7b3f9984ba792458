"""Small made-up tasks and a training loop of ten lines, for tests of the model alone."""

from __future__ import annotations

import torch
from torch.nn import functional

from nmt.batch import Batch
from nmt.config import EOS, PAD
from nmt.model import Seq2Seq
from nmt.search import SearchOptions, Sentence, translate_all

FIRST_SYMBOL = EOS + 1


def reversals(count: int, length: int, symbols: int, seed: int) -> tuple[list[list[int]], list[list[int]]]:
    """Random sequences and the same backwards."""
    generator = torch.Generator().manual_seed(seed)
    sources = torch.randint(FIRST_SYMBOL, FIRST_SYMBOL + symbols, (count, length), generator=generator).tolist()
    return sources, [source[::-1] for source in sources]


def learn(
    model: Seq2Seq,
    sources: list[list[int]],
    targets: list[list[int]],
    *,
    updates: int,
    rate: float = 5e-3,
    rows: int = 64,
) -> None:
    """Adam on random batches."""
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(updates):
        chosen = torch.randint(len(sources), (rows,)).tolist()
        batch = Batch.of([sources[i] for i in chosen], [targets[i] for i in chosen])
        logits = model.decoder.output(model(batch).features)
        loss = functional.cross_entropy(logits.flatten(0, 1), batch.target_out.flatten(), ignore_index=PAD)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()


def accuracy(model: Seq2Seq, sources: list[list[int]], targets: list[list[int]], beam_size: int = 1) -> float:
    """Share of sequences translated without a fault."""
    options = SearchOptions(beam_size=beam_size)
    sentences = [Sentence([*source, EOS], 2 * len(source) + 2, options) for source in sources]
    translate_all(model, sentences)
    found = [sentence.hypotheses or [] for sentence in sentences]
    right = sum(h[0].tokens == [*target, EOS] for h, target in zip(found, targets, strict=True))
    return right / len(sources)
