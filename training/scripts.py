"""Which script a text is written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import regex

SCRIPTS = (
    *("Latin", "Cyrillic", "Greek", "Armenian", "Georgian", "Arabic", "Hebrew", "Ethiopic"),
    *("Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Tibetan"),
    *("Han", "Hiragana", "Katakana", "Hangul"),
)
"""Unicode scripts told apart."""

_OF = {name: regex.compile(rf"\p{{Script={name}}}") for name in SCRIPTS}
_LETTER = regex.compile(r"\p{L}")
_JAPANESE = ("Han", "Hiragana", "Katakana")
_SHARE = 0.15


def letters(text: str) -> int:
    """How many letters of any script it has."""
    return len(_LETTER.findall(text))


def written_in(text: str, scripts: Iterable[str]) -> int:
    """How many of its characters are of these scripts."""
    return sum(len(_OF[name].findall(text)) for name in scripts)


def main_scripts(texts: Iterable[str]) -> tuple[str, ...]:
    """What the texts are written in, such as `("Latin",)` or `("Han", "Hiragana", "Katakana")`; empty: none.

    Names and terms in Latin letters stand in the text of every language, so Latin counts only where
    no other script has its share.
    """
    counts = Counter({name: 0 for name in SCRIPTS})
    total = 0
    for text in texts:
        found = letters(text)
        total += found
        latin = len(_OF["Latin"].findall(text))
        counts["Latin"] += latin
        if latin < found:
            for name in SCRIPTS[1:]:
                counts[name] += len(_OF[name].findall(text))
    kana = counts["Hiragana"] + counts["Katakana"]
    if kana + counts["Han"] > _SHARE * total and kana > 0.1 * counts["Han"]:
        return _JAPANESE
    found_scripts = tuple(name for name in SCRIPTS[1:] if counts[name] > _SHARE * total)
    return found_scripts or (("Latin",) if counts["Latin"] > _SHARE * total else ())
