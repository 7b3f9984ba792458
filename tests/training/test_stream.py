import os
import random
import subprocess
import sys
from collections import Counter
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config import UNK
from nmt.errors import ConfigError, CorpusError
from nmt.tokenizer import SPACE, SPECIAL, CharacterTokenizer, Tokenizer
from training.config import Recipe, TrainingConfig, UnitsConfig
from training.data_config import DataConfig
from training.guidance import LINK, Block, Links
from training.index import open_index
from training.mixture import Mixture, Part
from training.sampling import SubwordSampler
from training.stream import BatchStream, Position
from training.subwords import train_subwords
from training.variants import UNKNOWN, as_typed, fragment, teach_copying

ROOT = Path(__file__).parents[2]
UNITS = CharacterTokenizer([*SPECIAL.values(), SPACE, *"abcdefghijklmnopqrstuvwxyz0123456789"])
PAIRS = [(f"word {n} {'x' * (n % 13)}", f"mot {n} {'y' * (n % 7)}") for n in range(300)]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "train.tsv"
    path.write_text("".join(f"{s.strip()}\t{t.strip()}\n" for s, t in PAIRS), "utf-8")
    return path


def stream(path: Path, **options: Any) -> BatchStream:
    settings = {"batch_tokens": 200, "max_tokens": 60, "copy_rate": 0.0, "seed": 1, **options}
    return BatchStream([open_index(path, UNITS, UNITS)], UNITS, UNITS, **settings)


def test_an_epoch_holds_every_pair_once(corpus: Path) -> None:
    batches = stream(corpus)
    rows = [tuple(ids) for examples, _ in islice(batches(Position()), batches.batches_in(0)) for ids in examples.source]
    assert len(rows) == len(set(rows)) == 300


def test_batches_keep_to_their_size(corpus: Path) -> None:
    batches = stream(corpus)
    for examples, _ in islice(batches(Position()), batches.batches_in(0)):
        batch = examples.batch()
        assert batch.source.numel() <= 200
        assert batch.target_out.numel() <= 200


def test_a_batch_depends_on_its_position_alone(corpus: Path) -> None:
    batches = stream(corpus, copy_rate=0.5)
    run = list(islice(batches(Position()), batches.batches_in(0) + 5))
    for start in (1, batches.batches_in(0) - 1, batches.batches_in(0) + 2):
        resumed = list(islice(stream(corpus, copy_rate=0.5)(run[start - 1][1]), 3))
        assert resumed == run[start : start + 3]


