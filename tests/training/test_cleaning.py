import pytest

from nmt.text import normalise
from training.cleaning import Cleaner, clean_text, digest, fold, report, table
from training.config import CleaningConfig
from training.corpus import SentencePair

LIMITS = CleaningConfig(max_characters=60, max_words=8, source_script="Latin", target_script="Han+Hiragana")


def verdict(cleaner: Cleaner, source: str, target: str) -> str:
    """Name of the rule that drops the pair; `kept` when none does."""
    before = {name: dropped.count for name, dropped in cleaner.dropped.items()}
    if cleaner(SentencePair(source, target, 1)):
        return "kept"
    return next(name for name, dropped in cleaner.dropped.items() if dropped.count > before[name])


@pytest.mark.parametrize(
    ("source", "target", "rule"),
    [
        ("Good day.", "你好。", "kept"),
        ("  ", "你好。", "empty"),
        ("Good day.", "", "empty"),
        ("Good\x07 day.", "你好。", "control_characters"),
        ("Good day.", "你\ufffd好。", "control_characters"),
        ("a " * 9, "你好，你好，你好，", "too_long"),
        ("Good day, all.", "你好你好你好你好你", "too_long"),  # nine Han characters are nine words
        ("x" * 61, "你好。", "too_long"),
        ("x" * 50, "你", "length_ratio"),  # (50 + 10) / (3 + 10) = 4.6
        ("x" * 50, "你好你好你", "kept"),  # (50 + 10) / (15 + 10) = 2.4: a Han character counts as three
        ("Use Sphinx here.", "用 Sphinx 吧", "kept"),  # a Latin name in Chinese text
        ("Paris 1998", "Paris 1998", "identical_sides"),
        ("Добрый день.", "你好。", "wrong_script"),
        ("Good day.", "Bonjour.", "wrong_script"),
        ("1998 - 2.5 %", "2.5 % (1998)", "kept"),  # no letters: no script to be wrong
    ],
)
def test_each_rule_drops_its_own(source: str, target: str, rule: str) -> None:
    assert verdict(Cleaner(LIMITS), source, target) == rule


def test_a_rule_that_is_off_drops_nothing() -> None:
    cleaner = Cleaner(CleaningConfig(identical_sides=False, control_characters=False))
    assert verdict(cleaner, "Paris\x07", "Paris") == "kept"
    assert verdict(cleaner, "Paris\x07", "Paris") == "kept"


def test_the_length_ratio_forgives_short_sentences() -> None:
    cleaner = Cleaner(CleaningConfig(max_length_ratio=2.0))
    assert verdict(cleaner, "No", "Absolument.") == "kept"  # (11 + 10) / (2 + 10) = 1.75
    assert verdict(cleaner, "No", "Absolument pas.") == "length_ratio"  # (15 + 10) / 12 = 2.08


def test_a_pair_that_shares_a_sentence_with_the_test_set_leaks() -> None:
    held_out = ({digest(fold("How are you?"))}, {digest(fold("Ça va ?"))})
    cleaner = Cleaner(CleaningConfig(), held_out)
    assert verdict(cleaner, "HOW are you", "Comment vas-tu ?") == "leakage"
    assert verdict(cleaner, "You well?", "ça va.") == "leakage"
    assert verdict(cleaner, "Are you well?", "Vas-tu bien ?") == "kept"
    assert verdict(cleaner, "Ça va ?", "How are you?") == "kept"  # sides are compared with their own kind


def test_kept_pairs_are_normalised() -> None:
    kept = Cleaner(CleaningConfig())(SentencePair("Cafe\u0301\u00a0 now ", "Le cafe\u0301\u202f!", 7))
    assert kept == SentencePair("Café now", "Le café !", 7)


@pytest.mark.parametrize(
    "text",
    [
        "  plain  ASCII ",
        "tab\tand\x07bell",
        "é\u00a0!",
        "",
        "a\u2028b",
        "à\u00a0 b\x1cc",
        "a  \u0301b",
        "e\u0301 !",
        "\u0600  a",
        "日\u3000本",
    ],
)
def test_the_short_way_equals_normalise(text: str) -> None:
    assert clean_text(text) == normalise(text).text


@pytest.mark.parametrize(
    ("one", "other"), [("Hello, World!", "hello world"), ("STRASSE", "Straße"), ("Va !", "va"), ("a—b", "A B")]
)
def test_folding_takes_away_case_and_punctuation(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_punctuation_alone_does_not_fold_to_nothing() -> None:
    assert fold("?!") != fold("...")


def test_the_report_counts_every_rule_and_keeps_three_examples() -> None:
    cleaner = Cleaner(CleaningConfig())
    for line in range(1, 6):
        cleaner(SentencePair("", f"x{line}", line))
    cleaner(SentencePair("Go.", "Va.", 6))
    found = report(cleaner.read, cleaner.kept, cleaner.dropped)
    assert (found["read"], found["kept"], found["dropped"]) == (6, 1, 5)
    assert found["rules"]["empty"]["count"] == 5
    assert [example["line"] for example in found["rules"]["empty"]["examples"]] == [1, 2, 3]


def test_the_table_lets_no_escape_sequence_through() -> None:
    cleaner = Cleaner(CleaningConfig())
    cleaner(SentencePair("\x1b[31mred", "rouge", 1))
    shown = table(report(cleaner.read, cleaner.kept, cleaner.dropped))
    assert "\x1b" not in shown
    assert "control_characters" in shown
