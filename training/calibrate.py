"""What a model's confidence and flags are worth: learned on validation data, reported on test data.

The confidence is a logistic regression for "sentence chrF against the reference is at least 0.5".
The thresholds of the flags are set on the model's own good translations of the validation file
against the same ones damaged on purpose: the best separation that flags at most one in a hundred
of the undamaged. `low_confidence` is for the translations of which three quarters are bad.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sacrebleu

from nmt.measures import FEATURES, Measures, coverage, measure, skipping
from nmt.quality import Calibration, Thresholds
from nmt.translation import TranslatedHypothesis
from nmt.translator import Translator
from training.damage import drop, repeat, swap
from training.progress import Progress
from training.reliability import best_threshold, fit_logistic, least_confidence, reliability
from training.validation import spread

GOOD = 0.5
"""A translation is good when its sentence chrF is at least this."""

ORDERS = {True: 6, False: 2}
"""Longest n-gram of that chrF: of letters (Popović 2015), and where words are not spaced, of signs that are words."""

FEWEST = 50
"""Good translations below which nothing can be learned."""

DAMAGED = 500
"""Sentences that are damaged, evenly spread."""

CHUNK = 128

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Output:
    """One sentence of a file as the model translates it.

    Attributes:
        source, reference: As the file has them.
        hypothesis: The best translation.
        good: Whether its chrF is at least `GOOD`.
    """

    source: str
    reference: str
    hypothesis: TranslatedHypothesis
    good: bool


def calibration(
    translator: Translator, valid: Sequence[Pair], test: Sequence[Pair]
) -> tuple[Calibration | None, dict[str, Any]]:
    """Learn on `valid`, report on `test`.

    Texts of more than one sentence, or that are translated in parts or copied, are left out: one
    chrF cannot say which of their sentences is good.

    Returns:
        The calibration and its report for the card; None, and a report that says why, where there
        is too little to learn from or to report on.
    """
    outputs, tested = translate(translator, valid, "validation file"), translate(translator, test, "test file")
    for name, pairs, found in (("validation", valid, outputs), ("test", test, tested)):
        good = [one for one in found if one.good]
        if min(len(good), *map(len, _damages(good).values())) < FEWEST:
            reason = (
                f"{len(good)} of {len(pairs)} {name} texts are one sentence with a translation of chrF {GOOD} or more; "
                f"{FEWEST} are needed, of four words and more"
            )
            return None, {"none": reason}
    learned = _learn(translator, outputs, [one for one in outputs if one.good])
    return learned, _report(translator, learned, outputs, tested)


def translate(translator: Translator, pairs: Sequence[Pair], title: str) -> list[Output]:
    """Translate the sources; only what is one sentence, translated whole, comes back."""
    found = []
    order = sorted(range(len(pairs)), key=lambda place: len(pairs[place][0]))
    with Progress(title, len(pairs), unit="sentences") as progress:
        for start in range(0, len(order), CHUNK):
            chosen = order[start : start + CHUNK]
            for place, translation in zip(chosen, translator.translate([pairs[i][0] for i in chosen]), strict=True):
                source, reference = pairs[place]
                sentences = translation.sentences
                if len(sentences) == 1 and not {"split", "copied"} & set(sentences[0].notes):
                    most = ORDERS[translator.spaced]
                    score = sacrebleu.sentence_chrf(translation.text, [reference], char_order=most).score / 100
                    found.append((place, Output(source, reference, sentences[0].hypotheses[0], score >= GOOD)))
            progress.advance(start + len(chosen), start + len(chosen))
    return [output for _, output in sorted(found, key=lambda entry: entry[0])]


def _score(translator: Translator, pairs: Sequence[Pair], title: str) -> list[TranslatedHypothesis]:
    """Forced decoding of what the model can be asked about."""
    limit = 2 * translator.longest_source
    pairs = [pair for pair in pairs if len(translator.target_tokenizer.encode(pair[1])) <= limit]
    found = []
    with Progress(title, len(pairs), unit="pairs") as progress:
        for start in range(0, len(pairs), CHUNK):
            found += translator.score(pairs[start : start + CHUNK])
            progress.advance(len(found), len(found))
    return found


def _damages(outputs: Sequence[Output], *, references: bool = False) -> dict[str, list[Pair]]:
    """Damaged translations by what was done to them, of the model's own or of the references."""
    chance = random.Random(1)
    chosen = spread(outputs, DAMAGED)
    texts = [one.reference if references else one.hypothesis.text for one in chosen]
    sources = [one.source for one in chosen]
    made: dict[str, list[str | None]] = {
        "words dropped": [drop(text, chance) for text in texts],
        "words repeated": [repeat(text, chance) for text in texts],
        "source copied": [source if source != text else None for source, text in zip(sources, texts, strict=True)],
        "another sentence's": [*swap(texts, chance)],
    }
    return {
        name: [(source, text) for source, text in zip(sources, damaged, strict=True) if text]
        for name, damaged in made.items()
    }


