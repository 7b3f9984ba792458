"""Monolingual text of the target language -> training pairs, by a reverse model (Sennrich et al. 2016)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from nmt.errors import ConfigError, CorpusError
from nmt.manifest import digest as file_digest
from nmt.options import SearchOptions
from nmt.text import replace_surrogates
from nmt.translator import Translator
from training.cleaning import Cleaner, clean_text, digest, fold
from training.config import Recipe
from training.corpus import SentencePair, TextFile
from training.data import SYNTHETIC, TAG
from training.files import read_json, write_json
from training.progress import Progress

_CHUNK = 512
"""Sentences translated together; progress is kept after each chunk."""


def backtranslate(recipe: Recipe, folder: Path) -> None:
    """Write `synthetic.tsv`: `TAG translation TAB sentence`; goes on where it was stopped.

    Sentences that also stand in the validation set or a test set are left out, and pairs are cleaned
    by the recipe's rules.

    Raises:
        BundleError: There is no such reverse model.
        ConfigError: It translates another direction.
        CorpusError: A file cannot be read, or nothing is left.
    """
    config = recipe.backtranslation
    translator = Translator.load(config.model, device=recipe.training.device)
    bundle = translator.bundle
    if (bundle.source, bundle.target) != (recipe.target, recipe.source):
        raise ConfigError(
            f"backtranslation.model = {config.model!r} translates {bundle.source} to {bundle.target}; "
            f"a bundle from {recipe.target} to {recipe.source} is needed"
        )
    paths = [Path(recipe.data.folder) / name for name in config.files]
    part, place = folder / f"{SYNTHETIC}.part", folder / "synthetic.json"
    held_out = [folder / name for name in ("valid.tsv", "test.tsv", *(also.copy for also in recipe.data.also_test))]
    files = [[str(path), path.stat().st_size] for path in paths if path.exists()]
    identity = [bundle.sha256, config.beam_size, files, [file_digest(path) for path in held_out], repr(recipe.cleaning)]
    known = read_json(place)
    state = known if isinstance(known, dict) and known.get("of") == identity and part.exists() else None
    state = state or {"of": identity, "read": 0, "bytes": 0, "kept": 0}
    cleaner = Cleaner(recipe.cleaning, _targets(held_out))
    options = SearchOptions(beam_size=config.beam_size)
    size = sum(path.stat().st_size for path in paths if path.exists())
    with part.open("ab") as out, Progress("translating back", size, unit="sentences") as bar:
        out.truncate(state["bytes"])
        lines = _sentences(paths, bar)
        for _ in islice(lines, state["read"]):
            pass
        while some := list(islice(lines, _CHUNK)):
            texts = [clean_text(replace_surrogates(text)) for text in some]
            texts = [text for text in texts if 0 < len(text) <= recipe.cleaning.max_characters]
            for text, found in zip(texts, translator.translate(texts, options=options), strict=True):
                pair = cleaner(SentencePair(found.text, text, 0))
                if pair:
                    out.write(f"{TAG} {pair.source}\t{pair.target}\n".encode())
                    state["kept"] += 1
            out.flush()
            state |= {"read": state["read"] + len(some), "bytes": out.tell()}
            write_json(place, state)
    if not state["kept"]:
        raise CorpusError(f"{paths[0]}: no back-translated pair is left after cleaning: {json.dumps(_counts(cleaner))}")
    part.replace(folder / SYNTHETIC)
    place.unlink()
    print(
        f"  {state['read']:,} sentences read, {state['kept']:,} pairs kept; dropped now: {json.dumps(_counts(cleaner))}"
    )


def _counts(cleaner: Cleaner) -> dict[str, int]:
    return {name: one.count for name, one in cleaner.dropped.items() if one.count}


def _targets(held_out: list[Path]) -> tuple[set[int], set[int]]:
    """Digests of the target sentences of validation and tests; their sources were made by nobody's model."""
    targets: set[int] = set()
    for path in held_out:
        for line in path.read_text("utf-8").split("\n"):
            targets.add(digest(fold(clean_text(line.partition("\t")[2]))))
    return set(), targets


def _sentences(paths: list[Path], bar: Progress) -> Iterator[str]:
    done = number = 0
    for path in paths:
        file = TextFile(path)
        try:
            while data := file.some():
                try:
                    texts = data.decode("utf-8").splitlines()
                except UnicodeDecodeError as error:
                    raise CorpusError(
                        f"{path}: not UTF-8 ({error.reason}); convert the file first, for example with "
                        "iconv -f LATIN1 -t UTF-8"
                    ) from None
                for text in texts:
                    number += 1
                    yield text
                    if number % 100 == 0:
                        bar.advance(done + file.position, number)
        finally:
            file.close()
        done += path.stat().st_size
