"""Does a sentence get the same answer in any company?

    python -m benchmarks.batch_invariance                               2,000 made-up sentences, all modes
    python -m benchmarks.batch_invariance --sentences FILE --limit 10000 --modes default

Every sentence is translated alone, in a batch of 64 of mixed lengths, and joined at a random step to others
that are already being decoded (of other lengths, and some with another beam). Counted are the sentences whose
units differ, and the largest differences of score and attention among the rest; for every compute mode, and
how many differ from the fp32 reference. FILE has one sentence a line, or columns between TABs (`--column`).
The work is kept in var/batch-invariance, 64 sentences at a time: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks import report, sentences
from benchmarks.decode_speed import MODES, usable
from nmt.search import SearchOptions
from nmt.translator import TranslatedHypothesis, Translator

CHUNK = 64
JOURNALS = Path("var/batch-invariance")
Outcome = list[TranslatedHypothesis]
"""The best hypothesis of every sentence of a text; nearly always one."""


def alone(translator: Translator, texts: Sequence[str], options: SearchOptions) -> list[Outcome]:
    """One call for each."""
    return [together(translator, [text], options)[0] for text in texts]


def together(translator: Translator, texts: Sequence[str], options: SearchOptions) -> list[Outcome]:
    """One call for all."""
    return [[s.hypotheses[0] for s in t.sentences] for t in translator.translate(texts, options=options)]


def joined(translator: Translator, texts: Sequence[str], options: SearchOptions, seed: int) -> list[Outcome]:
    """Each enters a running set at a random step; every fourth brings a companion with another beam."""
    chance = random.Random(seed)
    other = SearchOptions(beam_size=3 if options.beam_size != 3 else 2)
    plans = [translator.plan([text], options=options) for text in texts]
    companions = [translator.plan([text], options=other) for text in texts[::4]]
    waiting = [*plans, *companions]
    chance.shuffle(waiting)
    owner = {id(sentence): plan for plan in waiting for sentence in plan.sentences}
    running = translator.running_set(max_rows=10_000, max_units=10**6)
    while waiting or len(running):
        for _ in range(chance.choice((0, 0, 1, 3))):
            if waiting:
                running.admit(waiting.pop().sentences)
        running.step()
        for sentence in running.finished():
            owner[id(sentence)].accept(sentence)
    return [[s.hypotheses[0] for s in plan.result()[0].sentences] for plan in plans]


WAYS: dict[str, Callable[[Translator, Sequence[str], SearchOptions, int], list[Outcome]]] = {
    f"in batches of {CHUNK}": lambda translator, texts, options, seed: together(translator, texts, options),
    "joined at random steps": joined,
}


def compare(expected: Sequence[Outcome], found: Sequence[Outcome]) -> dict[str, Any]:
    """How many texts have other units, and the largest differences of score and attention of the others."""
    different, score, attention = 0, 0.0, 0.0
    for one, other in zip(expected, found, strict=True):
        if units(one) != units(other):
            different += 1
            continue
        for a, b in zip(one, other, strict=True):
            score = max(score, abs(a.score - b.score))
            attention = max(attention, float(np.abs(a.subwords.weights - b.subwords.weights).max()))
    return {"different": different, "score": score, "attention": attention}


def units(outcome: Outcome) -> list[list[str]]:
    """The target units of every sentence."""
    return [[token.text for token in hypothesis.subwords.target] for hypothesis in outcome]


def measure(
    translator: Translator, texts: Sequence[str], options: SearchOptions, journal: Path
) -> list[dict[str, Any]]:
    """One record for each chunk of texts; those in the journal are not done again."""
    journal.parent.mkdir(parents=True, exist_ok=True)
    known: dict[int, dict[str, Any]] = {}
    if journal.exists():
        # a line cut short by a kill is the last one
        lines = [line for line in journal.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
        known = {record["start"]: record for record in map(json.loads, lines)}
        journal.write_text("".join(lines), "utf-8")
    records: list[dict[str, Any]] = []
    with journal.open("a", encoding="utf-8") as file, tqdm(total=len(texts), desc=journal.stem) as bar:
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            check = zlib.crc32("\n".join(part).encode())
            if start not in known or known[start]["check"] != check:
                expected = alone(translator, part, options)
                known[start] = {
                    "start": start,
                    "check": check,
                    "units": [zlib.crc32(json.dumps(units(outcome)).encode()) for outcome in expected],
                    "ways": {
                        name: compare(expected, way(translator, part, options, start)) for name, way in WAYS.items()
                    },
                }
                file.write(json.dumps(known[start]) + "\n")
                file.flush()
            records.append(known[start])
            bar.update(len(part))
    return records


def total(records: Sequence[dict[str, Any]], reference: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """Everything of one mode; `differ_from_reference` where the reference was measured too."""
    result: dict[str, Any] = {"sentences": sum(len(record["units"]) for record in records), "ways": {}}
    for name in WAYS:
        found = [record["ways"][name] for record in records]
        result["ways"][name] = {
            "different": sum(one["different"] for one in found),
            "largest_score_difference": max(one["score"] for one in found),
            "largest_attention_difference": max(one["attention"] for one in found),
        }
    if reference is not None:
        pairs = zip(records, reference, strict=True)
        result["differ_from_reference"] = sum(
            a != b for one, other in pairs for a, b in zip(one["units"], other["units"], strict=True)
        )
    return result


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    rows: list[list[object]] = []
    for mode, found in result["modes"].items():
        for name, way in found["ways"].items():
            share = 100 * way["different"] / found["sentences"]
            other = found.get("differ_from_reference")
            rows.append(
                [
                    *(mode, name, found["sentences"], way["different"], share),
                    f"{way['largest_score_difference']:.1e}",
                    f"{way['largest_attention_difference']:.1e}",
                    None if other is None else 100 * other / found["sentences"],
                ]
            )
    header = ["mode", "compared with alone", "sentences", "different", "%", "score", "attention", "% unlike reference"]
    return "\n\n".join(
        [
            f"# Batch invariance of {result['model']}, beam {result['beam_size']}",
            "`different`: sentences with other units than alone; the largest differences of score and attention are of "
            "the others. The last column: sentences whose units, alone, are not those of the fp32 reference.",
            report.table(header, rows),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every mode, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, help="one sentence a line (default: made up)")
    parser.add_argument("--column", type=int, default=0, help="which TAB-separated column (default 0)")
    parser.add_argument("--model", default="models/en-fr", help="model folder (default models/en-fr)")
    parser.add_argument("--limit", type=int, default=2000, help="how many sentences (default 2000)")
    parser.add_argument("--modes", nargs="+", default=list(MODES), help="compute modes (default all)")
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--journals", type=Path, default=JOURNALS, help=f"where work is kept (default {JOURNALS})")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    texts = sentences.read(options.sentences, options.limit, options.column)
    search = SearchOptions(beam_size=options.beam_size)
    translators = usable(options.modes, lambda mode: Translator.load(options.model, device="cpu", compute=mode))
    bundle = next(iter(translators.values())).bundle
    records = {}
    for mode, translator in translators.items():
        name = f"{bundle.name}-{bundle.sha256[:12]}-{mode}-beam-{options.beam_size}.jsonl"
        records[mode] = measure(translator, texts, search, options.journals / name)
    result: dict[str, Any] = {
        "machine": report.machine(),
        "model": f"{bundle.name} {bundle.version}",
        "sha256": bundle.sha256,
        "beam_size": options.beam_size,
        "modes": {mode: total(found, records.get("reference")) for mode, found in records.items()},
    }
    text = page(result)
    print(text)
    print("\n".join(map(str, report.write(f"batch-invariance-{bundle.name}", result, text, folder=options.output))))


if __name__ == "__main__":
    main()
