"""Translate, draw and look at models on the command line: `python -m nmt translate|heatmap|inspect`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch

from nmt import heatmap
from nmt.bundle import ModelBundle
from nmt.errors import ConfigError, InputError, NmtError
from nmt.search import SearchOptions
from nmt.sentences import sentences
from nmt.translator import Translator

CHUNK = 128
"""Lines translated together; output comes after each chunk."""

DRAW = {"svg": heatmap.to_svg, "html": heatmap.to_html, "json": heatmap.to_json}
FORMATS = (*DRAW, "csv")  # a table of numbers has no title


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m nmt", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, text: str) -> argparse.ArgumentParser:
        found = commands.add_parser(name, help=text, description=text)
        found.add_argument("--model", required=True, help="model folder: models/en-fr, or models/en-fr/1")
        return found

    translate = command("translate", "Translate standard input, one line out for one line in.")
    draw = command("heatmap", "Draw the attention of one sentence.")
    draw.add_argument("--text", required=True, help="source text")
    draw.add_argument("--translation", help="a given translation, instead of the model's own")
    draw.add_argument("--sentence", type=int, default=0, help="which sentence of the text, from 0")
    draw.add_argument("--granularity", choices=("word", "subword"), default="word")
    draw.add_argument("--output", type=Path, help="file to write; its ending (svg, html, csv, json) is the format")
    draw.add_argument("--format", choices=FORMATS, help="format, when the file's ending does not say")
    for which in (translate, draw):
        which.add_argument("--beam-size", type=int, default=5, help="1 is greedy search (default 5)")
        which.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        which.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    command("inspect", "Check a model's files and print its card.")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; an error a person can put right is one line on standard error and status 2."""
    options = parser().parse_args(arguments)
    try:
        if options.command == "inspect":
            inspect(options)
        else:
            if options.threads < 0:
                raise ConfigError(f"--threads {options.threads} is out of range; give 1 or more, or leave it out")
            if options.threads:
                torch.set_num_threads(options.threads)
            translator = Translator.load(options.model, device=options.device)
            (translate if options.command == "translate" else draw)(translator, options)
    except NmtError as error:
        print(f"nmt: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader has gone, `head` for one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        print(f"nmt: {error}", file=sys.stderr)
        return 2
    return 0


def translate(translator: Translator, options: argparse.Namespace) -> None:
    """Standard input to standard output, line by line."""
    lines = _lines(sys.stdin.buffer)
    while chunk := list(itertools.islice(lines, CHUNK)):
        for translation in translator.translate(chunk, options=SearchOptions(beam_size=options.beam_size)):
            sys.stdout.buffer.write(translation.text.encode() + b"\n")
        sys.stdout.buffer.flush()


def draw(translator: Translator, options: argparse.Namespace) -> None:
    """One figure to a file or standard output."""
    form = options.format or (options.output.suffix[1:].lower() if options.output else "svg")
    if form not in FORMATS:
        raise ConfigError(
            f"format {form!r} is not known; name the file *.svg, *.html, *.csv or *.json, or use --format"
        )
    if not translator.has_attention:
        raise ConfigError(f"{options.model} has no attention to draw; it was trained with another context")
    if options.translation is not None:
        if len(sentences(options.text)) != 1:
            raise InputError("a given translation needs a text of one sentence; give one sentence of it")
        hypothesis = translator.attend(options.text, options.translation)
    else:
        found = translator.translate([options.text], options=SearchOptions(beam_size=options.beam_size))[0].sentences
        if not 0 <= options.sentence < len(found):
            raise InputError(f"--sentence {options.sentence} is not in the text, which has {len(found)} sentences")
        hypothesis = found[options.sentence].hypotheses[0]
    matrix = hypothesis.words if options.granularity == "word" else hypothesis.subwords
    if form == "csv":
        figure = heatmap.to_csv(matrix)
    else:
        bundle = translator.bundle
        metadata = {"model": bundle.name, "version": str(bundle.version), "sha256": bundle.sha256}
        figure = DRAW[form](matrix, title=hypothesis.text, metadata=metadata)
    if options.output:
        options.output.write_text(figure, "utf-8")
    else:
        _print(figure)


def inspect(options: argparse.Namespace) -> None:
    """Verify a bundle and print what it says of itself."""
    bundle = ModelBundle.load(options.model)
    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    direction = f"{bundle.source} to {bundle.target}"
    bundle.model()
    bundle.tokenizers()
    _print(f"{bundle.path}: {bundle.name} version {bundle.version}, {direction}, {size / 1e6:.1f} MB\n")
    _print(f"manifest {bundle.sha256}\n")
    _print(json.dumps({k: v for k, v in bundle.card.items() if k != "examples"}, ensure_ascii=False, indent=2) + "\n")


def _print(text: str) -> None:
    """UTF-8 whatever the locale says."""
    sys.stdout.buffer.write(text.encode())
    sys.stdout.buffer.flush()


def _lines(stream: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode("utf-8").rstrip("\n").rstrip("\r")
        except UnicodeDecodeError:
            raise InputError(f"line {number} of the input is not UTF-8; convert it first (iconv -t utf-8)") from None


if __name__ == "__main__":
    sys.exit(main())
