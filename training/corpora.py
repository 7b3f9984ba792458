"""Public corpora that `python -m training get` knows: where they are, what is in them, and on what terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from nmt.errors import ConfigError

Part = Literal["train", "valid", "test"]

_STATMT = "https://data.statmt.org"
_MULTI30K = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"


@dataclass(frozen=True, slots=True)
class Remote:
    """One file to download.

    Attributes:
        url: Where it is.
        part: Of the corpus.
        columns: Languages of its columns, in their order; one: a file of lines, with another of the same part.
        checksum: `md5:…` or `sha256:…` where its makers or users have published one; empty: not known.
        member: The file inside, for a ZIP archive.
    """

    url: str
    part: Part
    columns: tuple[str, ...]
    checksum: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class PublicCorpus:
    """One corpus in many languages.

    Attributes:
        title: Its name.
        about: What kind of text, and how much.
        page: Where to read more.
        licence: On what terms it may be used.
        attribution: Whom to name.
        remotes: Files of a pair of languages; a `ConfigError` when there is none.
    """

    title: str
    about: str
    page: str
    licence: str
    attribution: str
    remotes: Callable[[str, str], list[Remote]]


_MANYTHINGS = {
    **{"ar": "ara", "bg": "bul", "cs": "ces", "da": "dan", "de": "deu", "el": "ell", "es": "spa", "fi": "fin"},
    **{"fr": "fra", "he": "heb", "hi": "hin", "hu": "hun", "id": "ind", "is": "isl", "it": "ita", "ja": "jpn"},
    **{"ko": "kor", "lt": "lit", "mk": "mkd", "mr": "mar", "nb": "nob", "nl": "nld", "pl": "pol", "pt": "por"},
    **{"ro": "ron", "ru": "rus", "sr": "srp", "sv": "swe", "th": "tha", "tr": "tur", "uk": "ukr", "vi": "vie"},
    **{"zh": "cmn"},
}
"""Two letters -> the three of the file names."""

_MULTI30K_MD5 = {
    "train.cs": "d9a5fc268917725a2b0efce3a0cc8607",
    "train.de": "81ff90b99829c0cd4b1b587d394afd39",
    "train.en": "0065d13af80720a55ca8153d126e6627",
    "train.fr": "6cb767741dcad3931f966fefbc05203f",
    "val.cs": "83cdc082f646b769095615384cf5c0ca",
    "val.de": "6e0e229eb049e3fc99a1ef02fb2d5f91",
    "val.en": "2b69aa9253948ac9f67e94917272dd40",
    "val.fr": "93fc564584b7e5ba410c761ea5a1c682",
    "test_2016_flickr.cs": "3104872229daa1bef3b401d44dd2220b",
    "test_2016_flickr.de": "efd67d314d98489b716b145475101932",
    "test_2016_flickr.en": "ff2c0fcb4893a13bd73414306bc250ae",
    "test_2016_flickr.fr": "08dc7cd4a662f31718412de95ca9bfe3",
}
"""As torchtext publishes them."""


def _tatoeba(source: str, target: str) -> list[Remote]:
    if "en" not in (source, target) or source == target:
        raise ConfigError(f"tatoeba: {source} to {target} is not there; one of the two languages must be en")
    other = target if source == "en" else source
    code = _MANYTHINGS.get(other, other)
    if len(code) != 3:
        raise ConfigError(
            f"tatoeba: no file is known for {other!r}; known are {' '.join(_MANYTHINGS)}, and others by the three "
            "letters of their file name on www.manythings.org/anki, such as afr"
        )
    url = f"https://www.manythings.org/anki/{code}-eng.zip"
    return [Remote(url, "train", ("en", other), member=f"{code}.txt")]


def _multi30k(source: str, target: str) -> list[Remote]:
    known = ("cs", "de", "en", "fr")
    if source == target or not {source, target} <= set(known):
        raise ConfigError(f"multi30k: {source} to {target} is not there; choose two of {', '.join(known)}")
    parts: tuple[tuple[Part, str], ...] = (("train", "train"), ("valid", "val"), ("test", "test_2016_flickr"))
    return [
        Remote(f"{_MULTI30K}/{name}.{code}.gz", part, (code,), checksum=f"md5:{_MULTI30K_MD5[f'{name}.{code}']}")
        for part, name in parts
        for code in (source, target)
    ]


def _opus_100(source: str, target: str) -> list[Remote]:
    if "en" not in (source, target) or source == target:
        raise ConfigError(f"opus-100: {source} to {target} is not there; one of the two languages must be en")
    pair = "-".join(sorted((source, target)))
    parts: tuple[tuple[Part, str], ...] = (("train", "train"), ("valid", "dev"), ("test", "test"))
    return [
        Remote(f"{_STATMT}/opus-100-corpus/v1.0/supervised/{pair}/opus.{pair}-{name}.{code}", part, (code,))
        for part, name in parts
        for code in (source, target)
    ]


def _news_commentary(source: str, target: str) -> list[Remote]:
    if source == target:
        raise ConfigError(f"news-commentary: {source} to {target} is not there; choose two languages")
    first, second = sorted((source, target))
    url = f"{_STATMT}/news-commentary/v18.1/training/news-commentary-v18.{first}-{second}.tsv.gz"
    return [Remote(url, "train", (first, second))]


CORPORA = {
    "tatoeba": PublicCorpus(
        "Tatoeba, as bilingual pairs of manythings.org",
        "everyday sentences; English and another language, from a few hundred pairs to 400,000",
        "https://www.manythings.org/anki/",
        "CC-BY 2.0 FR",
        "www.manythings.org/anki and tatoeba.org; who wrote each sentence stands in the downloaded file",
        _tatoeba,
    ),
    "multi30k": PublicCorpus(
        "Multi30k, task 1",
        "29,000 image captions with validation and test set (2016 Flickr); two of cs, de, en, fr",
        "https://github.com/multi30k/dataset",
        "no clear licence for the text: a benchmark; do not publish what is trained on it",
        "Elliott et al. 2016, Multi30K: Multilingual English-German Image Descriptions; Elliott et al. 2017; "
        "Barrault et al. 2018",
        _multi30k,
    ),
    "opus-100": PublicCorpus(
        "OPUS-100",
        "up to 1,000,000 pairs from many places (subtitles above all), with validation and test set; English and "
        "one of 99 languages",
        "https://opus.nlpl.eu/OPUS-100",
        "that of the corpora it was drawn from, see the page of OPUS",
        "Zhang et al. 2020, Improving Massively Multilingual Neural Machine Translation and Zero-Shot Translation; "
        "Tiedemann 2012, Parallel Data, Tools and Interfaces in OPUS",
        _opus_100,
    ),
    "news-commentary": PublicCorpus(
        "News Commentary v18.1",
        "political and economic commentary, up to a few hundred thousand pairs; 15 languages in all pairs",
        "https://data.statmt.org/news-commentary/v18.1/",
        "for research, as the other data of the WMT shared tasks; the articles are Project Syndicate's",
        "the WMT news translation task (www.statmt.org) and Project Syndicate; Tiedemann 2012",
        _news_commentary,
    ),
}
"""By the name a person types. None of these hosts publishes checksums but for those given above."""
