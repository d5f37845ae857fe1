"""The page in a real browser: what a listener hears, reads, types and taps, and what becomes of it when things go wrong."""

import json
import re
import shutil
import sqlite3
import threading
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import msgspec
import pytest
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from tiny_experiment import DESIGN, LAYERS, WORDS, answer_message, build_experiment

from audiometamer.experiment.pack import pack
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.collect import collect
from audiometamer.listening.messages import Message
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import SERVE_COMMAND, address_of, start_server
from audiometamer.listening.store import Store

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}
SECRETS = ("tiny", "natural", "catch", "condition", "recognised", "metamer.wav", "_slt", "_rms", *LAYERS)
SHORT = DESIGN.replace("listeners = 6", "listeners = 6\ntrials = 3").replace("trials = 2\nminimum = 1", "trials = 1\nminimum = 1")
NO_CHECK = SHORT.replace("[headphones]\n", '[headphones]\ntest = "none"\n')
COMPARED = """
title = "Pairs"
listeners = 6
trials = 3
[headphones]
test = "none"
[catch]
trials = 0
[practice]
trials = 1
conditions = "all"
[demonstration]
trials = 0
[answers]
kind = "KIND"
"""
ODD_WORDS = [
    "don't",
    "Istanbul",
    "New York",
    "שלום",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
]
ODD = (
    NO_CHECK
    + """
[[questions]]
name = "length"
text = "Which length?"
required = true
when = "before"
[answers]
kind = "KIND"
list = "words.txt"
"""
)
# An audio context that a telephone call interrupts: it cannot continue before that is over.
CALL = """
const resume = AudioContext.prototype.resume;
const made = [];
let ringing = true;
window.sounding = 0;
window.AudioContext = class extends AudioContext { constructor(...a) { super(...a); made.push(this); this.suspend(); } };
AudioContext.prototype.resume = function () {
  return ringing ? Promise.reject(new DOMException("Failed to start the audio device", "InvalidStateError")) : resume.call(this);
};
window.ring = async () => { ringing = true; await made[0].suspend(); };
window.hangUp = () => { ringing = false; };
for (const [name, step] of [["start", 1], ["stop", -1]]) {
  const real = AudioBufferSourceNode.prototype[name];
  AudioBufferSourceNode.prototype[name] = function (...a) { if (this.loop) sounding += step; return real.apply(this, a); };
}
"""
HIGHLIGHTS = """
window.seen = [];
new MutationObserver(() => {
  const now = document.querySelector(".now")?.textContent;
  if (now && seen.at(-1) !== now) seen.push(now);
}).observe(document.body, {subtree: true, attributes: true});
"""


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    assert program, "these tests take part in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--mute-audio"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Experiments by their design; each is built once."""
    made = {}

    def build(text):
        if text not in made:
            folder = tmp_path_factory.mktemp("experiment")
            if "words.txt" in text:
                (folder / "words.txt").write_text("\n".join([*WORDS, *ODD_WORDS]), encoding="utf-8")
            if "many.txt" in text:
                (folder / "many.txt").write_text("\n".join([*WORDS, *MANY_WORDS]), encoding="utf-8")
            if "pictures = " in text:
                (folder / "pictures").mkdir()
                for k, word in enumerate(("slt", "rms")):
                    Image.new("RGB", (64, 64), ("red", "blue")[k]).save(folder / "pictures" / f"{word}.png")
            made[text] = read_experiment(build_experiment(folder, text))
        return made[text]

    return build


class Session:
    """A server with one listener's link, and browsers that open it."""

    def __init__(self, browser, experiment, folder):
        self.browser, self.experiment, self.database = browser, experiment, folder / "answers.db"
        self.stack, self.complaints, self.traffic, self.expected = ExitStack(), [], [], ()
        store = Store(self.database, experiment)
        self.token = store.enrol()
        store.close()
        self.server = start_server(experiment.folder, self.database)
        self.address = address_of(self.server)

    def restart(self):
        self.server = start_server(self.experiment.folder, self.database, port=int(self.address.rpartition(":")[2]))
        assert address_of(self.server) == self.address

    def kill(self):
        self.server.kill()
        self.server.communicate()

    def close(self):
        self.stack.close()
        self.kill()

    def context(self, **options):
        return self.stack.enter_context(self.browser.new_context(**(options or DESKTOP)))

    def open(self, context, *, goto=True):
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("response", self.note)
        if goto:
            page.goto(f"{self.address}/#{self.token}")
        return page

    def note(self, response):
        self.traffic.append(response.url + json.dumps(response.headers))
        if "json" in response.headers.get("content-type", ""):
            self.traffic.append(response.text())

    @property
    def trials(self):
        return self.experiment.trials(1)

    def right(self, trial):
        return self.experiment.key[trial.stimulus].answer

    def answers(self):
        found = read_answers(self.database, self.experiment)
        return found.answers(found.enrolled[0].listener)

    def events(self):
        return [row.what for row in read_answers(self.database, self.experiment).events]


