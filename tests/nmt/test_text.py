"""Sentences, words, long sentences, and the way back to the whole text."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.text import normalise, replace_surrogates, restore, sentences, split_long, words

MARKS = "aZé 1.!?…,;:-—()«»“”\"'’\n\r\t*•#。！，「」你はカ한אעß\u0301\u2028\u200d😀\x00\x1f\ud800"
LONGER = ["Mr.", "etc.", "U.S.", "M.", "1. ", "- ", " ! ", "\u202f»", "👨\u200d👩\u200d👧", "🇫🇷"]
PIECES = st.sampled_from([*MARKS, *LONGER])
TEXTS = st.one_of(st.lists(PIECES, max_size=40).map("".join), st.text(max_size=60))


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


def word_list(text: str) -> list[str]:
    return [text[start:end] for start, end in words(text)]


ONE_EACH = [
    "Dr. Smith came at 3.14 p.m. | He left.",
    'He said "Go!" and left. | "Now." | She stayed.',
    "“Go.” | “No.” | ‘Fine.’ | Good",
    "J. R. R. Tolkien wrote it. | I read it.",
    "Wait... what? | Yes!!! ok",
    "Well… | Perhaps… or not.",
    "In the U.S. Army he served. | He lives in the U.S. | She does not.",
    "Apples, pears, etc. | Then more, e.g. Cox apples.",
    "No. 5 is alive. | No. | I refuse. | (It works.) | Yes",
    "I use Node.js. | It works. | Visit example.com. | Now!",
    "What?! | Really.",
    "See Fig. 3 on p. 12. | Mr. and Mrs. Jones vs. Kramer Inc. lost.",
    "Hello! 😀 | Bye 👋🏽 now.",
    "I paid $5.50. | You paid 3. | We win.",
    "As shown.[1] | Next one.",
    "The limits of Y. | These are read by J. Smith, in **bold.** | Next.",
    "how are you? | i am fine. | and you?",
    "Il a dit : « Viens ! » | Puis il partit. | M. Dupont est là.",
    "« Bonjour. » | « Salut ! » dit-il.",
    "Qu'est-ce que c'est\u202f? | Rien\u00a0! | Ah bon.",
    "Il vécut en 50 av. J.-C. à Rome, cf. p. 3 et suiv. | C'est tout.",
    "Mme. Curie et M. Hugo, p. ex., sont là. | Bien.",
    "Das ist z.B. gut. | Am 3. Mai kam Dr. Müller. | Er ging.",
    "„Er kam.“ | Sie ging. | »Gut«, sagte er.",
    "¿Qué? | ¡Hola! | Sí.",
    "كيف حالك؟ | أنا بخير. | شكرا!",
    "שלום. | מה שלומך? | טוב!",
    "यह है। | वह है।",
]

WITHOUT_SPACES = [
    "他说：“你好。”|然后走了。|真的吗？！|是的……好。|「行。」|好",
    "他来了！|她问：“为什么？”的时候，我笑了。",
    "真的吗?|好!",
    '他说:"你好。"|然后走了。|"再见。"|她说。',
    "这是类。|'name' 参数。|_private 也是。",
    "这个（你知道吗？）很好。|对",
    "「はい。」と言った。|本当ですか？|はい！",
    "圆周率是3.14。|好",
]


@pytest.mark.parametrize("marked", ONE_EACH)
def test_sentences_are_told_apart(marked: str) -> None:
    assert split(marked.replace(" | ", " ")) == marked.split(" | ")


@pytest.mark.parametrize("marked", WITHOUT_SPACES)
def test_chinese_and_japanese_sentences_need_no_space(marked: str) -> None:
    assert split(marked.replace("|", "")) == marked.split("|")


def test_line_breaks_end_sentences_and_bullets_stay_outside() -> None:
    text = "A title\r\n\r\nOne line\n  - first. Yes!\n  - second\n1. Third\n# Head\n\t> quoted\u2028— Oui."
    assert split(text) == ["A title", "One line", "first.", "Yes!", "second", "Third", "Head", "quoted", "Oui."]


@pytest.mark.parametrize("text", ["...", "😀", "? ! ?", "1.", "-", "* * *", "—", "\x00"])
def test_text_without_a_letter_is_a_sentence(text: str) -> None:
    assert split(text) == [text]


@pytest.mark.parametrize("text", ["", " ", "\n\r\n\t\u3000\u00a0"])
def test_white_space_is_no_sentence(text: str) -> None:
    assert split(text) == []
    assert word_list(text) == []


@given(TEXTS)
def test_sentences_are_ordered_disjoint_and_lose_nothing(text: str) -> None:
    spans = sentences(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert all(text[start:end] == text[start:end].strip() for start, end in spans)
    assert not any(line_break in text[slice(*span)] for span in spans for line_break in "\n\r\v\f\x85\u2028\u2029")
    ends = [0, *(place for span in spans for place in span), len(text)]
    gaps = [text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]
    assert all(len(piece) <= 6 for gap in gaps for piece in gap.split())  # bullets at most
    assert restore(text, spans, [text[start:end] for start, end in spans]) == (text, spans)


@given(TEXTS, st.lists(st.text(max_size=5), min_size=100, max_size=100))
def test_restore_says_where_translations_stand(text: str, translations: list[str]) -> None:
    spans = sentences(text)
    restored, placed = restore(text, spans, translations[: len(spans)])
    assert [restored[start:end] for start, end in placed] == translations[: len(spans)]


def test_restore_keeps_all_between() -> None:
    restored, placed = restore(" One.\n\n- Two. Three. ", [(1, 5), (9, 13), (14, 20)], ["Un.", "Deux.", "Trois."])
    assert restored == " Un.\n\n- Deux. Trois. "
    assert placed == [(1, 4), (8, 13), (14, 20)]


WORDS = [
    ("How are you, don't: e.g. 3.14 10:30", "How are you , don't : e.g . 3.14 10 : 30"),
    ("_" * 40 + "a " + "a" + "_" * 40, "_" * 40 + " a a" + "_" * 16 + " " + "_" * 24),
    ("_‿" * 20, " ".join("_‿" * 20)),
    ("snake_case x86_64 C++ $5,000.00 50%", "snake_case x86_64 C ++ $ 5,000.00 50 %"),
    ("Comment allez-vous aujourd'hui ?", "Comment allez - vous aujourd'hui ?"),
    ("L'homme qu’il a vu, jusqu'ici, dell'arte", "L' homme qu’ il a vu , jusqu' ici , dell' arte"),
    ("quelqu'un, don't, c'mon, O'Neil, I'd", "quelqu'un , don't , c'mon , O'Neil , I'd"),
    ("mot\u202f» Quoi\u202f?", "mot » Quoi ?"),
    ("« Viens ! » dit-il… ?! ...", "« Viens ! » dit - il … ?! ..."),
    ("他说ABC你好。", "他 说 ABC 你 好 。"),
    ("カタカナ 한국어", "カタカナ 한국어"),
    ('שלום צה"ל كيفَ؟', 'שלום צה"ל كيفَ ؟'),
    ("👨\u200d👩\u200d👧🇫🇷🇩🇪❤️e\u0301te\u0301", "👨\u200d👩\u200d👧 🇫🇷 🇩🇪 ❤️ e\u0301te\u0301"),
    ("नमस्ते", "नमस्ते"),
]


@pytest.mark.parametrize(("text", "expected"), WORDS)
def test_words(text: str, expected: str) -> None:
    assert word_list(text) == expected.split(" ")


@given(TEXTS)
def test_words_cover_all_but_white_space(text: str) -> None:
    spans = words(text)
    assert all(start < end for start, end in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert {place for place, character in enumerate(text) if not character.isspace()} <= covered
    assert "".join(word_list(text)).split() == ["".join(text.split())] or not text.strip()


def test_long_sentence_is_cut_at_its_pauses() -> None:
    text = "  When the rain came, we ran home quickly; the dog, as ever, stayed outside (happily).  "
    parts = list(split_long(text, (0, len(text)), 8, lambda part: len(part.split())))
    assert [text[start:end] for start, end in parts] == [
        "When the rain came, we ran home quickly;",
        "the dog, as ever, stayed outside (happily).",
    ]


def test_chinese_is_cut_after_its_commas() -> None:
    text = "他昨天来到北京，然后去了上海，最后回家。"
    assert [text[a:b] for a, b in split_long(text, (0, len(text)), 11, len)] == [
        "他昨天来到北京，",
        "然后去了上海，",
        "最后回家。",
    ]


def test_number_and_word_stay_whole_while_there_is_space() -> None:
    text = "about 3,000.50 euros were paid in cash"
    parts = [text[a:b] for a, b in split_long(text, (0, len(text)), 16, len)]
    assert " ".join(parts) == text


@given(TEXTS, st.integers(1, 12))
def test_parts_fit_and_cover(text: str, limit: int) -> None:
    parts = list(split_long(text, (0, len(text)), limit, len))
    assert all(0 < end - start <= limit for start, end in parts)
    assert all(first[1] <= second[0] for first, second in pairwise(parts))
    assert "".join("".join(text[a:b] for a, b in parts).split()) == "".join(text.split())


@given(TEXTS, st.integers(1, 6))
def test_parts_fit_when_length_is_not_monotonic(text: str, limit: int) -> None:
    def length(part: str) -> int:  # like a subword vocabulary: a cut inside a unit makes more units
        return sum(1 if len(word) % 3 == 0 else len(word) for word in part.split())

    for start, end in split_long(text, (0, len(text)), limit, length):
        assert length(text[start:end]) <= limit or end - start == 1


def test_short_sentence_stays_whole() -> None:
    assert list(split_long("a b c", (2, 5), 3, len)) == [(2, 5)]
    assert list(split_long("a   c", (1, 4), 3, len)) == []


@pytest.mark.parametrize(
    "unit",
    [
        "It was 3.14 p.m. and Mr. Smith left. ",
        "他说：“你好。”",
        "a",
        ".",
        '"',
        "(",
        "a! ",
        "I. ",
        '"a. ',
        "! »",
        '。"的',
        "- ",
        "a'",
        "_.",
        "😀",
        "\u0301",
        "e\u0301\u0316",
        "🇫🇷",
        "! 🇫🇷🇩🇪",
        "(" * 25_000 + "a. b " * 5_000,
    ],
)
def test_fifty_thousand_characters_take_linear_time(unit: str) -> None:
    text = (unit * (50_000 // len(unit) + 1))[:50_000]
    began = time.process_time()
    sentences(text)
    words(text)
    assert time.process_time() - began < 5.0  # 0.1 to 0.3 s in fact; anything quadratic takes minutes


def test_a_long_run_of_spaces_is_passed_in_linear_time() -> None:  # a quadratic pattern takes minutes
    for space in (" ", "\n", "\u00a0 "):
        text = "word " * 100 + space * 50_000 + "word " * 100
        parts = list(split_long(text, (0, len(text)), 60, lambda part: len(part.split())))
        assert " ".join(text[start:end] for start, end in parts).split() == ["word"] * 200
        assert all(len(text[start:end].split()) <= 60 for start, end in parts)


@pytest.mark.parametrize("last", ["(dd", "—dd", "«dd"])
def test_space_before_a_bracket_or_dash_is_a_pause(last: str) -> None:
    text = f"aaaa bbb cc  {last}"
    assert [text[start:end] for start, end in split_long(text, (0, len(text)), 14, len)] == ["aaaa bbb cc", last]


def test_split_long_asks_for_the_length_of_few_characters() -> None:
    asked = 0

    def length(part: str) -> int:
        nonlocal asked
        asked += len(part)
        return len(part.split())

    text = "word after word, " * 3000
    assert len(list(split_long(text, (0, len(text)), 50, length))) < 260
    assert asked < 10 * len(text)


@given(TEXTS)
@settings(max_examples=50)
def test_normalised_characters_come_from_their_spans(text: str) -> None:
    result = normalise(text)
    assert len(result.text) == len(result.spans)
    assert result.text == normalise(result.text).text
    assert all(start < end for start, end in result.spans)
    assert all(first[0] <= second[0] for first, second in pairwise(result.spans))


def test_normalise_composes_and_remembers() -> None:
    result = normalise("  e\u0301t\x00e\u0301 \n la ")
    assert result.text == "été la"
    assert result.spans == ((2, 4), (4, 5), (6, 8), (8, 11), (11, 12), (12, 13))


def test_a_cluster_without_end_stays_as_it_is() -> None:
    marks = "\u0301\u0316" * 25_000  # putting them in order takes minutes
    result = normalise(f"e\u0301 e{marks} e\u0301")
    assert result.text == f"é e{marks} é"
    assert result.spans[2:-2] == tuple((place, place + 1) for place in range(3, 4 + len(marks)))
    assert normalise("e" + "\u0301" * 63).text == "é" + "\u0301" * 62
    assert normalise("e" + "\u0301" * 64).text == "e" + "\u0301" * 64


def test_flags_come_in_pairs() -> None:
    assert word_list("🇫🇷🇩🇪\u200d🇮🇹🇪") == ["🇫🇷", "🇩🇪\u200d", "🇮🇹", "🇪"]


def test_lone_surrogates_become_replacement_characters() -> None:
    assert replace_surrogates("a\ud800b\udfff") == "a\ufffdb\ufffd"
