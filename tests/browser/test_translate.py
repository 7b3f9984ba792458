"""Text goes in, the translation comes out, and what can go wrong is said."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import ANSWER, QUESTION, STREAM, Faults, Open, link


def output(page: Page) -> Any:
    return expect(page.locator("#output"))


def stop_time(page: Page) -> None:
    """Timers of the page fire only when the test lets time pass."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)


def test_translates_when_typing_pauses(open_page: Open) -> None:
    page = open_page()
    page.locator("#text").press_sequentially(QUESTION)
    output(page).to_have_text(ANSWER)


def test_typing_sends_one_request_for_one_pause(open_page: Open) -> None:
    page = open_page()
    asked: list[str] = []

    def note(route: Route) -> None:
        asked.append(route.request.url)
        route.continue_()

    page.route(STREAM, note)
    stop_time(page)
    for word in QUESTION.split():
        page.locator("#text").press_sequentially(f"{word} ")
        page.clock.run_for(300)
    assert not asked
    page.clock.resume()
    output(page).to_have_text(ANSWER)
    assert len(asked) == 1


def test_control_enter_translates_at_once(open_page: Open) -> None:
    page = open_page()
    stop_time(page)  # no pause ends
    page.locator("#text").fill(QUESTION)
    page.locator("#text").press("Control+Enter")
    output(page).to_have_text(ANSWER)


def test_a_late_answer_does_not_replace_a_newer_one(open_page: Open, faults: Faults) -> None:
    faults.expect("net::ERR_ABORTED")
    page = open_page()
    held: list[Route] = []

    def hold(route: Route) -> None:
        if "slow" in (route.request.post_data or ""):
            held.append(route)
        else:
            route.continue_()

    page.route(STREAM, hold)
    page.locator("#text").fill("a slow one")
    with page.expect_request(STREAM):
        page.locator("#text").press("Control+Enter")
    page.locator("#text").fill(QUESTION)
    page.locator("#text").press("Control+Enter")
    output(page).to_have_text(ANSWER)
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_timeout(300)
    output(page).to_have_text(ANSWER)


def test_a_link_opens_and_translates(open_page: Open) -> None:
    page = open_page(QUESTION)
    output(page).to_have_text(ANSWER)
    expect(page.locator("#text")).to_have_value(QUESTION)
    expect(page.locator("#source-language")).to_have_value("en")
    expect(page.locator("#target-language")).to_have_value("fr")


def test_a_copied_link_says_the_same(open_page: Open, server: str) -> None:
    page = open_page(QUESTION + " 😀 & #1", permissions=["clipboard-read", "clipboard-write"])
    page.locator("#link").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == f"{server}/" + link(QUESTION + " 😀 & #1").replace("/", "%2F")


