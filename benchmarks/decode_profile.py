"""Where the time of a translation goes, beside the least that this machine could take.

    python -m benchmarks.decode_profile [--model models/en-fr] [--compute default] [--folder benchmarks/results]

One sentence alone (rows 1 and 5: greedy, beam 5) and batches of 64 copies (rows 64 and 320). Each
part is called by itself, several times, and the least time is taken. The floor of a step reads the
weights once at the bandwidth that memory of their size gives, or does two operations for each weight
and row at the peak of the int8 (or fp32) matrix product, whichever takes longer. On two cores a whole batch is
stepped in two halves, by a thread each, while the parts are timed with both: what is left for `outside the
model` is then too small.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from tqdm import tqdm

from benchmarks.models import Work
from benchmarks.peaks import matrix_peak, read_bandwidth
from benchmarks.report import RESULTS, machine, table, write
from nmt.batch import pad
from nmt.bundle import ModelBundle
from nmt.config import BOS, EOS
from nmt.fixed_model import FixedPointModel
from nmt.fixed_point import pack, product
from nmt.runtime import Float16Model
from nmt.search import SearchOptions
from nmt.threads import one_thread
from nmt.translator import Translator

SENTENCE = "The children are playing in the garden with their new red ball."
CASES = [(1, 1), (1, 5), (64, 1), (64, 5)]
"""Sentences, and rows of each."""


def least(call: Callable[[], object], *, seconds: float = 1.0, most: int = 200) -> float:
    """Milliseconds of one call, the least of as many as fit."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    for _ in range(most):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
        if time.perf_counter() > end:
            break
    return 1000 * best


def int8_peak(size: int = 1024, rows: int = 320) -> float:
    """Operations a second of the int8 product that the runtime uses."""
    packed = pack(torch.randn(size, size), None)
    inputs = torch.rand(rows, size) - 0.5
    return 2 * rows * size * size / (least(partial(product, inputs, packed)) / 1000)


def width_of(model: object) -> int:
    """Bytes of a stored weight."""
    return 1 if isinstance(model, FixedPointModel) else 2 if isinstance(model, Float16Model) else 4


def parts(model: Any, state: Any, rows: int) -> dict[str, float]:
    """Milliseconds of a fixed-point step's products; empty for other runtimes."""
    if not isinstance(model, FixedPointModel):
        return {}
    found: dict[str, float] = {}
    named = {f"layer {index}": packed for index, packed in enumerate(model.layers)}
    for name, packed in {**named, "readout": model.readout, "output": model.output}.items():
        weight, _ = torch.ops.quantized.linear_unpack(packed)
        inputs = torch.rand(rows, weight.shape[1]) - 0.5
        found[name] = least(partial(product, inputs, packed))
    queries = torch.rand(state.sentences, rows // state.sentences, model.config.decoder_size) - 0.5
    found["attention"] = least(lambda: state.context.read(queries))
    return found


def steps_of(translator: Translator, text: str, options: SearchOptions) -> int:
    """Steps until the search is certain; with a beam some more than the answer has units."""
    with mock.patch.object(translator.model, "step", wraps=translator.model.step) as step:
        translator.translate([text], options=options)
    return step.call_count


@torch.inference_mode()
def profile(translator: Translator, work: Work, text: str) -> list[dict[str, Any]]:
    """One entry for each case: milliseconds of every part, and the floor of a step."""
    model: Any = translator.model
    source = pad([[*(p.id for p in translator.source_tokenizer.encode(text)), EOS]])
    width = width_of(model)
    bandwidth = read_bandwidth(work.step_weights * width)
    peak = int8_peak() if width == 1 else matrix_peak(torch.float32)
    found: list[dict[str, Any]] = []
    for sentences, rows in tqdm(CASES):
        together = source.expand(sentences, -1).contiguous()
        encoded = model.encode(together)
        state = model.start(encoded).select(torch.arange(sentences).repeat_interleave(rows))
        tokens = torch.full((sentences * rows,), BOS)
        logits = model.step(tokens, state).logits
        options = SearchOptions(beam_size=rows)
        steps = steps_of(translator, text, options)
        reading = 1000 * work.step_weights * width / bandwidth
        computing = 1000 * 2 * work.step_weights * sentences * rows / peak
        with one_thread(sentences * rows <= model.few_rows):
            entry: dict[str, Any] = {
                "sentences": sentences,
                "rows": sentences * rows,
                "steps": steps,
                "tokenize_ms": least(lambda: translator.source_tokenizer.encode(text)) * sentences,
                "encode_ms": least(partial(model.encode, together)),
                "start_ms": least(partial(model.start, encoded)),
                "step_ms": least(partial(model.step, tokens, state)),
                "log_softmax_ms": least(partial(logits.log_softmax, dim=-1)),
                "products_ms": parts(model, state, sentences * rows),
                "floor_step_ms": max(reading, computing),
                "floor": "memory" if reading > computing else "arithmetic",
            }
        whole = partial(translator.translate, [text] * sentences, options=options)
        entry["translate_ms"] = least(whole, seconds=3.0)
        model_ms = entry["encode_ms"] + entry["start_ms"] + entry["step_ms"] * steps
        entry["outside_the_model_ms"] = entry["translate_ms"] - model_ms
        found.append(entry)
    return found


def text_of(cases: list[dict[str, Any]]) -> str:
    """The figures for people."""
    names = [key for key in cases[0] if key != "products_ms"]
    whole = table(names, [[case[name] for name in names] for case in cases])
    parted = [name for name in cases[0]["products_ms"]]
    if not parted:
        return whole
    rows = [[case["rows"], *(case["products_ms"][name] for name in parted)] for case in cases]
    return f"{whole}\n\nThe parts of a step, milliseconds:\n\n{table(['rows', *parted], rows)}"


def main() -> None:
    """Measure the model named and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/en-fr", help="model folder (default models/en-fr)")
    parser.add_argument("--compute", default="default", help="default, reference, float16 or int8")
    parser.add_argument("--text", default=SENTENCE, help="one sentence")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where the result goes")
    options = parser.parse_args()
    translator = Translator.load(options.model, device="cpu", compute=options.compute)
    cases = profile(translator, Work.of(ModelBundle.load(options.model).model()), options.text)
    about = machine(model=translator.bundle.name, compute=options.compute)
    print(text_of(cases))
    theme = f"decode-profile_{translator.bundle.name}_{options.compute}"
    for path in write(theme, {"machine": about, "cases": cases}, text_of(cases), folder=options.folder):
        print(path)


if __name__ == "__main__":
    main()
