"""What is wrong with a corpus, before anything is trained on it: `python -m training doctor CORPUS`."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import regex

from training.cleaning import clean_text, digest, fold
from training.corpus import SentencePair, read_pairs
from training.scripts import letters, main_scripts, written_in

_WINDOW = 40
_SHOWN = 3
_DAMAGE = regex.compile(
    "\ufffd|Ã[\u0080-\u00bf©¨ªÂ]|â€[™œ\u009d“”¦]|Â[ «»°]|&(?:amp|lt|gt|quot|#\\d+);|[\\p{Cc}--[\\t\\n\\r]]",
    regex.VERSION1,
)
_WORD = regex.compile(r"\p{L}+")


@dataclass(slots=True)
class Finding:
    """One kind of fault.

    Attributes:
        name: What it is.
        remedy: The setting, or the deed, that repairs it.
        count: Pairs that have it.
        examples: The first few, for people.
    """

    name: str
    remedy: str
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, pair: SentencePair) -> None:
        """Count a pair."""
        self.count += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(f"line {pair.line}: {_shown(pair.source)} | {_shown(pair.target)}")


def examine(pairs: list[SentencePair], held_out: dict[str, list[SentencePair]]) -> list[Finding]:
    """Everything that is wrong, most frequent first.

    Args:
        pairs: Of the training corpus, in its order.
        held_out: Validation and test pairs, by name.
    """
    findings = [
        *_one_by_one(pairs),
        *_leakage(pairs, held_out),
        *_scripts(pairs),
        _languages(pairs),
        _stretches(pairs),
    ]
    return sorted((one for one in findings if one.count), key=lambda one: -one.count)


def _one_by_one(pairs: list[SentencePair]) -> list[Finding]:
    empty = Finding("a side is empty", "dropped by the rule `empty`")
    same = Finding("both sides are the same", "cleaning.identical_sides = true drops them")
    twice = Finding("the pair stands there before", "cleaning.duplicates = true drops them")
    damage = Finding("encoding damage or markup", "repair the file; cleaning.control_characters = true drops the worst")
    long = Finding(
        "longer than 120 words or 1,000 characters", "cleaning.max_words and cleaning.max_characters drop them"
    )
    uneven = Finding("one side is over three times as long", "cleaning.max_length_ratio = 3.0 drops them")
    seen: set[int] = set()
    for pair in pairs:
        source, target = clean_text(pair.source), clean_text(pair.target)
        key = digest(source, target)
        if not source or not target:
            empty.add(pair)
            continue
        if source == target:
            same.add(pair)
        if key in seen:
            twice.add(pair)
        seen.add(key)
        if _DAMAGE.search(pair.source) or _DAMAGE.search(pair.target):
            damage.add(pair)
        if max(len(source), len(target)) > 1000 or max(source.count(" "), target.count(" ")) >= 120:
            long.add(pair)
        shorter, longer = sorted((_weight(source), _weight(target)))
        if (longer + 10) / (shorter + 10) > 3:
            uneven.add(pair)
    return [empty, same, twice, damage, long, uneven]


def _leakage(pairs: list[SentencePair], held_out: dict[str, list[SentencePair]]) -> list[Finding]:
    findings = []
    for name, given in held_out.items():
        found = Finding(
            f"a sentence also stands in the {name} set", f"name the file in data.{name}: it is then dropped"
        )
        sources, targets = ({fold(clean_text(getattr(pair, side))) for pair in given} for side in ("source", "target"))
        for pair in pairs:
            if fold(clean_text(pair.source)) in sources or fold(clean_text(pair.target)) in targets:
                found.add(pair)
        findings.append(found)
    return findings


def _scripts(pairs: list[SentencePair]) -> list[Finding]:
    findings = []
    for side in ("source", "target"):
        texts = [getattr(pair, side) for pair in pairs]
        main = main_scripts(texts[:: max(1, len(texts) // 2000)])
        found = Finding(
            f"the {side} is not written in {'+'.join(main)}", f'cleaning.{side}_script = "{"+".join(main)}"'
        )
        for pair, text in zip(pairs, texts, strict=True):
            if main and 5 * written_in(text, main) < letters(text):
                found.add(pair)
        findings.append(found)
    return findings


def _languages(pairs: list[SentencePair]) -> Finding:
    """Sides whose words are, by and large, the other side's: exchanged, or not translated."""
    found = Finding("a side seems to be in the other side's language", "look at those lines; exchange or remove them")
    words = [[_WORD.findall(text.lower()) for text in (pair.source, pair.target)] for pair in pairs]
    counts = [Counter(word for row in words for word in set(row[side])) for side in (0, 1)]
    for pair, row in zip(pairs, words, strict=True):
        for side, own in enumerate(row):
            known = [word for word in own if counts[0][word] + counts[1][word] >= 5]
            balance = sum(math.log((counts[side][w] + 0.5) / (counts[1 - side][w] + 0.5)) for w in known)
            if len(known) >= 4 and balance < -2.0 * len(known):
                found.add(pair)
                break
    return found


