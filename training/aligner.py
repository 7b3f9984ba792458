"""Learn a bundle's own aligner (`nmt.aligner`) from the links of a statistical one.

The stage `aligner` follows `train` where there are links (`training.guidance`); a command gives one to a
bundle that is there:

    python -m training add-aligner BUNDLE --train FILE

The model stays as it is: only its embeddings are read. Links teach both directions (the loss of Chen
et al. 2016, eq. 4, once for each); a unit without a link goes to the other side's EOS. The last pairs of
every corpus are held out, to choose the agreement from which units count as linked.

Shapes: E embedding, V vocabulary.
"""

from __future__ import annotations

import argparse
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.aligner import Aligned, Aligner
from nmt.alignment import AttentionMatrix
from nmt.bundle import ALIGNER, README, ModelBundle, dequantise, quantise
from nmt.config import EOS, check_range
from nmt.errors import CorpusError
from nmt.tokenizer import Tokenizer
from nmt.writing import source_tokens
from training.align import align_files
from training.aligner_model import AlignerModel, link_loss
from training.cleaning import Cleaner
from training.config import CleaningConfig, Recipe
from training.corpus import read_pairs
from training.data import open_indexes, parts, tokenizers
from training.evaluation import load_best
from training.files import read_json, write_json
from training.guidance import Block, Links, open_links
from training.index import CorpusIndex, open_index
from training.mixture import Part
from training.progress import Progress
from training.stream import BatchStream, Position
from training.trust import with_section

REPORT = "aligner.json"
"""What the stage leaves beside the weights."""

UPDATES, EPOCHS = 2000, 20
"""Updates at most, and times that a small corpus is seen."""

BATCH_TOKENS, PEAK_RATE, WARMUP = 4096, 3e-3, 50
_HELD_OUT, _MOST_HELD_OUT, _MOST_READ = 50, 2000, 2000
"""One pair in so many of a corpus is held out, and never more; so many of all are read."""
_THRESHOLDS = [step / 20 for step in range(2, 19)]

Linked = tuple[str, str, list[Block]]
"""Source, target, and the spans of their linked words."""


@dataclass(frozen=True, slots=True)
class Learned:
    """An aligner for a bundle.

    Attributes:
        weights: Contents of `aligner.safetensors` before rounding.
        report: For the card: how it agrees with the statistical aligner's links on pairs held out.
    """

    weights: dict[str, Tensor]
    report: dict[str, Any]

    def readme(self, text: str) -> str:
        """A bundle's README with the section on its aligner."""
        return with_section(text, section(self.report))


def learn(
    embeddings: tuple[Tensor, Tensor], stream: BatchStream, *, most: int = UPDATES
) -> tuple[dict[str, Tensor], int]:
    """Learn from the links of a stream.

    Args:
        embeddings: Of both sides, (V, E), as they are stored in the bundle.
        stream: Batches with links.
        most: Updates of Adam, with a batch each; a small corpus gets fewer.

    Returns:
        The weights, and the updates made.
    """
    updates = min(most, EPOCHS * stream.batches_in(0))
    torch.manual_seed(1)
    model = AlignerModel(*embeddings).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    with Progress("learning the aligner", updates, unit="updates") as bar:
        for update, (examples, _) in enumerate(islice(stream(Position()), updates)):
            for group in optimizer.param_groups:
                group["lr"] = PEAK_RATE * min(1.0, (update + 1) / WARMUP, 2 * (1 - update / updates))
            batch = examples.batch()
            assert batch.links is not None
            forward, backward = model(batch.source, batch.target_out)
            loss = link_loss(forward, backward, batch.links, batch.source, batch.target_out)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            bar.advance(update + 1, update + 1)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}, updates


