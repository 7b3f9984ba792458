"""Training, timed against JoeyNMT in one run on the same data.

    python -m benchmarks.peers.install joeynmt      once
    python -m benchmarks.train_speed                on invented languages, about 8 minutes on two quiet cores
    python -m benchmarks.train_speed --train FILE.en FILE.de --valid FILE.en FILE.de     on a corpus of one's own

The project's own stages prepare the data and learn the units (8,000 BPE entries for both sides); JoeyNMT gets the
very same sentences and units. Both have embeddings of 512, a bidirectional encoder of 2 x 256, a decoder of 512,
dropout 0.3, three-way tying, batches of 4,096 tokens (padding included), label smoothing 0.1 and Adam; the project
has its default wiring (`parallel`, two decoder layers), JoeyNMT one layer with input feeding. The project trains,
JoeyNMT trains, and the project trains again for as many target tokens as JoeyNMT saw, whose validation losses are
compared (nats a target token, without smoothing). Tokens are target tokens without padding. Beside it: the
measured peaks of a matrix product and of the LSTM kernel in fp32 and bf16. The result has a line `ratio: N`.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from tqdm import tqdm

from benchmarks import peaks, report, sentences
from benchmarks.peers.install import FOLDER, python_of

HERE = Path(__file__).parent
VOCABULARY, BATCH_TOKENS = 8000, 4096
RECIPE = """
name = "train-speed"
source = "en"
target = "de"
run = "{run}"

[data]
train = "{folder}/train.tsv"
valid = "{folder}/valid.tsv"
test = "{folder}/valid.tsv"

[units]
size = {vocabulary}

[model]
embedding_size = 512
encoder_layers = 1
encoder_size = 256
decoder_layers = 2
decoder_size = 512
dropout = 0.3

