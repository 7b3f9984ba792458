"""How well a model aligns words: alignment error rate against links drawn by people.

    python -m training align-eval MODEL [--reverse MODEL] --text FILE --gold FILE [--card "NAME OF THE GOLD"]

A sentence pair is decoded by force, every target word is linked to the source word that got most of
its attention, and to none if that is the end of the sentence. With a second model for the other
direction, the two sets of links are also joined, as aligners do it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from nmt.alignment import AttentionMatrix, to_words
from nmt.bundle import README, ModelBundle
from nmt.errors import ConfigError, CorpusError
from nmt.text import Span
from nmt.translator import Translator
from training.trust import with_section

Links = frozenset[tuple[int, int]]
"""Pairs (source word, target word), counted from 0."""

_CHUNK = 32

_AROUND = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


@dataclass(frozen=True, slots=True)
class GoldPair:
    """A sentence pair, cut into words by white space, and its links.

    Attributes:
        source, target: The words.
        sure: Links that people agreed on.
        possible: Links that are no mistake, `sure` included.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    sure: Links
    possible: Links


@dataclass(frozen=True, slots=True)
class AlignmentScore:
    """Och & Ney 2003, section 4: of A links, those in S (sure) and in P (possible).

    Attributes:
        aer: 1 - (|A and S| + |A and P|) / (|A| + |S|); lower is better.
        precision: |A and P| / |A|.
        recall: |A and S| / |S|.
    """

    aer: float
    precision: float
    recall: float


def read_gold(text: Path, gold: Path) -> list[GoldPair]:
    """Read `source ||| target` lines and their links, `i-j` sure and `ipj` possible, counted from 1.

    Raises:
        CorpusError: A line is not in this form or a link points outside its sentence; file and line are named.
    """
    pairs: list[GoldPair] = []
    lines, drawn = text.read_text("utf-8").splitlines(), gold.read_text("utf-8").splitlines()
    if len(lines) != len(drawn):
        raise CorpusError(f"{text} has {len(lines)} lines, but {gold} has {len(drawn)}; they must go line by line")
    for number, (line, links) in enumerate(zip(lines, drawn, strict=True), start=1):
        sides = line.split("|||")
        if len(sides) != 2:
            raise CorpusError(f"{text}, line {number}: expected `source ||| target`")
        source, target = (tuple(side.split()) for side in sides)
        sure: set[tuple[int, int]] = set()
        possible: set[tuple[int, int]] = set()
        for link in links.split():
            i, mark, j = link.partition("p" if "p" in link else "-")
            if not (i.isdigit() and j.isdigit() and 1 <= int(i) <= len(source) and 1 <= int(j) <= len(target)):
                raise CorpusError(
                    f"{gold}, line {number}: {link!r} is no link of {len(source)} source and {len(target)} target "
                    "words; write i-j or ipj, counted from 1"
                )
            possible.add((int(i) - 1, int(j) - 1))
            if mark == "-":
                sure.add((int(i) - 1, int(j) - 1))
        pairs.append(GoldPair(source, target, frozenset(sure), frozenset(possible)))
    return pairs


def alignment_score(found: Iterable[Links], pairs: Iterable[GoldPair]) -> AlignmentScore:
    """The links of all pairs together against the gold ones."""
    both = list(zip(found, pairs, strict=True))
    links = sum(len(a) for a, _ in both)
    sure = sum(len(pair.sure) for _, pair in both)
    in_sure = sum(len(a & pair.sure) for a, pair in both)
    in_possible = sum(len(a & pair.possible) for a, pair in both)
    return AlignmentScore(
        aer=1 - (in_sure + in_possible) / max(1, links + sure),
        precision=in_possible / max(1, links),
        recall=in_sure / max(1, sure),
    )


