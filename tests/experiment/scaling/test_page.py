"""The page asks which of two pairs differs more, in a real browser, by keyboard and by mouse."""

import shutil

import pytest
from page_session import PageSession
from playwright.sync_api import expect, sync_playwright

from audiometamer.experiment.scaling.fits import pair_answers
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import SERVE_COMMAND

QUESTION = "Which difference was larger?"
MARKS = """
window.seen = [];
new MutationObserver(() => {
  const now = document.querySelector(".pairs .now")?.textContent;
  if (now && seen.at(-1) !== now) seen.push(now);
}).observe(document, {subtree: true, attributes: true, childList: true});
"""


@pytest.fixture
def browser():
    program = shutil.which("chromium")
    assert program, "this test takes part in Chromium: apt-get install chromium"
    arguments = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


def test_quadruples_by_keyboard_and_mouse(browser, quadruples, tmp_path):
    with browser.new_context() as context:
        session = PageSession(context, quadruples, tmp_path / "answers.db", SERVE_COMMAND)
        page = session.open(MARKS)
        page.get_by_role("button", name="I agree").click()
        page.get_by_role("button", name="Play the noise").click()
        for heading in ("Set the volume", "What to do", "The main part"):
            expect(page.get_by_role("heading", name=heading)).to_be_visible(timeout=30_000)
            page.locator("button.main").click()
        group = page.get_by_role("group", name=QUESTION)
        for trial, answer in enumerate("12121"):
            expect(group).to_be_visible(timeout=30_000)
            if not trial:
                assert page.evaluate("seen") == ["1", "2", "3", "4"]
                assert group.get_by_role("button").all_inner_texts() == ["1 Between the first two", "2 Between the last two"]
            if trial % 2:
                page.keyboard.press(answer)
            else:
                group.get_by_role("button", name="Between the first two").click()
            expect(group).to_be_hidden()
        expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        session.close()
    answers = read_answers(tmp_path / "answers.db", quadruples)
    assert pair_answers(quadruples, answers.trials)["1"].pressed == [*"12121"]
    assert session.complaints == []
