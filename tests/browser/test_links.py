"""Where a model has an aligner, every view shows which word stands for which, or else where the model looked."""

from __future__ import annotations

import csv
import io
import json

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import QUESTION, Open
from tests.browser.fake import AER, BY_HEART, LINKED, LINKED_AER
from tests.browser.test_access import serious
from tests.browser.test_attention import lit, shades
from tests.browser.test_takeaway import download, figure

CAR = "La voiture rouge roule."
LOOKED = BY_HEART[CAR][1]
STANDS = [[LINKED[CAR].get((s, t), 0.0) for s in range(6)] for t in range(7)]


def glosses(page: Page) -> list[list[str]]:
    """Each source word and what stands under it."""
    pairs: list[list[str]] = page.locator("#output .gloss").evaluate_all(
        "all => all.map((e) => [...e.children].map((c) => c.textContent))"
    )
    return pairs


def choose(page: Page, what: str) -> None:
    """Links or attention."""
    page.locator(f"[name=show][value={what}]").check()


def drawn(page: Page, expected: list[list[float]]) -> None:
    """Picture and table are this matrix."""
    assert shades(page) == [pytest.approx(row, abs=0.5 / 255 + 1e-4) for row in expected]
    written = [f"{weight:.2f}" for row in expected for weight in row]
    expect(page.locator("#numbers tbody td")).to_have_text(written)


