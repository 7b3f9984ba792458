"""The pipeline on the command line: `python -m training run recipes/NAME.toml`.

Exit codes: 0 done, 2 something to put right (said on standard error), 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nmt.errors import ConfigError, NmtError
from training.commands import COMMANDS
from training.config import Recipe, load_recipe
from training.distributed import group, leave, started_by_torchrun
from training.stages import STAGES, Place, run_stages

_HELP = {
    "run": "every stage below, in this order; those whose inputs have not changed are skipped",
    "prepare": "read, clean and split the corpus",
    "backtranslate": "translate monolingual text of the target language back, to train on",
    "subwords": "learn the vocabulary, and index the corpus",
    "align": "link the words of the training pairs, for training.guidance",
    "train": "train the model, or go on from the last checkpoint",
    "aligner": "learn which words stand for which from those links, for the bundle",
    "evaluate": "score the test set: BLEU, chrF, TER",
    "trust": "calibrate confidence and flags, and make the vocabulary shortlist",
    "export": "write the bundle",
    "report": "write report.html: curves, scores by length, best and worst sentences",
    "publish": "copy the bundle into the model folder as the next version, if it is at least as good as the one there",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="python -m training", description="From raw files to a published model.")
    stages = whole.add_subparsers(dest="stage", metavar="STAGE", required=True)
    for name, text in _HELP.items():
        one = stages.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        one.add_argument("recipe", type=Path, help="a recipe, such as recipes/dates.toml")
        one.add_argument(
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="overrides",
            help="put another value into the recipe, such as training.max_updates=500; may be repeated",
        )
        one.add_argument(
            "--models",
            type=Path,
            default=Path("var/models"),
            metavar="DIR",
            help="where models are published (default: var/models)",
        )
        one.add_argument(
            "--force", action="store_true", help="run even when nothing changed; publish even a worse model"
        )
    for name, command in COMMANDS.items():
        one = stages.add_parser(name, help=command.text, description=command.text[0].upper() + command.text[1:] + ".")
        command.add_arguments(one)
    return whole


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    again = shlex.join(["python", "-m", "training", *given])
    with _terminable():
        return _run(options, again)


def _run(options: argparse.Namespace, again: str) -> int:
    try:
        if options.stage in COMMANDS:
            COMMANDS[options.stage].run(options)
            return 0
        recipe = load_recipe(options.recipe, options.overrides)
        rest = [options.recipe, *(part for one in options.overrides for part in ("--set", one))]
        command = "python -m training {stage} " + shlex.join(map(str, rest)).replace("{", "{{").replace("}", "}}")
        names = [stage.name for stage in STAGES] if options.stage == "run" else [options.stage]
        if started_by_torchrun():
            _together(recipe, Place(recipe.folder, options.models, command, options.force), names)
            return 0
        run_stages(recipe, Place(recipe.folder, options.models, command, options.force), names)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted; what was finished is kept. To go on, give the same command again:\n  {again}",
            file=sys.stderr,
        )
        return 130
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2
    return 0


def _together(recipe: Recipe, place: Place, names: list[str]) -> None:
    """One of several processes: the first keeps the run folder, all train."""
    if names != ["train"]:
        raise ConfigError(
            "torchrun is for the stage train alone; run prepare and subwords before it and the others after it "
            "without torchrun"
        )
    with group(recipe.training.device) as ranks:
        if ranks.first:
            run_stages(recipe, replace(place, ranks=ranks), names)
            ranks.from_first(0.0)  # the others wait to hear whether there is anything to train
        elif ranks.from_first(0.0) == [1.0]:
            from training.loop import train
            from training.precision import noted

            train(noted(recipe, place.folder), place.folder, ranks)
            ranks.from_first(0.0)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the program as Ctrl+C does: tidily, and saying how to go on."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def explain(error: BaseException) -> str | None:
    """What went wrong and what to do about it; None when the error is a fault of this program."""
    if isinstance(error, NmtError):
        return str(error)
    chain = list(_chain(error))
    if any(_is_disk_full(one) for one in chain):
        return (
            "the disk is full; make room and give the same command again: "
            "what was finished is kept, nothing is half written"
        )
    if any(_is_out_of_memory(one) for one in chain):
        return "out of memory; lower training.batch_tokens, or close other programs, and give the same command again"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; check that the folder exists and may be read and written"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return any(sign in str(error) for sign in ("No space left on device", "PytorchStreamWriter failed writing"))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        sign in str(error) for sign in ("out of memory", "can't allocate memory")
    )


if __name__ == "__main__":
    code = main()
    if started_by_torchrun():
        leave(code)
    sys.exit(code)
