"""The report in a real browser: what a person sees, hears and types."""

import math
import re
import shutil
import time
from urllib.parse import unquote

import numpy as np
import pytest
import scipy.io.wavfile
from PIL import Image
from playwright.sync_api import sync_playwright
from tiny_report import HOSTILE, LAYERS, MODELS, SECONDS, SEEDS, write_folder

from audiometamer.metamers.index import write_index
from audiometamer.report.report import make_report

N_ROWS = 2 * len(LAYERS) * len(MODELS) * len(SEEDS)
PLAYING = "button.signal[aria-pressed=true]"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = write_folder(tmp_path_factory.mktemp("report") / "metamers")
    (folder / "evaluation.tsv").write_text("model\tlayer\taccuracy\ntiny\trelu0\t0.5\ntiny\trelu1\t0.25\nother\trelu0\t1\n")
    Image.new("RGB", (400, 200), "white").save(folder / "recognition.png")
    return make_report(folder)


@pytest.fixture(scope="module")
def browser():
    chromium = shutil.which("chromium")
    assert chromium, "these tests open the report in Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens a page; at the end, nothing may have complained, and nothing but files beside the page been asked for."""
    contexts, complaints, requests, roots = [], [], [], []

    def open_page(path, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        roots.append(path.parent.as_uri() + "/")
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.asked = requests
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(tuple(roots))] == []


@pytest.fixture
def page(opened, report):
    return opened(report, viewport={"width": 1440, "height": 900})


def column(page, name):
    return page.locator(f"#table td.{name}").all_inner_texts()


def player(page):
    return page.evaluate(
        "(({src, currentTime, duration, paused, volume}) => ({src, currentTime, duration, paused, volume}))(player)"
    )


def focused(page):
    return page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")