def test_text_survives_a_reload(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#text").fill("A new text.")
    output(page).to_have_text(". TEXT NEW A")
    page.reload()
    expect(page.locator("#text")).to_have_value("A new text.")
    output(page).to_have_text(". TEXT NEW A")
    assert "#" not in page.url


def test_copies_the_translation(open_page: Open) -> None:
    page = open_page(QUESTION, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#copy").click()
    assert page.evaluate("navigator.clipboard.readText()") == ANSWER
    expect(page.locator("#copy")).to_have_text("Copied")


def test_what_is_of_another_text_is_not_copied(open_page: Open, faults: Faults) -> None:
    faults.expect("ERR_FAILED")
    page = open_page(QUESTION)
    page.route(STREAM, lambda route: route.abort())
    page.locator("#text").fill("Another text.")
    expect(page.locator("#message")).to_contain_text("cannot be reached")
    expect(page.locator("#copy")).to_be_disabled()
    page.unroute(STREAM)
    page.locator("#retry").click()
    expect(page.locator("#copy")).to_be_enabled()


def test_what_clear_and_swap_replace_can_be_undone(open_page: Open) -> None:
    page = open_page()
    page.locator("#text").fill("A long letter.")
    output(page).to_have_text(". LETTER LONG A")
    page.locator("#clear").click()
    expect(page.locator("#text")).to_have_value("")
    page.keyboard.press("Control+z")
    expect(page.locator("#text")).to_have_value("A long letter.")
    output(page).to_have_text(". LETTER LONG A")
    page.locator("#swap").click()
    expect(page.locator("#text")).to_have_value(". LETTER LONG A")
    expect(page.locator("#swap")).to_be_focused()
    page.locator("#text").press("Control+z")
    expect(page.locator("#text")).to_have_value("A long letter.")


def test_another_direction_leaves_the_link(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#target-language").select_option("zh")
    assert "#" not in page.url
    page.reload()
    expect(page.locator("#text")).to_have_value(QUESTION)
    expect(page.locator("#target-language")).to_have_value("zh")


def test_swap_turns_direction_and_text_around(open_page: Open) -> None:
    page = open_page(QUESTION)
    page.locator("#swap").click()
    expect(page.locator("#source-language")).to_have_value("fr")
    expect(page.locator("#text")).to_have_value(ANSWER)
    output(page).to_contain_text("COMMENT")


def test_directions_without_a_model_are_not_offered(open_page: Open) -> None:
    page = open_page()
    expect(page.locator("#target-language option")).to_have_text(["Chinese", "French"])
    page.locator("#target-language").select_option("zh")
    expect(page.locator("#swap")).to_be_disabled()
    page.locator("#target-language").select_option("fr")
    page.locator("#source-language").select_option("fr")
    expect(page.locator("#target-language option")).to_have_text(["English"])


def test_markup_stays_text(open_page: Open) -> None:
    text = "<img src=x onerror=alert(1)>"
    page = open_page(text)
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    page.locator("#output .word").first.click()
    expect(page.locator("#mirror")).to_contain_text(text)
    expect(page.locator("#choices button")).to_have_count(4)
    page.locator("#tab-candidates").click()
    expect(page.locator("#candidate-list li")).to_have_count(5)
    assert page.locator("main img, #choices b, script:not([src])").count() == 0
    assert ran == []


def test_counts_characters_not_utf16_units(open_page: Open) -> None:
    page = open_page()
    page.locator("#text").fill("😀é漢")
    expect(page.locator("#count")).to_have_text("3 / 2,000")


def test_too_much_text_is_said_before_it_is_sent(open_page: Open) -> None:
    page = open_page()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.locator("#text").fill("a" * 2001)
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#message")).to_contain_text("2,001 characters; at most 2,000")
    expect(page.locator("#count")).to_have_class(re.compile("is-over"))
    expect(page.locator("#message")).to_be_in_viewport()
    assert not [url for url in sent if "/v1/translate" in url]


def test_text_is_translated_without_attention_when_that_is_too_large(open_page: Open, faults: Faults) -> None:
    faults.expect("422")
    page = open_page("a b c d " * 60)
    output(page).to_contain_text("D C B A")
    expect(page.locator("#message")).to_contain_text("too large to show")
    expect(page.locator("#attention")).to_be_hidden()


def test_words_appear_as_they_are_decided(open_page: Open, loader: Any, request: pytest.FixtureRequest) -> None:
    page = open_page()
    page.locator("#text").fill("a slow sentence of seven words.")
    output(page).to_contain_text("WORDS SEVEN")
    assert "SLOW" not in page.locator("#output").inner_text()
    expect(page.locator("#cancel")).to_be_visible()
    released = loader.made["en-fr"].released
    request.addfinalizer(released.clear)
    released.set()
    output(page).to_have_text(". WORDS SEVEN OF SENTENCE SLOW A")
    expect(page.locator("#cancel")).to_be_hidden()


def test_what_is_typed_before_the_page_is_ready_appears_as_it_is_decided(open_page: Open, server: str) -> None:
    page = open_page(go=False)
    held: list[Route] = []
    page.route("**/v1/languages", lambda route: held.append(route))
    with page.expect_request("**/v1/languages"):
        page.goto(server + "/")
    page.locator("#text").fill("a slow one that is typed early, to its end.")
    page.wait_for_timeout(600)  # longer than the pause after typing
    held[0].continue_()
    output(page).to_contain_text("END ITS")


def dropped(loader: Any, part: str) -> bool:
    """Whether a running sentence with these words was given up, within a while."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        if any(part in text for made in loader.made.values() for running in made.sets for text in running.dropped):
            return True
        time.sleep(0.02)
    return False


def test_stopping_gives_the_sentence_up_and_brings_back_the_last_translation(open_page: Open, loader: Any) -> None:
    page = open_page(QUESTION)
    page.locator("#text").fill("a slow one that is stopped before its end.")
    output(page).to_contain_text("END ITS")
    page.locator("#cancel").click()
    output(page).to_have_text(ANSWER)
    expect(page.locator("#output")).to_have_class(re.compile("is-stale"))
    assert dropped(loader, "that is stopped")


def test_leaving_while_it_is_written_gives_the_sentence_up(open_page: Open, loader: Any) -> None:
    page = open_page()
    page.locator("#text").fill("a slow one that is left before it comes to its end.")
    output(page).to_contain_text("END ITS")
    page.close()
    assert dropped(loader, "that is left")


def answer_with(events: str) -> Callable[[Route], None]:
    """A stream that ends with these events."""
    return lambda route: route.fulfill(body=events, content_type="text/event-stream")


def test_a_stream_that_breaks_off_is_said(open_page: Open) -> None:
    page = open_page(QUESTION)
    sentence = '{"text": 0, "sentence": 0, "source_span": [0, 3], "source_tokens": []}'
    start = f'event: start\ndata: {{"sentences": [{sentence}]}}\n\n'
    problem = 'event: error\ndata: {"code": "deadline_exceeded", "status": 504, "title": "", "detail": ""}\n\n'
    for broken, told in ((start, "cannot be reached"), (start + problem, "took longer than this server allows")):
        page.route(STREAM, answer_with(broken))
        page.locator("#text").fill("new")
        page.locator("#text").press("Control+Enter")
        expect(page.locator("#message")).to_contain_text(told)
        output(page).to_have_text(ANSWER)
        page.unroute(STREAM)


PROBLEMS = [
    (413, "text_too_long", "longer than this server takes"),
    (422, "unsupported_direction", "No model translates in this direction"),
    (429, "queue_full", "busy with other translations"),
    (500, "internal_error", "Something went wrong in the server"),
    (503, "loading", "still loading its models"),
    (504, "deadline_exceeded", "took longer than this server allows"),
    (418, "unheard_of", "A title"),
]


def refuse(status: int, code: str) -> Callable[[Route], None]:
    """An answer to every request, in the API's shape."""
    body = json.dumps({"code": code, "status": status, "title": "A title", "detail": "", "request_id": "abc"})
    kind = "application/problem+json"
    return lambda route: route.fulfill(status=status, body=body, content_type=kind, headers={"Retry-After": "30"})


def test_every_kind_of_problem_has_its_message(open_page: Open, faults: Faults) -> None:
    page = open_page()
    for status, code, told in PROBLEMS:
        faults.expect(str(status))
        page.route(STREAM, refuse(status, code))
        page.locator("#text").fill(code)
        page.locator("#text").press("Control+Enter")
        expect(page.locator("#message")).to_contain_text(told)
        page.unroute(STREAM)
        page.locator("#text").press("Control+Enter")
        output(page).to_have_text(code.upper())
        expect(page.locator("#message")).to_be_hidden()


def test_a_server_out_of_reach_is_said_and_can_be_tried_again(open_page: Open, faults: Faults) -> None:
    faults.expect("ERR_FAILED")
    page = open_page()
    page.route(STREAM, lambda route: route.abort())
    page.locator("#text").fill(QUESTION)
    expect(page.locator("#message")).to_contain_text("cannot be reached")
    page.unroute(STREAM)
    page.locator("#retry").click()
    output(page).to_have_text(ANSWER)


def test_a_balancer_without_a_server_can_be_tried_again(open_page: Open, faults: Faults) -> None:
    faults.expect("502")
    page = open_page()
    page.route(STREAM, lambda route: route.fulfill(status=502, body="<h1>Bad Gateway</h1>", content_type="text/html"))
    page.locator("#text").fill(QUESTION)
    expect(page.locator("#message")).to_contain_text("cannot be reached")
    page.unroute(STREAM)
    page.locator("#retry").click()
    output(page).to_have_text(ANSWER)


def test_a_busy_server_is_asked_again_by_itself(open_page: Open, faults: Faults) -> None:
    faults.expect("429")
    page = open_page()
    body = json.dumps({"code": "queue_full", "status": 429})
    page.route(STREAM, lambda route: route.fulfill(status=429, body=body, headers={"Retry-After": "3"}), times=1)
    page.locator("#text").fill(QUESTION)
    expect(page.locator("#message")).to_contain_text("Trying again in 3 seconds.")
    output(page).to_have_text(ANSWER)


def test_no_model_is_said(open_page: Open, server: str) -> None:
    page = open_page(go=False)
    page.route("**/v1/languages", lambda route: route.fulfill(json={"languages": [], "directions": []}))
    page.goto(server)
    expect(page.locator("#message")).to_contain_text("No translation model is installed yet")


def test_the_page_waits_for_models_that_are_loading(open_page: Open, server: str, faults: Faults) -> None:
    faults.expect("503")
    page = open_page(go=False)
    page.route("**/v1/languages", lambda route: route.fulfill(json={"languages": [], "directions": []}), times=1)
    page.route("**/readyz", lambda route: route.fulfill(status=503, json={"status": "loading"}), times=1)
    page.goto(server + "/" + link(QUESTION))
    expect(page.locator("#message")).to_contain_text("still loading its models")
    output(page).to_have_text(ANSWER)


def test_a_link_to_a_missing_direction_is_said(open_page: Open, server: str) -> None:
    page = open_page(go=False)
    page.goto(server + "/" + link(QUESTION, "fi", "sv"))
    expect(page.locator("#message")).to_contain_text("No model translates from Finnish to Swedish.")