def test_links_are_shown_first_where_there_is_an_aligner(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    expect(page.locator("#readout")).to_contain_text("which words it stands for")
    expect(page.get_by_role("radio", name="Links")).to_be_checked()
    drawn(page, STANDS)
    expect(page.locator("#numbers caption")).to_contain_text("Links")
    expect(page.locator("#axes")).to_contain_text("An empty cell is no link")
    page.locator("#output .word", has_text="red").hover()
    assert lit(page, "#mirror") == lit(page, "#lines") == {"rouge": 0.98}
    expect(page.locator("#readout")).to_have_text("red stands for rouge 0.98")
    page.locator("#lines .word", has_text="voiture").hover()
    assert lit(page, "#output") == {"car": 0.97}
    expect(page.locator("#readout")).to_have_text("voiture became car 0.97")
    page.locator("#output .word", has_text="fast").hover()
    expect(page.locator("#readout")).to_have_text("fast has no counterpart on the other side")


def test_every_link_is_drawn_and_nothing_else(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    expect(page.locator("#lines .ribbon")).to_have_count(len(LINKED[CAR]))
    page.locator("#output .word", has_text=".").hover()
    assert lit(page, "#mirror") == {".": 0.03}  # less than the least attention that lights


def test_attention_takes_the_place_of_links_in_every_view(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    page.locator("[name=view][value=gloss]").check()
    linked = glosses(page)
    # "fast" has no link: it stands where the model looked, so that no word of the translation is missing
    assert linked == [["La", "The"], ["voiture", "car"], ["rouge", "red"], ["roule", "moves fast"], [".", "."]]
    page.locator("#output .word", has_text="car").click()  # stays lit
    assert lit(page, "#output") == {"voiture": 0.97}
    choose(page, "attention")
    looked = [["La", "The"], ["voiture", "red car"], ["rouge", "–"], ["roule", "moves fast"], [".", "."]]
    assert glosses(page) == looked
    assert lit(page, "#output") == lit(page, "#lines") == {"voiture": 0.50, "rouge": 0.40, "roule": 0.05}
    expect(page.locator("#readout")).to_have_text("car looked at voiture 0.50, rouge 0.40, roule 0.05")
    drawn(page, LOOKED or [])
    expect(page.locator("#numbers caption")).to_contain_text("Attention")
    choose(page, "links")
    assert glosses(page) == linked
    assert lit(page, "#output") == {"voiture": 0.97}
    drawn(page, STANDS)


def test_the_choice_survives_a_reload(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    choose(page, "attention")
    page.reload()
    expect(page.locator("[name=show][value=attention]")).to_be_checked()
    page.locator("#output .word", has_text="car").hover()
    expect(page.locator("#readout")).to_have_text("car looked at voiture 0.50, rouge 0.40, roule 0.05")


def test_a_model_without_an_aligner_offers_no_choice(open_page: Open) -> None:
    page = open_page(QUESTION)
    expect(page.locator("#matrix .cell").first).to_be_visible()
    expect(page.locator("[name=show]").first).to_be_hidden()
    expect(page.locator("#readout")).to_contain_text("looked at")
    page = open_page(CAR, source="fr", target="en")
    expect(page.locator("#showing")).to_be_visible()


def test_pieces_have_the_links_of_their_words(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    page.locator("[name=granularity][value=subword]").check()
    expect(page.locator("#lines .word[data-side=source]")).to_have_count(8)
    page.locator("#lines .word[data-side=target]", has_text="red").hover()
    assert lit(page, "#lines") == {"rou": 0.98, "ge": 0.98}


@pytest.mark.parametrize(("show", "expected"), [("links", STANDS), ("attention", LOOKED)])
def test_what_is_taken_away_is_what_is_seen(
    open_page: Open, server: str, show: str, expected: list[list[float]]
) -> None:
    page = open_page(CAR, source="fr", target="en", permissions=["clipboard-read", "clipboard-write"])
    choose(page, show)
    table = list(csv.reader(io.StringIO(download(page, "csv").decode())))
    taken = [[float(cell) for cell in row[1:]] for row in table[1:]]
    assert taken == [pytest.approx(row) for row in expected]
    drawn(page, taken)
    body = {"source": "fr", "target": "en", "text": CAR, "show": show}
    assert download(page, "svg") == figure(server, "svg", **body)
    assert download(page, "html") == figure(server, "html", **body)
    taken_json = json.loads(download(page, "json"))
    assert taken_json["metadata"]["shows"] == {"links": "links by aligner", "attention": "attention"}[show]
    page.locator("#curl").click()
    expect(page.locator("#curl")).to_have_text("Copied")
    asked = page.evaluate("navigator.clipboard.readText()").rpartition("-d '")[2].rstrip("'")
    answer = httpx.post(f"{server}/v1/translate", json=json.loads(asked)).raise_for_status().json()
    found = answer["results"][0]["sentences"][0]["hypotheses"][0]
    assert {(s, t) for s, t, _ in found["alignment"]} == set(LINKED[CAR])


def test_ones_own_translation_and_a_changed_one_have_links_too(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("A red car moves along .")
    expect(page.locator("#lines .word[data-side=target]").first).to_have_text("A")
    page.locator("#own-words .word").nth(1).hover()
    expect(page.locator("#readout")).to_have_text("red stands for rouge 0.98")
    page.locator("#tab-candidates").click()
    page.locator("#candidate-list input").nth(1).check()
    expect(page.locator("#lines .word[data-side=target]").last).to_have_text("OUI")
    expect(page.locator("#lines .ribbon")).to_have_count(len(LINKED[CAR]))


def test_the_note_and_its_error_rate_fit_what_is_shown(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en")
    page.locator("details summary").click()
    expect(page.locator("details")).to_contain_text("What links do not say")
    expect(page.locator("#aer")).to_contain_text(f"{LINKED_AER} %")
    choose(page, "attention")
    expect(page.locator("details")).to_contain_text("not why it chose a word")
    expect(page.locator("#aer")).to_contain_text(f"{AER} %")


def test_links_are_spoken_of_in_chinese(open_page: Open) -> None:
    page = open_page(CAR, source="fr", target="en", locale="zh-CN")
    page.locator("#output .word", has_text="red").hover()
    expect(page.locator("#readout")).to_have_text("“red”对应：rouge 0.98")
    page.locator("[name=page-language][value=en]").check()
    expect(page.locator("details summary")).to_have_text("What links do not say")


@pytest.mark.parametrize("width", [360, 1280])
def test_axe_finds_nothing_serious_in_either(open_page: Open, width: int) -> None:
    page = open_page(CAR, source="fr", target="en", viewport={"width": width, "height": 900})
    page.locator("#output .word", has_text="red").click()
    for show in ("links", "attention"):
        choose(page, show)
        assert serious(page) == [], show
    assert page.evaluate("document.documentElement.scrollWidth") == width
