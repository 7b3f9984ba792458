"""Makes a bundle's vocabulary shortlist, and measures what it costs in BLEU.

Lists are made at several sizes, smallest first. The first with which BLEU on the validation file falls
by no more than `MOST_LOST`, and no more than `MOST_CHANGED` of the translations differ, is used by
default; where none is that good, the largest comes with the bundle and is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray

from nmt.config import EOS
from nmt.errors import CorpusError
from nmt.shortlist import Shortlist
from nmt.text import normalise
from nmt.tokenizer import SPACE, SPECIAL, Tokenizer
from nmt.translator import Translator
from training.lexicon import Lexicon, learn
from training.progress import Progress
from training.validation import bleu_tokenizer

SIZES = ((500, 1e-3), (1000, 3e-5))
"""Most frequent target units on every list, and the least p(target unit | source unit) of the others."""

MOST_LOST = 0.05
"""BLEU on validation data that a shortlist may cost and still be used by default."""

MOST_CHANGED = 0.03
"""Share of translations that may differ. BLEU alone is too noisy: one file of 2,000 sentences can gain what
the next one loses."""

CHUNK = 128
_TEXTS = 10_000

Pair = tuple[str, str]


def make(
    lexicon: Lexicon,
    frequency: NDArray[np.int64],
    source: Tokenizer,
    target: Tokenizer,
    *,
    frequent: int,
    least: float,
    default: bool = False,
) -> Shortlist:
    """The lists of one size.

    Every list has the `frequent` most frequent target units and all of one character, which spell
    whatever else is missing. A source unit brings the target units at least `least` probable, and
    those spelled like it, with and without a space before: names, numbers, marks.
    """
    places = {target.piece(id_): id_ for id_ in range(target.size) if id_ not in SPECIAL}
    single = [id_ for piece, id_ in places.items() if len(piece.replace(SPACE, "")) <= 1]
    order = np.argsort(-frequency, kind="stable")
    likely = np.zeros((source.size, target.size), dtype=bool)
    found = lexicon.probability >= least
    likely[lexicon.source[found], lexicon.target[found]] = True
    likely[list(SPECIAL)] = False
    for id_ in range(source.size):
        piece = source.piece(id_)
        bare = piece.removeprefix(SPACE)
        for spelled in (bare, SPACE + bare):
            if id_ not in SPECIAL and spelled in places:
                likely[id_, places[spelled]] = True
    return Shortlist.of(np.union1d(single, order[:frequent]).astype(np.int64), likely, default=default)


def read_units(pairs: Iterable[Pair], source: Tokenizer, target: Tokenizer) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of training pairs, a few thousand texts at a time.

    Raises:
        CorpusError: There is no pair.
    """
    found: tuple[list[list[int]], list[list[int]]] = ([], [])
    waiting: list[Pair] = []

    def cut() -> None:
        for units, tokenizer, side in zip(found, (source, target), (0, 1), strict=True):
            units += tokenizer.ids([normalise(pair[side]).text for pair in waiting])
        waiting.clear()

    for pair in pairs:
        waiting.append(pair)
        if len(waiting) == _TEXTS:
            cut()
    cut()
    if not found[0]:
        raise CorpusError("a shortlist needs training pairs, and the training file holds none")
    return found


