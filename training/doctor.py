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

from nmt.errors import ConfigError
from training.cleaning import Cleaner, clean_text, digest, fold
from training.config import CleaningConfig
from training.corpus import SentencePair, read_pairs
from training.scripts import letters, main_scripts, written_in
from training.tmx import is_tmx

_WINDOW = 40
_SHOWN = 3

_MANY = 0.1
"""Share of the pairs from which on it is worth saying that sources have several translations."""

_RULES = {
    "empty": ("a side is empty", "dropped by the rule `empty`"),
    "control_characters": (
        "control characters, or the traces of a broken conversion",
        "cleaning.control_characters = true drops them",
    ),
    "too_long": (
        "longer than 120 words or 1,000 characters",
        "cleaning.max_words and cleaning.max_characters drop them (a Han character is a word)",
    ),
    "length_ratio": ("one side is over three times as long", "cleaning.max_length_ratio = 3.0 drops them"),
    "identical_sides": ("both sides are the same", "cleaning.identical_sides = true drops them"),
}
"""What the cleaning rules drop by default, in a person's words, and why."""

_DAMAGE = regex.compile("Ã[\u0080-\u00bf©¨ªÂ]|â€[™œ\u009d“”¦]|Â[ «»°]")
_MARKUP = regex.compile(
    r"&(?:amp|lt|gt|quot|nbsp|apos|#\d+);|</?[a-zA-Z][^<>]*>|\b(?:ref|md5|href)=['\"]|%(?:\(\w+\))?[sd]\b|\{\w*\}|::$|``"
)
_SPACES = regex.compile(r"[\p{Zs}--[ ]]", regex.VERSION1)
_INVISIBLE = regex.compile("[\u00ad\u200b\u2060\ufeff]")  # joiners and marks of direction have their use
_ACCENTED = (
    *("cs", "da", "de", "es", "et", "fi", "fr", "hr", "hu", "is", "it", "lt", "lv", "nb", "nn"),
    *("no", "pl", "pt", "ro", "sk", "sl", "sv", "tr", "vi"),
)
"""Languages in Latin letters whose ordinary text has letters beyond ASCII."""

_WORD = regex.compile(r"\p{L}+")


@dataclass(slots=True)
class Finding:
    """One kind of fault.

    Attributes:
        name: What it is.
        remedy: The setting, or the deed, that repairs it.
        fault: Whether it harms training; else it is only good to know.
        count: Pairs that have it.
        examples: The first few, for people.
    """

    name: str
    remedy: str
    fault: bool = True
    count: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, pair: SentencePair, pattern: regex.Pattern[str] | None = None) -> None:
        """Count a pair; the example shows the place that the pattern finds."""
        self.count += 1
        if len(self.examples) < _SHOWN:
            self.examples.append(_example(pair, pattern))


