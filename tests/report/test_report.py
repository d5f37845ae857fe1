"""The report without a browser: what it draws, what it keeps, what it refuses."""

import json
import os
import re

import numpy as np
import pytest
import scipy.io.wavfile
from command_line import refused
from PIL import Image
from tiny_plan import write_plan
from tiny_report import HOSTILE, write_folder

import audiometamer as am
from audiometamer.cli import main
from audiometamer.cochleagram import Cochleagram
from audiometamer.metamers.results import iterate_results
from audiometamer.report.report import make_report
from audiometamer.report.thumbnails import Painter
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.run import run

RATE = 16_000


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "metamers", clips=["vowel"], models=["tiny"], layers=["relu0", "final"], seeds=[0])


def data_of(page):
    return json.loads(re.search(r'id="data">(.*)</script>', page.read_text())[1])


def brightness(picture):
    """Of the magma colours, [shape=(rows, columns)], low rows first."""
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB")).astype(int).sum(axis=2)[::-1]


def test_the_command_writes_a_page_and_pictures_beside_it(folder, capsys):
    assert main(["report", str(folder)]) == 0
    assert f"report: {folder / 'report.html'}" in capsys.readouterr().out
    pictures = sorted(p.relative_to(folder / "report_files").as_posix() for p in folder.glob("report_files/**/*.png"))
    assert pictures == ["vowel/tiny/final_seed0.png", "vowel/tiny/original.png", "vowel/tiny/relu0_seed0.png"]
    data = data_of(folder / "report.html")
    row = data["metamers"][0]
    assert (row["layer"], row["seed"], row["verdict"]) == ("final", 0, "passed")
    assert row["signal"]["url"] == "vowel/tiny/final_seed0.wav"
    record = json.loads((folder / "vowel" / "tiny" / "final_seed0.json").read_text())
    assert row["attempts"][0]["losses"] == pytest.approx(record["tries"][0]["losses"], rel=1e-2)
    assert row["similarity"]["relu1"][2] == pytest.approx(record["similarity"]["relu1"]["pearson_r2"], abs=1e-4)


def test_labels_come_with_their_probabilities_and_limits(folder):
    record = folder / "vowel" / "tiny" / "final_seed0.json"
    found = json.loads(record.read_text())
    found["verdict"]["labels"] = {"word": ["yes", "no"]}
    earlier = {name: value for name, value in found.items() if name not in ("probabilities", "classes", "limits")}
    record.write_text(json.dumps(earlier))
    assert data_of(make_report(folder))["metamers"][0]["labels"][0][3:] == ["", ""]  # a record of version 0.1
    found |= {"probabilities": {"word": [0.971, 0.434]}, "classes": {"word": 16}, "limits": ["Knows 16 words."]}
    record.write_text(json.dumps(found))
    data = data_of(make_report(folder))
    assert data["metamers"][0]["labels"] == [["word", "yes", "no", "0.97; 0.43", "16"]]
    assert data["originals"][0]["notices"][-1] == "tiny: Knows 16 words."


def test_a_page_elsewhere_finds_its_sounds(folder, tmp_path):
    page = make_report(folder, out=tmp_path / "pages" / "all of it.html")
    signal = data_of(page)["metamers"][0]["signal"]
    assert signal["url"] == "../metamers/vowel/tiny/final_seed0.wav"
    assert signal["picture"] == "all%20of%20it_files/vowel/tiny/final_seed0.png"
    assert (tmp_path / "pages" / "all of it_files" / "vowel" / "tiny" / "final_seed0.png").exists()


def test_nothing_in_the_data_ends_its_block(tmp_path):
    folder = write_folder(tmp_path / "metamers", clips=[HOSTILE], models=["tiny"], layers=["final"], seeds=[0])
    page = make_report(folder)
    assert page.read_text().count("</script>") == 2
    assert data_of(page)["originals"][0]["clip"] == HOSTILE