def found_links(
    translator: Translator, pairs: Sequence[tuple[Sequence[str], Sequence[str]]], *, progress: str = ""
) -> dict[str, list[Links]]:
    """Links of (source words, target words).

    Returns:
        By `attention`, each target word to the source word it looked at most (for a model that has attention);
        and by `aligner`, if there is one.
    """
    found: dict[str, list[Links]] = {"attention": []} if translator.has_attention else {}
    if translator.aligner is not None:
        found["aligner"] = []
    with tqdm(total=len(pairs), desc=progress, disable=not progress) as bar:
        for start in range(0, len(pairs), _CHUNK):
            texts = [(" ".join(source), " ".join(target)) for source, target in pairs[start : start + _CHUNK]]
            for scored, (source, target) in zip(translator.score(texts), texts, strict=True):
                places = (_places(source), _places(target))
                if "attention" in found:
                    matrix = to_words(scored.subwords, source, target, split=white_space)
                    most = enumerate(matrix.weights.argmax(axis=1).tolist())
                    found["attention"].append(_named(matrix, [(column, row) for row, column in most], *places))
                if scored.aligned is not None:
                    matrix = scored.aligned.agreement(scored.subwords, source, target, split=white_space)
                    linked = [(column, row) for column, row, _ in scored.aligned.links(matrix)]
                    found["aligner"].append(_named(matrix, linked, *places))
            bar.update(len(texts))
    return found


def _places(text: str) -> dict[Span, int]:
    return {span: place for place, span in enumerate(white_space(text))}


def _named(
    matrix: AttentionMatrix, linked: list[tuple[int, int]], sources: dict[Span, int], targets: dict[Span, int]
) -> Links:
    """From columns and rows of a matrix to the numbers of the words; special tokens are no words."""
    spans = [(matrix.source[column].span, matrix.target[row].span) for column, row in linked]
    return frozenset((sources[a], targets[b]) for a, b in spans if a and b)


def white_space(text: str) -> list[Span]:
    """Spans of the words of a text that has been cut by single spaces."""
    spans: list[Span] = []
    start = 0
    for word in text.split(" "):
        if word:
            spans.append((start, start + len(word)))
        start += len(word) + 1
    return spans


def grow_diag(forward: Links, backward: Links) -> Links:
    """Join two directions (Koehn et al. 2003): the intersection, then neighbours in the union that link a free word."""
    joined = set(forward & backward)
    sources, targets = {i for i, _ in joined}, {j for _, j in joined}  # words that have a link
    rest = (forward | backward) - joined
    grown = bool(rest)
    while grown:
        grown = False
        for i, j in sorted(joined):
            for di, dj in _AROUND:
                link = (i + di, j + dj)
                if link in rest and link not in joined and not (link[0] in sources and link[1] in targets):
                    joined.add(link)
                    sources.add(link[0])
                    targets.add(link[1])
                    grown = True
    return frozenset(joined)


def grow_diag_final_and(forward: Links, backward: Links) -> Links:
    """The same, and then links between words that have none yet."""
    joined = set(grow_diag(forward, backward))
    sources, targets = {i for i, _ in joined}, {j for _, j in joined}
    for direction in (forward, backward):
        for i, j in sorted(direction):
            if i not in sources and j not in targets:
                joined.add((i, j))
                sources.add(i)
                targets.add(j)
    return frozenset(joined)


Scores = dict[str, dict[str, AlignmentScore]]
"""By `attention` or `aligner`, and by direction or how directions are joined."""


def evaluate(model: Path, reverse: Path | None, pairs: Sequence[GoldPair], *, device: str) -> Scores:
    """Scores of each direction alone and, with two models, of their joins.

    Raises:
        ConfigError: A model has neither attention nor an aligner.
    """
    forward = _links_of(model, [(p.source, p.target) for p in pairs], device)
    turned = {} if reverse is None else _links_of(reverse, [(p.target, p.source) for p in pairs], device)
    found: Scores = {}
    for kind, links in forward.items():
        scores = found[kind] = {"forward": alignment_score(links, pairs)}
        if kind in turned:
            backward = [frozenset((i, j) for j, i in links) for links in turned[kind]]
            both = list(zip(links, backward, strict=True))
            scores["backward"] = alignment_score(backward, pairs)
            scores["intersection"] = alignment_score([a & b for a, b in both], pairs)
            scores["union"] = alignment_score([a | b for a, b in both], pairs)
            scores["grow-diag"] = alignment_score([grow_diag(a, b) for a, b in both], pairs)
            scores["grow-diag-final-and"] = alignment_score([grow_diag_final_and(a, b) for a, b in both], pairs)
    return found


