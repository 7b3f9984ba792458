"""Downloads a public corpus and makes the TSV files that a recipe reads: `python -m training get tatoeba en fr`."""

from __future__ import annotations

import argparse
import io
import re
import shlex
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from nmt.errors import ConfigError, CorpusError
from training.corpora import CORPORA, PublicCorpus, Remote
from training.corpus import one_line, read_pairs
from training.download import digest, download
from training.files import replacing, write_bytes, write_json

SUMS = "SHA256SUMS"
"""Digests of the files as they came the first time, as `sha256sum` writes them."""


CARD = "card.json"
"""Lies beside the corpus: what `init` writes into `[card]`."""

LANGUAGE = re.compile(r"[A-Za-z]{2,8}([_-][A-Za-z0-9]{1,8})*")
"""A code as the corpora write it; nothing else, since it becomes part of file names."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("corpus", choices=sorted(CORPORA), metavar="CORPUS", help=", ".join(sorted(CORPORA)))
    parser.add_argument("source", metavar="SOURCE", help="language of the source, such as en")
    parser.add_argument("target", metavar="TARGET", help="language of the target, such as fr")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where to put it (default: data/CORPUS)")
    parser.add_argument(
        "--force", action="store_true", help="download again, and accept files that have changed since the first time"
    )


def run(options: argparse.Namespace) -> None:
    """Download, check, unpack, and say on what terms and what comes next.

    Raises:
        ConfigError: There is no such pair of languages.
        CorpusError: A file cannot be downloaded, or is not what it should be.
    """
    corpus, source, target = CORPORA[options.corpus], options.source, options.target
    for code in (source, target):
        if not LANGUAGE.fullmatch(code):
            raise ConfigError(f"{code!r} is not a language code; write for example 'en' or 'zh_CN'")
    folder = options.folder or Path("data") / options.corpus
    remotes = corpus.remotes(source, target)
    (folder / "original").mkdir(parents=True, exist_ok=True)
    print(
        f"{corpus.title}: {corpus.about}\n  licence: {corpus.licence}\n  attribution: {corpus.attribution}", flush=True
    )
    for remote in remotes:
        fetch(remote, folder / "original", force=options.force)
    made = {}
    for part in dict.fromkeys(one.part for one in remotes):
        made[part] = folder / f"{source}-{target}.{part}.tsv"
        files = [one for one in remotes if one.part == part]
        with replacing(made[part]) as file:
            count = 0
            for first, second in pairs(files, folder / "original", source, target):
                file.write(f"{one_line(first)}\t{one_line(second)}\n")
                count += 1
        print(f"  {made[part]}: {count:,} pairs")
    terms = folder / "LICENCE.txt"
    write_bytes(terms, _terms(corpus).encode())
    write_json(folder / CARD, {"data": corpus.title, "licence": corpus.licence, "attribution": corpus.attribution})
    print(f"  {terms}: whom to name, on what terms\n\nNext:")
    given = [f"--{part}={path}" for part, path in made.items() if part != "train"]
    command = ["init", f"--source={source}", f"--target={target}", f"--corpus={made['train']}", *given]
    print(f"  python -m training {shlex.join(command).replace('=', ' ')}")


def fetch(remote: Remote, folder: Path, *, force: bool = False) -> Path:
    """The file, downloaded unless it is there; checked against what is known of it.

    Where nobody has published a checksum, the first download is trusted and its SHA-256 noted in
    `SHA256SUMS`; from then on the file must stay what it was.

    Raises:
        CorpusError: See `download`; or the file is another one.
    """
    path = folder / remote.url.rpartition("/")[2]
    noted = _noted(folder)
    if force:
        path.unlink(missing_ok=True)
        noted.pop(path.name, None)
    if not path.exists():
        download(remote.url, path)
    found = {name: digest(path, name) for name in ("sha256", "md5")}
    algorithm, _, published = remote.checksum.partition(":")
    for name, expected in ((algorithm, published), ("sha256", noted.get(path.name))):
        if expected and found[name] != expected:
            aside = path.rename(path.with_name(path.name + ".wrong"))
            raise CorpusError(
                f"{remote.url}: the file is not the one it was (its {name} is {found[name]}, and was {expected}); it "
                f"now lies at {aside}. Give the same command again, with --force if the corpus has a new version"
            )
    noted[path.name] = found["sha256"]
    write_bytes(folder / SUMS, "".join(f"{sum}  {name}\n" for name, sum in sorted(noted.items())).encode())
    return path


def pairs(remotes: list[Remote], folder: Path, source: str, target: str) -> Iterator[tuple[str, str]]:
    """The pairs of one part, source first.

    Raises:
        CorpusError: A file is damaged, or not what the table says.
    """
    paths = [folder / one.url.rpartition("/")[2] for one in remotes]
    swap = remotes[0].columns[0] != source
    with ExitStack() as stack:
        if remotes[0].member:
            lines = _member(stack, paths[0], remotes[0].member)
            for number, line in enumerate(lines, 1):
                columns = line.rstrip("\r\n").split("\t")
                if len(columns) < 2:
                    raise CorpusError(f"{paths[0]}, {remotes[0].member}, line {number}: no tab between the sentences")
                yield (columns[1], columns[0]) if swap else (columns[0], columns[1])
            return
    for pair in read_pairs(tuple(paths), swap=swap, progress=f"unpacking {paths[0].name}"):
        if pair.source.strip() and pair.target.strip():  # News Commentary has an empty line after each article
            yield pair.source, pair.target


def _member(stack: ExitStack, path: Path, member: str) -> io.TextIOWrapper:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
        return io.TextIOWrapper(stack.enter_context(archive.open(member)), encoding="utf-8", newline="\n")
    except (zipfile.BadZipFile, KeyError) as error:
        raise CorpusError(f"{path}: not the archive it should be ({error}); delete it and download it again") from None


def _noted(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {name: sum for sum, _, name in (line.partition("  ") for line in lines) if name}


def _terms(corpus: PublicCorpus) -> str:
    return (
        f"{corpus.title}\n{corpus.about}\n\n{corpus.page}\nLicence: {corpus.licence}\n"
        f"Attribution: {corpus.attribution}\n"
    )
