import random
from pathlib import Path

import pytest

from training.__main__ import main
from training.corpus import SentencePair
from training.doctor import examine

ENGLISH = ("the", "old", "cat", "sees", "a", "green", "dog", "waits", "for", "small", "quiet", "horse", "garden")
FRENCH = ("le", "vieux", "chat", "voit", "un", "chien", "vert", "attend", "pour", "petite", "calme", "jument", "jardin")


def healthy(count: int = 800) -> list[SentencePair]:
    chance = random.Random(1)
    pairs = []
    for line in range(1, count + 1):
        size = chance.randint(4, 30)
        pairs.append(
            SentencePair(" ".join(chance.choices(ENGLISH, k=size)), " ".join(chance.choices(FRENCH, k=size)), line)
        )
    return pairs


def names(pairs: list[SentencePair], **held_out: list[SentencePair]) -> dict[str, int]:
    return {one.name: one.count for one in examine(pairs, held_out)}


def test_a_healthy_corpus_has_nothing() -> None:
    assert names(healthy()) == {}


@pytest.mark.parametrize(
    ("pair", "name"),
    [
        (("", "le chat"), "a side is empty"),
        (("Paris 1998", "Paris 1998"), "both sides are the same"),
        (("the cafÃ© is old", "le café est vieux"), "text that was decoded in the wrong encoding"),
        (("the ca\u00adt waits", "le chat attend"), "soft hyphens or zero-width spaces"),
        (("a cat", "le chat " * 20), "one side is over three times as long"),
        (("the " * 130, "le " * 130), "longer than 120 words or 1,000 characters"),
        (("Добрый день всем", "bonjour à tous"), "the source is not written in Latin"),
        (
            ("le chat voit un chien vert", "le vieux chat voit un chien"),
            "a side seems to be in the other side's language",
        ),
    ],
)
def test_every_fault_is_found_and_shown(pair: tuple[str, str], name: str) -> None:
    found = {one.name: one for one in examine([*healthy(), SentencePair(*pair, 801)], {})}
    assert found[name].count == 1
    assert found[name].examples[0].startswith("line 801: ")


def test_what_prepare_drops_is_counted_as_prepare_counts_it() -> None:
    """A Han character is a word there."""
    found = {one.name: one.count for one in examine([*healthy(), SentencePair("a " * 60, "猫" * 130, 801)], {})}
    assert found["longer than 120 words or 1,000 characters"] == 1


def test_a_chinese_sentence_full_of_latin_names_is_not_taken_for_a_fault() -> None:
    chance = random.Random(2)
    pairs = [
        SentencePair(" ".join(chance.choices(ENGLISH, k=6)), "".join(chance.choices("老猫看见一只绿色的狗等", k=9)), n)
        for n in range(1, 800)
    ]
    mixed = SentencePair("Lib/fractions.py is the source code", "源代码 Lib/fractions.py", 800)
    untranslated = SentencePair("the old cat sees a dog", "the old cat sees a dog!", 801)
    found = examine([*pairs, mixed, untranslated], {})
    assert [(one.name, one.count) for one in found] == [("the target is not written in Han", 1)]
    assert found[0].examples[0].startswith("line 801:")
    assert "1 more of whose letters fewer than a fifth are" in found[0].remedy


@pytest.mark.parametrize("text", ["press <b>OK</b>", "{count} files", "a cat &amp; a dog", "100%s", "as follows::"])
def test_markup_is_found(text: str) -> None:
    assert names([*healthy(), SentencePair(text, "le chat voit un chien", 801)]) == {"markup or placeholders": 1}


def test_an_example_shows_the_place_and_names_what_cannot_be_seen() -> None:
    hidden = SentencePair("the cat " * 9 + "&amp; a dog", "le chat voit\u202f!", 801)
    found = {one.name: one.examples[0] for one in examine([*healthy(), hidden], {})}
    assert "the cat &amp; a dog | le chat" in found["markup or placeholders"]
    assert found["no-break and other unusual spaces"].endswith("| le chat voit<U+202F>!")


def test_what_training_repairs_by_itself_is_only_good_to_know() -> None:
    pairs = healthy()
    spaced = SentencePair("the dog waits", "le chien attend\u202f!", 801)
    shouted = SentencePair(pairs[3].source.upper(), pairs[3].target + "!", 802)
    again = [SentencePair(pairs[n].source, f"{pairs[n].target} bis", 803 + n) for n in range(5, 105)]
    found = {one.name: one for one in examine([*pairs, spaced, shouted, *again], {})}
    assert [(one.count, one.fault) for one in found.values()] == [(200, False), (1, False), (1, False)]
    assert found["no-break and other unusual spaces"].examples[0].startswith("line 801:")
    assert (
        found["the pair stands there before, but for case, punctuation or symbols"].examples[0].startswith("line 802:")
    )


def test_lost_accents_are_missed_where_the_language_is_known() -> None:
    name = "the target has lost its accents"
    assert [one.name for one in examine(healthy(), {}, ("en", "fr"))] == [name]
    assert examine(healthy(), {}, ("en", "la")) == []
    french = [SentencePair(one.source, one.target.replace("calme", "fâchée"), one.line) for one in healthy()]
    assert examine(french, {}, ("en", "fr-CA")) == []


def test_duplicates_and_leakage_are_found() -> None:
    pairs = healthy()
    found = names([*pairs, pairs[3]], test=[SentencePair(pairs[5].source.upper() + "!", "autre chose", 1)])
    assert found["the pair stands there before"] == 1
    assert found["a sentence also stands in the test set"] == 1


def test_a_stretch_shifted_by_one_line_is_found() -> None:
    pairs = healthy()
    moved = [
        SentencePair(one.source, pairs[n + 1].target, one.line) if 300 <= n < 500 else one
        for n, one in enumerate(pairs[:-1])
    ]
    found = next(one for one in examine(moved, {}) if one.name.startswith("misaligned stretches"))
    assert 120 <= found.count <= 240
    assert 281 <= int(found.examples[0].split()[1]) <= 340


def test_the_command_prints_remedies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.tsv"
    path.write_text("".join(f"{one.source}\t{one.target}\n" for one in [*healthy(200), healthy(1)[0]]))
    assert main(["doctor", str(path)]) == 0
    said = capsys.readouterr().out
    assert "201 pairs looked at" in said
    assert "remedy: cleaning.duplicates = true" in said


def test_a_tmx_file_needs_to_know_its_languages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(tmp_path / "memory.tmx")]) == 2
    assert "add --source CODE --target CODE" in capsys.readouterr().err