@pytest.fixture
def session(browser, built, tmp_path):
    """Starts a server for an experiment; at the end, no page may have complained of anything that was not expected."""
    with ExitStack() as stack:
        opened = []

        @contextmanager
        def closing(text):
            opened.append(Session(browser, built(text), tmp_path))
            yield opened[0]
            opened[0].close()

        yield lambda text=SHORT: stack.enter_context(closing(text))
    complaints = [line for one in opened for line in one.complaints if not any(part in line for part in one.expected)]
    assert complaints == []


def heading(page, text):
    expect(page.get_by_role("heading", name=text)).to_be_visible(timeout=15_000)


def agree(page):
    """Consent and level, by keyboard alone."""
    heading(page, "Before you begin")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    heading(page, "Set the volume")
    assert page.get_by_role("button", name="Continue").is_disabled()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Stop the noise")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Continue")).to_be_enabled()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def go_on(page, *headings):
    """Screens with a text, by keyboard."""
    for text in headings:
        heading(page, text)
        page.keyboard.press("Tab")
        while page.evaluate("document.activeElement.tagName") != "BUTTON":
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")


def type_answer(page, word):
    expect(page.get_by_role("combobox")).to_be_focused()
    page.keyboard.type(word)
    page.keyboard.press("Enter")


def finish(page):
    heading(page, "A few questions")
    page.get_by_label("How old are you?").fill("41")
    page.get_by_role("button", name="Continue").click()
    heading(page, "Thank you")
    page.get_by_role("button", name="Continue").click()
    heading(page, "Your answers are saved.")


@pytest.mark.slow
def test_a_whole_experiment_by_keyboard(session):
    """And nothing that the browser was sent names a condition, or an answer before it was given."""
    s = session()
    page = s.open(s.context())
    agree(page)
    go_on(page, "Are your headphones on?")
    check, practice, demonstration, *main = s.trials
    heading(page, "Which one had the tone?")  # after 4.6 s of sounds
    expect(page.get_by_role("heading", name="Which one had the tone?")).to_be_focused()
    page.keyboard.press(s.right(check))
    heading(page, "What to do")
    page.get_by_text("All 12 possible answers").click()
    assert page.locator(".words li").all_inner_texts() == s.experiment.answers
    go_on(page, "What to do", "Practice")
    type_answer(page, s.right(practice))
    heading(page, "Right")
    assert s.right(practice) in page.locator("section").inner_text()
    go_on(page, "Right", "Well practised")
    type_answer(page, s.right(demonstration))
    go_on(page, "The main part")
    for trial in main:
        type_answer(page, s.right(trial))
        expect(page.get_by_role("combobox")).to_be_hidden()
    finish(page)
    answers = s.answers()
    assert [answer.answer for answer in answers] == [s.right(trial) for trial in s.trials]
    assert all(answer.plays == 1 and 0 < answer.reaction_time_ms < 10_000 for answer in answers)
    assert all((answer.answered - answer.started).total_seconds() > 0 for answer in answers)
    assert answers[0].playback["sample_rate"] >= 8000
    [row] = read_answers(s.database, s.experiment).listeners
    assert row.finished
    assert row.questionnaire["age"] == "41"
    words = {entry.word for entry in s.experiment.key.values() if entry.word}
    spared = [json.dumps(s.experiment.answers, separators=(",", ":")), json.dumps(s.right(practice))]  # the list; feedback
    for text in s.traffic:
        for part in spared:
            text = text.replace(part, "")
        reported = re.sub(r'"texts":\{.*?\}', "", text)
        assert not [name for name in (*SECRETS, *words) if name in reported]