_DAMAGE_OF = {
    "source_skipped": "words dropped",
    "repetition": "words repeated",
    "copied": "source copied",
    "low_confidence": "another sentence's",
}


def _numbers(calibration: Calibration) -> dict[str, Callable[[Measures], float]]:
    """For each flag the number that raises it when high."""
    return {
        "source_skipped": lambda m: skipping(m, calibration.usual_ratio) if m.skipped else -1.0,
        "repetition": lambda m: m.repetition,
        "copied": lambda m: m.copied,
        "low_confidence": lambda m: 1.0 - calibration.confidence(m),
    }


def _measures(calibration: Calibration, hypotheses: Sequence[TranslatedHypothesis]) -> list[Measures]:
    usual = calibration.usual_coverage
    return [measure(h.subwords, h.words, unknown=h.unknown, usual_coverage=usual) for h in hypotheses]


def _learn(translator: Translator, outputs: Sequence[Output], good: Sequence[Output]) -> Calibration:
    covered = np.concatenate([coverage(one.hypothesis.words)[:-1] for one in good])
    usual = min(1.0, float(np.median(covered))) if covered.any() else 1.0
    plain = [measure(o.hypothesis.subwords, o.hypothesis.words, unknown=o.hypothesis.unknown, usual_coverage=usual)
             for o in outputs]  # fmt: skip
    bias, weights = fit_logistic(np.array([m.features() for m in plain]), np.array([o.good for o in outputs]))
    begun = Calibration(
        usual_ratio=float(np.median([m.length_ratio for m in plain])),
        usual_coverage=usual,
        thresholds=Thresholds(source_skipped=1.0, repetition=1.0, copied=1.0, low_confidence=0.0),
        bias=bias,
        weights=dict(zip(FEATURES, map(float, weights), strict=True)),
    )
    clean = _measures(begun, [one.hypothesis for one in good])
    damages = _damages(good)
    found = {}
    for flag in ("source_skipped", "repetition", "copied"):
        number = _numbers(begun)[flag]
        damaged = _measures(begun, _score(translator, damages[_DAMAGE_OF[flag]], _DAMAGE_OF[flag]))
        found[flag] = best_threshold(np.array([*map(number, damaged)]), np.array([*map(number, clean)]))
    confidence = np.array([begun.confidence(m) for m in plain])
    found["low_confidence"] = least_confidence(confidence, np.array([o.good for o in outputs]))
    return Calibration(
        usual_ratio=begun.usual_ratio,
        usual_coverage=usual,
        thresholds=Thresholds(**found),
        bias=bias,
        weights=begun.weights,
    )