[training]
max_updates = {updates}
validate_every = {validate_every}
batch_tokens = {batch_tokens}
learning_rate = 0.001
warmup = {warmup}
decay = 0.0
copy_rate = 0.0
max_tokens = 100
patience = 0
precision = "{precision}"
checkpoint_seconds = 100000
threads = {threads}
"""


def faster_precision(found: dict[str, float]) -> str:
    """`bf16` where the LSTM kernel runs faster in it than in fp32."""
    return "bf16" if found["lstm_bf16"] > found["lstm_fp32"] else "fp32"


def measured_peaks() -> dict[str, float]:
    """GFLOP/s of a product of 1,024 and of the LSTM kernel, forward and backward; a smaller one where bf16 crawls."""
    found: dict[str, float] = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        slow = peaks.crawls(dtype)
        found[f"product_{name}"] = peaks.matrix_peak(dtype) / 1e9
        found[f"lstm_{name}"] = peaks.lstm_peak(dtype, rows=8 if slow else 128, steps=8 if slow else 32) / 1e9
    return found


def write_data(options: argparse.Namespace, folder: Path) -> None:
    """train.tsv and valid.tsv, from the files given or invented."""
    folder.mkdir(parents=True, exist_ok=True)
    if options.train is None:
        invented = sentences.foreign(options.pairs + options.valid_pairs)
        parts = {"valid": invented[: options.valid_pairs], "train": invented[options.valid_pairs :]}
    else:
        parts = {"train": _pairs(options.train)[: options.pairs], "valid": _pairs(options.valid)[: options.valid_pairs]}
    for name, pairs in parts.items():
        (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in pairs), "utf-8")


def _pairs(paths: Sequence[Path]) -> list[tuple[str, str]]:
    sides = []
    for path in paths:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        sides.append([" ".join(line.split()) for line in data.decode("utf-8").split("\n")])
    return [pair for pair in zip(*sides, strict=True) if all(pair)]


class Ours:
    """This project's pipeline, by its command line."""

    def __init__(self, folder: Path, precision: str, threads: int) -> None:
        self.folder, self.precision, self.threads = folder, precision, threads

    def stage(self, name: str, run: Path, updates: int) -> None:
        """Run one stage with a recipe for so many updates."""
        recipe = self.folder / f"{run.name}.toml"
        recipe.write_text(
            RECIPE.format(
                run=run,
                folder=self.folder,
                vocabulary=VOCABULARY,
                updates=updates,
                validate_every=max(1, updates // 2),
                batch_tokens=BATCH_TOKENS,
                warmup=max(1, updates // 5),
                precision=self.precision,
                threads=self.threads,
            ),
            "utf-8",
        )
        subprocess.run([sys.executable, "-m", "training", name, str(recipe)], check=True, stdout=subprocess.DEVNULL)

    def prepared(self) -> Path:
        """A run folder with data and units, which every training starts from."""
        run = self.folder / "prepared"
        for name in ("prepare", "subwords"):
            self.stage(name, run, 1)
        return run

    def train(self, prepared: Path, name: str, updates: int) -> dict[str, Any]:
        """Train from the beginning; tokens a second, tokens, validation loss."""
        run = self.folder / name
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(
            prepared, run, ignore=shutil.ignore_patterns("recipe.json", "stages.json", "lock", "checkpoints")
        )
        self.stage("train", run, updates)
        lines = [json.loads(line) for line in (run / "log.jsonl").read_text("utf-8").splitlines()]
        return {
            "updates": lines[-1]["update"],
            "tokens": lines[-1]["tokens"],
            "seconds": lines[-1]["seconds"],
            "tokens_per_second": lines[-1]["tokens"] / lines[-1]["seconds"],
            "valid_loss": lines[-1]["valid_loss"],
        }


def joeynmt(folder: Path, prepared: Path, updates: int, threads: int, environments: Path) -> dict[str, Any]:
    """JoeyNMT on the prepared data with the same units."""
    data = folder / "joeynmt-data"
    data.mkdir(exist_ok=True)
    for part in ("train", "valid"):
        lines = [line.split("\t") for line in (prepared / f"{part}.tsv").read_text("utf-8").split("\n") if line]
        for column, language in enumerate(("en", "de")):
            (data / f"{part}.{language}").write_text("".join(line[column] + "\n" for line in lines), "utf-8")
    shutil.copy(prepared / "source.spm", data / "joey.model")
    units = sentencepiece.SentencePieceProcessor(model_file=str(prepared / "source.spm"))
    pieces = ["<unk>", "<pad>", "<s>", "</s>", *(units.id_to_piece(i) for i in range(4, len(units)))]
    (data / "joey.txt").write_text("".join(piece + "\n" for piece in pieces), "utf-8")
    config = (HERE / "peers" / "joeynmt-lstm.yaml").read_text("utf-8")
    values = {"DATA": str(data), "RUN": str(folder / "joeynmt"), "UPDATES": str(updates)}
    for name, value in (values | {"WARMUP": str(max(1, updates // 5))}).items():
        config = config.replace(name, value)
    path = folder / "joeynmt.yaml"
    path.write_text(config, "utf-8")
    variables = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [str(python_of("joeynmt", environments)), str(HERE / "peers" / "joeynmt_train.py"), str(path)]
    seconds = tokens = 0.0
    with (
        (folder / "joeynmt.log").open("w") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=variables) as process,
        tqdm(total=updates, desc="JoeyNMT") as bar,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if not line.startswith("{"):
                continue
            record: dict[str, Any] = json.loads(line)
            if "valid_loss" in record:
                rate = tokens / seconds
                return {"updates": bar.n, "tokens": tokens, "seconds": seconds, "tokens_per_second": rate} | record
            seconds, tokens = seconds + record["seconds"], tokens + record["tokens"]
            bar.update()
    raise RuntimeError(f"JoeyNMT ended without a result; see {folder / 'joeynmt.log'}")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure; the figures as plain values."""
    torch.set_num_threads(options.threads)
    found = measured_peaks()
    precision = options.precision or faster_precision(found)
    result: dict[str, Any] = {"machine": report.machine(), "peaks_gflops": found, "precision": precision}
    folder = options.folder.resolve()
    write_data(options, folder)
    ours = Ours(folder, precision, options.threads)
    prepared = ours.prepared()
    first = ours.train(prepared, "first", options.updates)
    other = joeynmt(folder, prepared, options.updates, options.threads, options.environments)
    matched = max(2, round(options.updates * other["tokens"] / first["tokens"]))
    second = ours.train(prepared, "second", matched)
    rate = report.median([first["tokens_per_second"], second["tokens_per_second"]])
    return result | {
        "ours": [first, second],
        "joeynmt": other,
        "tokens_per_second": rate,
        "ratio": rate / other["tokens_per_second"],
        "data": "invented" if options.train is None else [path.name for path in options.train],
    }


def page(result: dict[str, Any]) -> str:
    """The result for people."""
    columns = ("updates", "tokens", "seconds", "tokens_per_second", "valid_loss")
    runs = {"Interlinear": result["ours"][0], "JoeyNMT": result["joeynmt"], "Interlinear, again": result["ours"][1]}
    rows = [[name, *(float(found[c]) for c in columns)] for name, found in runs.items()]
    found = result["peaks_gflops"]
    peak = [[name, found[f"product_{name}"], found[f"lstm_{name}"]] for name in ("fp32", "bf16")]
    return "\n\n".join(
        [
            "# Training speed",
            f"ratio: {result['ratio']:.2f}",
            f"Target tokens a second of this project ({result['precision']}) over JoeyNMT's; data: {result['data']}. "
            "The second run saw as many target tokens as JoeyNMT; validation losses in nats a target token.",
            report.table(["run", "updates", "tokens", "seconds", "tokens/s", "validation loss"], rows),
            report.table(["GFLOP/s", "product", "LSTM kernel, forward and backward"], peak),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, nargs=2, metavar=("SOURCE", "TARGET"), help="parallel text, .gz or plain")
    parser.add_argument("--valid", type=Path, nargs=2, metavar=("SOURCE", "TARGET"), help="parallel text")
    parser.add_argument("--pairs", type=int, default=30_000, help="most training pairs (default 30,000)")
    parser.add_argument("--valid-pairs", type=int, default=500, help="most validation pairs (default 500)")
    parser.add_argument("--updates", type=int, default=60, help="of the first two runs (default 60)")
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="default: whichever this machine does faster")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="for both (default: all cores)")
    parser.add_argument("--folder", type=Path, default=Path("var/train-speed"), help="for data and runs")
    parser.add_argument("--environments", type=Path, default=FOLDER, help=f"where the peers are (default {FOLDER})")
    parser.add_argument("--output", type=Path, default=report.RESULTS, help="folder for the result")
    options = parser.parse_args(arguments)
    if (options.train is None) != (options.valid is None):
        parser.error("--train and --valid go together")
    if not python_of("joeynmt", options.environments).exists():
        parser.error("JoeyNMT is not installed; run: python -m benchmarks.peers.install joeynmt")
    result = run(options)
    text = page(result)
    print(text)
    print("\n".join(map(str, report.write("train-speed", result, text, folder=options.output))))


if __name__ == "__main__":
    main()
