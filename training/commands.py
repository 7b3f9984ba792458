"""Commands beside the stages: each adds its options and does its work; none needs a recipe."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        module: Has `add_arguments(parser)` and `run(options)`; imported only when needed.
        text: What it does, for the help.
    """

    module: str
    text: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Add its options."""
        import_module(self.module).add_arguments(parser)

    def run(self, options: argparse.Namespace) -> None:
        """Do its work."""
        run: Callable[[argparse.Namespace], object] = import_module(self.module).run
        run(options)


COMMANDS = {
    "init": Command("training.init", "look at a corpus and write a recipe that fits it"),
    "get": Command("training.get", "download a public corpus, with its licence"),
    "doctor": Command("training.doctor", "say what is wrong with a corpus, and what repairs it"),
    "calibrate": Command(
        "training.trust",
        "calibrate confidence and flags of a bundle, and with --train make its vocabulary shortlist",
    ),
    "add-aligner": Command("training.aligner", "learn which words stand for which, for a bundle that is there"),
    "align-eval": Command("training.align_eval", "alignment error rate of a model's attention and of its aligner"),
}