def _report(
    translator: Translator, calibration: Calibration, valid: Sequence[Output], test: Sequence[Output]
) -> dict[str, Any]:
    measures = _measures(calibration, [one.hypothesis for one in test])
    confidence = np.array([calibration.confidence(m) for m in measures])
    good = np.array([one.good for one in test])
    raised = [{flag.name for flag in calibration.flags(m, c)} for m, c in zip(measures, confidence, strict=True)]
    numbers, limits = _numbers(calibration), calibration.thresholds
    fine = [m for m, is_good in zip(measures, good, strict=True) if is_good]
    flags: dict[str, Any] = {}
    own, given = _damages([one for one in test if one.good]), _damages(test, references=True)
    human = _measures(
        calibration, _score(translator, [(one.source, one.reference) for one in spread(test, DAMAGED)], "references")
    )
    for flag, number in numbers.items():
        name = _DAMAGE_OF[flag]
        limit = getattr(limits, flag)
        least = 1.0 - limit if flag == "low_confidence" else limit
        flags[flag] = {"threshold": round(limit, 4), "damage": name}
        for base, damaged, undamaged in (("own", own[name], fine), ("references", given[name], human)):
            wrong = _measures(calibration, _score(translator, damaged, f"{name}, {base}"))
            flags[flag][base] = _worth([number(m) >= least for m in wrong], [number(m) >= least for m in undamaged])
        marked = np.array([flag in names for names in raised])
        flags[flag]["raised"] = round(float(marked.mean()), 4)
        flags[flag]["bad"] = round(float((~good[marked]).mean()), 3) if marked.any() else None
        flags[flag]["caught"] = round(float(marked[~good].mean()), 3) if not good.all() else None
    plain = np.exp([m.mean_logprob for m in measures])
    return {
        "sentences": {"valid": len(valid), "test": len(test)},
        "chrf_order": ORDERS[translator.spaced],
        "good": round(float(good.mean()), 4),
        **reliability(confidence, good),
        "geometric_mean_ece": reliability(plain, good)["ece"],
        "flags": flags,
    }


def _worth(damaged: Sequence[bool], clean: Sequence[bool]) -> dict[str, Any]:
    """Precision where damaged and undamaged are equally many, recall, and false alarms."""
    recall, alarms = float(np.mean(damaged)), float(np.mean(clean))
    return {
        "damaged": len(damaged),
        "clean": len(clean),
        "precision": round(recall / max(recall + alarms, 1e-9), 3),
        "recall": round(recall, 3),
        "false_alarms": round(alarms, 4),
    }


def section(report: dict[str, Any]) -> str:
    """The part of a bundle's README that says what confidence and flags are worth."""
    if "none" in report:
        return f"## Confidence and flags\n\nNot calibrated, so these flags are never raised: {report['none']}.\n"
    bins = "\n".join(
        f"| {row['from']:.1f} to {row['to']:.1f} | {row['sentences']} | {row['confidence']:.2f} | {row['good']:.2f} |"
        for row in report["table"]
    )
    rows = "\n".join(
        f"| `{name}` | {flag['damage']} | {_cells(flag['own'])} | {_cells(flag['references'])} | "
        f"{flag['raised']:.1%} | {'' if flag['bad'] is None else format(flag['bad'], '.0%')} |"
        for name, flag in report["flags"].items()
    )
    return f"""## Confidence and flags

`confidence` is the probability that a translation's chrF (n-grams of up to {report["chrf_order"]} characters) against a
reference is at least {GOOD:g}. Learned on
{report["sentences"]["valid"]} sentences of the validation file; on {report["sentences"]["test"]} of the test file
({report["good"]:.0%} good) the expected calibration error is {report["ece"]:.3f}
(geometric mean of token probabilities: {report["geometric_mean_ece"]:.3f}).

| confidence | sentences | mean confidence | share good |
|---|---|---|---|
{bins}

Flags on damaged translations of the test file, as precision (damaged and undamaged equally many) / recall / false
alarms; thresholds from the validation file. `raised` says how often on the model's own translations of the test file,
`bad` how many of those fall short of chrF {GOOD:g}. Confidence is about the model's own translations: a person's free
one is often called `low_confidence`.

| flag | damage | own good translations | references | raised | bad |
|---|---|---|---|---|---|
{rows}
"""


def _cells(worth: dict[str, Any]) -> str:
    return f"{worth['precision']:.2f} / {worth['recall']:.2f} / {worth['false_alarms']:.1%}"
