"""The light on linked words, the matrix and its downloads say what the API says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import QUESTION, Open

EMOJI = "😀👩‍👩‍👧 one two three."


def ask(server: str, text: str, granularity: str = "word") -> list[dict[str, Any]]:
    """The sentences of a translation, from the API."""
    body = {"texts": [text], "source": "en", "target": "fr", "granularity": granularity}
    answer = httpx.post(f"{server}/v1/translate", json=body | {"return": ["tokens", "scores", "attention"]})
    sentences: list[dict[str, Any]] = answer.raise_for_status().json()["results"][0]["sentences"]
    return sentences


def lit(page: Page, where: str) -> dict[str, float]:
    """Text and weight of every lit word in a view."""
    return dict(
        page.locator(f"{where} .word.is-lit").evaluate_all(
            "words => words.map((w) => [w.textContent, Number(w.style.getPropertyValue('--weight'))])"
        )
    )


def test_cells_equal_the_numbers_of_the_api(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    expected = ask(server, QUESTION)[0]["hypotheses"][0]["attention"]["data"]
    drawn = page.locator("#heatmap .cell .ink").evaluate_all(
        "cells => cells.map((c) => c.getAttribute('fill-opacity'))"
    )
    assert [float(weight) for weight in drawn] == [pytest.approx(w, abs=1e-4) for row in expected for w in row]
    written = page.locator("#numbers tbody td").all_text_contents()
    assert written == [f"{weight:.2f}" for row in expected for weight in row]


def test_pointing_at_a_translated_word_lights_its_sources(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#output .word", has_text="allez-vous").hover()
    assert lit(page, "#mirror") == {"How": 0.06, "are": 0.47, "you": 0.42}
    assert lit(page, "#lines") == {"How": 0.06, "are": 0.47, "you": 0.42}
    expect(page.locator("#output .is-self")).to_have_text("allez-vous")
    expect(page.locator("#readout")).to_have_text("allez-vous attends to are 0.47, you 0.42, How 0.06")


def test_pointing_at_a_source_word_lights_its_translations(open_page: Open) -> None:
    page = open_page(QUESTION)
    box = page.locator("#mirror .word", has_text="are").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert lit(page, "#output") == {"Comment": 0.11, "allez-vous": 0.47}
    page.locator("#lines .word", has_text="today").hover()
    assert lit(page, "#output") == {"aujourd'hui": 0.93}


def test_the_field_and_the_layer_behind_it_break_lines_alike(open_page: Open) -> None:
    page = open_page("How are you today? " * 12 + "\n\nA new paragraph.\n", viewport={"width": 700, "height": 900})
    heights = page.evaluate(
        """() => {
            const field = document.querySelector("#text");
            return [field.scrollHeight, field.clientHeight, document.querySelector("#mirror").clientHeight];
        }"""
    )
    assert heights[0] == heights[1] == heights[2]


def test_emoji_before_a_word_do_not_shift_the_light(open_page: Open) -> None:
    page = open_page(EMOJI)
    page.locator("#output .word", has_text="TWO").hover()
    assert list(lit(page, "#mirror")) == ["two"]
    page.locator("#lines .word[data-side=source]", has_text="three").hover()
    assert list(lit(page, "#output")) == ["THREE"]


def test_a_cell_lights_its_pair(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#heatmap .cell[data-row='1'][data-column='2']").hover()
    assert lit(page, "#mirror") == {"you": 0.42}
    expect(page.locator("#output .is-self")).to_have_text("allez-vous")
    expect(page.locator("#readout")).to_have_text("allez-vous attends to you: 0.42")


def test_a_click_pins_and_another_lets_go(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#output .word", has_text="Comment").click()
    page.locator("#output .word", has_text="allez-vous").hover()
    expect(page.locator("#output .is-self")).to_have_text("Comment")
    page.locator("#output .word", has_text="Comment").click()
    page.mouse.move(0, 0)
    expect(page.locator("#output .is-self")).to_have_count(0)
    page.locator("#output .word", has_text="Comment").click()
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    expect(page.locator("#output .is-self")).to_have_count(0)


def test_the_keyboard_walks_along_words_across_links_and_over_cells(open_page: Open) -> None:
    page = open_page(QUESTION)
    first = page.locator("#lines .word[data-side=source]").first
    page.locator("[name=granularity]:checked").focus()
    page.keyboard.press("Tab")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert lit(page, "#output") == {"Comment": 0.11, "allez-vous": 0.47}
    page.keyboard.press("ArrowDown")
    expect(page.locator("#lines .word", has_text="allez-vous")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#lines .word", has_text="allez-vous")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#readout")).to_have_text("allez-vous attends to are: 0.47")


def test_the_caret_lights_the_word_it_stands_in(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#text").focus()
    page.keyboard.press("Home")
    expect(page.locator("#mirror .is-self")).to_have_text("How")
    assert lit(page, "#output") == {"Comment": 0.81, "allez-vous": 0.06}


def test_a_click_picks_the_sentence(open_page: Open, server: str) -> None:
    text = "How are you today? One two three.\n\nFour five."
    page = open_page(text)
    expect(page.locator("#pager-text")).to_have_text("Sentence 1 of 3")
    page.locator("#output .word", has_text="THREE").click()
    expect(page.locator("#pager-text")).to_have_text("Sentence 2 of 3")
    expect(page.locator("#mirror .is-picked")).to_have_text("One two three.")
    page.locator("#next").click()
    expect(page.locator("#output .is-picked")).to_have_text(". FIVE FOUR")
    size = len(ask(server, text)[2]["hypotheses"][0]["target_tokens"])
    expect(page.locator("#numbers tbody tr")).to_have_count(size)


def test_subwords_are_shown_when_asked_for_and_remembered(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    page.locator("[name=granularity][value=subword]").check()
    tokens = ask(server, QUESTION, "subword")[0]["hypotheses"][0]["source_tokens"]
    expect(page.locator("#lines .word[data-side=source]")).to_have_count(len(tokens) - 1)
    page.reload()
    expect(page.locator("#lines .word[data-side=source]")).to_have_count(len(tokens) - 1)


@pytest.mark.parametrize("format", ["svg", "csv", "json", "html"])
def test_a_download_is_what_the_api_gives(open_page: Open, server: str, format: str) -> None:
    text = f"{QUESTION} One two three."
    page = open_page(text)
    page.locator("#next").click()
    with page.expect_download() as download:
        page.locator(f"[data-format={format}]").click()
    body = {"text": text, "source": "en", "target": "fr", "sentence": 1, "granularity": "word"}
    given = httpx.post(f"{server}/v1/heatmap", params={"format": format}, json=body).raise_for_status()
    assert Path(download.value.path()).read_bytes() == given.content
    assert download.value.suggested_filename.endswith(f".{format}")
