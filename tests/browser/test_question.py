"""A word can be questioned: other words there, other beginnings, other candidates, one's own, another model."""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import ANSWER, QUESTION, Open
from tests.browser.fake import AER

TWO = f"{QUESTION} One two three."


def ask_about(page: Page, word: str) -> None:
    """Click a word of the translation, and wait for what else could stand there."""
    page.locator("#output .word", has_text=word).click()
    expect(page.locator("#choices .choice").first).to_be_visible()


def posted(page: Page, path: str) -> list[Any]:
    """The bodies that the page sends there from now on."""
    bodies: list[Any] = []

    def note(request: Any) -> None:
        if request.url.endswith(path):
            bodies.append(json.loads(request.post_data))

    page.on("request", note)
    return bodies


def test_a_word_says_how_sure_it_is_and_what_else_could_stand_there(open_page: Open) -> None:
    page = open_page(QUESTION)
    asked = posted(page, "/v1/alternatives")
    ask_about(page, "vas")
    expect(page.locator("#sureness")).to_contain_text("vas: 95 % probable")
    expect(page.locator("#choices .choice")).to_have_text(
        ["vas83 %", "vont7 %", "<b>allez</b>5 %", "end of sentence<1 %"]  # markup stays text
    )
    expect(page.locator("#choices .choice").first).to_be_disabled()
    assert asked[0] | {"count": 0} == {
        "text": QUESTION, "source": "en", "target": "fr", "target_prefix": "Comment ", "count": 0
    }  # fmt: skip


def test_escape_goes_back_from_the_choices_to_the_word(open_page: Open) -> None:
    page = open_page(QUESTION)
    ask_about(page, "vas")
    expect(page.locator("#status")).to_contain_text("vas: 95 % probable. It could have been: vont")
    page.locator("#beginning-text").press("Escape")
    expect(page.locator("#question")).to_be_hidden()
    expect(page.locator("#output .word", has_text="vas")).to_be_focused()


def test_a_chosen_word_begins_the_rest_anew_and_marks_what_changed(open_page: Open) -> None:
    page = open_page(QUESTION)
    ask_about(page, "vas")
    page.locator("#choices .choice", has_text="vont").click()
    expect(page.locator("#output")).to_have_text("Comment vont tu aujourd'hui ?")
    expect(page.locator("#output .is-changed")).to_have_text(["vont"])
    expect(page.locator("#change")).to_contain_text("1 word differs")
    expect(page.locator("#lines .word[data-side=target]")).to_have_text(["Comment", "vont", "tu", "aujourd'hui", "?"])
    page.locator("#undo").click()
    expect(page.locator("#output")).to_have_text(ANSWER)
    expect(page.locator("#output .is-changed")).to_have_count(0)
    expect(page.locator("#change")).to_be_hidden()


def test_in_a_paragraph_only_its_sentence_is_translated_again(open_page: Open) -> None:
    page = open_page(TWO)
    asked = posted(page, "/v1/translate")
    ask_about(page, "THREE")
    page.locator("#choices .choice", has_text="vont").click()
    expect(page.locator("#output")).to_have_text(f"{ANSWER} . vont two one")
    assert [body["texts"] for body in asked] == [["One two three."]]
    assert asked[0]["target_prefix"] == ". vont"
    expect(page.locator("#pager-text")).to_have_text("Sentence 2 of 2")
    page.locator("#output .word", has_text="two").hover()
    expect(page.locator("#mirror .is-lit").first).to_be_visible()
    assert set(page.locator("#mirror .is-lit").all_text_contents()) == {"One", "two", "three", "."}


def test_ones_own_beginning_is_translated_on(open_page: Open) -> None:
    page = open_page(QUESTION)
    ask_about(page, "Comment")
    page.locator("#beginning-text").fill("Bien le bonjour")
    page.locator("#beginning-text").press("Enter")
    expect(page.locator("#output")).to_have_text("Bien le bonjour aujourd'hui ?")
    expect(page.locator("#output .is-changed")).to_have_text(["Bien", "le", "bonjour"])