def _links_of(path: Path, pairs: list[tuple[Sequence[str], Sequence[str]]], device: str) -> dict[str, list[Links]]:
    found = found_links(Translator.load(path, device=device), pairs, progress=str(path))
    if not found:
        raise ConfigError(
            f"{path} has neither attention nor an aligner; give it one: "
            f"python -m training add-aligner {path} --train FILE"
        )
    return found


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("model", type=Path, help="bundle from the gold file's source to its target: models/en-fr")
    parser.add_argument("--reverse", type=Path, help="bundle of the other direction, to join both")
    parser.add_argument("--text", type=Path, required=True, help="lines `source ||| target`, words cut by spaces")
    parser.add_argument("--gold", type=Path, required=True, help="links of each line, `i-j` sure, `ipj` possible")
    parser.add_argument("--card", metavar="NAME", help="write the scores on the models' cards, under this name")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def run(options: argparse.Namespace) -> None:
    """Print a table of AER, precision and recall; with `--card` write it on the cards too."""
    pairs = read_gold(options.text, options.gold)
    scores = evaluate(options.model, options.reverse, pairs, device=options.device)
    print(f"{len(pairs)} sentence pairs")
    print(f"{'':30} {'AER':>6} {'precision':>10} {'recall':>7}")
    for kind, found in scores.items():
        for name, score in found.items():
            title = f"{kind}, {name}"
            print(f"{title:30} {100 * score.aer:6.1f} {100 * score.precision:10.1f} {100 * score.recall:7.1f}")
    if options.card:
        for path, direction in ((options.model, "forward"), (options.reverse, "backward")):
            if path is not None:
                write_card(path, options.card, len(pairs), _for_card(scores, direction))


def _for_card(scores: Scores, direction: str) -> dict[str, AlignmentScore]:
    """What a card says: first what readers of this model see, then attention, then the joins."""
    rows: dict[str, AlignmentScore] = {}
    for kind in ("aligner", "attention"):
        found = scores.get(kind, {})
        rows |= {f"{kind}, alone": found[direction]} if direction in found else {}
        rows |= {f"{kind}, {name}": score for name, score in found.items() if name not in ("forward", "backward")}
    return rows


def write_card(path: Path, name: str, pairs: int, scores: dict[str, AlignmentScore]) -> None:
    """Add the scores on one gold file to a bundle's card, in place of older ones of that name."""
    bundle = ModelBundle.load(path)
    found = {
        "pairs": pairs,
        **{
            join: {key: round(100 * value, 1) for key, value in asdict(score).items()} for join, score in scores.items()
        },
    }
    alignment = {**bundle.card.get("alignment", {}), name: found}
    readme = with_section((bundle.path / README).read_text("utf-8"), section(alignment))
    bundle.describe(card={**bundle.card, "alignment": alignment}, readme=readme)
    print(f"  written: {bundle.path}")


def section(alignment: dict[str, Any]) -> str:
    """The part of a bundle's README that says how well it aligns words."""
    rows = "\n".join(
        f"| {name} | {found['pairs']} | {join} | "
        + " | ".join(f"{score[key]:.1f}" for key in ("aer", "precision", "recall"))
        + " |"
        for name, found in alignment.items()
        for join, score in found.items()
        if join != "pairs"
    )
    return f"""## Alignment

Against links that people drew. `attention`: by forced decoding, every target word is linked to the source word that
gets most of its attention. `aligner`: the words on which both directions of the bundle's own aligner agree. Per cent;
the lower the alignment error rate (AER, Och & Ney 2003), the better. `alone` is this model; the others join it with the
model of the other direction.

| gold | sentences | links | AER | precision | recall |
|---|---|---|---|---|---|
{rows}
"""
