"""Explorations of images: built, served, and seen on the real page in Chromium, pixel by pixel."""

import io
import json
import re
import shutil

import numpy as np
import pytest
import tiny_exploration
from page_session import PageSession
from PIL import Image
from playwright.sync_api import expect, sync_playwright
from starlette.testclient import TestClient
from tiny_built import SERVE, of_kind, presented, take, write_design
from tiny_experiment import form_message
from tiny_ladder import image, record, write_ladder, write_moved_stimulus

from audiometamer.dimensions.dimensions import folder_of_layer
from audiometamer.dimensions.ladder_plan import read_ladder_plan
from audiometamer.dimensions.ladder_run import run_ladder
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration import build as building
from audiometamer.exploration.build import build
from audiometamer.exploration.folder import read_exploration
from audiometamer.listening.app import create_app
from audiometamer.listening.client import Client
from audiometamer.listening.reading import read_answers
from audiometamer.listening.rehearsal import address_of, start_server
from audiometamer.listening.responders import IdealListener
from audiometamer.listening.simulated import take_part
from audiometamer.listening.store import Store
from audiometamer.listening.trials import interval_order
from audiometamer.signals.images import write_png

DIMENSIONS = ("relu/0/+", "relu/0/-")
DESIGN = """
title = "How far?"
listeners = 3
seed = 1

[ladder]
folder = "ladder"

[procedure]
reversals = 3
discard = 1
max_trials = 4

[task]
gap = 0.1

[images]
seconds = 0.15

[practice]
trials = 1

[catch]
every = 4
"""
ONLINE = """
title = "How far?"
listeners = 1

[ladder]
folder = "ladder"

[procedure]
steps = [1.3]
reversals = 3
discard = 1
max_trials = 3

[making]
way = "online"
dimensions = "dimensions"
model = "tiny_exploration:image_model"
longest_wait = 30

[practice]
trials = 0

[catch]
every = 0
"""
PLAN = """
model = "tiny_exploration:image_model"
signals = ["references"]
choose = ["relu/0/+"]
changes = [0.2, 0.5]
steps = 5
"""
# What is on the canvas whenever another interval is marked, and whenever it is cleared.
SEEN = """
window.seen = [];
for (const name of ["drawImage", "clearRect"]) {
  const real = CanvasRenderingContext2D.prototype[name];
  CanvasRenderingContext2D.prototype[name] = function (...a) {
    real.apply(this, a);
    const { data, width, height } = this.getImageData(0, 0, this.canvas.width, this.canvas.height);
    seen.push({ name, width, height, pixels: [...data], css: this.canvas.getBoundingClientRect().width });
  };
}
"""


@pytest.fixture
def without_page(monkeypatch):
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())


def images_design(folder, text=DESIGN, signal=image):
    write_ladder(folder / "ladder", DIMENSIONS, ("cat", "house"), (0.1, 0.2, 0.4, 0.8), signal)
    return write_design(folder, text)


