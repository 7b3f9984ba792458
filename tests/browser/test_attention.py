"""The light on linked words and the matrix say what the API says."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import QUESTION, Open

EMOJI = "😀👩‍👩‍👧 one two three."
HUNDRED = " ".join(f"w{number}" for number in range(99))
"""A hundred tokens on either side, with the end."""


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


def shades(page: Page) -> list[list[float]]:
    """What is drawn in every cell, by row and column: all cells of one shade are one path."""
    drawn: list[list[float]] = page.evaluate(
        """() => {
            const pattern = document.querySelector("#matrix pattern");
            const size = Number(pattern.getAttribute("width"));
            const box = document.querySelector("#matrix pattern + rect");
            const [rows, columns] = ["height", "width"].map((name) => Math.round(box.getAttribute(name) / size));
            const drawn = Array.from({ length: rows }, () => new Array(columns).fill(0));
            for (const path of document.querySelectorAll("#matrix .cell")) {
                for (const [, x, y] of path.getAttribute("d").matchAll(/M([\\d.]+) ([\\d.]+)/g)) {
                    drawn[Math.floor(y / size)][Math.floor(x / size)] += Number(path.getAttribute("fill-opacity"));
                }
            }
            return drawn;
        }"""
    )
    return drawn


def cell(page: Page, row: int, column: int) -> tuple[float, float]:
    """Where the middle of a cell is on the screen."""
    page.locator("#matrix").scroll_into_view_if_needed()
    box = page.locator("#matrix .cells").bounding_box()
    size = float(page.locator("#matrix pattern").get_attribute("width") or 0)
    assert box
    return box["x"] + (column + 0.5) * size, box["y"] + (row + 0.5) * size


def test_cells_equal_the_numbers_of_the_api(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    expected = ask(server, QUESTION)[0]["hypotheses"][0]["attention"]["data"]
    for drawn, row in zip(shades(page), expected, strict=True):
        assert drawn == pytest.approx(row, abs=0.5 / 255 + 1e-4)  # a screen has 255 shades
    assert page.locator("#matrix .number").all_text_contents() == [f"{w:.2f}" for row in expected for w in row]
    expect(page.locator("#numbers td")).to_have_count(37)
    written = page.locator("#numbers tbody td").all_text_contents()
    assert written == [f"{weight:.2f}" for row in expected for weight in row]


def test_pointing_at_a_translated_word_lights_its_sources(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#output .word", has_text="vas").hover()
    assert lit(page, "#mirror") == {"How": 0.06, "are": 0.47, "you": 0.42}
    assert lit(page, "#lines") == {"How": 0.06, "are": 0.47, "you": 0.42}
    expect(page.locator("#output .is-self")).to_have_text("vas")
    expect(page.locator("#readout")).to_have_text("vas looked at are 0.47, you 0.42, How 0.06")


def test_pointing_at_a_source_word_lights_its_translations(open_page: Open) -> None:
    page = open_page(QUESTION)
    box = page.locator("#mirror .word", has_text="are").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert lit(page, "#output") == {"Comment": 0.11, "vas": 0.47, "tu": 0.11}
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
    page.locator("[name=view][value=gloss]").check()
    pairs = page.locator("#output .gloss").evaluate_all(
        "all => all.map((e) => [...e.children].map((c) => c.textContent))"
    )
    assert ["two", "TWO"] in pairs


def test_the_interlinear_view_keeps_the_order_of_the_source(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("[name=view][value=gloss]").check()
    pairs = page.locator("#output .gloss").evaluate_all(
        "all => all.map((e) => [...e.children].map((c) => c.textContent))"
    )
    assert pairs == [["How", "Comment"], ["are", "vas"], ["you", "tu"], ["today", "aujourd'hui"], ["?", "?"]]
    page.locator("#output .word", has_text="tu").hover()
    assert lit(page, "#output") == {"are": 0.11, "you": 0.82}
    page.reload()
    expect(page.locator("#output .gloss")).to_have_count(5)
    page.locator("[name=view][value=plain]").check()
    expect(page.locator("#output")).to_have_text("Comment vas tu aujourd'hui ?")
    expect(page.locator("#output .word")).to_have_count(0)


def test_a_cell_lights_its_pair(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.mouse.move(*cell(page, 1, 2))
    assert lit(page, "#mirror") == {"you": 0.42}
    expect(page.locator("#output .is-self")).to_have_text("vas")
    expect(page.locator("#readout")).to_have_text("vas from you, 0.42")


def test_a_click_pins_and_another_lets_go(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#output .word", has_text="Comment").click()
    page.locator("#output .word", has_text="vas").hover()
    expect(page.locator("#output .is-self")).to_have_text("Comment")
    page.locator("#output .word", has_text="Comment").click()
    page.mouse.move(0, 0)
    expect(page.locator("#output .is-self")).to_have_count(0)
    page.locator("#output .word", has_text="Comment").click()
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)
    expect(page.locator("#output .is-self")).to_have_count(0)


def test_a_touch_pins_a_word(open_page: Open) -> None:
    page = open_page(QUESTION, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    page.locator("#output .word", has_text="aujourd'hui").tap()
    expect(page.locator("#output .is-pinned")).to_have_text("aujourd'hui")
    assert lit(page, "#mirror") == {"today": 0.93}
    expect(page.locator("#choices button")).to_have_count(4)


def test_the_keyboard_walks_along_words_and_across_links(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#tab-attention").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#lines .word[data-side=source]").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    assert lit(page, "#output") == {"Comment": 0.11, "vas": 0.47, "tu": 0.11}
    page.keyboard.press("ArrowDown")
    expect(page.locator("#lines .word", has_text="vas")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#lines .word", has_text="vas")).to_have_attribute("aria-pressed", "true")


def test_arrows_walk_the_cells_and_the_live_region_says_them(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#end-mark").focus()
    page.keyboard.press("Tab")
    expect(page.locator("#matrix")).to_be_focused()
    said = page.locator("#readout[aria-live=polite]")
    expect(said).to_have_text("Comment from How, 0.81")
    for key, told in (
        ("ArrowDown", "vas from How, 0.06"),
        ("ArrowRight", "vas from are, 0.47"),
        ("End", "vas from end of sentence, 0.01"),
        ("Control+Home", "Comment from How, 0.81"),
        ("ArrowLeft", "Comment from How, 0.81"),
    ):
        page.keyboard.press(key)
        expect(said).to_have_text(told)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")  # one stop for the whole matrix
    expect(page.locator("#matrix")).not_to_be_focused()
    expect(said).to_have_text("Comment from How, 0.81")


def test_the_caret_lights_the_word_it_stands_in(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#text").focus()
    page.keyboard.press("Home")
    expect(page.locator("#mirror .is-self")).to_have_text("How")
    assert lit(page, "#output") == {"Comment": 0.81, "vas": 0.06}


def test_ribbons_tell_the_largest_links_until_three_quarters(open_page: Open) -> None:
    page = open_page(QUESTION)
    # Comment: 0.81; vas: 0.47 + 0.42; tu: 0.82; aujourd'hui: 0.93; ?: 0.92
    widths = page.locator("#lines .ribbon").evaluate_all(
        "all => all.map((e) => Number(e.getAttribute('stroke-width')))"
    )
    assert len(widths) == 6
    assert all(width > 0 for width in widths)


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


def test_the_matrix_can_be_turned_and_its_end_mark_hidden(open_page: Open, server: str) -> None:
    page = open_page(QUESTION)
    expected = ask(server, QUESTION)[0]["hypotheses"][0]["attention"]["data"]
    assert page.locator("#matrix .label.is-special").all_text_contents() == ["</s>end of sentence"] * 2
    page.locator("#end-mark").click()
    assert [len(row) for row in shades(page)] == [5] * 5
    page.locator("#transpose").click()
    for drawn, row in zip(shades(page), list(zip(*expected, strict=True))[:5], strict=True):
        assert drawn == pytest.approx(row[:5], abs=0.5 / 255 + 1e-4)
    expect(page.locator("#axes")).to_contain_text("Rows: source")
    page.mouse.move(*cell(page, 2, 1))
    expect(page.locator("#readout")).to_have_text("vas from you, 0.42")
    page.reload()
    expect(page.locator("#transpose")).to_have_attribute("aria-pressed", "true")


def test_a_part_can_be_seen_alone(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.mouse.move(*cell(page, 1, 1))
    page.mouse.down()
    page.mouse.move(*cell(page, 2, 3), steps=3)
    page.mouse.up()
    expect(page.locator("#uncrop")).to_be_visible()
    assert shades(page) == [pytest.approx([0.47, 0.42, 0.03], abs=0.003), pytest.approx([0.11, 0.82, 0.03], abs=0.003)]
    page.locator("#uncrop").click()
    assert len(shades(page)) == 6
    for key in ("Control+Home", "ArrowDown", "Shift+ArrowDown", "Shift+ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert shades(page) == [pytest.approx([0.06, 0.47], abs=0.003), pytest.approx([0.01, 0.11], abs=0.003)]
    page.keyboard.press("Escape")
    assert len(shades(page)) == 6


def test_labels_stay_while_the_cells_scroll(open_page: Open) -> None:
    page = open_page(HUNDRED)
    assert page.locator("[name=zoom][value=full]").is_checked()  # too long to fit
    corner = page.locator("#matrix").bounding_box()
    page.locator("#matrix").evaluate("e => e.scrollTo(700, 500)")
    heads, sides = page.locator("#matrix .heads").bounding_box(), page.locator("#matrix .sides").bounding_box()
    assert corner
    assert heads
    assert sides
    assert heads["y"] == pytest.approx(corner["y"], abs=1)
    assert sides["x"] == pytest.approx(corner["x"], abs=1)
    page.locator("[name=zoom][value=fit]").check()
    assert page.locator("#matrix").evaluate("e => e.scrollWidth <= e.clientWidth")


def test_a_matrix_that_fits_is_seen_whole(open_page: Open) -> None:
    page = open_page("one two three four five six seven eight nine ten a b.", viewport={"width": 1280, "height": 760})
    assert page.locator("[name=zoom][value=fit]").is_checked()
    assert page.locator("#matrix").evaluate("e => e.scrollHeight <= e.clientHeight && e.scrollWidth <= e.clientWidth")


def test_ten_thousand_cells_are_a_few_hundred_elements(open_page: Open) -> None:
    page = open_page(HUNDRED)
    for zoom in ("fit", "full"):
        page.locator(f"[name=zoom][value={zoom}]").check()
        assert len(shades(page)) == len(shades(page)[0]) == 100
        assert page.locator("#matrix *").count() < 1000


def test_numbers_stand_in_cells_only_where_there_is_room(open_page: Open) -> None:
    page = open_page(HUNDRED)
    expect(page.locator("#matrix .number")).to_have_count(0)
    page.locator("#text").fill(QUESTION)
    expect(page.locator("#matrix .number")).to_have_count(36)