def test_the_same_folder_gives_the_same_page_and_pictures_are_kept(folder):
    page = make_report(folder)
    picture = folder / "report_files" / "vowel" / "tiny" / "relu0_seed0.png"
    before, drawn = page.read_bytes(), picture.stat().st_ino
    assert make_report(folder).read_bytes() == before
    assert picture.stat().st_ino == drawn
    make_report(folder, redraw=True)
    assert picture.stat().st_ino != drawn


def test_a_changed_sound_is_drawn_again(folder):
    make_report(folder)
    wav, picture = (folder / part / "vowel" / "tiny" / "relu0_seed0" for part in (".", "report_files"))
    before = picture.with_suffix(".png").read_bytes()
    noise = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    scipy.io.wavfile.write(wav.with_suffix(".wav"), 4000, noise)
    make_report(folder)
    assert picture.with_suffix(".png").read_bytes() != before


def test_a_cochleagram_shows_tones_at_their_frequency_and_clicks_at_their_time(tmp_path):
    t = np.arange(RATE) / RATE
    click = np.zeros(RATE, dtype=np.float32)
    click[3 * RATE // 4] = 1
    sounds = {"tone": np.sin(2 * np.pi * 2000 * t).astype(np.float32), "click": click, "silence": np.zeros(RATE, np.float32)}
    wavs, pictures = ([tmp_path / f"{name}.{ending}" for name in sounds] for ending in ("wav", "png"))
    for path, samples in zip(wavs, sounds.values(), strict=True):
        am.write_wav(path, samples, RATE)
    Painter().draw(wavs, pictures)
    tone, click_picture, silence = (brightness(picture) for picture in pictures)
    centres = Cochleagram.for_rate(RATE).center_frequencies()
    row = tone.sum(axis=1).argmax()
    assert np.interp(row + 0.5, np.linspace(0, len(tone), len(centres)), centres) == pytest.approx(2000, rel=0.05)
    column = click_picture.sum(axis=0).argmax()
    assert (column + 0.5) / click_picture.shape[1] == pytest.approx(0.75, abs=0.01)
    assert silence.max() == silence.min() < tone.max()
    assert all(picture.stat().st_size < 10_000 for picture in pictures)


def test_the_shortest_sound_and_silence_are_drawn_too(tmp_path):
    am.write_wav(tmp_path / "short.wav", np.zeros(512, dtype=np.float32), RATE)
    Painter().draw([tmp_path / "short.wav"], [tmp_path / "short.png"])
    assert brightness(tmp_path / "short.png").shape[1] > 1


def test_one_nearly_silent_sound_does_not_turn_all_others_down(tmp_path):
    folder = write_folder(tmp_path / "metamers", clips=["vowel"], models=["tiny"], layers=["relu0"], seeds=[0, 1, 2, 1000])
    data = data_of(make_report(folder))
    levels = sorted(row["signal"]["rms"] for row in data["metamers"])
    assert data["level"] == levels[1]  # the faintest, of seed 1000, is 60 dB below


def test_a_file_that_it_did_not_make_is_never_replaced(folder, capsys):
    page = folder / "report.html"
    page.write_text("my notes")
    for more in ((), ("--overwrite",)):
        error = refused(capsys, "report", folder, *more)
        assert (
            error == f"audiometamer: error: {page} was not made by audiometamer report and is not replaced; choose another --out"
        )
    assert page.read_text() == "my notes"
    assert "is a folder; --out takes the name of a file" in refused(capsys, "report", folder, "--out", folder)


def test_a_picture_that_it_did_not_draw_is_never_replaced(folder, capsys):
    picture = folder / "report_files" / "vowel" / "tiny" / "original.png"
    picture.parent.mkdir(parents=True)
    Image.new("L", (3, 3)).save(picture)
    before = picture.read_bytes()
    assert f"{picture} is in the way" in refused(capsys, "report", folder, "--overwrite")
    assert picture.read_bytes() == before


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "vowel/tiny/final_seed0.json").write_text("{"), r"final_seed0\.json is not the record of a metamer"),
        (lambda f: (f / "vowel/tiny/final_seed0.wav").write_bytes(b"no sound"), r"final_seed0\.wav cannot be read as audio"),
        (lambda f: (f / "evaluation.tsv").write_text("a\tb\n1\n"), r"evaluation\.tsv, line 2: 1 cell; there should be 2"),
        (lambda f: (f / "curve.png").write_bytes(b"no picture"), r"curve\.png is not a picture"),
    ],
)  # fmt: skip
def test_what_is_corrupt_is_one_line(folder, capsys, spoil, words):
    spoil(folder)
    assert re.search(words, refused(capsys, "report", folder))
    assert not (folder / "report.html").exists()


