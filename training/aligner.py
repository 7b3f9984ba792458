"""Learn a bundle's own aligner (`nmt.aligner`) from the links of a statistical one.

The stage `aligner` follows `train` where there are links (`training.guidance`); a command gives one to a
bundle that is there:

    python -m training add-aligner BUNDLE --train FILE

The model stays as it is: only its embeddings are read. Links teach both directions (the loss of Chen
et al. 2016, eq. 4, once for each); a unit without a link goes to the other side's EOS. The last pairs of
every corpus are held out, to choose the agreement from which units count as linked.

Shapes: B batch, S source length, T target length, EOS included; D width, E embedding.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nmt.aligner import WIDTH, WINDOW
from nmt.bundle import ALIGNER, README, ModelBundle, dequantise, quantise
from nmt.config import PAD
from nmt.errors import CorpusError
from training.align import align_files
from training.cleaning import Cleaner
from training.config import CleaningConfig, Recipe
from training.corpus import read_pairs
from training.data import open_indexes, parts, tokenizers
from training.evaluation import load_best
from training.files import read_json, write_json
from training.guidance import open_links
from training.index import open_index
from training.loop import model_config
from training.mixture import Part
from training.progress import Progress
from training.stream import BatchStream, Position
from training.trust import with_section

REPORT = "aligner.json"
"""What the stage leaves beside the weights."""

UPDATES, EPOCHS = 1500, 20
"""Updates at most, and times that a small corpus is seen."""

BATCH_TOKENS, PEAK_RATE, WARMUP, DROPOUT = 4096, 3e-3, 50, 0.1
_SCALE = 1 / math.sqrt(WIDTH)
_HELD_OUT, _MOST_HELD_OUT = 50, 2000
"""One pair in so many of a corpus is held out, and never more."""
_THRESHOLDS = [step / 20 for step in range(2, 19)]


class _Side(nn.Module):
    """`nmt.aligner.Side` with gradients."""

    def __init__(self, embedding: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.project = nn.Linear(embedding.shape[1], WIDTH)
        self.near = nn.Linear(WINDOW * WIDTH, WIDTH)
        self.far = nn.Linear(WINDOW * WIDTH, WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        """Ids (B, N) -> states (B, N, D)."""
        real = (ids != PAD)[:, :, None]
        states = functional.dropout(self.project(self.embedding[ids]), DROPOUT, self.training) * real
        inner = self.near(_windows(states)).relu() * real
        return states + functional.dropout(self.far(_windows(inner)), DROPOUT, self.training)


def _windows(states: Tensor) -> Tensor:
    """(B, N, D) -> (B, N, WINDOW D), neighbours side by side, zeros outside."""
    length = states.shape[1]
    padded = functional.pad(states, (0, 0, WINDOW // 2, WINDOW // 2))
    return torch.cat([padded[:, place : place + length] for place in range(WINDOW)], dim=2)


class AlignerModel(nn.Module):
    """The aligner while it learns; `nmt.aligner.Aligner` is the same in NumPy.

    Args:
        source, target: Embeddings of the two sides, (V, E); they stay as they are.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        super().__init__()
        self.source, self.target = _Side(source), _Side(target)
        self.distance = nn.Parameter(torch.ones(1))

    def forward(self, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of both directions, (B, T, S) each, of ids with EOS, (B, S) and (B, T)."""
        scores = torch.bmm(self.target(target), self.source(source).transpose(1, 2)) * _SCALE
        here, there = (torch.arange(ids.shape[1]) / (ids != PAD).sum(dim=1, keepdim=True) for ids in (target, source))
        scores = scores - self.distance * (here[:, :, None] - there[:, None]).abs()
        forward = scores.masked_fill((source == PAD)[:, None], -math.inf).log_softmax(dim=2)
        backward = scores.masked_fill((target == PAD)[:, :, None], -math.inf).log_softmax(dim=1)
        return forward, backward


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


def link_loss(forward: Tensor, backward: Tensor, links: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of both directions against links, nats a unit and direction.

    Args:
        forward: See `AlignerModel`.
        backward: See `AlignerModel`.
        links: Bool, shape (B, T, S).
        source: Ids with EOS, (B, S).
        target: Ids with EOS, (B, T).
    """
    real = ((source != PAD)[:, None], (target != PAD)[:, :, None])
    total = forward.new_zeros(())
    for found, along, mine, others in ((forward, 2, *real[::-1]), (backward, 1, *real)):
        goal = links | (_last(others, along) & ~links.any(dim=along, keepdim=True))  # no link: EOS
        goal = (goal & mine).float()
        goal = goal / goal.sum(dim=along, keepdim=True).clamp_min(1)
        total = total - (goal * found.masked_fill(goal == 0, 0.0)).sum() / mine.sum()
    return total


def _last(real: Tensor, along: int) -> Tensor:
    """True at EOS, the last real place, of a mask that varies `along` that dimension."""
    return real & ~real.roll(-1, dims=along).index_fill(along, torch.tensor([real.shape[along] - 1]), False)


def learn(
    embeddings: tuple[Tensor, Tensor], stream: BatchStream, held_out: BatchStream, *, most: int = UPDATES
) -> Learned:
    """Learn from the links of a stream.

    Args:
        embeddings: Of both sides, (V, E), as they are stored in the bundle.
        stream: Batches with links.
        held_out: Others.
        most: Updates of Adam, with a batch each; a small corpus gets fewer.
    """
    updates = min(most, EPOCHS * stream.batches_in(0))
    torch.manual_seed(1)
    model = AlignerModel(*embeddings).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE)
    mean = 0.0
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
            mean += (float(loss.detach()) - mean) * max(0.01, 1 / (update + 1))
            bar.advance(update + 1, update + 1)
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    model.load_state_dict(dequantise(quantise(weights)))
    found = _choose(model.eval(), held_out)
    weights["threshold"] = torch.tensor([found["threshold"]])
    print(
        f"  aligner: F1 {found['f1']:.3f} against the links of {found['pairs']:,} pairs held out "
        f"(precision {found['precision']:.3f}, recall {found['recall']:.3f}), loss {mean:.3f} nats"
    )
    return Learned(weights, found | {"updates": updates, "parameters": sum(map(Tensor.numel, weights.values()))})


