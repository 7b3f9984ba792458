"""Nobody is shut out: axe-core finds nothing serious in any view, light or dark, wide or narrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import QUESTION, Open

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()


def word(page: Page) -> None:
    page.locator("#output .word", has_text="vas").click()
    expect(page.locator("#choices .choice")).to_have_count(4)


def gloss(page: Page) -> None:
    page.locator("[name=view][value=gloss]").check()
    page.locator("#tint").click()


def candidates(page: Page) -> None:
    page.locator("#tab-candidates").click()
    expect(page.locator("#candidate-list li")).to_have_count(5)


def own(page: Page) -> None:
    page.locator("#tab-own").click()
    page.locator("#own-text").fill("Ça va doubt ?")
    expect(page.locator("#own-words li")).to_have_count(5)


def compare(page: Page) -> None:
    page.locator("#tab-compare").click()
    expect(page.locator(".compared")).to_have_count(2)


def card(page: Page) -> None:
    page.locator("#made-by").click()
    expect(page.locator("#card-body dl").first).to_be_visible()


def wrong(page: Page) -> None:
    page.locator("#text").fill("a" * 2001)
    expect(page.locator("#message")).to_be_visible()


VIEWS: dict[str, Callable[[Page], None]] = {
    view.__name__: view for view in (word, gloss, candidates, own, compare, card, wrong)
}


def serious(page: Page) -> list[str]:
    """What axe-core finds that matters."""
    page.evaluate(AXE)
    found: list[str] = page.evaluate(
        """async () => {
            const { violations } = await axe.run(document, { resultTypes: ["violations"] });
            return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
                .flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, scheme: str) -> None:
    page = open_page(None, color_scheme=scheme, reduced_motion="reduce")  # a colour in transition is no colour
    assert serious(page) == []
    text = f"{QUESTION} Please skip this doubt."
    for name, view in VIEWS.items():
        page = open_page(text, color_scheme=scheme, reduced_motion="reduce")
        view(page)
        assert serious(page) == [], name
        page.context.close()


def test_axe_finds_nothing_serious_on_a_telephone(open_page: Open) -> None:
    telephone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True, "locale": "zh-CN"}
    page = open_page(QUESTION, reduced_motion="reduce", **telephone)
    page.locator("#output .word", has_text="vas").tap()
    expect(page.locator("#choices .choice")).to_have_count(4)
    assert serious(page) == []


def test_nothing_moves_for_those_who_want_it_still(open_page: Open) -> None:
    page = open_page(QUESTION, reduced_motion="reduce")
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((e) => {
            const style = getComputedStyle(e);
            return style.animationName !== "none" || style.transitionDuration.split(", ").some((t) => t !== "0s");
        }).length"""
    )
    assert moving == 0