def choose(aligner: Aligner, tokenizers: tuple[Tokenizer, Tokenizer], pairs: Iterable[Linked]) -> dict[str, Any]:
    """The agreement with the best F1 against the links of pairs held out, and how good it is: words, as served.

    Args:
        aligner: Its own threshold does not matter.
        tokenizers: Of source and target.
        pairs: None of them learned from.

    Returns:
        `threshold`, number of `pairs`, `f1`, `precision` and `recall` (0 to 1).
    """
    counts = np.zeros((len(_THRESHOLDS), 3), np.int64)  # found, right, wanted
    size = 0
    for source, target, links in pairs:
        ids, tokens = [], []
        for tokenizer, text in zip(tokenizers, (source, target), strict=True):
            pieces = tokenizer.encode(text)
            ids.append([*(piece.id for piece in pieces), EOS])
            tokens.append(source_tokens(pieces))
        blank = AttentionMatrix(tokens[0], tokens[1], np.zeros((len(ids[1]), len(ids[0])), np.float32))
        found = Aligned(aligner, *ids).agreement(blank, source, target)
        wanted = {((a, b), (c, d)) for a, b, c, d in links}
        for s, t in np.argwhere(_THRESHOLDS[0] <= found.weights.T).tolist():
            if not (found.source[s].special or found.target[t].special):
                passed = sum(threshold <= found.weights[t, s] for threshold in _THRESHOLDS)
                counts[:passed, 0] += 1
                counts[:passed, 1] += (found.source[s].span, found.target[t].span) in wanted
        counts[:, 2] += len(wanted)
        size += 1
    named, right, wanted_links = counts.T
    f1 = 2 * right / np.maximum(named + wanted_links, 1)
    best = int(f1.argmax())
    return {
        "threshold": _THRESHOLDS[best],
        "pairs": size,
        "f1": round(float(f1[best]), 3),
        "precision": round(float(right[best] / max(1, named[best])), 3),
        "recall": round(float(right[best] / max(1, wanted_links[best])), 3),
    }


def _learned(
    embeddings: tuple[Tensor, Tensor],
    sides: tuple[Tokenizer, Tokenizer],
    indexes: Sequence[CorpusIndex],
    links: Links,
    rows: Sequence[Part],
    *,
    casual_rate: float,
    max_tokens: int,
    most: int = UPDATES,
) -> Learned:
    """Learn on most of the rows, choose on the others."""
    learned, held = _divide(rows)
    stream = BatchStream(
        indexes, *sides, parts=learned, batch_tokens=BATCH_TOKENS, max_tokens=max_tokens, copy_rate=0.0,
        casual_rate=casual_rate, seed=1, links=links,
    )  # fmt: skip
    weights, updates = learn(embeddings, stream, most=most)
    arrays = {name: tensor.numpy() for name, tensor in dequantise(quantise(weights)).items()}
    served = Aligner.from_arrays(
        {**arrays, "threshold": np.zeros(1, np.float32)}, *(one.float().numpy() for one in embeddings)
    )
    found = choose(served, sides, _read(indexes, links, held))
    weights["threshold"] = torch.tensor([found["threshold"]])
    print(
        f"  aligner: F1 {found['f1']:.3f} against the links of {found['pairs']:,} pairs held out "
        f"(precision {found['precision']:.3f}, recall {found['recall']:.3f})"
    )
    return Learned(weights, found | {"updates": updates, "parameters": sum(map(Tensor.numel, weights.values()))})