def test_pools_are_planned_one_at_a_time(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.stream.POOL", 70)
    batches = stream(corpus)
    run = list(islice(batches(Position()), batches.batches_in(0)))
    assert [position.pool for _, position in run] == sorted(position.pool for _, position in run)
    assert {position.pool for _, position in run} == {0, 1, 2, 3, 4}
    assert len({line for examples, _ in run for line in examples.lines}) == 300
    assert next(stream(corpus)(run[-2][1])) == run[-1]


def test_a_batch_reads_nothing_but_its_own_lines(corpus: Path) -> None:
    examples, position = next(stream(corpus)(Position(1, 0, 3)))
    mine = {int(line.rpartition(" ")[2]) for line in examples.lines}
    lines = corpus.read_bytes().splitlines(keepends=True)
    status = corpus.stat()
    corpus.write_bytes(b"".join(line if n in mine else b"\xff" * len(line) for n, line in enumerate(lines, 1)))
    os.utime(corpus, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert next(stream(corpus)(Position(1, 0, 3))) == (examples, position)


def test_epochs_and_seeds_differ_in_order(corpus: Path) -> None:
    first = next(stream(corpus)(Position()))[0].lines
    assert first != next(stream(corpus)(Position(epoch=1)))[0].lines
    assert first != next(stream(corpus, seed=2)(Position()))[0].lines


def test_too_long_pairs_are_counted_and_left_out(corpus: Path) -> None:
    batches = stream(corpus, max_tokens=12)
    run = [examples for examples, _ in islice(batches(Position()), batches.batches_in(0))]
    assert batches.too_long + sum(len(examples.lines) for examples in run) == 300
    assert batches.too_long > 0
    assert max(len(ids) for examples in run for ids in examples.source + examples.target) <= 11
    with pytest.raises(CorpusError, match=r"no pair of at most 2 units; raise training\.max_tokens"):
        stream(corpus, max_tokens=2)


def test_the_index_is_kept_until_corpus_or_vocabulary_change(corpus: Path) -> None:
    open_index(corpus, UNITS, UNITS)
    before = corpus.with_suffix(".index").stat().st_mtime_ns
    open_index(corpus, UNITS, UNITS)
    assert corpus.with_suffix(".index").stat().st_mtime_ns == before
    assert len(open_index(corpus, UNITS, CharacterTokenizer([*SPECIAL.values(), SPACE, "a"]))) == 300
    assert corpus.with_suffix(".index").stat().st_mtime_ns != before
    with corpus.open("a") as file:
        file.write("one more\tencore un\n")
    assert len(open_index(corpus, UNITS, UNITS)) == 301


def test_parts_are_mixed_by_weight() -> None:
    mixture = Mixture([Part(0, 900, 1), Part(900, 1000, 3)], seed=1)
    rows = np.concatenate([mixture.order(epoch) for epoch in range(4)])
    assert (mixture.order(0) >= 900).sum() == 750
    assert len(set(rows[rows < 900])) == 900  # four times 250: every general pair once, some twice
    counts = np.bincount(rows[rows >= 900] - 900)
    assert (counts.min(), counts.max()) == (30, 30)
    assert np.array_equal(mixture.order(2), Mixture([Part(0, 900, 1), Part(900, 1000, 3)], seed=1).order(2))


def test_without_weights_every_pair_is_seen_once_an_epoch() -> None:
    mixture = Mixture([Part(0, 90), Part(90, 100)], seed=1)
    assert sorted(mixture.order(3).tolist()) == list(range(100))


def test_sampled_units_follow_from_seed_and_position(tmp_path: Path) -> None:
    words = ("press", "the", "green", "button", "understanding", "waits")
    corpus = tmp_path / "train.tsv"
    corpus.write_text("".join(f"{a} {b} {c}\t{c} {b} {a}\n" for a in words for b in words for c in words), "utf-8")
    recipe = Recipe(name="x", source="en", target="fr", data=DataConfig(train="t"), units=UnitsConfig(size=60))
    train_subwords(recipe, tmp_path)
    tokenizer = Tokenizer.load(tmp_path / "source.spm")

    def sampled(seed: int) -> BatchStream:
        sampler = SubwordSampler(tmp_path / "source.spm", tmp_path / "source.spm", 0.3)
        return BatchStream(
            [open_index(corpus, tokenizer, tokenizer)], tokenizer, tokenizer,
            batch_tokens=300, max_tokens=60, copy_rate=0.0, seed=seed, sampler=sampler,
        )  # fmt: skip

    run = list(islice(sampled(1)(Position()), 12))
    assert list(islice(sampled(1)(run[4][1]), 7)) == run[5:]
    again = {
        line: ids
        for examples, _ in islice(sampled(1)(Position(1)), 12)
        for line, ids in zip(examples.lines, examples.source, strict=True)
    }
    both = [
        (ids, again[line])
        for examples, _ in run
        for line, ids in zip(examples.lines, examples.source, strict=True)
        if line in again
    ]
    assert any(one != other for one, other in both)
    assert all(tokenizer.decode(one).text == tokenizer.decode(other).text for one, other in both)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sampling_is_the_same_in_every_process_and_off_is_the_tokenizer(tmp_path: Path, kind: Any) -> None:
    words = ("press", "the", "green", "button", "understanding", "waits")
    texts = [f"{a} {b} {c}" for a in words for b in words for c in words]
    (tmp_path / "train.tsv").write_text("".join(f"{text}\t{text}\n" for text in texts), "utf-8")
    units = UnitsConfig(kind=kind, size=40 if kind == "bpe" else 24)  # unigram finds no more here
    train_subwords(Recipe(name="x", source="en", target="fr", data=DataConfig(train="t"), units=units), tmp_path)
    path = tmp_path / "source.spm"
    program = (
        "import sys; from pathlib import Path; from training.sampling import SubwordSampler;"
        f"print(SubwordSampler(Path({str(path)!r}), Path({str(path)!r}), 0.2)({texts!r}, [], 7)[0])"
    )
    said = [
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert said[0] == said[1] == f"{SubwordSampler(path, path, 0.2)(texts, [], 7)[0]}\n"
    if kind == "bpe":
        odd = [*texts, "the 😀😀 ▪ zzz 😀 😀"]
        assert SubwordSampler(path, path, 0.0)(odd, [], 7)[0] == Tokenizer.load(path).ids(odd)


def test_merges_are_left_out_as_often_as_drawing_for_each_would(tmp_path: Path) -> None:
    """Against the algorithm as the paper has it (Provilkov et al. 2020, algorithm 1), 20,000 times."""
    (tmp_path / "train.tsv").write_text("banana\tbandana\n" * 30 + "ananas\tnana\n" * 20, "utf-8")
    units = UnitsConfig(size=16)
    train_subwords(Recipe(name="x", source="en", target="fr", data=DataConfig(train="t"), units=units), tmp_path)
    path, rate, chance = tmp_path / "source.spm", 0.3, random.Random(0)
    units_of = Tokenizer.load(path)
    pieces = [units_of.piece(number) for number in range(units_of.size)]

    def one_by_one() -> tuple[str, ...]:
        parts = list("▁bananas")
        while merges := [
            (pieces.index(left + right), place)
            for place, (left, right) in enumerate(pairwise(parts))
            if left + right in pieces and chance.random() >= rate
        ]:
            _, at = min(merges)  # pieces stand in the order in which they were learnt
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return tuple(parts)

    sampler = SubwordSampler(path, path, rate)
    ours = Counter(tuple(pieces[number] for number in ids) for ids in sampler(["bananas"] * 20_000, [], 1)[0])
    expected = Counter(one_by_one() for _ in range(20_000))
    assert len(expected) > 4
    for parts in expected | ours:
        assert ours[parts] == pytest.approx(expected[parts], abs=5 * (expected[parts] + 4) ** 0.5 * 2**0.5)


def test_characters_cannot_be_sampled() -> None:
    with pytest.raises(ConfigError, match=r"training\.sampling needs units\.kind"):
        SubwordSampler(Path("source.vocab.json"), Path("source.vocab.json"), 0.1)


def test_copying_puts_the_unknown_unit_on_both_sides(corpus: Path) -> None:
    random = np.random.default_rng(0)
    assert teach_copying("Tom sleeps", "Tom dort", random) == (f"{UNKNOWN} sleeps", f"{UNKNOWN} dort")
    assert teach_copying("He sleeps", "Il dort", random) == (f"He sleeps {UNKNOWN}", f"Il dort {UNKNOWN}")
    assert teach_copying("il a dit l'a b", "a", random) == (f"il {UNKNOWN} dit l'a b", UNKNOWN)  # not inside "l'a"
    batch = next(stream(corpus, copy_rate=1.0)(Position()))[0].batch()
    assert (batch.source == UNK).any(dim=1).all()
    assert (batch.target_out == UNK).any(dim=1).all()


def test_pairs_as_people_type_them_keep_every_word_at_its_place() -> None:
    random = np.random.default_rng(0)
    source, target = "He isn't Tom, is he?", "Ce n'est pas Tom, si ?"
    seen = {as_typed(source, target, random) for _ in range(50)}
    assert seen == {
        (source[:-1], target[:-2]),
        (source.lower(), target),
        (source.lower()[:-1], target[:-2]),
    }
    assert {as_typed("Wait...", "等等。", random)[0].lower() for _ in range(20)} == {"wait..."}  # not one sign
    assert {as_typed("Hi.", "嗨。", random) for _ in range(50)} == {("Hi", "嗨"), ("hi", "嗨"), ("hi.", "嗨。")}


def test_a_share_of_the_stream_is_casual_and_the_same_again_after_resuming(corpus: Path) -> None:
    corpus.write_text("".join(f"Word {n}.\tMot {n}.\n" for n in range(300)), "utf-8")
    run = list(islice(stream(corpus, casual_rate=0.5)(Position()), 6))
    resumed = list(islice(stream(corpus, casual_rate=0.5)(run[2][1]), 3))
    assert [one.source for one, _ in run[3:]] == [one.source for one, _ in resumed]
    plain = list(islice(stream(corpus)(Position()), 6))
    changed = [
        a != b for (x, _), (y, _) in zip(run, plain, strict=True) for a, b in zip(x.source, y.source, strict=True)
    ]
    assert any(changed)
    assert not all(changed)


def between(pair: tuple[str, str], *words: tuple[str, str]) -> list[Block]:
    """Links between words of a pair, each by its first place."""
    source, target = pair
    return [(source.find(s), source.find(s) + len(s), target.find(t), target.find(t) + len(t)) for s, t in words]


def test_a_fragment_is_whole_as_its_links_say() -> None:
    pair = "I do not see the car.", "Je ne vois pas la voiture."
    links = between(
        pair, ("I", "Je"), ("not", "ne"), ("not", "pas"), ("see", "vois"), ("the", "la"), ("car", "voiture"), (".", ".")
    )
    random = np.random.default_rng(0)
    found = [fragment(*pair, links, random) for _ in range(300)]
    seen = Counter((source.lower(), target.lower()) for source, target, _ in filter(None, found))
    assert seen[("car", "voiture")] > seen[("the", "la")] > 0, "long words come more often"
    assert ("the car", "la voiture") in seen
    assert ("not see", "ne vois pas") in seen
    assert not {source for source, _ in seen} & {"not", "see the", "."}, "their links lead out, or they say nothing"
    cases = {(source, target) for source, target, _ in filter(None, found)}
    assert {("Car", "Voiture"), ("car", "voiture"), ("I", "Je"), ("i", "Je")} <= cases
    assert not {("Car", "voiture"), ("car", "Voiture")} & cases
    linked = {(pair[0][a:b].lower(), pair[1][c:d].lower()) for a, b, c, d in links}
    for source, target, inside in filter(None, found):
        assert {(source[a:b].lower(), target[c:d].lower()) for a, b, c, d in inside} <= linked


def test_long_idioms_and_pairs_without_links_give_no_fragment() -> None:
    random = np.random.default_rng(0)
    pair = "a b c d e f", "x"
    assert fragment(*pair, between(pair, *((word, "x") for word in "abcdef")), random) is None
    assert fragment("one", "un", [], random) is None
    assert fragment("!", "!", [(0, 1, 0, 1)], random) is None


def test_fragments_have_the_links_of_their_units(corpus: Path) -> None:
    corpus.write_text("".join(f"word {n}\tmot {n}\n" for n in range(300)), "utf-8")
    known = [link for n in range(300) for link in (((0, 4), (0, 3)), ((5, 5 + len(str(n))), (4, 4 + len(str(n)))))]
    links = Links(np.array(known, LINK), np.arange(0, 601, 2))
    run = list(islice(stream(corpus, fragment_rate=0.5, links=links)(Position()), 6))
    assert [one for one, _ in islice(stream(corpus, fragment_rate=0.5, links=links)(run[2][1]), 3)] == [
        one for one, _ in run[3:]
    ]
    texts = {
        (UNITS.decode(source).text, UNITS.decode(target).text, len(blocks))
        for examples, _ in run
        for source, target, blocks in zip(examples.source, examples.target, examples.links or [], strict=True)
    }
    assert ("word", "mot", 1) in texts
    assert any(source.startswith("word ") and count == 2 for source, _, count in texts)


def test_fragments_need_links() -> None:
    with pytest.raises(ConfigError, match=r"set training\.guidance too"):
        TrainingConfig(fragment_rate=0.1)