@pytest.fixture(scope="module")
def exploration(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    build(images_design(folder), folder / "built")
    return folder / "built"


def in_8_bits(pixels):
    """Values in [0, 1] as a screen shows them, [shape=(channels, rows, columns)]."""
    return np.floor(255 * pixels.double().numpy() + 0.5).astype(np.uint8)


def test_what_lies_in_the_folder(exploration):
    assert {path.name for path in exploration.iterdir()} == {
        "design.toml", "key.json", "ladder", "lists.json", "names.key", "page", "results.secret", "texts"
    }  # fmt: skip
    assert "three images" in (exploration / "texts" / "instructions.md").read_text()
    assert "sound" not in "".join(path.read_text() for path in (exploration / "texts").iterdir())
    read = read_exploration(exploration)
    assert (read.design.images.seconds, read.design.images.scale) == (0.15, 100), "4 columns fit a hundred times into 400"
    assert (read.design.headphone_trials, read.trials(1), read.sounds) == (0, [], {})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("task", ["abx", "odd-one-out"])
def test_the_images_of_a_trial(tmp_path, without_page, channels, task):
    text = DESIGN.replace("gap = 0.1", f'gap = 0.1\nkind = "{task}"')
    course = build(images_design(tmp_path, text, lambda clip: image(clip, channels)), tmp_path / "built").sequence
    for one in take(course, trials=12):
        about = presented(one.decided)
        pair = [image(about.reference, channels) for _ in range(2)]
        pair[1].view(-1)[0] = about.made
        order, right = interval_order(task, about.arrangement)
        found = Image.open(io.BytesIO(course.stimulus(one.decided)))
        expected = np.concatenate([in_8_bits(pair[k]) for k in order], axis=1).transpose(1, 2, 0)
        assert (found.mode, one.decided.answer) == ("L" if channels == 1 else "RGB", right)
        np.testing.assert_array_equal(np.asarray(found).reshape(expected.shape), expected)
        assert about.rove_db == [0, 0, 0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[sounds]\nlevel = -40", "sounds"),
        ("[headphones]\ntrials = 3\nminimum = 2", "headphones"),
        ("[task]\nrove = 2", "task.rove"),
    ],
)
def test_what_is_for_sounds_is_refused(tmp_path, text, place):
    path = images_design(tmp_path, DESIGN.replace("[task]\ngap = 0.1", "") + text)
    with pytest.raises(AudioMetamerError) as found:
        build(path, tmp_path / "out")
    reported = f"{path}: {place}: {tmp_path / 'ladder'} holds images; this is for sounds"
    assert re.fullmatch(rf"{re.escape(reported)} \(line \d+\)", str(found.value))


@pytest.mark.parametrize(("text", "reported"), [("scale = 0", ">= 1"), ("seconds = 0", "> 0"), ("size = 3", "size")])
def test_settings_out_of_range(tmp_path, text, reported):
    path = images_design(tmp_path, DESIGN.replace("seconds = 0.15", text))
    with pytest.raises(AudioMetamerError, match=rf"images.*{reported}"):
        build(path, tmp_path / "out")


