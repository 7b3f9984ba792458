"""Validation during training: loss by teacher forcing, BLEU by greedy search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import sacrebleu
import torch
from torch import Tensor
from torch.nn import functional

from nmt.batch import Batch
from nmt.config import EOS, PAD
from nmt.errors import CorpusError
from nmt.model import Seq2Seq
from nmt.options import SearchOptions
from nmt.search import Sentence, translate_all
from nmt.text import normalise
from nmt.tokenizer import Tokenizer

T = TypeVar("T")

SAMPLE = 500
"""Pairs translated for BLEU, spread evenly over the validation file; the loss is over all."""

ROWS = 64


def bleu_tokenizer(language: str) -> str:
    """SacreBLEU's tokenizer for a target language: `13a`, or by characters where words are not spaced."""
    base = language.split("-")[0].lower()
    if base in ("zh", "yue", "wuu", "lzh", "cmn"):
        return "zh"
    return "char" if base in ("ja", "th", "lo", "km", "my", "bo") else "13a"


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of `items`, evenly spread over all of them."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


@dataclass(frozen=True, slots=True)
class Validation:
    """Scores of one moment of training.

    Attributes:
        loss: Nats a target token, EOS included, without smoothing.
        bleu: sacreBLEU of greedy translations of `pairs` sentences.
    """

    loss: float
    bleu: float
    pairs: int


class Validator:
    """Scores weights on a validation file, through a model of its own in fp32.

    Args:
        model: Takes the weights; in evaluation mode.
        source, target: Tokenizers.
        language: Code of the target language, which decides BLEU's tokenizer.
        path: TSV file, `source TAB target` a line, raw.
        max_tokens: Pairs with a longer side, EOS included, are left out, as in training.
    """

    def __init__(
        self, model: Seq2Seq, source: Tokenizer, target: Tokenizer, language: str, path: Path, max_tokens: int
    ) -> None:
        self.model, self.target, self.tokenize = model, target, bleu_tokenizer(language)
        self.device = next(model.parameters()).device
        pairs = [line.split("\t") for line in path.read_text("utf-8").split("\n") if line]
        sources = source.ids([normalise(pair[0]).text for pair in pairs])
        targets = target.ids([normalise(pair[1]).text for pair in pairs])
        fit = [i for i in range(len(pairs)) if max(len(sources[i]), len(targets[i])) < max_tokens]
        if not fit:
            raise CorpusError(f"{path} holds no pair of at most {max_tokens} units; raise training.max_tokens")
        order = sorted(fit, key=lambda i: (len(sources[i]), len(targets[i])))
        self.batches = [
            Batch.of([sources[i] for i in rows], [targets[i] for i in rows], self.device)
            for rows in (order[start : start + ROWS] for start in range(0, len(order), ROWS))
        ]
        sample = spread(order, SAMPLE)
        self.sources = [[*sources[i], EOS] for i in sample]
        self.references = [pairs[i][1] for i in sample]

    @torch.inference_mode()
    def __call__(self, weights: dict[str, Tensor]) -> Validation:
        """Score these weights."""
        self.model.load_state_dict(weights, strict=False)
        loss = tokens = 0.0
        for batch in self.batches:
            real = batch.target_out != PAD
            logits = self.model.decoder.output(self.model(batch).features[real])
            loss += float(functional.cross_entropy(logits, batch.target_out[real], reduction="sum"))
            tokens += float(real.sum())
        greedy = SearchOptions(beam_size=1)
        sentences = [Sentence(ids, 2 * len(ids) + 10, greedy) for ids in self.sources]
        translate_all(self.model, sentences)
        outputs = [self._read(sentence) for sentence in sentences]
        bleu = sacrebleu.corpus_bleu(outputs, [self.references], tokenize=self.tokenize).score
        return Validation(loss / tokens, bleu, len(outputs))

    def _read(self, sentence: Sentence) -> str:
        if not sentence.hypotheses:
            raise sentence.error or RuntimeError("a sentence came back without an outcome")
        return self.target.decode(sentence.hypotheses[0].tokens).text
