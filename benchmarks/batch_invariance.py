"""Is a sentence translated alone the same as in a batch of 64 of mixed lengths?

    python -m benchmarks.batch_invariance --sentences FILE [--model models/en-fr ...] [--output FILE]

FILE has one sentence a line, in the source language, or source TAB target (`--column` chooses).
Prints and, with `--output`, writes: sentences whose units differ, the largest difference of score
and attention, and the seconds that each way took in the same run.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from nmt.translator import TranslatedHypothesis, Translator

BATCH = 64


def measure(translator: Translator, sentences: list[str], beam_size: int) -> dict[str, Any]:
    """Both ways over the same sentences, in the order given, so that lengths in a batch are mixed."""
    began = time.perf_counter()
    together: list[TranslatedHypothesis] = []
    for start in tqdm(range(0, len(sentences), BATCH), desc=f"batches of {BATCH}"):
        for translation in translator.translate(sentences[start : start + BATCH], beam_size=beam_size):
            together.append(translation.sentences[0].hypotheses[0])
    batched = time.perf_counter() - began
    began = time.perf_counter()
    alone = [
        translator.translate([sentence], beam_size=beam_size)[0].sentences[0].hypotheses[0]
        for sentence in tqdm(sentences, desc="alone")
    ]
    single = time.perf_counter() - began
    same = [
        [t.text for t in a.subwords.target] == [t.text for t in b.subwords.target]
        for a, b in zip(alone, together, strict=True)
    ]
    pairs = [pair for pair, equal in zip(zip(alone, together, strict=True), same, strict=True) if equal]
    return {
        "model": translator.bundle.name,
        "version": translator.bundle.version,
        "sha256": translator.bundle.sha256,
        "device": translator.device,
        "beam_size": beam_size,
        "sentences": len(sentences),
        "different_units": len(same) - sum(same),
        "largest_score_difference": max(abs(a.score - b.score) for a, b in pairs),
        "largest_attention_difference": max(
            float(np.abs(a.subwords.weights - b.subwords.weights).max()) for a, b in pairs
        ),
        "seconds_alone": round(single, 2),
        f"seconds_in_batches_of_{BATCH}": round(batched, 2),
        "ratio": round(single / batched, 2),
    }


def main() -> None:
    """Measure every model named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=Path, required=True, help="one sentence a line")
    parser.add_argument("--column", type=int, default=0, help="which TAB-separated column (default 0)")
    parser.add_argument("--model", default="models/en-fr", help="model folder (default models/en-fr)")
    parser.add_argument("--count", type=int, default=500, help="how many sentences (default 500)")
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--output", type=Path, help="JSON file for the result")
    options = parser.parse_args()
    lines = options.sentences.read_text("utf-8").splitlines()
    sentences = [line.split("\t")[options.column] for line in lines if line.strip()][: options.count]
    translator = Translator.load(options.model)
    result = measure(translator, sentences, options.beam_size)
    result["machine"] = {
        "cpu": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    print(json.dumps(result, indent=2))
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