def test_who_is_kept_out_reads_what_to_do_and_nothing_of_answers(session):
    s = session(NO_CHECK)
    s.expected = ("Failed to load resource", "nobody has this token")
    page = s.open(s.context(), goto=False)
    page.goto(f"{s.address}/#nobody")
    reported = "This link is not known here. Please open it exactly as you were given it, or tell the experimenter."
    expect(page.locator("#status")).to_have_text(f"The experiment cannot be opened: {reported}")


def test_the_list_completes_and_nothing_else_is_taken(session):
    s = session(NO_CHECK)
    page = s.open(s.context())
    agree(page)
    go_on(page, "What to do", "Practice")
    box, submit = page.get_by_role("combobox", name="Which word did you hear?"), page.get_by_role("button", name="Submit")
    expect(box).to_be_focused()
    page.keyboard.type("e")
    expect(page.get_by_role("option")).to_have_text(["eagle", "apple", "bread", "house", "juice", "kite"])
    expect(box).to_have_attribute("aria-expanded", "true")
    hint = page.locator("#hint")
    expect(box).to_have_attribute("aria-describedby", "hint")
    expect(hint).to_have_attribute("aria-live", "polite")
    expect(hint).to_have_text("Choose an answer from the list.")
    page.keyboard.press("Enter")
    expect(box).to_have_value("e")
    page.keyboard.type("zzz")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(hint).to_have_text("“ezzz” is not in the list. Please choose an answer from the list.")
    page.keyboard.press("Enter")
    expect(submit).to_be_disabled()
    box.fill("egale")
    expect(hint).to_have_text("“egale” is not in the list. Did you mean one of these?")
    expect(page.get_by_role("option").first).to_have_text("eagle")
    page.keyboard.press("Enter")
    expect(box).to_have_value("egale")
    box.fill("eag")
    expect(hint).to_have_text("Press Enter for “eagle”.")
    page.keyboard.press("Enter")
    expect(box).to_have_value("eagle")
    expect(box).to_be_focused()
    expect(hint).to_have_text("")
    expect(submit).to_be_enabled()
    assert s.answers() == []
    box.fill(" EAgle ")
    expect(submit).to_be_enabled()
    box.fill("ea")
    expect(submit).to_be_disabled()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(box).to_have_attribute("aria-activedescendant", "entry1")
    expect(page.get_by_role("option", selected=True)).to_have_text("bread")
    assert s.answers() == []
    page.keyboard.press("Enter")
    expect(box).to_have_value("bread")
    page.keyboard.press("Enter")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == ["bread"]


MANY_WORDS = [f"{word} {k}" for word in ("dog", "elk") for k in range(2, 402)]
NAMED = """
[answers]
list = "words.txt"
[answers.names]
"don't" = "do not"
[answers.equal]
fish = ["smart_mirror"]
"""


@pytest.mark.parametrize(
    ("typed", "kept"), [("Smart mirror", "smart_mirror"), ("smart_mirror", "smart_mirror"), ("do not", "don't"), ("fish", "fish")]
)
def test_listeners_see_names_and_the_answers_stay_as_they_are(session, typed, kept):
    s = session(NO_CHECK + NAMED)
    page = s.open(s.context())
    agree(page)
    heading(page, "What to do")
    page.get_by_text("possible answers").click()
    shown = page.locator(".words li").all_inner_texts()
    assert {"do not", "smart mirror"} <= {*shown}
    assert not any("_" in word for word in shown)
    go_on(page, "What to do", "Practice")
    type_answer(page, typed)
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == [kept]


MANY = """
[answers]
question = "Which word was in the middle?"
list = "many.txt"
"""


@pytest.mark.parametrize("window", [{"viewport": {"width": 1366, "height": 768}}, PHONE], ids=["desktop", "phone"])
def test_hundreds_of_words_and_a_question_of_its_own(session, window):
    s = session(NO_CHECK + MANY)
    page = s.open(s.context(**window))
    agree(page)
    heading(page, "What to do")
    page.get_by_text("All 812 possible answers").click()
    expect(page.get_by_role("button", name="Continue")).to_be_in_viewport()  # the list scrolls, not the page
    first, second = (page.locator(".words li").nth(k).bounding_box() for k in (0, 1))
    assert first["y"] == second["y"], "in rows, which can be read as they scroll"
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    go_on(page, "What to do", "Practice")
    expect(page.get_by_role("combobox", name="Which word was in the middle?")).to_be_focused()
    page.keyboard.type("dog")
    expect(page.get_by_role("option")).to_have_text([f"dog {k}" for k in range(2, 7)])
    page.keyboard.press("Enter")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == ["dog"]


