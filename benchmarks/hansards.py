"""The Canadian parliament's debates in the form of the `enfr` gold alignments, so that AER can be measured.

    python -m benchmarks.hansards DATA OUT

DATA holds `hansards/train.en.gz` and `hansards/train.fr.gz` (debates of 1997 and later, French without accents) and
`alignment/enfr.text` and `enfr.gold` (100 sentence pairs of the 1970s and 1980s with links drawn by people, cut into
words, elisions and contractions written out). The two differ in case, accents and words, so both are put into one
form, on both sides alike:

- lower case; accents stripped, ligatures taken apart;
- words and punctuation cut by spaces; `mr.`, `hon.`, `no.` and numbers such as `98,355` stay one word;
- English `'s` is a word of its own;
- French elisions are written out by their letter (`l'` is `le`, `s'il` is `se il`, `qu'` is `que`), and `au`, `aux`,
  `du`, `des` are `a le`, `a les`, `de le`, `de les`, as in the gold text.

OUT gets `hansards.tsv`, the training text; `enfr.text` and `enfr.gold` for `python -m training align-eval`, the
links as they were, since the gold text is only folded and never cut; and `corpus.txt`, both together in the form of
aligners (`source ||| target`), the gold pairs last.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import regex
from tqdm import tqdm

_LIGATURES = str.maketrans({"œ": "oe", "æ": "ae"})
_WORD = regex.compile(
    r"(?:mr|mrs|ms|dr|hon|nos|no|st|jr|messrs)\.|aujourd'|'s\b|\d+(?:[.,]\d+)*|[a-z]+n't|[a-z]+|[^\sa-z\d]"
)
_FRENCH = regex.compile(r"m\.(?=\s)|(?:(?:lors|puis|jus|quoi)?qu|[cdjlmnst])'|" + _WORD.pattern)
_CONTRACTED = {"au": "a le", "aux": "a les", "du": "de le", "des": "de les"}


def fold(text: str) -> str:
    """Lower case, without accents."""
    spread = unicodedata.normalize("NFD", text.lower().translate(_LIGATURES))
    return "".join(character for character in spread if not unicodedata.combining(character))


def english(text: str) -> str:
    """An English line in the form of the gold text."""
    return " ".join(_WORD.findall(fold(text)))


def french(text: str) -> str:
    """A French line in the form of the gold text."""
    words = []
    for word in _FRENCH.findall(fold(text)):
        elided = len(word) > 1 and word.endswith("'") and word != "aujourd'"
        words.append(word[:-1] + "e" if elided else _CONTRACTED.get(word, word))
    return " ".join(words)


def write(data: Path, out: Path) -> int:
    """Write the four files; returns the number of training pairs."""
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    hansards = [data / "hansards" / f"train.{language}.gz" for language in ("en", "fr")]
    with (
        gzip.open(hansards[0], "rt", encoding="utf-8") as sources,
        gzip.open(hansards[1], "rt", encoding="utf-8") as targets,
        (out / "hansards.tsv").open("w", encoding="utf-8") as pairs,
        (out / "corpus.txt").open("w", encoding="utf-8") as corpus,
    ):
        for source, target in tqdm(zip(sources, targets, strict=True), unit=" pairs"):
            source, target = english(source), french(target)
            if source and target:
                pairs.write(f"{source}\t{target}\n")
                corpus.write(f"{source} ||| {target}\n")
                count += 1
        gold = (data / "alignment" / "enfr.text").read_text("utf-8").splitlines()
        lines = [" ".join(fold(line).split()) + "\n" for line in gold]
        corpus.writelines(lines)
    (out / "enfr.text").write_text("".join(lines), "utf-8")
    shutil.copyfile(data / "alignment" / "enfr.gold", out / "enfr.gold")
    return count


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hansards", description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="folder with hansards/ and alignment/")
    parser.add_argument("out", type=Path, help="folder to write to, such as data/hansards")
    options = parser.parse_args(arguments)
    print(f"{write(options.data, options.out):,} pairs")


if __name__ == "__main__":
    main()