def test_the_keyboard_reaches_a_choice_and_stays_with_the_text(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#output .word").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#choices .choice", has_text="vont").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#output .is-changed")).to_be_focused()


def test_candidates_have_scores_and_a_picture_and_can_be_used(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    page.locator("#tab-candidates").click()
    rows = page.locator("#candidate-list li")
    expect(rows).to_have_count(5)
    body = {"texts": [QUESTION], "source": "en", "target": "fr", "n_best": 5}
    sentence = httpx.post(f"{server}/v1/translate", json=body).raise_for_status().json()["results"][0]["sentences"][0]
    for row, given in zip(rows.all(), sentence["hypotheses"], strict=True):
        expect(row.locator(".candidate-text")).to_have_text(given["text"])
        expect(row).to_contain_text(f"Score {given['score']:.2f}")
    expect(rows.nth(2).locator("mark")).to_have_text(["OUI", "OUI"])
    expect(rows.nth(2).locator("rect.is-different")).to_have_count(2)
    rows.nth(1).locator("input").check()
    expect(page.locator("#lines .word[data-side=target]").last).to_have_text("OUI")
    rows.nth(1).locator("button").click()
    expect(page.locator("#output")).to_have_text(f"{ANSWER} OUI")


def test_ones_own_translation_is_scored_word_by_word(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("Ça va aujourd'hui ?")
    page.locator("#own-text").press("Enter")
    body = {"text": QUESTION, "translation": "Ça va aujourd'hui ?", "source": "en", "target": "fr"}
    given = httpx.post(f"{server}/v1/score", json=body).raise_for_status().json()
    words = [token["text"] for token in given["hypothesis"]["target_tokens"]]
    expect(page.locator("#own-words .word")).to_have_text([*words[:-1], "end of sentence"])
    expect(page.locator("#own-words .share").first).to_have_text("20 %")
    expect(page.locator("#own-verdict")).to_contain_text(f"Perplexity {given['perplexity']:.2f};")
    expect(page.locator("#lines .word[data-side=target]")).to_have_text(words[:-1])
    page.locator("#own-words .word").nth(1).hover()
    expect(page.locator("#readout")).to_contain_text("va looked at")
    page.locator("#own-text").fill("")
    expect(page.locator("#lines .word[data-side=target]")).to_have_count(5)


def test_models_are_compared_where_there_are_several(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#tab-compare").click()
    expect(page.locator("#compare-model option")).to_have_text(["en-fr-quiet, version 1"])
    columns = page.locator("#compare-columns .compared-text")
    expect(columns).to_have_text([ANSWER, ANSWER.lower()])
    expect(columns.nth(1).locator("mark")).to_have_text(["comment"])
    page.locator("#compare-columns input").nth(1).check()
    expect(page.locator("#lines .word[data-side=target]").first).to_have_text("comment")
    page.locator("#source-language").select_option("fr")
    expect(page.locator("#tab-compare")).to_be_hidden()


def test_doubtful_words_are_tinted_when_asked_for(open_page: Open) -> None:
    page = open_page("a doubt here")
    doubtful = page.locator("#output .word", has_text="DOUBT")
    assert doubtful.evaluate("e => getComputedStyle(e).backgroundColor") == "rgba(0, 0, 0, 0)"
    page.locator("#tint").click()
    strong, faint = (
        page.locator("#output .word", has_text=word).evaluate("e => getComputedStyle(e).backgroundColor")
        for word in ("DOUBT", "HERE")
    )
    alpha = [float(re.split(r"[/,] ?", colour.rstrip(")"))[-1]) for colour in (strong, faint)]
    assert alpha[0] == pytest.approx(0.8 * 0.45, abs=0.01)
    assert alpha[1] == pytest.approx(0.049 * 0.45, abs=0.01)
    assert doubtful.evaluate("e => getComputedStyle(e).textDecorationStyle") == "dotted"  # not by colour alone


def test_a_warning_stands_at_its_words_and_is_explained(open_page: Open) -> None:
    page = open_page("😀 please skip this.")
    expect(page.locator("#mirror .is-flagged")).to_have_text(["skip"])
    expect(page.locator("#flags li")).to_have_text(["skip was hardly looked at: its meaning may be missing "
                                                   "from the translation."])  # fmt: skip


def test_the_page_is_honest_about_attention_and_shows_the_card(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("details summary").click()
    expect(page.locator("details")).to_contain_text("not why it chose a word")
    expect(page.locator("#aer")).to_contain_text(f"{AER} %")
    page.locator("#made-by").click()
    expect(page.locator("#card")).to_contain_text("Card of en-fr")
    expect(page.locator("#card")).to_contain_text("46.19")
    page.keyboard.press("Escape")
    expect(page.locator("#card")).to_be_hidden()
    expect(page.locator("#made-by")).to_be_focused()


def test_problems_of_the_questions_are_said_where_they_were_asked(open_page: Open, faults: Any) -> None:
    faults.expect("504")
    page = open_page(QUESTION)
    refusal = {"code": "deadline_exceeded", "status": 504, "title": "", "detail": ""}
    for path in ("alternatives", "score", "translate"):
        page.route(f"**/v1/{path}", lambda route: route.fulfill(status=504, json=refusal))
    page.locator("#output .word").first.click()
    told = "took longer than this server allows"
    expect(page.locator("#choices")).to_contain_text(told)
    page.locator("#tab-candidates").click()
    expect(page.locator("#candidate-list")).to_contain_text(told)
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("Oui")
    expect(page.locator("#own-verdict")).to_contain_text(told)
    page.locator("#tab-compare").click()
    expect(page.locator("#compare-columns")).to_contain_text(told)
