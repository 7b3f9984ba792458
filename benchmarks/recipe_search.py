"""A search over recipes: named variations on a base recipe, each trained and scored on validation, one row each.

    python -m benchmarks.recipe_search recipes/search/multi30k-en-de.toml --set data.folder=/where/multi30k/is
    … --jobs 8 --device cuda      several at a time on one GPU

The file names a base recipe and the variations, each a list of keys to set:

    base = "recipes/multi30k-en-de.toml"

    [variations]
    base = []
    "dropout 0.5" = ["model.dropout=0.5"]

A row is added to the table (CSV, and the same for people beside it) as soon as a variation is done, or has failed. The
same command goes on where it was stopped; what stands in the table is not run again (delete the row to run it again).
Test files are not read: score the recipe that was chosen with `python -m benchmarks.recipe_score --part test`.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import report

COLUMNS = (
    *("variation", "seed", "bleu", "bleu_lower_case", "chrf", "valid_loss", "weights_of_update", "updates"),
    *("parameters", "tokens_per_second", "minutes", "changes", "outcome"),
)
PREPARED = ("train.tsv", "valid.tsv", "test.tsv", "cleaning.json")


@dataclass(frozen=True, slots=True)
class Variation:
    """One training of a search.

    Attributes:
        name: In the table.
        changes: `key=value` on the base recipe.
        seed: `training.seed`.
    """

    name: str
    changes: tuple[str, ...]
    seed: int

    @property
    def own_data(self) -> bool:
        """Whether it needs `prepare` for itself."""
        return any(change.startswith(("data.", "cleaning.")) for change in self.changes)


class Table:
    """The rows so far, kept as CSV and as Markdown; safe to add to from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.rows: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                self.rows = list(csv.DictReader(file))

    def __contains__(self, variation: Variation) -> bool:
        return any((row["variation"], row["seed"]) == (variation.name, str(variation.seed)) for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Add a row, at once on disk."""
        with self._lock:
            self.rows.append({name: _plain(row.get(name, "")) for name in COLUMNS})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(self.rows)
            self.path.with_suffix(".md").write_text(self.page(), "utf-8")

    def page(self) -> str:
        """For people, the best validation BLEU first."""
        ordered = sorted(self.rows, key=lambda row: -float(row["bleu"] or -1))
        rows = [[_number(row[name]) for name in COLUMNS] for row in ordered]
        return "# Search over recipes, scored on validation with beam 5\n\n" + report.table(COLUMNS, rows) + "\n"


def _plain(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _number(text: str) -> object:
    return int(text) if text.isdigit() else (text or None)


class Search:
    """Trains and scores variations, each in a folder of its own.

    Args:
        base: The base recipe.
        common: `key=value` for all of them.
        folder: For the runs.
        threads: CPU threads of each.
    """

    def __init__(self, base: Path, common: Sequence[str], folder: Path, threads: int) -> None:
        self.base, self.common, self.folder, self.threads = base, list(common), folder, threads
        self.running: set[subprocess.Popen[str]] = set()
        self.stopped = False

    def prepare(self) -> None:
        """Clean and split the corpus once, for all variations that share it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._call(["training", "prepare"], self.folder / "prepared", [])

    def run(self, variation: Variation) -> dict[str, Any]:
        """Train and score one; the row of the table, whatever became of it."""
        row = {"variation": variation.name, "seed": variation.seed, "changes": " ".join(variation.changes)}
        run = self.folder / f"{''.join(c if c.isalnum() else '-' for c in variation.name)}-{variation.seed}"
        changes = [*variation.changes, f"training.seed={variation.seed}"]
        try:
            if variation.own_data:
                self._call(["training", "prepare"], run, changes)
            elif not (run / PREPARED[0]).exists():
                run.mkdir(parents=True, exist_ok=True)
                for name in reversed(PREPARED):  # the one that is asked for comes last: then all are there
                    shutil.copy(self.folder / "prepared" / name, run / name)
            said = self._call(["benchmarks.recipe_score", "--train"], run, changes)
        except subprocess.CalledProcessError as error:
            lines = str(error.stderr).strip().splitlines()
            return row | {"outcome": lines[-1][:200] if lines else f"exit status {error.returncode}"}
        scores: dict[str, Any] = json.loads(said.strip().splitlines()[-1])
        return row | scores | {"outcome": "done"}

    def _call(self, program: list[str], run: Path, changes: Sequence[str]) -> str:
        settings = [*self.common, *changes, f"run={run}", f"training.threads={self.threads}"]
        command = [sys.executable, "-m", *program, str(self.base)]
        command += [part for setting in settings for part in ("--set", setting)]
        variables = os.environ | {"OMP_NUM_THREADS": str(self.threads)}
        if self.stopped:
            raise KeyboardInterrupt
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables
        ) as process:
            self.running.add(process)
            out, errors = process.communicate()
            self.running.discard(process)
        if self.stopped:
            raise KeyboardInterrupt
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, command, out, errors)
        return out

    def stop(self) -> None:
        """Let every training write its checkpoint and end."""
        self.stopped = True
        for process in list(self.running):
            process.terminate()


def read_search(path: Path, seeds: Sequence[int]) -> tuple[Path, list[Variation]]:
    """The base recipe and the variations of a search file."""
    values = tomllib.loads(path.read_text("utf-8"))
    named = [Variation(name, tuple(keys), seed) for seed in seeds for name, keys in values["variations"].items()]
    return Path(values["base"]), named


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not in the table yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", type=Path, help="such as recipes/search/multi30k-en-de.toml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="common", help="for all")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these variations")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1], help="each variation with each (default 1)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of each (default 1)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N (default auto)")
    parser.add_argument("--folder", type=Path, help="for the runs (default var/search/NAME)")
    parser.add_argument(
        "--table", type=Path, help="CSV to add to (default: in benchmarks/results, by the search's name)"
    )
    options = parser.parse_args(arguments)
    name = options.search.stem
    base, variations = read_search(options.search, options.seeds)
    if unknown := set(options.only or ()) - {one.name for one in variations}:
        parser.error(f"{options.search} has no variation {', '.join(sorted(unknown))}")
    table = Table(options.table or report.RESULTS / f"search-{name}.csv")
    waiting = [one for one in variations if one not in table and (not options.only or one.name in options.only)]
    folder = options.folder or Path("var/search") / name
    search = Search(base, [*options.common, f"training.device={options.device}"], folder, options.threads)
    try:
        search.prepare()
    except subprocess.CalledProcessError as error:
        sys.exit(f"{base}: prepare failed: {error.stderr}")
    with ThreadPoolExecutor(options.jobs) as pool, tqdm(total=len(waiting), desc=name, unit="recipe") as bar:
        futures = [pool.submit(search.run, one) for one in waiting]
        try:
            for future in as_completed(futures):
                row = future.result()
                table.add(row)
                bar.write(" ".join(f"{key}={_plain(row[key])}" for key in COLUMNS if row.get(key, "") != ""))
                bar.update()
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would cut short what the first one asked for
            pool.shutdown(wait=False, cancel_futures=True)
            search.stop()
            raise SystemExit("interrupted; the same command goes on") from None
    print(table.page())


if __name__ == "__main__":
    main()
