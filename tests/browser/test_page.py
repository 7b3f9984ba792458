"""Languages, sizes and the things every page owes its readers."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from service.errors import PROBLEMS
from tests.browser.conftest import QUESTION, Open

LONG = "An unusually long sentence with many words that a small telephone could hardly show in a single line. " * 3


def test_chinese_readers_get_a_chinese_page(open_page: Open) -> None:
    page = open_page(QUESTION, locale="zh-CN")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(page.locator("#attention-title")).to_have_text("仔细看")
    expect(page.locator("#source-language option").first).to_have_text("法语")
    expect(page.locator("#text")).to_have_attribute("placeholder", "输入或粘贴文字")


def test_the_language_of_the_page_can_be_changed_and_is_remembered(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("[name=page-language][value=zh]").check()
    expect(page.locator("#attention-title")).to_have_text("仔细看")
    expect(page.locator("#readout")).to_contain_text("指向任意一个词")
    page.reload()
    expect(page.locator("#attention-title")).to_have_text("仔细看")


def test_both_languages_say_everything(open_page: Open) -> None:
    page = open_page()
    keys = page.evaluate(
        """async () => {
            const names = (table) => Object.entries(table).flatMap(([key, value]) =>
                typeof value === "object" ? [key, ...names(value).map((inner) => `${key}.${inner}`)] : [key]);
            const [en, zh] = await Promise.all(["en", "zh"].map((code) => import(`/static/strings/${code}.js`)));
            return [names(en.default), names(zh.default)];
        }"""
    )
    assert keys[0] == keys[1]
    assert {f"errors.{code}" for code in PROBLEMS} <= set(keys[0])


def test_every_element_that_wants_a_string_gets_one(open_page: Open) -> None:
    page = open_page(QUESTION)
    for attribute in ("data-text", "data-label", "data-tip", "data-placeholder", "data-shown"):
        named = page.locator(f"[{attribute}]").evaluate_all(
            f"elements => elements.map((e) => e.getAttribute('{attribute}'))"
        )
        known = page.evaluate("async () => Object.keys((await import('/static/strings/en.js')).default)")
        assert set(named) <= set(known)


@pytest.mark.parametrize("text", [None, QUESTION, LONG, "W" * 200], ids=["empty", "short", "long", "unbroken"])
def test_a_small_telephone_does_not_scroll_sideways(open_page: Open, text: str | None) -> None:
    page = open_page(text, viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    outside = page.locator("button:visible, select:visible").evaluate_all(
        """all => all.filter((e) => !e.closest("#lines, [role=tablist]") && e.getBoundingClientRect().right > 360)
            .map((e) => e.id)"""
    )
    assert outside == []


@pytest.mark.parametrize("width", [768, 1440])
def test_wider_windows_do_not_scroll_sideways_either(open_page: Open, width: int) -> None:
    page = open_page(f"{QUESTION} {LONG}", viewport={"width": width, "height": 900})
    page.locator("#next").click()
    for tab in ("candidates", "own", "compare", "attention"):
        page.locator(f"#tab-{tab}").click()
        assert page.evaluate("document.documentElement.scrollWidth") == width


def test_right_to_left_text_is_laid_out_so(open_page: Open) -> None:
    page = open_page("שלום עולם.")
    for place in ("#text", "#output", "#lines .line"):
        assert page.locator(place).first.evaluate("e => e.matches(':dir(rtl)')")
    first, second = (page.locator("#lines .word[data-side=source]").nth(place).bounding_box() for place in (0, 1))
    assert first
    assert second
    assert first["x"] > second["x"]
    page.locator("#output .word", has_text="עולם").hover()
    # Isolated, the number stays behind its word.
    expect(page.locator("#readout")).to_contain_text("looked at \u2068עולם\u2069 0.80")


def test_every_control_has_a_name(open_page: Open) -> None:
    page = open_page(f"{QUESTION} {QUESTION}")
    nameless = page.locator("button:visible, select, textarea, input").evaluate_all(
        """all => all.filter((e) => !(e.ariaLabel || e.textContent.trim() || e.labels?.[0]?.textContent.trim()))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []


CONTRAST = """() => { // the lowest contrast between text and what it stands on, and where that is
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const over = (top, below) => top.slice(0, 3).map((v, i) => (v * top[3] + below[i] * (255 - top[3])) / 255);
    const light = (color) => {
        const [r, g, b] = color.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => element
        ? over(rgba(getComputedStyle(element).backgroundColor), ground(element.parentElement)) : [255, 255, 255];
    let worst = [21, ""];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
        if (element.closest("#mirror, svg, .offscreen, :disabled, option, textarea")) continue;
        const below = ground(element);
        const ink = over(rgba(getComputedStyle(element).color), below);
        const [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < worst[0]) worst = [ratio, `${element.textContent} ${element.className}`];
    }
    const paper = ground(document.querySelector("#matrix"));
    const base = over(rgba(getComputedStyle(document.querySelector("#matrix .ground")).fill), paper);
    for (const number of document.querySelectorAll("#matrix .number")) {
        const muted = number.classList.contains("is-special");
        const cell = document.querySelector(`#matrix .cell${muted ? ".is-special" : ":not(.is-special)"}`);
        const { fill, opacity } = getComputedStyle(cell);
        const alpha = Number(number.textContent) * Number(opacity) * 255;
        const below = over([...rgba(fill).slice(0, 3), alpha], base);
        const [a, b] = [light(rgba(getComputedStyle(number).fill).slice(0, 3)), light(below)].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < worst[0]) worst = [ratio, `cell ${number.textContent}`];
    }
    return worst;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Open, scheme: str) -> None:
    page = open_page(QUESTION, color_scheme=scheme)
    page.locator("#output .word", has_text="vas").hover()
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where
    page.locator("#output .word", has_text="vas").click()
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_answers_forbid_what_the_page_does_not_need(open_page: Open, server: str) -> None:
    page = open_page()
    answer = page.request.get(server)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy or "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.locator("[style]").count() == 0


def test_the_page_loads_again_when_files_change(open_page: Open, server: str) -> None:
    page = open_page()
    for path in ("/", "/static/main.js", "/static/base.css", "/static/strings/zh.js"):
        answer = page.request.get(server + path)
        assert answer.ok
        assert "no-cache" in answer.headers["cache-control"]