def test_on_a_phone(session):
    s = session(NO_CHECK)
    page = s.open(s.context(**PHONE))
    page.get_by_role("button", name="I agree").tap()
    page.get_by_role("button", name="Play the noise").tap()
    page.get_by_role("button", name="Continue").tap()
    page.get_by_role("button", name="Continue").tap()
    page.get_by_role("button", name="Begin").tap()
    box = page.get_by_role("combobox")
    box.tap()
    box.press_sequentially("do")
    page.get_by_role("option", name="dog").tap()
    expect(box).to_have_value("dog")
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "nothing has to be scrolled sideways"
    for button in page.get_by_role("button").all():
        assert button.bounding_box()["height"] >= 44, "as large as a finger"
    assert float(page.evaluate("getComputedStyle(document.querySelector('input')).fontSize").removesuffix("px")) >= 16
    page.get_by_role("button", name="Submit").tap()
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == ["dog"]


@pytest.mark.parametrize(
    ("kind", "question", "names"),
    [("abx", "Which sound was the same as the last one?", ["The first", "The second"]),
     ("odd-one-out", "Which one was different?", ["The first", "The second", "The third"])],
)  # fmt: skip
def test_sounds_that_are_compared(session, kind, question, names):
    s = session(COMPARED.replace("KIND", kind))
    page = s.open(s.context())
    agree(page)
    page.evaluate(HIGHLIGHTS)
    go_on(page, "What to do", "Practice")
    heading(page, question)
    assert page.evaluate("seen") == ["1", "2", "3"]
    group = page.get_by_role("group", name=question)
    assert [re.sub(r"^\d ", "", text) for text in group.get_by_role("button").all_inner_texts()] == names
    page.keyboard.press("4")
    page.keyboard.press("2")
    expect(page.get_by_text("It was")).to_be_visible()
    assert page.locator("strong").inner_text() == names[int(s.right(s.trials[0])) - 1].lower()
    assert [answer.answer for answer in s.answers()] == ["2"]


def test_pictures_of_answers(session):
    s = session(NO_CHECK + '[answers]\nkind = "choice"\nof = "speaker"\npictures = "pictures"\n')
    page = s.open(s.context())
    agree(page)
    go_on(page, "What to do", "Practice")
    heading(page, "Who was speaking?")
    expect(page.get_by_role("button")).to_have_count(2)
    assert page.evaluate("[...document.images].map((image) => [image.complete, image.naturalWidth])") == [[True, 64]] * 2
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name="rms")).to_be_focused()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == ["slt"]


def test_it_goes_on_after_a_reload_and_in_another_browser(session):
    s = session(NO_CHECK)
    page = s.open(s.context())
    agree(page)
    go_on(page, "What to do", "Practice")
    type_answer(page, s.right(s.trials[0]))
    go_on(page, "Right")
    page.reload()
    go_on(page, "Welcome back", "What to do", "On your own")
    type_answer(page, s.right(s.trials[1]))
    heading(page, "The main part")
    page.context.close()
    page = s.open(s.context())
    go_on(page, "Welcome back", "What to do", "The main part")
    type_answer(page, s.right(s.trials[2]))
    expect(page.get_by_role("combobox")).to_be_hidden()
    assert len(s.answers()) == 3


@pytest.mark.slow
def test_an_answer_is_kept_while_the_server_is_away(session):
    """Killed, the page even closed; the answer is sent when both are there again."""
    s = session(NO_CHECK)
    s.expected = ("ERR_CONNECTION_REFUSED",)
    context = s.context()
    page = s.open(context)
    agree(page)
    go_on(page, "What to do", "Practice")
    expect(page.get_by_role("combobox")).to_be_focused()
    s.kill()
    type_answer(page, "fish")
    expect(page.get_by_role("status")).to_contain_text("kept in this browser")
    page.close()
    s.restart()
    page = s.open(context)
    go_on(page, "Welcome back")
    assert [answer.answer for answer in s.answers()] == ["fish"]
    assert "message not confirmed" not in s.events(), "it is sent with the next answer"
    go_on(page, "What to do", "On your own")
    s.kill()
    type_answer(page, s.right(s.trials[1]))
    expect(page.get_by_role("status")).to_contain_text("kept in this browser")
    s.restart()
    go_on(page, "The main part")
    assert [answer.answer for answer in s.answers()] == ["fish", s.right(s.trials[1])]
    type_answer(page, "ink")
    expect(page.get_by_role("combobox")).to_be_hidden()
    assert "message not confirmed" in s.events()