def test_a_record_of_another_version_says_so(folder, capsys):
    path = folder / "vowel" / "tiny" / "final_seed0.json"
    record = json.loads(path.read_text())
    record["versions"]["audiometamer"] = "7.0"
    path.write_text(json.dumps(record | {"aura": 1}))
    assert re.search(
        r"is not the record of a metamer of this version \(\S+; 7\.0 wrote it\): .*aura", refused(capsys, "report", folder)
    )


def test_a_folder_without_an_evaluation_is_refused_where_one_was_named(folder, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    error = refused(capsys, "report", folder, "--evaluation", tmp_path / "elsewhere")
    assert "elsewhere holds no evaluation.tsv and no PNG; give the --out folder of audiometamer evaluate" in error


def test_the_evaluation_may_lie_elsewhere(folder, tmp_path):
    other = tmp_path / "evaluation"
    other.mkdir()
    Image.new("RGB", (30, 20)).save(other / "recognition_by_layer.png")
    (other / "evaluation.tsv").write_text("model\taccuracy\ntiny\t0.5\n")
    shown = data_of(make_report(folder, evaluation=other))["evaluation"]
    assert shown["pictures"] == [
        {"name": "recognition by layer", "url": "../evaluation/recognition_by_layer.png", "width": 30, "height": 20}
    ]
    assert (shown["columns"], shown["rows"]) == (["model", "accuracy"], [["tiny", "0.5"]])


def test_missing_sounds_are_named(folder, capsys):
    (folder / "vowel" / "tiny" / "original.wav").unlink()
    assert main(["report", str(folder)]) == 0
    assert f"note: 1 file(s) are missing in {folder}: vowel/tiny/original.wav" in capsys.readouterr().err
    assert data_of(folder / "report.html")["missing"] == ["vowel/tiny/original.wav"]


def edit_index(folder, change):
    index = folder / "index.tsv"
    index.write_text(change(index.read_text()))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: edit_index(f, lambda text: text.split("\n")[0]),
        lambda f: edit_index(f, lambda text: "\n".join(text.split("\n")[:-2])),
        lambda f: edit_index(f, lambda text: text.replace("\tattempt\t", "\t").replace("\tfirst\t", "\t")),  # of version 0.1
        lambda f: edit_index(f, lambda _: ""),
    ],
)
def test_the_list_is_made_of_the_records_and_not_needed(folder, spoil, capsys):
    spoil(folder)
    assert main(["report", str(folder)]) == 0
    assert [row["layer"] for row in data_of(folder / "report.html")["metamers"]] == ["final", "relu0"]
    assert "note:" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "note", "shown"),
    [
        (lambda f: (f / "index.tsv").unlink(), "it has no index.tsv yet: the run that makes it was interrupted", 2),
        (
            lambda f: (f / "vowel/tiny/relu1_seed0.unfinished.safetensors").touch(),
            "1 of its metamers are not made",
            2,
        ),
        (lambda f: (f / "vowel/tiny/final_seed0.json").unlink(), "1 metamers that index.tsv lists have no record any more", 1),
    ],
)
def test_what_is_not_finished_is_shown_as_far_as_it_is(folder, spoil, note, shown, capsys):
    spoil(folder)
    assert main(["report", str(folder)]) == 0
    assert len(data_of(folder / "report.html")["metamers"]) == shown
    error = capsys.readouterr().err
    assert note in error
    assert error.count("note:") == 1