def shortlist(
    translator: Translator, train: Iterable[Pair], valid: Sequence[Pair], test: Sequence[Pair], *, language: str
) -> tuple[Shortlist, dict[str, Any]]:
    """Learn on `train`, choose on `valid`, report on `test`.

    Args:
        translator: Its `shortlist` is the one that is made, afterwards.
        train: Training pairs.
        valid: Validation pairs.
        test: Test pairs.
        language: Of the target side.
    """
    source, target = translator.source_tokenizer, translator.target_tokenizer
    sources, targets = read_units(train, source, target)
    frequency = np.bincount(np.concatenate([np.array(ids, dtype=np.int64) for ids in targets]), minlength=target.size)
    lexicon = learn(sources, targets)
    del sources, targets
    before = _translate(translator, valid, "validation, whole", shortlist=False)
    whole = _bleu(before, valid, language)
    tried: list[dict[str, float]] = []
    default = False
    for frequent, least in SIZES:
        made = make(lexicon, frequency, source, target, frequent=frequent, least=least)
        translator.shortlist = made
        after = _translate(translator, valid, f"validation, {frequent}, {least:g}", shortlist=True)
        bleu = _bleu(after, valid, language)
        changed = sum(one != other for one, other in zip(before, after, strict=True)) / len(valid)
        counts = cover(made, source, target, valid) | {"changed": round(changed, 4), "bleu": round(bleu, 3)}
        tried.append({"frequent": frequent, "least": least, **counts})
        default = bleu >= whole - MOST_LOST and changed <= MOST_CHANGED
        if default:
            break
    made = make(lexicon, frequency, source, target, frequent=frequent, least=least, default=default)
    translator.shortlist = made
    return made, {
        "default": default,
        "validation": {"whole": round(whole, 3), "tried": tried},
        "test": {
            "whole": round(_bleu(_translate(translator, test, "test, whole", shortlist=False), test, language), 2),
            "shortlist": round(_bleu(_translate(translator, test, "test, lists", shortlist=True), test, language), 2),
            **cover(made, source, target, test),
        },
    }


def cover(shortlist: Shortlist, source: Tokenizer, target: Tokenizer, pairs: Sequence[Pair]) -> dict[str, float]:
    """Mean length of the lists, and the share of reference units that stand on them."""
    lengths = []
    inside = total = 0
    for first, second in pairs:
        ids = source.ids([normalise(first).text])[0]
        allowed = shortlist.for_source([*ids, EOS])
        wanted = np.array(target.ids([normalise(second).text])[0], dtype=np.int64)
        lengths.append(len(allowed))
        inside += int(np.isin(wanted, allowed).sum())
        total += len(wanted)
    return {"units": round(float(np.mean(lengths)), 1), "references_covered": round(inside / max(1, total), 4)}


def _translate(translator: Translator, pairs: Sequence[Pair], title: str, *, shortlist: bool) -> list[str]:
    """The translator's answers, with its shortlist or without."""
    outputs: dict[int, str] = {}
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]))
    with Progress(title, len(pairs), unit="sentences") as progress:
        for start in range(0, len(order), CHUNK):
            chosen = order[start : start + CHUNK]
            answers = translator.translate([pairs[place][0] for place in chosen], shortlist=shortlist)
            outputs |= {place: answer.text for place, answer in zip(chosen, answers, strict=True)}
            progress.advance(len(outputs), len(outputs))
    return [outputs[place] for place in range(len(pairs))]


def _bleu(texts: list[str], pairs: Sequence[Pair], language: str) -> float:
    references = [[pair[1] for pair in pairs]]
    return sacrebleu.corpus_bleu(texts, references, tokenize=bleu_tokenizer(language)).score


def section(report: dict[str, Any]) -> str:
    """The part of a bundle's README that says what the shortlist costs."""
    rows = "\n".join(
        f"| {row['frequent']} | {row['least']:g} | {row['units']:.0f} | {row['references_covered']:.1%} "
        f"| {row['changed']:.1%} | {row['bleu']:.2f} |"
        for row in report["validation"]["tried"]
    )
    test = report["test"]
    return f"""## Vocabulary shortlist

{"On" if report["default"] else "Off"} by default: it is on where it costs at most {MOST_LOST:g} BLEU on the validation
file, which is {report["validation"]["whole"]:.2f} without it, and changes at most {MOST_CHANGED:.0%} of translations.

| frequent units | least probability of others | units on a list | units of references on it | changed | BLEU |
|---|---|---|---|---|---|
{rows}

The last one is in the bundle. On the test file: BLEU {test["shortlist"]:.2f} with it, {test["whole"]:.2f} without,
{test["units"]:.0f} units on a list.
"""
