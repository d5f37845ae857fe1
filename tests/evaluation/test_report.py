"""The report without a browser: what it draws, what it keeps, what it refuses."""

import json
import os
import re

import numpy as np
import pytest
import scipy.io.wavfile
from command_line import refused
from PIL import Image
from tiny_report import HOSTILE, write_folder

import audiometamer as am
from audiometamer.cli import main
from audiometamer.cochleagram import Cochleagram
from audiometamer.evaluation.report import make_report
from audiometamer.evaluation.thumbnails import Painter

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


def edit_index(folder, old, new):
    index = folder / "index.tsv"
    index.write_text(index.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda f: (f / "index.tsv").unlink(), r"index\.tsv does not exist; it is written when synth has finished"),
        (lambda f: (f / "index.tsv").write_bytes(b"\xff\xfe\x00"), r"index\.tsv cannot be read as a table: .*utf-8"),
        (lambda f: (f / "index.tsv").write_bytes(b""), r"index\.tsv is no list of metamers of this version"),
        (lambda f: edit_index(f, "\tseed\t", "\tseeds\t"), r"its columns differ \(seed, seeds\)"),
        (lambda f: edit_index(f, "\tpassed", ""), r"index\.tsv, line 2: 17 cells; there should be 18"),
        (lambda f: edit_index(f, "vowel/tiny/final", "../../final"), r"line 2: \.\./\.\./final_seed0.wav lies outside"),
        (lambda f: edit_index(f, "vowel/tiny/final", "/etc/final"), r"line 2: /etc/final_seed0.wav lies outside"),
        (lambda f: (f / "index.tsv").write_text((f / "index.tsv").read_text().split("\n")[0]), r"lists no metamers"),
        (lambda f: (f / "vowel/tiny/final_seed0.json").unlink(), r"final_seed0\.json is not the record .*No such file"),
        (lambda f: (f / "vowel/tiny/final_seed0.json").write_text("{"), r"final_seed0\.json is not the record of a metamer"),
        (lambda f: (f / "vowel/tiny/final_seed0.wav").write_bytes(b"no sound"), r"final_seed0\.wav cannot be read as audio"),
        (lambda f: (f / "evaluation.tsv").write_text("a\tb\n1\n"), r"evaluation\.tsv, line 2: 1 cells; there should be 2"),
        (lambda f: (f / "curve.png").write_bytes(b"no picture"), r"curve\.png is not a picture"),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*are left out:audiometamer.AudioMetamerWarning")
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


def test_metamers_that_the_list_does_not_hold_are_told(folder, capsys):
    lines = (folder / "index.tsv").read_text().splitlines(keepends=True)
    (folder / "index.tsv").write_text("".join(lines[:-1]))
    assert main(["report", str(folder)]) == 0
    assert f"note: 1 metamers in {folder} are left out: they are not in its index.tsv" in capsys.readouterr().err


def test_only_pictures_whose_sound_changed_in_time_are_drawn(folder):
    make_report(folder)
    wav = folder / "vowel" / "tiny" / "relu0_seed0.wav"
    pictures = {p: p.stat().st_ino for p in folder.glob("report_files/**/*.png")}
    os.utime(wav, (1, 1))  # restored from an archive, say: older than before
    make_report(folder)
    assert [p.name for p, drawn in pictures.items() if p.stat().st_ino != drawn] == ["relu0_seed0.png"]