@torch.no_grad()
def _choose(model: AlignerModel, held_out: BatchStream) -> dict[str, Any]:
    """The threshold with the best F1 against the links held out, units of EOS left out."""
    counts = torch.zeros(len(_THRESHOLDS), 3)  # found, right, wanted
    pairs = 0
    for examples, _ in islice(held_out(Position()), held_out.batches_in(0)):
        batch = examples.batch()
        assert batch.links is not None
        agreement = sum(model(batch.source, batch.target_out)) / 2  # log of the geometric mean
        ordinary = batch.links.clone().fill_(True)
        for place, (source, target) in enumerate(zip(examples.source, examples.target, strict=True)):
            ordinary[place, len(target) :] = ordinary[place, :, len(source) :] = False
        wanted = batch.links & ordinary
        for row, threshold in zip(counts, _THRESHOLDS, strict=True):
            found = (agreement >= math.log(threshold)) & ordinary
            row += torch.tensor([found.sum(), (found & wanted).sum(), wanted.sum()])
        pairs += len(examples.source)
    found, right, wanted = counts.unbind(dim=1)
    f1 = 2 * right / (found + wanted).clamp_min(1)
    best = int(f1.argmax())
    return {
        "threshold": _THRESHOLDS[best],
        "pairs": pairs,
        "f1": round(float(f1[best]), 3),
        "precision": round(float(right[best] / found[best].clamp_min(1)), 3),
        "recall": round(float(right[best] / wanted[best].clamp_min(1)), 3),
    }


def _divide(whole: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The rows to learn from and those held out, from the end of every part; a tiny part is both."""
    learned, held = [], []
    for part in whole:
        cut = part.stop - min((part.stop - part.start) // _HELD_OUT, _MOST_HELD_OUT)
        learned.append(Part(part.start, cut, part.weight))
        held.append(Part(cut if cut < part.stop else part.start, part.stop))
    return learned, held


def aligner(recipe: Recipe, folder: Path) -> None:
    """The stage: leaves `aligner.safetensors` and `aligner.json`."""
    source, target = tokenizers(folder)
    weights, _ = load_best(recipe, folder)
    stored = dequantise(quantise(weights))
    three_way = model_config(recipe, source, target).tying == "three_way"
    inside = stored["decoder.embedding.weight"]
    embeddings = (inside if three_way else stored["encoder.embedding.weight"], inside)
    indexes = open_indexes(recipe, folder, source, target)
    links = open_links(folder, sum(map(len, indexes)))
    learned, held = _divide(parts(recipe, folder, indexes))

    def stream(rows: list[Part]) -> BatchStream:
        return BatchStream(
            indexes, source, target, parts=rows, batch_tokens=BATCH_TOKENS, max_tokens=recipe.training.max_tokens,
            copy_rate=0.0, casual_rate=recipe.training.casual_rate, seed=recipe.training.seed, links=links,
        )  # fmt: skip

    if recipe.training.threads:
        torch.set_num_threads(recipe.training.threads)
    found = learn(embeddings, stream(learned), stream(held))
    save_file(quantise(found.weights), folder / ALIGNER)
    write_json(folder / REPORT, found.report)


def read_aligner(folder: Path) -> Learned | None:
    """What the stage left, for the export."""
    report = read_json(folder / REPORT)
    return None if report is None else Learned(dequantise(load_file(folder / ALIGNER)), report)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `python -m training add-aligner`."""
    parser.add_argument("bundle", type=Path, help="the bundle to add it to, such as models/en-fr/4; it is written anew")
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
    """The command: link the pairs, learn, and write the bundle with its aligner."""
    if options.threads:
        torch.set_num_threads(options.threads)
    bundle = ModelBundle.load(options.bundle)
    source, target = bundle.tokenizers()
    with tempfile.TemporaryDirectory(prefix="interlinear-aligner-") as name:
        folder = Path(name)
        rows = _write(options.train, folder / "train.tsv", options.swap)
        align_files([folder / "train.tsv"], folder, options.threads)
        index = open_index(folder / "train.tsv", source, target)
        links = open_links(folder, len(index))
        learned, held = _divide(rows)

        def stream(rows: list[Part]) -> BatchStream:
            return BatchStream(
                [index], source, target, parts=rows, batch_tokens=BATCH_TOKENS, max_tokens=120, copy_rate=0.0,
                casual_rate=0.1, seed=1, links=links,
            )  # fmt: skip

        model = bundle.model()
        embeddings = (model.encoder.embedding.weight.detach(), model.decoder.embedding.weight.detach())
        found = learn(embeddings, stream(learned), stream(held), most=options.updates)
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
{report["pairs"]:,} pairs held out, unit by unit: {scores}. They are a program's links,
so this says how well they were learned, not how right they are; that is what the alignment error rate is for.
"""