def test_missed_loads_and_lost_focus_are_reported(session):
    s = session(NO_CHECK)
    s.expected = ("503",)
    page = s.open(s.context(), goto=False)
    failed = []

    def fail_once(route):
        if route.request.url in failed:
            return route.continue_()
        failed.append(route.request.url)
        return route.fulfill(status=503, body="{}")

    page.route("**/sounds/*.wav", fail_once)
    page.goto(f"{s.address}/#{s.token}")
    agree(page)
    go_on(page, "What to do", "Practice")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.evaluate("dispatchEvent(new Event('blur')); dispatchEvent(new Event('focus'))")
    type_answer(page, "fish")
    expect(page.get_by_text("It was")).to_be_visible()
    events = s.events()
    assert events.count("missed load") >= len({trial.stimulus for trial in s.trials})
    assert events[-2:] == ["lost focus", "got focus"]


def test_a_sound_that_is_interrupted_can_be_heard_again(session):
    s = session(COMPARED.replace("KIND", "abx"))
    page = s.open(s.context(), goto=False)
    page.add_init_script(
        "const made = []; window.AudioContext = class extends AudioContext {constructor(...a) {super(...a); made.push(this);}};"
        "window.interrupt = () => made[0].suspend();"
    )
    page.goto(f"{s.address}/#{s.token}")
    agree(page)
    go_on(page, "What to do", "Practice")
    page.wait_for_selector(".intervals .now")
    page.evaluate("interrupt()")
    page.get_by_role("button", name="The sound was interrupted. Play it again").click()
    heading(page, "Which sound was the same as the last one?")
    page.keyboard.press("1")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.plays for answer in s.answers()] == [2]
    assert "playback interrupted" in s.events()


def test_a_telephone_call_ends_nothing(session):
    """Neither while the volume is set nor while a sound is loaded; nor does an error of an extension."""
    s = session(NO_CHECK)
    page = s.open(s.context(), goto=False)
    page.add_init_script(CALL)
    page.goto(f"{s.address}/#{s.token}")
    page.get_by_role("button", name="I agree").click()
    noise = page.get_by_role("button", name="noise")
    noise.click()
    expect(page.get_by_role("status")).to_contain_text("plays no sound yet")
    expect(page.get_by_role("button", name="Continue")).to_be_disabled()
    page.evaluate("hangUp()")
    noise.evaluate("(button) => { for (let k = 0; k < 3; k += 1) button.click(); }")
    expect(noise).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Continue").click()
    heading(page, "What to do")
    assert page.evaluate("sounding") == 0, "no noise goes on"
    page.evaluate("dispatchEvent(new ErrorEvent('error', {error: Error('x'), filename: 'chrome-extension://x/y.js'}))")
    go_on(page, "What to do", "Practice")
    page.evaluate("ring()")
    again = page.get_by_role("button", name="The sound was interrupted. Play it again")
    again.click()
    expect(page.get_by_role("status")).to_contain_text("plays no sound yet")
    page.evaluate("hangUp()")
    again.click()
    type_answer(page, "fish")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.plays for answer in s.answers()] == [1]


def test_a_sound_heard_again_after_a_reload_and_a_laptop_that_slept_for_days(session):
    s = session(NO_CHECK)
    page = s.open(s.context())
    agree(page)
    go_on(page, "What to do", "Practice")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.reload()
    go_on(page, "Welcome back", "What to do", "Practice")
    expect(page.get_by_role("combobox")).to_be_focused()
    page.evaluate("Object.defineProperty(Event.prototype, 'timeStamp', {get: () => 1e12})")
    type_answer(page, "fish")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [(answer.plays, answer.reaction_time_ms) for answer in s.answers()] == [(2, 86_400_000)]


def begin(page):
    """Consent, a question before, level and instructions."""
    page.get_by_role("button", name="I agree").click()
    page.get_by_label("Which length?").fill("1 m")
    for name in ("Continue", "Play the noise", "Continue", "Continue", "Begin"):
        page.get_by_role("button", name=name).click()