def test_a_set_has_the_same_page_and_on_demand_the_same_figures(tmp_path, capsys):
    path = write_plan(tmp_path, n_clips=2)
    run(expand(read_plan(path)), device="cpu")
    assert main(["report", str(tmp_path / "set")]) == 0
    data = data_of(tmp_path / "set" / "report.html")
    items = list(iterate_results(tmp_path / "set"))
    assert [(row["layer"], row["seed"], row["attempt"]) for row in data["metamers"]] == 2 * [
        ("relu0", 0, "first"), ("relu0", 1, "first"),
    ]  # fmt: skip
    assert [row["original"] for row in data["metamers"]] == [0, 0, 1, 1]
    for row, item in zip(data["metamers"], items, strict=True):
        assert (row["signal"]["name"], row["record"]) == (item.file, item.record)
        assert data["originals"][row["original"]]["signal"]["name"] == item.original
        assert (tmp_path / "set" / row["signal"]["picture"]).exists()
    assert [original["figure"] for original in data["originals"]] == [None, None]
    assert main(["report", str(tmp_path / "set"), "--figures"]) == 0
    figures = [original["figure"] for original in data_of(tmp_path / "set" / "report.html")["originals"]]
    assert figures == [f"report_files/items/c{k}/tiny/figure.png" for k in range(2)]
    with Image.open(tmp_path / "set" / figures[0]) as image:
        assert image.size[0] == 1100
    assert main(["stimuli", "verify", str(tmp_path / "set")]) == 0  # what is drawn of a set is no part of it
    capsys.readouterr()


def test_the_records_own_words_are_not_the_lists(tmp_path):
    """A record of the first version: attempts that were left out are counted in `kept`; its SNR says which it was."""
    folder = write_folder(tmp_path / "metamers", clips=["vowel"], models=["tiny"], layers=["relu0"], seeds=[0])
    path = folder / "vowel" / "tiny" / "relu0_seed0.json"
    record = json.loads(path.read_text())
    tried = record["tries"][0] | {"attempt": "longer: growth, then momentum"}
    for field in ("continues", "layer"):
        del tried[field]
    path.write_text(json.dumps(record | {"tries": [tried | {"snr_db": -1.0}, tried], "kept": 3}))
    (row,) = data_of(make_report(folder))["metamers"]
    assert (row["kept"], row["attempt"]) == (1, "new noise")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("nowhere", "nowhere does not exist; give the --out folder of `audiometamer synth`, or a set"),
        ("metamers/index.tsv", "index.tsv is a file; give the --out folder"),
        ("metamers/vowel", r"vowel lies in a folder of metamers; give that: .*metamers"),
        ("metamers/vowel/tiny", r"tiny lies in a folder of metamers; give that: .*metamers"),
        (".", r"holds folders of metamers \(metamers\); give one of them"),
        ("empty", "empty holds no metamers; give the --out folder"),
        ("evaluation", "evaluation is an evaluation, no folder of metamers"),
        ("planned", "planned holds no finished metamer yet; the command that made it resumes"),
    ],
)
def test_another_folder_is_told_what_it_is(folder, tmp_path, capsys, given, words):
    (tmp_path / "empty").mkdir()
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "evaluation.tsv").write_text("")
    if given == "planned":
        (tmp_path / "planned" / "items").mkdir(parents=True)
    assert re.search(words, refused(capsys, "report", tmp_path / given))


def test_only_pictures_whose_sound_changed_in_time_are_drawn(folder):
    make_report(folder)
    wav = folder / "vowel" / "tiny" / "relu0_seed0.wav"
    pictures = {p: p.stat().st_ino for p in folder.glob("report_files/**/*.png")}
    os.utime(wav, (1, 1))  # restored from an archive, say: older than before
    make_report(folder)
    assert [p.name for p, drawn in pictures.items() if p.stat().st_ino != drawn] == ["relu0_seed0.png"]