def examine(
    pairs: list[SentencePair], held_out: dict[str, list[SentencePair]], languages: tuple[str, str] = ("", "")
) -> list[Finding]:
    """Everything that is wrong, most frequent first, then what is good to know.

    Args:
        pairs: Of the training corpus, in its order.
        held_out: Validation and test pairs, by name.
        languages: Codes of source and target where they are known.
    """
    texts = [[getattr(pair, side) for pair in pairs] for side in ("source", "target")]
    scripts = [main_scripts(side[:: max(1, len(side) // 2000)]) for side in texts]
    findings = [
        *_cleaned(pairs),
        *_one_by_one(pairs),
        *_leakage(pairs, held_out),
        *_scripts(pairs, scripts),
        *([_languages(pairs)] if set(scripts[0]) & set(scripts[1]) else []),  # else the script tells, and better
        *_accents(pairs, languages),
        _stretches(pairs),
    ]
    return sorted((one for one in findings if one.count), key=lambda one: (not one.fault, -one.count))


def _cleaned(pairs: list[SentencePair]) -> list[Finding]:
    """What `prepare` would drop by default."""
    cleaner = Cleaner(CleaningConfig())
    for pair in pairs:
        cleaner(pair)
    return [
        Finding(*_RULES[name], count=one.count, examples=[_example(SentencePair(**pair)) for pair in one.examples])
        for name, one in cleaner.dropped.items()
    ]


def _one_by_one(pairs: list[SentencePair]) -> list[Finding]:
    twice = Finding("the pair stands there before", "cleaning.duplicates = true drops them")
    nearly = Finding(
        "the pair stands there before, but for case, punctuation or symbols",
        "nothing drops them; `prepare` never parts them when it splits off validation and test sets",
        fault=False,
    )
    damage = Finding(
        "text that was decoded in the wrong encoding", "convert the file again from the original, or remove those lines"
    )
    markup = Finding("markup or placeholders", "take it out, unless the text to translate will have it too")
    invisible = Finding(
        "soft hyphens or zero-width spaces",
        "remove them from the file: they stay in the text, where they cut words in two",
    )
    spaces = Finding(
        "no-break and other unusual spaces",
        "none needed: training and translating make them plain spaces",
        fault=False,
    )
    patterns = ((damage, _DAMAGE), (markup, _MARKUP), (invisible, _INVISIBLE), (spaces, _SPACES))
    seen: set[int] = set()
    folded: set[int] = set()
    sources: Counter[int] = Counter()
    for pair in pairs:
        source, target = clean_text(pair.source), clean_text(pair.target)
        key, close = digest(source, target), digest(fold(source), fold(target))
        if key in seen:
            twice.add(pair)
        elif close in folded:
            nearly.add(pair)
        else:
            sources[digest(source)] += 1
        seen.add(key)
        folded.add(close)
        for finding, pattern in patterns:
            if pattern.search(pair.source) or pattern.search(pair.target):
                finding.add(pair, pattern)
    several = Finding(
        "the source has other translations too",
        "none needed; but BLEU knows only the one of the test set, and `prepare` never parts them when it splits",
        fault=False,
    )
    if sum(count for count in sources.values() if count > 1) > _MANY * len(pairs):
        for pair in pairs:
            if sources[digest(clean_text(pair.source))] > 1:
                several.add(pair)
    return [twice, nearly, several, *(finding for finding, _ in patterns)]


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


def _scripts(pairs: list[SentencePair], scripts: list[tuple[str, ...]]) -> list[Finding]:
    """Sides without a single letter of their script: what has a few may be a sentence full of foreign names."""
    findings = []
    for side, main in zip(("source", "target"), scripts, strict=True):
        name = "+".join(main)
        none, few = Finding(f"the {side} is not written in {name}", ""), 0
        for pair in pairs:
            text = getattr(pair, side)
            count = letters(text)
            if main and count:
                own = written_in(text, main)
                if not own:
                    none.add(pair)
                elif 5 * own < count:
                    few += 1
        none.remedy = f'cleaning.{side}_script = "{name}" drops them' + (
            f", and {few:,} more of whose letters fewer than a fifth are: look at those before" if few else ""
        )
        findings.append(none)
    return findings


def _accents(pairs: list[SentencePair], languages: tuple[str, str]) -> list[Finding]:
    """A side whose language has accents, and which has next to none: they were lost on the way."""
    findings = []
    for side, language in zip(("source", "target"), languages, strict=True):
        text = "".join(getattr(pair, side) for pair in pairs[:: max(1, len(pairs) // 5000)])
        beyond = sum(one.isalpha() and not one.isascii() for one in text)
        found = Finding(f"the {side} has lost its accents", "a model learns to write so: take the text from elsewhere")
        if language.split("-")[0].lower() in _ACCENTED and len(text) > 1000 and beyond < len(text) / 2000:
            found.count = len(pairs)
            found.examples = [_example(pair) for pair in pairs[:1]]
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


def _example(pair: SentencePair, pattern: regex.Pattern[str] | None = None) -> str:
    return f"line {pair.line}: {_shown(pair.source, pattern)} | {_shown(pair.target, pattern)}"


def _shown(text: str, pattern: regex.Pattern[str] | None = None, width: int = 44) -> str:
    """What fits on the terminal, from its beginning or around what the pattern finds; no escape sequence reaches it."""
    found = pattern.search(text) if pattern else None
    if found and found.end() > width - 4:
        text = "…" + text[max(0, found.start() - width // 2) :]
    text = "".join(one if one.isprintable() else f"<U+{ord(one):04X}>" for one in text[: 2 * width])
    return text if len(text) <= width else text[: width - 1] + "…"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("corpus", type=Path, nargs="+", help="a TSV or TMX file, or source file and target file")
    parser.add_argument(
        "--source", default="", metavar="CODE", help="language of the source: for TMX, and to miss its accents"
    )
    parser.add_argument("--target", default="", metavar="CODE", help="the same of the target")
    parser.add_argument("--valid", type=Path, metavar="FILE", help="validation pairs, to look for leakage")
    parser.add_argument("--test", type=Path, metavar="FILE", help="test pairs, to look for leakage")
    parser.add_argument(
        "--pairs", type=int, default=500_000, metavar="N", help="look at the first N pairs (default: 500000)"
    )


def run(options: argparse.Namespace) -> None:
    """Print what is wrong, with examples and remedies."""
    languages = (options.source, options.target)
    if is_tmx(options.corpus[0]) and not all(languages):
        raise ConfigError(f"{options.corpus[0]}: a TMX file may hold many languages; add --source CODE --target CODE")
    read = read_pairs(tuple(options.corpus[:2]), languages=languages, progress="looking at the corpus")
    pairs = list(islice(read, options.pairs))
    held_out = {
        name: list(read_pairs((path,), languages=languages))
        for name, path in (("valid", options.valid), ("test", options.test))
        if path
    }
    print(f"{len(pairs):,} pairs looked at")
    findings = examine(pairs, held_out, languages)
    for one in findings:
        name = one.name if one.fault else f"good to know: {one.name}"
        print(f"\n{one.count:>9,} {one.count / len(pairs):>7.2%}  {name}\n{'':19}remedy: {one.remedy}")
        for example in one.examples:
            print(f"{'':19}{example}")
    if not any(one.fault for one in findings):
        print("nothing found that cleaning or training would stumble over")