def until(page, condition, seconds=10):
    """Waits for a condition. Playwright's own wait evaluates strings in the page, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        assert time.monotonic() < end, condition
        page.wait_for_timeout(20)


def rms_of(url):
    _, samples = scipy.io.wavfile.read(unquote(url.removeprefix("file://")))
    return math.sqrt(float((samples.astype("float64") ** 2).mean()))


def test_a_float32_sound_plays_to_its_end(page):
    button = page.get_by_role("button", name="Play the metamer: relu0, seed 0, vowel, tiny", exact=True)
    button.click()
    until(page, "player.currentTime > 0.1")
    assert button.get_attribute("aria-pressed") == "true"
    assert player(page)["duration"] == pytest.approx(SECONDS, abs=1e-3)
    assert player(page)["src"].endswith("/vowel/tiny/relu0_seed0.wav")
    until(page, "player.ended")
    assert page.locator(PLAYING).count() == 0


def test_one_sound_at_a_time(page):
    page.locator("td.original button").first.click()
    until(page, "player.currentTime > 0.05")
    page.locator("td.metamer button").nth(1).click()
    until(page, "!player.paused && player.src.endsWith('seed1.wav')")
    assert page.locator(PLAYING).count() == 1
    assert page.locator("audio").count() == 1
    page.locator(PLAYING).click()
    assert player(page)["paused"]
    assert page.locator(PLAYING).count() == 0


def test_every_sound_is_played_at_the_same_level(page):
    levels = []
    for button in [*page.locator("td.metamer button").all()[:4], page.locator("td.original button").first]:
        button.click()
        now = player(page)
        assert 0 < now["volume"] <= 1
        levels.append(now["volume"] * rms_of(now["src"]))
    assert max(levels) / min(levels) == pytest.approx(1, rel=1e-3)
    shown = float(re.search(r"RMS of −([\d.]+) dB", page.inner_text("#level"))[1])
    assert -20 * math.log10(levels[0]) == pytest.approx(shown, abs=0.06)


def test_metamers_that_nobody_judged_are_counted_as_such(opened, page, tmp_path):
    """Seed 0 passes, seed 1 fails, and all others have no verdict."""
    n = N_ROWS // len(SEEDS)
    tally = f"{n} failed verdicts · {n * (len(SEEDS) - 2)} without a verdict"
    assert page.inner_text("#summary").endswith(f"{len(LAYERS)} layers · {tally}")
    alone = write_folder(tmp_path / "unjudged", clips=("vowel",), models=("tiny",), layers=("relu0",), seeds=(2,))
    assert opened(make_report(alone)).inner_text("#summary") == "1 metamer · 1 clip · 1 model · 1 layer · 1 without a verdict"


def test_filters_filter(page):
    assert page.inner_text("#count") == f"All {N_ROWS} metamers"
    page.select_option("#layer", "relu1")
    assert page.inner_text("#count") == f"{N_ROWS // 4} of {N_ROWS} metamers"
    assert set(column(page, "layer")) == {"relu1"}
    page.select_option("#verdict", "failed")
    assert column(page, "seed") == ["1"] * 4
    page.select_option("#model", "tiny-two")
    page.select_option("#clip", "vowel")
    assert page.locator("tr.row").count() == 1
    page.select_option("#seed", "0")
    assert page.inner_text("#count") == "No rows match these filters."
    page.get_by_role("button", name="Clear filters").click()
    page.fill("#text", "VOWEL seed 10 passed")
    assert page.locator("tr.row").count() == 0
    page.fill("#text", "tiny-two relu0 no verdict")
    assert {*column(page, "model"), *column(page, "layer")} == {"tiny-two", "relu0"}
    assert page.locator("tr.row").count() == 2


def test_columns_sort(page):
    def numbers():
        return [float(text.replace("∞", "inf")) for text in column(page, "snr")]

    heading = page.get_by_role("columnheader", name="SNR (dB)")
    assert heading.get_attribute("aria-sort") == "none"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers() == sorted(numbers())
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers() == sorted(numbers(), reverse=True)
    page.get_by_role("button", name="Layer", exact=True).click()
    assert heading.get_attribute("aria-sort") == "none"
    assert (
        column(page, "layer") == ["cochleagram"] * 12 + ["relu0"] * 12 + ["relu1"] * 12 + ["final"] * 4
    )  # as the network has them
    assert page.input_value("#sort") == "layer"
    page.get_by_role("button", name="Seed", exact=True).click()
    assert column(page, "seed") == ["0"] * 16 + ["1"] * 16 + ["10"] * 8  # as numbers


def test_pages_turn(page):
    assert page.locator("tr.row").count() == 40
    assert "1–40 of 48" in page.inner_text("#pager")
    page.get_by_role("button", name="Next").click()
    assert page.locator("tr.row").count() == N_ROWS - 40
    assert page.get_by_role("button", name="Next").is_disabled()


def test_the_keyboard_alone_does_everything(page):
    for _ in range(60):
        page.keyboard.press("Tab")
        if focused(page).startswith("Play"):
            break
    original = focused(page)
    assert original.startswith("Play the original")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")
    until(page, "player.currentTime > 0")
    page.keyboard.press("ArrowRight")
    assert ": cochleagram, seed 0" in focused(page)
    page.keyboard.press("Enter")
    until(page, "!player.paused && player.src.endsWith('cochleagram_seed0.wav')")
    page.keyboard.press("Escape")
    assert player(page)["paused"]
    page.keyboard.press("ArrowDown")
    assert ": cochleagram, seed 1" in focused(page)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("tr.details").count() == 1
    page.keyboard.press("Space")
    assert page.locator("tr.details").count() == 0
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert "41–48" in page.inner_text("#pager")
    assert focused(page).startswith("Details of")
    page.keyboard.press("ArrowUp")
    assert "1–40" in page.inner_text("#pager")
    page.keyboard.press("Shift+Tab")  # the rows are one stop
    assert page.evaluate("document.activeElement.className") == "sorter"


def test_details_tell_how_it_was_made(page):
    page.locator(".more").first.click()
    details = page.locator("tr.details")
    text = details.inner_text()
    for word in ("cochleagram (matched)", "final", "default, loss", "Attempt 1 (kept)", "20 steps", "RMS", "record"):
        assert word in text
    assert details.get_by_role("img").get_attribute("aria-label").startswith("Loss on a logarithmic axis")


def test_names_are_text_never_markup(page):
    assert page.inner_text("h1") == "metamers"
    page.select_option("#clip", HOSTILE)
    assert column(page, "clip")[0].replace("\n", "") == HOSTILE
    assert page.locator("img[src=x]").count() == 0


def test_sounds_too_faint_for_the_common_level_say_so(opened, tmp_path):
    folder = write_folder(tmp_path / "metamers", clips=["vowel"], models=["tiny"], layers=["relu0"], seeds=[0, 1, 2, 1000])
    page = opened(make_report(folder))
    assert page.locator(".faint").all_inner_texts() == ["−50 dB: fainter than the others"]  # 1001/3, to seed 2
    page.locator("tr.row", has=page.locator(".faint")).locator("td.metamer button").click()
    assert player(page)["volume"] == 1


def test_verdicts_by_layer_lead_to_their_metamers(page):
    chip = page.get_by_role("button", name="tiny-two, relu0: 2 of 4 passed; show these metamers")
    chip.click()
    assert page.inner_text("#count") == f"6 of {N_ROWS} metamers"


def test_the_evaluation_is_shown(page):
    picture = page.get_by_role("img", name="recognition")
    picture.scroll_into_view_if_needed()
    until(page, "document.querySelector('#pictures img').naturalWidth == 400")
    page.get_by_text("Table, 3 rows").click()
    page.locator("#evaluation-table").get_by_role("button", name="accuracy").click()
    assert page.locator("#evaluation-table td:nth-child(3)").all_inner_texts() == ["0.25", "0.5", "1"]
    page.fill("#evaluation-text", "OTHER")
    assert page.locator("#evaluation-table tbody tr").count() == 1


@pytest.mark.parametrize("width", [360, 800])
def test_a_narrow_window_has_no_sideways_scroll(opened, report, width):
    page = opened(report, viewport={"width": width, "height": 740}, has_touch=True)
    page.locator(".more").nth(1).tap()
    page.get_by_text("Table, 3 rows").tap()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("[...document.querySelectorAll('.details .wide')].every((e) => e.scrollWidth <= e.clientWidth)")
    page.select_option("#sort", "-seed")
    assert column(page, "seed")[0] == "10"
    page.locator("td.metamer button").first.tap()
    until(page, "player.currentTime > 0")


def test_sounds_and_pictures_are_loaded_when_they_are_wanted(opened, report):
    page = opened(report, viewport={"width": 1440, "height": 900})
    shown = page.evaluate("""async () => {
        const seen = [...document.images].filter((image) => image.getBoundingClientRect().top < innerHeight);
        await Promise.all(seen.map((image) => image.decode()));
        return seen.length;
    }""")
    assert shown
    assert not any(url.endswith(".wav") for url in page.asked)
    page.get_by_role("button", name="Next").scroll_into_view_if_needed()
    assert {"file"} == {url.split(":")[0] for url in page.asked}


def test_dark_and_light_follow_the_system(opened, report):
    backgrounds = {
        scheme: opened(report, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    brightness = {scheme: sum(map(int, re.findall(r"\d+", colour))) for scheme, colour in backgrounds.items()}
    assert brightness["light"] > 700 > 100 > brightness["dark"]


def test_nothing_else_may_run_or_be_loaded(browser, report):
    page = browser.new_page()
    page.goto(report.as_uri())
    refused = page.evaluate("""async () => {
        const refused = [];
        document.addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
        const script = document.createElement("script");
        script.textContent = "window.ran = true";
        const image = document.createElement("img");
        image.src = "http://127.0.0.1:9/picture.png";
        document.body.append(script, image);
        await fetch("http://127.0.0.1:9/").catch(() => null);
        await new Promise((resolve) => setTimeout(resolve, 100));
        return [window.ran ?? false, ...refused.sort()];
    }""")
    assert refused == [False, "connect-src", "img-src", "script-src-elem"]
    page.close()


def test_what_is_missing_is_named_and_pictures_and_arrays_have_links(opened, tmp_path):
    models = ["array", "image", "sound"]
    folder = write_folder(tmp_path / "metamers", clips=["vowel"], models=models, layers=["final"], seeds=[0])
    array, image = (folder / "vowel" / model for model in models[:2])
    for name in ("original", "final_seed0"):
        np.save(array / f"{name}.npy", np.zeros(1))
        Image.new("I;16", (8, 8), 40_000).save(image / f"{name}.png")
    for at, domain in ((array, "Real"), (image, "Image")):
        record = at / "final_seed0.json"
        text = re.sub(r'("(signal|original)_sha256"): "\w+"', r'\1: ""', record.read_text())  # of the sounds
        record.write_text(text.replace('"Waveform"', f'"{domain}"'))
    write_index(folder)
    missing = ["vowel/sound/original.wav", "vowel/sound/final_seed0.wav"]
    for name in missing:
        (folder / name).unlink()
    with pytest.warns(UserWarning, match=r"2 file\(s\) are missing in .*: " + ", ".join(map(re.escape, missing))):
        page = opened(make_report(folder))
    assert page.locator("#missing li").all_inner_texts() == missing
    assert page.locator(".absent").all_inner_texts() == [f"missing: {name}" for name in missing]
    picture = page.get_by_role("link", name="Open the picture: the metamer: final, seed 0, vowel, image")
    until(page, "document.querySelector('td.metamer a.picture img').naturalWidth == 8")
    assert picture.get_attribute("href") == "vowel/image/final_seed0.png"
    array_link = page.get_by_role("link", name="Download the metamer: final, seed 0, vowel, array")
    assert array_link.get_attribute("href") == "vowel/array/final_seed0.npy"
    assert page.inner_text("#level") == "In brackets after a label: its probability for the clip, then for the metamer."


def test_a_file_that_is_no_sound_is_shown_not_hidden(opened, tmp_path):
    folder = write_folder(tmp_path / "metamers", clips=["vowel"], models=["tiny"], layers=["final"], seeds=[0])
    path = make_report(folder)
    (folder / "vowel" / "tiny" / "final_seed0.wav").write_bytes(b"RIFF")
    page = opened(path)
    page.locator("td.metamer button").click()
    until(page, "document.getElementById('alert').textContent != ''")
    assert page.inner_text("#alert").startswith("vowel/tiny/final_seed0.wav could not be played")
    assert page.locator(PLAYING).count() == 0