def test_images_that_cannot_be_shown(tmp_path, without_page):
    path = images_design(tmp_path)
    stimulus = write_moved_stimulus(tmp_path / "ladder", record(DIMENSIONS[0], "cat", 0.2), image("cat"))
    write_png(stimulus.path, image("cat")[:, :2])
    with pytest.raises(AudioMetamerError, match=r"0\.2\.png has shape \(1, 2, 4\) and its reference \(1, 3, 4\): make it again"):
        build(path, tmp_path / "out")
    stimulus.path.write_bytes(b"no image")
    with pytest.raises(AudioMetamerError, match=r"0\.2\.png, the signal of .*, is cut short"):
        build(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_the_server_tells(exploration, tmp_path):
    read = read_exploration(exploration)
    store = Store(tmp_path / "answers.db", read)
    bearing = {"Authorization": f"Bearer {store.enrol()}"}
    with TestClient(create_app(read, store)) as client:
        client.post("/api/messages", headers=bearing, json=form_message("consent"))
        session = client.get("/api/session", headers=bearing).json()
        name = client.get("/api/trials/1?waiting", headers=bearing).json()["trial"]["stimulus"]
        found = client.get(f"/images/{name}.png", headers=bearing)
        assert (found.headers["content-type"], found.content) == ("image/png", read.adaptive.stimulus(store.decided(1, 1)))
        for path in (f"/sounds/{name}.wav", "/sounds/calibrationnoise.wav", "/images/calibrationnoise.png", "/images/x.png"):
            assert client.get(path, headers=bearing).status_code == 404
    store.close()
    assert session["task"]["images"] == {"seconds": 0.15, "scale": 100}
    assert not [word for word in ("relu", "cat", "house", "ladder") if word in json.dumps(session)]


def test_images_made_online(tmp_path, without_page):
    """From dimensions to answers, with signals that are moved while somebody looks."""
    model = tiny_exploration.image_model()
    for clip in tiny_exploration.images(2, first=40):
        write_png(tmp_path / "references" / f"{clip.name}.png", clip.samples)
    for layer, found in tiny_exploration.image_dimensions(model).items():
        found.save(folder_of_layer(tmp_path / "dimensions", layer))
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    run_ladder(plan, read_ladder_plan(plan), device="cpu", workers=1)
    (tmp_path / "design.toml").write_text(ONLINE)
    build(tmp_path / "design.toml", tmp_path / "built")
    read = read_exploration(tmp_path / "built")
    database = tmp_path / "answers.db"
    store = Store(database, read)
    token = store.enrol()
    store.close()
    server = start_server(tmp_path / "built", database, serve=SERVE)
    try:
        with Client(address_of(server), token) as client:
            reply = IdealListener(read, database, lambda _: 1.0)
            assert take_part(client, reply, seed=0) == "finished"
    finally:
        server.kill()
        server.communicate()
    main = of_kind(read_answers(database, read).completed(1), "main")
    made = [about for about in main if about.way == "online"]
    assert made
    assert all(about.moved.startswith("made/") and about.moved.endswith(".png") for about in made)
    assert all(about.made == pytest.approx(about.requested, rel=1e-5) and about.reached > 0 for about in made)


@pytest.fixture(scope="module")
def browser():
    program = shutil.which("chromium")
    assert program, "these tests take part in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def session(browser, exploration, tmp_path):
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        one = PageSession(context, read_exploration(exploration), tmp_path / "answers.db", SERVE)
        yield one
        one.close()
    assert one.complaints == []


def press(page, heading):
    expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    page.locator("button.main").click()


def asked(page):
    expect(page.get_by_role("heading", name="Which image was the same as the last one?")).to_be_visible()


def test_what_is_seen(session):
    page = session.open(SEEN)
    press(page, "Before you begin")
    press(page, "What to do")  # no volume is set
    press(page, "Practice")
    asked(page)
    decided = session.store.decided(1, 1)
    seen = page.evaluate("seen")
    stacked = np.asarray(Image.open(io.BytesIO(session.experiment.adaptive.stimulus(decided))))
    drawn = [one for one in seen if one["name"] == "drawImage"]
    assert [(one["width"], one["height"], one["css"]) for one in drawn] == [(4, 3, 400)] * 3
    for k, one in enumerate(drawn):
        pixels = np.array(one["pixels"]).reshape(3, 4, 4)
        assert (pixels[..., 3] == 255).all()
        for colour in range(3):
            np.testing.assert_array_equal(pixels[..., colour], stacked[3 * k : 3 * k + 3])
    # Between two images and after the last there is nothing.
    names = [one["name"] for one in seen]
    assert names == ["clearRect", "drawImage"] * 1 + ["clearRect", "clearRect", "drawImage"] * 2 + ["clearRect"] * 2
    assert not any(any(one["pixels"]) for one in seen if one["name"] == "clearRect")

    page.keyboard.press(decided.answer)
    press(page, "Right")
    press(page, "The main part")
    asked(page)
    page.reload()
    press(page, "Welcome back")
    page.close()
    (answer,) = read_answers(session.database, session.experiment).answers(1)
    playback = answer.playback
    assert playback["width_px"] == 400
    assert 0 < playback["frame_ms"] < 100
    assert 100 < playback["shortest_ms"] <= playback["longest_ms"]


def test_images_that_are_interrupted_are_shown_again(session):
    page = session.open(
        SEEN
        + """
Object.defineProperty(document, "hidden", { get: () => window.away ?? false });
window.leave = () => { window.away = true; document.dispatchEvent(new Event("visibilitychange")); };
"""
    )
    press(page, "Before you begin")
    press(page, "What to do")
    press(page, "Practice")
    expect(page.locator(".intervals .now")).to_be_visible()
    page.evaluate("leave()")
    again = page.get_by_role("button", name="The images were interrupted. Show them again")
    expect(again).to_be_visible()
    page.evaluate("away = false")
    again.click()
    asked(page)
    page.keyboard.press("1")
    expect(page.locator("button.main")).to_be_visible()
    (answer,) = read_answers(session.database, session.experiment).answers(1)
    assert answer.plays == 2


def test_a_listener_who_goes_to_the_end(session):
    page = session.open("window.simulatedListener = {seconds: 0.1, answer: () => ({answer: '2', reaction_time_ms: 5})};")
    expect(page.get_by_role("heading", name="Your answers are saved.")).to_be_visible(timeout=60_000)
    heard = read_answers(session.database, session.experiment).completed(1)
    assert session.experiment.adaptive.next(1, heard) is None
    assert {one.decided.trial.kind for one in heard} == {"practice", "main", "catch"}
    assert all(one.correct == (one.decided.answer == "2") for one in heard)