def test_words_are_taken_as_telephones_and_other_languages_type_them(session):
    s = session(ODD.replace("KIND", "typed"))
    page = s.open(s.context(**DESKTOP, locale="tr-TR"))
    begin(page)
    box, submit = page.get_by_role("combobox"), page.get_by_role("button", name="Submit")
    for typed in ("Don\u2019t", "istanbul", "ISTANBUL", "new\u00a0 york ", "שלום"):
        box.fill(typed)
        expect(submit).to_be_enabled()
    assert box.evaluate("(box) => getComputedStyle(box).direction") == "rtl"
    box.fill("don\u2018t")
    box.press("Enter")
    expect(page.get_by_text("It was")).to_be_visible()
    assert [answer.answer for answer in s.answers()] == ["don't"]
    [row] = read_answers(s.database, s.experiment).listeners
    assert row.questionnaire["length"] == "1 m"


@pytest.mark.parametrize("kind", ["typed", "choice"])
def test_in_a_narrow_window_nothing_is_cut_off(session, kind):
    """320 pixels, as on a small telephone or at 400 %; and the tab key stops only where something can be done."""
    s = session(ODD.replace("KIND", kind))
    page = s.open(s.context(viewport={"width": 320, "height": 568}, color_scheme="dark"))

    def check():
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.locator("h1").inner_text()
        assert page.evaluate("[...document.querySelectorAll('[tabindex]')].every((one) => one.tabIndex < 0)")

    heading(page, "Before you begin")
    check()
    begin(page)
    if kind == "typed":
        page.get_by_role("combobox").fill("donau")
        entry = page.get_by_role("option")
        assert entry.evaluate("(entry) => entry.scrollWidth <= entry.clientWidth")
        check()
        entry.click()
        page.get_by_role("button", name="Submit").click()
    else:
        button = page.get_by_role("button", name="Donau")
        assert button.evaluate("(button) => button.scrollWidth <= button.clientWidth")
        check()
        button.click()
    expect(page.get_by_text("It was")).to_be_visible()
    check()


def test_who_fails_the_headphone_check_is_thanked(session):
    s = session(SHORT + '\n[completion]\nfinished = "https://lab.example/finished"\nstopped = "https://lab.example/stopped"\n')
    page = s.open(s.context())
    agree(page)
    go_on(page, "Are your headphones on?")
    heading(page, "Which one had the tone?")
    wrong = next(k for k in "123" if k != s.right(s.trials[0]))
    page.keyboard.press(wrong)
    finish_early = page.get_by_role("heading", name="Thank you").first
    expect(page.get_by_text("How old are you?")).to_have_count(0)
    expect(finish_early).to_be_visible()
    assert "The experiment ends here" in page.locator("article").inner_text()
    page.get_by_role("button", name="Continue").click()
    heading(page, "Your answers are saved.")
    assert len(s.answers()) == 1
    page.reload()
    expect(page.get_by_text("The experiment ends here")).to_be_visible()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("link", name="Finish")).to_have_attribute("href", "https://lab.example/stopped")
    assert all("questions" not in form for form in Store(s.database, s.experiment).state(1).forms)


def test_another_window_that_was_ahead(session):
    """An answer that is given twice is taken once, and the page goes on from where the listener really is."""
    s = session(NO_CHECK)
    s.expected = ("409",)
    context = s.context()
    page = s.open(context)
    agree(page)
    other = s.open(context)
    go_on(page, "What to do", "Practice")
    go_on(other, "Welcome back", "What to do", "Practice")
    type_answer(page, "fish")
    expect(page.get_by_text("It was")).to_be_visible()
    type_answer(other, "goat")
    go_on(other, "Welcome back")
    assert [answer.answer for answer in s.answers()] == ["fish"]