def _read(indexes: Sequence[CorpusIndex], links: Links, rows: Sequence[Part]) -> Iterator[Linked]:
    """The pairs of those rows, evenly thinned out to `_MOST_READ`."""
    starts = [0, *accumulate(map(len, indexes))]
    every = max(1, -(-sum(part.stop - part.start for part in rows) // _MOST_READ))
    with ExitStack() as stack:
        files = [stack.enter_context(index.path.open("rb")).fileno() for index in indexes]
        for row in (row for part in rows for row in range(part.start, part.stop, every)):
            number = bisect_right(starts, row) - 1
            yield (*indexes[number].read(files[number], row - starts[number]), links[row])


def _divide(whole: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The rows to learn from and those held out, from the end of every part; no row is both.

    A part of one row has nothing to hold out.
    """
    learned, held = [], []
    for part in whole:
        size = part.stop - part.start
        cut = part.stop - min(max(size // _HELD_OUT, 1), _MOST_HELD_OUT, size - 1)
        learned.append(Part(part.start, cut, part.weight))
        held.append(Part(cut, part.stop))
    return learned, held


def aligner(recipe: Recipe, folder: Path) -> None:
    """The stage: leaves `aligner.safetensors` and `aligner.json`."""
    source, target = tokenizers(folder)
    weights, _ = load_best(recipe, folder)
    stored = dequantise(quantise(weights))
    table = stored["encoder.embedding.weight"]
    embeddings = (table, stored.get("decoder.embedding.weight", table))  # three-way tying stores one
    indexes = open_indexes(recipe, folder, source, target)
    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    found = _learned(
        embeddings, (source, target), indexes, open_links(folder, sum(map(len, indexes))),
        parts(recipe, folder, indexes), casual_rate=recipe.training.casual_rate, max_tokens=recipe.training.max_tokens,
    )  # fmt: skip
    save_file(quantise(found.weights), folder / ALIGNER)
    write_json(folder / REPORT, found.report)


def read_aligner(folder: Path) -> Learned | None:
    """What the stage left, for the export."""
    report = read_json(folder / REPORT)
    return None if report is None else Learned(dequantise(load_file(folder / ALIGNER)), report)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m training add-aligner`."""
    parser.add_argument("bundle", type=Path, help="the bundle to add it to, such as models/en-fr/5; it is written anew")
    parser.add_argument(
        "--train",
        type=Path,
        required=True,
        nargs="+",
        metavar="FILE",
        help="pairs to learn from, TSV, one file or more",
    )
    parser.add_argument("--swap", action="store_true", help="the files hold the target first")
    parser.add_argument("--updates", type=int, default=UPDATES, help=f"at most (default {UPDATES})")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")


def run(options: argparse.Namespace) -> None:
    """The command: link the pairs, learn, and write the bundle with its aligner.

    Raises:
        ConfigError: An option is out of range.
    """
    check_range("--updates", options.updates, 1, 1_000_000)
    check_range("--threads", options.threads, 0, 1024)
    if options.threads:
        torch.set_num_threads(options.threads)
    bundle = ModelBundle.load(options.bundle)
    model = bundle.model()
    embeddings = (model.encoder.embedding.weight.detach(), model.decoder.embedding.weight.detach())
    with tempfile.TemporaryDirectory(prefix="interlinear-aligner-") as name:
        folder = Path(name)
        rows = _write(options.train, folder / "train.tsv", options.swap)
        align_files([folder / "train.tsv"], folder, options.threads)
        index = open_index(folder / "train.tsv", *bundle.tokenizers())
        found = _learned(
            embeddings, bundle.tokenizers(), [index], open_links(folder, len(index)), rows,
            casual_rate=0.1, max_tokens=120, most=options.updates,
        )  # fmt: skip
    bundle.add_aligner(
        found.weights,
        card={**bundle.card, "aligner": found.report},
        readme=found.readme((bundle.path / README).read_text("utf-8")),
    )
    print(f"  written: {bundle.path}")


def _write(paths: Sequence[Path], place: Path, swap: bool) -> list[Part]:
    """The clean pairs of all files in one; the rows of each."""
    rows, count = [], 0
    with place.open("w", encoding="utf-8") as out:
        for path in paths:
            clean, start = Cleaner(CleaningConfig()), count
            for pair in read_pairs((path,), swap=swap):
                kept = clean(pair)
                if kept is not None:
                    out.write(f"{kept.source}\t{kept.target}\n")
                    count += 1
            if count == start:
                raise CorpusError(f"{path}: no pair is left after cleaning; are the sides translations of each other?")
            rows.append(Part(start, count))
    return rows


def section(report: dict[str, Any]) -> str:
    """The part of a bundle's README that says what its aligner is worth."""
    scores = f"precision {report['precision']:.3f}, recall {report['recall']:.3f}, F1 {report['f1']:.3f}"
    return f"""## Aligner

Which word stands for which is said by an aligner of {report["parameters"]:,} parameters, learned in
{report["updates"]:,} updates from the links of eflomal between the training pairs. Against such links of
{report["pairs"]:,} pairs held out: {scores}. They are a program's links,
so this says how well they were learned, not how right they are; that is what the alignment error rate is for.
"""
