"""Named rules that drop what would harm training, with a count and examples for every rule."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import regex

from nmt.text import normalise
from training.config import CleaningConfig
from training.corpus import SentencePair

_EXAMPLES = 3
_CONTROL = regex.compile(r"[\p{Cc}--[\t\n\v\f\r\x85]]|\ufffd", regex.VERSION1)
WORD = regex.compile(r"\p{Han}|[^\s\p{Han}]+")
"""A word as `cleaning.max_words` counts them."""
_DENSE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
_LETTER = regex.compile(r"\p{L}")
_HARD = regex.compile(
    r"[\p{M}\p{GCB=Extend}\p{GCB=Prepend}\p{GCB=SpacingMark}\p{GCB=ZWJ}[\p{Cc}--[\t\n\r]]]", regex.VERSION1
)
"""What may join a space into a cluster, or is taken away."""
_NOT_FOLDED = regex.compile(r"[\p{P}\p{S}\p{Z}\p{C}]+")


def clean_text(text: str) -> str:
    """`nmt.text.normalise`'s text, with a short way where only white space can change."""
    if (text.isascii() and text.isprintable()) or (unicodedata.is_normalized("NFC", text) and not _HARD.search(text)):
        return " ".join(text.split())
    return normalise(text).text


def fold(text: str) -> str:
    """`text` without case, punctuation and symbols: what makes two sentences the same for a test set."""
    return _NOT_FOLDED.sub(" ", text.casefold()).strip() or text


def digest(*texts: str) -> int:
    """64 bits that stand for the texts."""
    return int.from_bytes(hashlib.blake2b("\t".join(texts).encode(), digest_size=8).digest(), "big")


@dataclass(slots=True)
class Dropped:
    """What one rule dropped.

    Attributes:
        count: Pairs.
        examples: The first few, with their line.
    """

    count: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, pair: SentencePair) -> None:
        """Count a pair."""
        self.join(Dropped(1, [{"line": pair.line, "source": pair.source, "target": pair.target}]))

    def join(self, other: Dropped) -> None:
        """Count what came later too."""
        self.count += other.count
        self.examples += other.examples[: _EXAMPLES - len(self.examples)]


class Cleaner:
    """Applies the rules that look at one pair alone, in order; a pair is counted by the first rule it breaks.

    Args:
        config: Limits and which rules are on.
        held_out: Digests of every folded sentence of the given validation and test files, source
            sentences first, target sentences second; a training pair that shares one is `leakage`.
    """

    def __init__(self, config: CleaningConfig, held_out: tuple[Collection[int], Collection[int]] = ((), ())) -> None:
        self.config = config
        self.read = 0
        self.kept = 0
        self._held_out = held_out
        self._rules = _rules(config)
        if any(held_out):
            self._rules["leakage"] = self._leaks
        self.dropped = {name: Dropped() for name in self._rules}

    def __call__(self, pair: SentencePair) -> SentencePair | None:
        """The pair with both sides normalised, or None when a rule drops it."""
        self.read += 1
        clean = SentencePair(clean_text(pair.source), clean_text(pair.target), pair.line)
        for name, breaks in self._rules.items():
            if breaks(pair, clean):
                self._drop(name, pair)
                return None
        self.kept += 1
        return clean

    def _drop(self, name: str, pair: SentencePair) -> None:
        self.dropped[name].add(pair)

    def _leaks(self, pair: SentencePair, clean: SentencePair) -> bool:
        sources, targets = self._held_out
        return digest(fold(clean.source)) in sources or digest(fold(clean.target)) in targets


def report(read: int, kept: int, dropped: dict[str, Dropped]) -> dict[str, Any]:
    """Counts and examples, for `cleaning.json`."""
    rules = {name: {"count": one.count, "examples": one.examples} for name, one in dropped.items()}
    return {"read": read, "kept": kept, "dropped": read - kept, "rules": rules}


def table(report: dict[str, Any]) -> str:
    """The report as a person reads it on a terminal."""
    read = max(report["read"], 1)
    lines = [f"  {'pairs read':<22}{report['read']:>12,}"]
    for name, rule in report["rules"].items():
        lines.append(f"  {name:<22}{-rule['count']:>12,}{rule['count'] / read:>9.2%}")
        for example in rule["examples"]:
            texts = " | ".join(_shown(example[side]) for side in ("source", "target"))
            lines.append(f"      line {example['line']}: {texts}")
    lines.append(f"  {'pairs kept':<22}{report['kept']:>12,}{report['kept'] / read:>9.2%}")
    for name, count in report.get("parts", {}).items():
        lines.append(f"    {name:<20}{count:>12,}")
    return "\n".join(lines)


def _shown(text: str, width: int = 48) -> str:
    text = "".join(one if one.isprintable() else "\ufffd" for one in text)  # no escape sequence reaches the terminal
    return text if len(text) <= width else text[: width - 1] + "…"


Rule = Callable[[SentencePair, SentencePair], bool]


def _rules(config: CleaningConfig) -> dict[str, Rule]:
    """The rules that look at one pair alone, raw and clean, in the order they are asked."""
    rules: dict[str, Rule] = {"empty": lambda pair, clean: not clean.source or not clean.target}
    if config.control_characters:
        rules["control_characters"] = lambda pair, clean: bool(
            _CONTROL.search(pair.source) or _CONTROL.search(pair.target)
        )
    rules["too_long"] = lambda pair, clean: _too_long(clean.source, config) or _too_long(clean.target, config)
    rules["length_ratio"] = lambda pair, clean: ratio(clean) > config.max_length_ratio
    if config.identical_sides:
        rules["identical_sides"] = lambda pair, clean: clean.source == clean.target
    if config.source_script or config.target_script:
        source, target = _script(config.source_script), _script(config.target_script)
        rules["wrong_script"] = lambda pair, clean: (
            not (_is_written_in(clean.source, source) and _is_written_in(clean.target, target))
        )
    return rules


def _too_long(text: str, config: CleaningConfig) -> bool:
    if len(text) > config.max_characters:
        return True
    return len(text) > config.max_words and len(WORD.findall(text)) > config.max_words


def ratio(pair: SentencePair) -> float:
    """Longer over shorter side of a clean pair, as `cleaning.max_length_ratio` limits it."""
    shorter, longer = sorted((_length(pair.source), _length(pair.target)))
    return (longer + 10) / (shorter + 10)


def _length(text: str) -> int:
    """Characters; one of a Chinese or Japanese script says about as much as three letters."""
    return len(text) if text.isascii() else len(text) + 2 * len(_DENSE.findall(text))


def _script(names: str) -> regex.Pattern[str] | None:
    if not names:
        return None
    return regex.compile("[" + "".join(rf"\p{{Script={name}}}" for name in names.split("+")) + "]")


def _is_written_in(text: str, script: regex.Pattern[str] | None) -> bool:
    """Whether at least a fifth of the letters are of the script; text without letters passes.

    Not more: technical text in Chinese or Russian is full of Latin names.
    """
    if script is None:
        return True
    letters = "".join(_LETTER.findall(text))
    return 5 * len(script.findall(letters)) >= len(letters)
