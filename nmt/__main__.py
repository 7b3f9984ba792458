"""Translate, score, draw and look at models on the command line: `python -m nmt translate|score|heatmap|inspect`."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from nmt import heatmap
from nmt.bundle import ModelBundle
from nmt.drawing import Show
from nmt.errors import ConfigError, InputError, NmtError
from nmt.runtime import Compute
from nmt.search import Sampling, SearchOptions
from nmt.sentences import sentences
from nmt.translator import TranslatedHypothesis, Translator

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
        found.add_argument("--model", required=True, help="model folder: models/en-fr, or models/en-fr/5")
        return found

    translate = command("translate", "Translate standard input, one line out for one line in.")
    translate.add_argument("--prefix", help="every translation begins with this; a line is then one sentence")
    _search(translate)
    score = command("score", "Score given translations: source TAB translation on every line of standard input.")
    score.add_argument("--json", action="store_true", help="one JSON object a line, with tokens and attention")
    draw = command("heatmap", "Draw the attention of one sentence.")
    draw.add_argument("--text", required=True, help="source text")
    draw.add_argument("--translation", help="a given translation, instead of the model's own")
    draw.add_argument("--prefix", help="the model's own translation begins with this")
    draw.add_argument("--sentence", type=int, default=0, help="which sentence of the text, from 0")
    draw.add_argument(
        "--show",
        choices=get_args(Show),
        default="attention",
        help="links: which word stands for which, by the model's aligner, or by attention where it has none",
    )
    draw.add_argument("--output", type=Path, help="file to write; its ending (svg, html, csv, json) is the format")
    draw.add_argument("--format", choices=FORMATS, help="format, when the file's ending does not say")
    for which in (score, draw):
        which.add_argument("--granularity", choices=("word", "subword"), default="word")
    for which in (translate, draw):
        which.add_argument("--beam-size", type=int, default=5, help="1 is greedy search (default 5)")
    for which in (translate, score, draw):
        which.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        which.add_argument(
            "--compute",
            choices=get_args(Compute),
            default="default",
            help="arithmetic: reference is fp32; default the fastest that suits model and machine",
        )
        which.add_argument("--threads", type=int, default=0, help="CPU threads (default: torch's choice)")
    command("inspect", "Check a model's files and print its card.")
    return top


def _search(translate: argparse.ArgumentParser) -> None:
    """How to search; defaults are those of `SearchOptions` and `Sampling`."""
    search = translate.add_argument_group("search")
    search.add_argument(
        "--n-best",
        type=int,
        default=1,
        help="candidates of every sentence; more than 1 prints line number, score and candidate, with tabs between",
    )
    search.add_argument("--length-penalty", type=float, default=1.0, help="alpha of Wu et al. 2016 (default 1)")
    search.add_argument("--coverage-penalty", type=float, default=0.0, help="beta of the same (default 0)")
    search.add_argument("--no-repeat-ngram-size", type=int, default=0, help="no n units twice (default 0, off)")
    search.add_argument(
        "--shortlist",
        action=argparse.BooleanOptionalAction,
        help="choose among the target units that the source's usually become (default: as the model says)",
    )
    sampling = translate.add_argument_group("sampling", "any of these draws translations instead of searching")
    sampling.add_argument("--temperature", type=float, help="below 1 is more careful, above 1 bolder (1)")
    sampling.add_argument("--top-k", type=int, help="draw from the k most likely units (0, all)")
    sampling.add_argument("--top-p", type=float, help="draw from the units that make up this probability (1, all)")
    sampling.add_argument("--seed", type=int, help="the same seed draws the same translations (0)")


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
            translator = Translator.load(options.model, device=options.device, compute=options.compute)
            {"translate": translate, "score": score, "heatmap": draw}[options.command](translator, options)
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


def search_options(options: argparse.Namespace) -> SearchOptions:
    """What `translate` was asked for."""
    names = ("temperature", "top_k", "top_p", "seed")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return SearchOptions(
        beam_size=options.beam_size,
        n_best=options.n_best,
        length_penalty=options.length_penalty,
        coverage_penalty=options.coverage_penalty,
        no_repeat_ngram_size=options.no_repeat_ngram_size,
        sampling=Sampling(**given) if given else None,
    )


def translate(translator: Translator, options: argparse.Namespace) -> None:
    """Standard input to standard output, line by line."""
    search = search_options(options)
    lines = enumerate(_lines(sys.stdin.buffer), start=1)
    while chunk := list(itertools.islice(lines, CHUNK)):
        for number, line in chunk if options.prefix else ():
            with _line(number):
                translator.plan([line], target_prefix=options.prefix)
        found = translator.translate(
            [line for _, line in chunk], options=search, target_prefix=options.prefix, shortlist=options.shortlist
        )
        for (number, _), translation in zip(chunk, found, strict=True):
            if options.n_best == 1:
                _print(translation.text + "\n")
                continue
            for hypothesis in (h for sentence in translation.sentences for h in sentence.hypotheses):
                _print(f"{number}\t{hypothesis.score:.4f}\t{hypothesis.text}\n")


def score(translator: Translator, options: argparse.Namespace) -> None:
    """Mean log-probability, perplexity and translation of every given pair, or all there is as JSON."""
    lines = enumerate(_lines(sys.stdin.buffer), start=1)
    while chunk := list(itertools.islice(lines, CHUNK)):
        pairs: list[tuple[str, str]] = []
        for number, line in chunk:
            source, tab, target = line.partition("\t")
            if not tab or "\t" in target:
                raise InputError(f"line {number} of the input is not source, one tab, translation")
            with _line(number):
                translator.plan_score([(source, target)])
            pairs.append((source, target))
        for hypothesis in translator.score(pairs):
            if options.json:
                _print(json.dumps(_scored(hypothesis, options.granularity), ensure_ascii=False) + "\n")
            else:
                _print(f"{hypothesis.score:.4f}\t{hypothesis.perplexity:.2f}\t{hypothesis.text}\n")


def _scored(hypothesis: TranslatedHypothesis, granularity: str) -> dict[str, Any]:
    source, target = hypothesis.tokens(granularity)
    matrix = hypothesis.words if granularity == "word" else hypothesis.subwords
    return {
        "source": hypothesis.source_text,
        "translation": hypothesis.text,
        "score": round(hypothesis.score, 6),
        "perplexity": round(hypothesis.perplexity, 4),
        "confidence": round(hypothesis.confidence, 4),
        "source_tokens": [{"text": token.text, "span": token.span} for token in source],
        "target_tokens": [
            {"text": token.text, "span": token.span, "logprob": round(token.logprob or 0.0, 6)} for token in target
        ],
        "attention": np.round(matrix.weights.astype(float), 5).tolist(),
    }


def draw(translator: Translator, options: argparse.Namespace) -> None:
    """One figure to a file or standard output."""
    form = options.format or (options.output.suffix[1:].lower() if options.output else "svg")
    if form not in FORMATS:
        raise ConfigError(
            f"format {form!r} is not known; name the file *.svg, *.html, *.csv or *.json, or use --format"
        )
    if not translator.has_attention and not (options.show == "links" and translator.has_aligner):
        raise ConfigError(f"{options.model} has no attention to draw; it was trained with another context")
    if options.translation is not None:
        if len(sentences(options.text)) != 1:
            raise InputError("a given translation needs a text of one sentence; give one sentence of it")
        hypothesis = translator.attend(options.text, options.translation)
    else:
        search = SearchOptions(beam_size=options.beam_size)
        found = translator.translate([options.text], options=search, target_prefix=options.prefix)[0].sentences
        if not 0 <= options.sentence < len(found):
            raise InputError(f"--sentence {options.sentence} is not in the text, which has {len(found)} sentences")
        hypothesis = found[options.sentence].hypotheses[0]
    if options.show == "links":
        matrix = hypothesis.link_matrix(options.granularity)
    else:
        matrix = hypothesis.words if options.granularity == "word" else hypothesis.subwords
    if form == "csv":
        figure = heatmap.to_csv(matrix)
    else:
        bundle = translator.bundle
        metadata = {"model": bundle.name, "version": str(bundle.version), "sha256": bundle.sha256}
        metadata["shows"] = "attention" if options.show == "attention" else f"links by {hypothesis.alignment_by}"
        figure = DRAW[form](matrix, title=hypothesis.text, metadata=metadata, show=options.show)
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


@contextmanager
def _line(number: int) -> Iterator[None]:
    """Name the line that cannot be taken."""
    try:
        yield
    except InputError as error:
        raise InputError(f"line {number} of the input: {error}") from None


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