def _stretches(pairs: list[SentencePair]) -> Finding:
    """Stretches of lines whose lengths have nothing to do with each other, in a corpus where they have."""
    found = Finding("misaligned stretches (lengths of the two sides do not go together)", "align the file again there")
    lengths = np.log([[1 + _weight(pair.source), 1 + _weight(pair.target)] for pair in pairs] or [[1, 1]])
    if len(pairs) < 4 * _WINDOW or lengths.std(axis=0).min() == 0 or np.corrcoef(lengths.T)[0, 1] < 0.6:
        return found
    bad = []
    for start in range(0, len(pairs) - _WINDOW + 1, _WINDOW // 2):
        window = lengths[start : start + _WINDOW]
        if window.std(axis=0).min() > 0.2 and np.corrcoef(window.T)[0, 1] < 0.15:
            bad.append(start)
    for start in bad:
        found.count += _WINDOW // 2 if start - _WINDOW // 2 in bad else _WINDOW
        if len(found.examples) < _SHOWN:
            first, last = pairs[start], pairs[start + _WINDOW - 1]
            found.examples.append(f"lines {first.line} to {last.line}: {_shown(first.source)} | {_shown(first.target)}")
    return found


def _weight(text: str) -> int:
    return len(text) if text.isascii() else len(text) + 2 * written_in(text, ("Han", "Hiragana", "Katakana"))


def _shown(text: str, width: int = 44) -> str:
    text = "".join(one if one.isprintable() else "\ufffd" for one in text)
    return text if len(text) <= width else text[: width - 1] + "…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("corpus", type=Path, nargs="+", help="a TSV or TMX file, or source file and target file")
    parser.add_argument("--source", default="", metavar="CODE", help="language of the source, for TMX")
    parser.add_argument("--target", default="", metavar="CODE", help="language of the target, for TMX")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="validation pairs, to look for leakage")
    parser.add_argument("--test", type=Path, metavar="FILE", help="test pairs, to look for leakage")
    parser.add_argument(
        "--pairs", type=int, default=500_000, metavar="N", help="look at the first N pairs (default: 500000)"
    )


def run(options: argparse.Namespace) -> None:
    """Print what is wrong, with examples and remedies."""
    languages = (options.source, options.target)
    read = read_pairs(tuple(options.corpus[:2]), languages=languages, progress="looking at the corpus")
    pairs = list(islice(read, options.pairs))
    held_out = {
        name: list(read_pairs((path,), languages=languages))
        for name, path in (("valid", options.valid), ("test", options.test))
        if path
    }
    print(f"{len(pairs):,} pairs looked at")
    findings = examine(pairs, held_out)
    for one in findings:
        print(f"\n{one.count:>9,} {one.count / len(pairs):>7.2%}  {one.name}\n{'':19}remedy: {one.remedy}")
        for example in one.examples:
            print(f"{'':19}{example}")
    if not findings:
        print("nothing found that cleaning or training would stumble over")
