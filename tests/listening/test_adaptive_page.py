"""Trials that are decided on the way, on the page in a real browser."""

import shutil

import pytest
import tiny_adaptive
from page_session import PageSession
from playwright.sync_api import expect, sync_playwright

from audiometamer.listening.design import Breaks
from audiometamer.listening.reading import read_answers

QUESTION = "Which sound was the same as the last one?"
ARGUMENTS = ["--no-sandbox", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]  # programs touch nothing
# All headings and all that was said, in order.
SEEN = """
window.seen = [];
new MutationObserver(() => {
  for (const { textContent } of document.querySelectorAll("h1, #status")) {
    if (textContent && !seen.slice(-2).includes(textContent)) seen.push(textContent);
  }
}).observe(document, { subtree: true, childList: true });
"""


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    assert program, "these tests take part in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def session(browser, folder, tmp_path):
    """One whose sounds take a while, so that somebody waits now and then."""
    settings = {"practice": 2, "trials": 6, "catch": 3, "makes": 0.8, "longest_wait": 5.0, "breaks": Breaks(3)}
    made = tiny_adaptive.write_course(tmp_path / "experiment", page=folder / "page", **settings)
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        one = PageSession(context, tiny_adaptive.read_course(made), tmp_path / "answers.db", tiny_adaptive.SERVE)
        yield one
        one.close()
    assert one.complaints == []


def right(session, n):
    return session.store.decided(1, n).answer


def press(page, heading, key=None):
    """On a screen with this heading, the button to go on, or a key."""
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible(timeout=30_000)
    if key is None:
        page.locator("button.main").click()
    else:
        page.keyboard.press(key() if callable(key) else key)


def asked(page):
    """The sound was heard, and the question is there."""
    expect(page.get_by_role("heading", name=QUESTION)).to_be_visible(timeout=30_000)


def begin(page):
    press(page, "Before you begin")
    expect(page.get_by_role("heading", name="Set the volume")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Play the noise").click()
    page.get_by_role("button", name="Continue").click()


def stays(page, reported):
    """What the page says, and still says when a message that somebody waits would have come."""
    expect(page.get_by_role("status")).to_contain_text(reported, timeout=30_000)
    page.wait_for_timeout(1500)
    expect(page.get_by_role("status")).to_contain_text(reported)


def test_why_it_cannot_go_on_stays_on_the_page(session):
    page = session.open()
    replies = [(500, "the server cannot do this now; the experimenter finds the reason in its log"), (422, "there is no trial 2")]

    def refuse(route):
        status, error = replies.pop(0) if len(replies) > 1 and "waiting" in route.request.url else replies[-1]
        route.fulfill(status=status, json={"error": error, "code": "failed" if status == 500 else ""})

    page.route("**/api/trials/2*", refuse)
    begin(page)
    press(page, "Are your headphones on?")
    press(page, "Which one had the tone?", "2")
    expect(page.get_by_role("status")).to_have_text(
        "The server has a problem that only the experimenter can solve. Trying again…", timeout=30_000
    )
    stays(page, "The experiment cannot continue: Something went wrong (there is no trial 2).")
    session.complaints.clear()


def test_a_sound_that_is_none_is_reported(session):
    page = session.open()
    begin(page)
    page.route("**/sounds/*.wav", lambda route: route.fulfill(status=200, content_type="audio/wav", body=b"no sound"))
    press(page, "Are your headphones on?")
    press(page, "Which one had the tone?", "2")
    press(page, "What to do")
    press(page, "Practice")
    stays(page, "The experiment cannot continue: ")
    session.complaints.clear()


@pytest.mark.slow
def test_a_listener_who_reloads_and_opens_another_window(session):
    page = session.open(SEEN)
    begin(page)
    press(page, "Are your headphones on?")
    press(page, "Which one had the tone?", "2")
    press(page, "What to do")
    press(page, "Practice")
    press(page, QUESTION, lambda: right(session, 2))
    press(page, "Right")
    press(page, QUESTION, lambda: {"1": "2", "2": "1"}[right(session, 3)])
    press(page, "Not quite")
    press(page, "The main part")
    assert page.locator("#progress").evaluate("(bar) => bar.value") == 0
    asked(page)
    expect(page.get_by_role("status")).to_have_text("")
    decided = session.store.decided(1, 4)

    page.reload()
    for heading in ("Welcome back", "What to do", "The main part"):
        press(page, heading)
    asked(page)
    assert session.store.decided(1, 4) == decided
    other = session.open(SEEN)
    for heading in ("Welcome back", "What to do", "The main part"):
        press(other, heading)
    press(page, QUESTION, right(session, 4))
    expect(page.get_by_role("heading", name=QUESTION)).to_be_hidden()
    press(other, QUESTION, "1")
    press(other, "Welcome back")
    other.close()
    asked(page)

    assert "One moment please, the next sound is being made…" in page.evaluate("seen")
    page.close()
    page = session.open(SEEN + "window.simulatedListener = {answer: () => ({answer: '2', reaction_time_ms: 20})};")
    expect(page.get_by_role("heading", name="Your answers are saved.")).to_be_visible(timeout=60_000)
    found = read_answers(session.database, session.experiment)
    assert [answer.trial for answer in found.answers(1)] == list(range(1, 12))
    assert [given.trial.kind for given in found.judged(1)][3:] == ["main", "main", "main", "catch"] * 2
    assert found.answers(1)[3].plays == 2, "it was heard again after the reload"
    assert found.listeners[0].finished

    seen = page.evaluate("seen")
    assert seen.count("Time for a rest") == 2
    assert seen.index("The main part") < seen.index("Time for a rest")
    waited = {one.decided.trial.trial: one.decided.about["waited"] for one in found.completed(1)}
    # Sounds take 0.8 s to be made; only the fifth depends on the answer before, others were begun while that was heard.
    assert max(waited[2], waited[3], waited[4]) < 0.8 <= waited[5]
    catch = found.decided[1, 7]
    before, after = (session.asked.index(path) for path in ("/api/trials/7", "/api/trials/8"))
    assert before < session.asked.index(f"/sounds/{catch.trial.stimulus}.wav") < after