def test_who_comes_late_or_with_many_others_reads_why(session):
    """Without a link: agreed, away, given another list, answered, away again; and a third who comes within the minute."""
    s = session(NO_CHECK)
    s.expected = ("410", "429", "given to somebody else")
    s.kill()
    s.server = start_server(s.experiment.folder, s.database, serve=(*SERVE_COMMAND, "--open", "anyone", "--per-address", "2"))
    s.address = address_of(s.server)
    page = s.open(s.context(), goto=False)

    def leave(listener):
        with sqlite3.connect(s.database) as db:
            db.execute("UPDATE listeners SET excluded = 'left unfinished' WHERE listener = ?", (listener,))

    page.goto(s.address)
    agree = page.get_by_role("button", name="I agree")
    agree.wait_for()
    leave(2)
    agree.click()
    expect(page.get_by_role("status")).to_contain_text("Please reload this page: you can begin again if a place is free.")
    page.reload()
    agree.click()
    expect(agree).to_have_count(0)
    store = Store(s.database, s.experiment)
    trial = s.experiment.trials(store.state(3).number)[0]
    store.keep(3, msgspec.convert(answer_message(trial, s.right(trial)), Message))
    store.close()
    leave(3)
    page.reload()
    reported = "You were away for so long that your place was given to somebody else. The answers that you gave are saved; "
    expect(page.get_by_role("status")).to_have_text(
        f"The experiment cannot be opened: {reported}the experiment ends here for you."
    )
    other = s.open(s.context(), goto=False)
    other.goto(s.address)
    expect(other.get_by_role("status")).to_contain_text("Many people are beginning at this moment.")
    expect(other.get_by_role("status")).to_contain_text("Trying again…")


@pytest.mark.parametrize("token", ["", "nobodys-token"])
def test_a_link_of_nobody(session, token):
    s = session(NO_CHECK)
    s.expected = ("403", "401", "not open", "nobody has this token")
    s.token = token
    page = s.open(s.context())
    reported = "This link is not known here" if token else "open only to people who were given a link"
    expect(page.get_by_role("status")).to_contain_text(reported)
    expect(page.get_by_role("status")).to_contain_text("the experimenter")


def test_simulated_without_its_screens(session):
    """jsPsych's data-only simulation goes to the same end, and its answers to the same place."""
    s = session(SHORT)
    page = s.open(s.context(), goto=False)
    right = {trial.stimulus: s.right(trial) for trial in s.trials}
    answer = f"(stimulus) => ({{answer: {json.dumps(right)}[stimulus], reaction_time_ms: 1234.5}})"
    page.add_init_script(f'window.simulatedListener = {{mode: "data-only", answer: {answer}}};')
    page.goto(f"{s.address}/#{s.token}")
    heading(page, "Your answers are saved.")
    assert [(answer.answer, answer.reaction_time_ms) for answer in s.answers()] == [(s.right(t), 1234.5) for t in s.trials]


def test_nothing_of_the_page_is_asked_for_elsewhere(session):
    s = session(NO_CHECK)
    page = s.open(s.context(), goto=False)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{s.address}/#{s.token}")
    heading(page, "Before you begin")
    assert all(url.startswith((s.address, "data:")) for url in asked)
    assert s.token not in "".join(url for url in asked if "#" not in url)
    assert sqlite3.connect(s.database).execute("SELECT count(*) FROM messages").fetchone() == (0,)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_without_a_server_of_ours(browser, built, tmp_path):
    """A static folder: the whole of it, through a reload, to the file of answers and back into the experiment."""
    experiment = built(SHORT)
    links = pack(experiment.folder, tmp_path / "packed", to="static").links
    link = links.read_text().splitlines()[1].split("\t")[-1]
    right = {trial.stimulus: experiment.key[trial.stimulus].answer for trial in experiment.trials(1)}
    answer = f"(stimulus) => ({{answer: {json.dumps(right)}[stimulus], reaction_time_ms: 99.5}})"
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "packed"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with browser.new_context(**DESKTOP) as context:
        page = context.new_page()
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("response", lambda response: complaints.append(response.url) if response.status >= 400 else None)
        page.goto(f"http://127.0.0.1:{server.server_port}/{link.rpartition('/')[2]}")
        agree(page)
        go_on(page, "Are your headphones on?")
        heading(page, "Which one had the tone?")
        page.add_init_script(f'window.simulatedListener = {{mode: "data-only", answer: {answer}}};')
        page.keyboard.press(right[experiment.trials(1)[0].stimulus])
        heading(page, "What to do")
        page.reload()
        heading(page, "Your answers are saved.")
        with page.expect_download() as download:
            page.get_by_role("button").click()
        download.value.save_as(tmp_path / "answers.jsonl")
        assert complaints == []
    server.shutdown()
    server.server_close()
    store = Store(tmp_path / "answers.db", experiment)
    collect(experiment, [tmp_path / "answers.jsonl"], store)
    store.close()
    found = read_answers(tmp_path / "answers.db", experiment)
    assert [a.answer for a in found.answers(1)] == [right[trial.stimulus] for trial in experiment.trials(1)]
    assert found.listeners[0].finished
