"""Sets of sounds that tell models apart: made whole, scored as written, resumed, verified, and never overwritten."""

import csv
import json
import shutil
import warnings

import numpy as np
import pytest
import scipy.io.wavfile
import tiny_comparisons
import torch
from command_line import refused
from tiny_comparisons import write_comparison_plan

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerWarning
from audiometamer.models.recording import record as recorded
from audiometamer.stimuli.comparison_records import iterate_comparisons, read_comparison
from audiometamer.stimuli.set import write_set
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import verify

MODELS = [tiny_comparisons.first(), tiny_comparisons.second(), tiny_comparisons.third()]


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """All kinds, of one clip and two words."""
    path = write_comparison_plan(tmp_path_factory.mktemp("comparisons"), n_clips=1)
    path.write_text(path.read_text().replace('kind = "controversial"', 'kind = "controversial"\nwords = ["yes", "no"]'))
    return path


@pytest.fixture(scope="module")
def whole(plan):
    main(["run", str(plan), "--device", "cpu"])
    return plan.parent / "set"


def index(folder):
    with (folder / "index.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def numbers(cell):
    return [float(value) for value in cell.split("|")]


def as_read(path):
    rate, samples = scipy.io.wavfile.read(path)
    assert (rate, samples.dtype) == (1000, np.int16)
    return torch.from_numpy(samples / 32768)


def test_every_kind_is_made_and_listed(whole):
    rows = index(whole)
    made = {(row["kind"], row["of"]) for row in rows}
    assert {kind for kind, _ in made} == set(tiny_comparisons.KINDS)
    assert len(made) == 18  # each kind of three layers, or of three pairs
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in tiny_comparisons.KINDS}
    assert counts == {"eigendistortions": 6, "finite": 6, "principal": 6, "mad": 12, "controversial": 6, "distant": 9}
    assert read_status(whole).made == read_status(whole).total == 3 * 5 + 6
    assert not list(verify(whole))
    assert "CC0" in (whole / "LICENCES.tsv").read_text()
    assert "sounds that tell models apart" in (whole / "README.md").read_text().lower()


def test_distances_are_those_of_the_written_sounds(whole):
    for row in (row for row in index(whole) if row["kind"] in ("finite", "mad")):
        sound, original = (as_read(whole / row[name]).float()[None] for name in ("file", "original"))
        for distance, model in zip(numbers(row["distances"]), MODELS, strict=True):
            a, b = (recorded(model, x, "hidden") for x in (sound, original))
            assert distance == pytest.approx(float((a - b).square().mean().sqrt()), rel=1e-3)


def test_distortions_have_their_level_and_mad_sounds_their_distance(whole):
    for row in index(whole):
        if row["kind"] in ("eigendistortions", "finite", "principal"):
            change = as_read(whole / row["file"]) - as_read(whole / row["original"])
            level = 10 * float(torch.log10(change.square().mean() / as_read(whole / row["original"]).square().mean()))
            assert level == pytest.approx(-10, abs=0.1)
        if row["kind"] == "mad":
            assert abs(float(row["drift"])) <= 0.01
            assert row["verdict"] == "passed"


def test_each_end_is_on_its_side(whole):
    """The most noticeable change moves its own layer further than the least; so do the farthest and the nearest sound."""
    rows = index(whole)
    for kind, ends in (("finite", ("most", "least")), ("mad", ("farthest", "nearest"))):
        for row in (row for row in rows if row["kind"] == kind and row["file"].rpartition("/")[2].startswith(ends[0])):
            name = row["file"].rpartition("/")[2].removeprefix(ends[0])
            other = next(r for r in rows if r["key"] == row["key"] and r["file"].endswith(f"/{ends[1]}{name}"))
            optimised = f"{name[1:].partition('_')[0]}:hidden" if kind == "mad" else row["of"]
            k = row["representations"].split("|").index(optimised)
            assert numbers(row["distances"])[k] > numbers(other["distances"])[k]


def test_controversial_scores_are_those_of_the_written_sounds(whole):
    for row in (row for row in index(whole) if row["kind"] == "controversial"):
        sound = as_read(whole / row["file"]).float()[None]
        words = [tiny_comparisons.WORDS.index(word) for word in row["words"].split("|")]
        chances = [torch.softmax(model(sound), -1)[0] for model in MODELS]
        assert numbers(row["first_scores"]) == pytest.approx([float(p[words[0]]) for p in chances], abs=1e-4)
        a, b = (chances[[model.name for model in MODELS].index(name)] for name in row["of"].split("|"))
        score = min(float(x) for x in (a[words[0]], 1 - b[words[0]], 1 - a[words[1]], b[words[1]]))
        assert float(row["score"]) == pytest.approx(score, abs=1e-4)
        assert row["verdict"] == ("passed" if score >= 0.75 else "failed")


@pytest.fixture
def copy(plan, whole, tmp_path):
    shutil.copytree(plan.parent, tmp_path / "copy")
    return tmp_path / "copy"


def test_what_is_there_stays_and_what_is_missing_is_made_again(copy, capsys):
    folder = copy / "set"
    kept, lost = [at for at, record in iterate_comparisons(folder) if record.kind == "principal"][:2]
    before = {path: path.stat().st_mtime_ns for path in kept.iterdir()}
    samples = {path.name: path.read_bytes() for path in lost.glob("*.wav")}
    edited = next(at for at, record in iterate_comparisons(folder) if record.kind == "finite") / "item.json"
    good = edited.read_text()
    shutil.rmtree(lost)
    assert read_status(folder).counts["to do"] == 1
    main(["run", str(copy / "plan.toml"), "--device", "cpu"])
    assert {path: path.stat().st_mtime_ns for path in kept.iterdir()} == before
    assert {path.name: path.read_bytes() for path in lost.glob("*.wav")} == samples
    assert not list(verify(folder))
    edited.write_text(good.replace('"passed": null', '"passed": true'))
    with pytest.warns(AudioMetamerWarning, match="changed since the last manifest, and not by a run"):
        write_set(folder)
    assert [found.kind for found in verify(folder)] == ["changed"]
    assert len(list(folder.glob("plan*.toml"))) == 1


def test_a_changed_sound_is_found_and_made_again_beside_the_broken_one(copy, capsys):
    folder = copy / "set"
    at, record = next(iterate_comparisons(folder))
    sound = at / record.sounds[0].file
    good = sound.read_bytes()
    sound.write_bytes(good[:-2] + b"\0\1")
    assert [(found.kind, found.file) for found in verify(folder)] == [("changed", sound.relative_to(folder).as_posix())]
    main(["run", str(copy / "plan.toml"), "--device", "cpu"])
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note:")]
    assert len(notes) == 1
    assert "is not what its record says; the item is made again" in notes[0]
    assert sound.read_bytes() == good
    assert sound.with_name(f"{sound.name}.broken").exists()
    assert read_comparison(at, whole=True) is not None


def test_a_killed_run_leaves_nothing_that_counts(copy):
    folder = copy / "set"
    at = next(iterate_comparisons(folder))[0]
    (at / "item.json").unlink()  # written last
    assert read_status(folder).counts["to do"] == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", AudioMetamerWarning)
        main(["stimuli", "index", str(folder)])
    assert at.relative_to(folder).as_posix() not in {row["file"].rpartition("/")[0] for row in index(folder)}


def test_an_item_that_cannot_be_made_stops_nothing(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "eigendistortions", n_clips=1)
    path.write_text(path.read_text().replace("levels = [-10]", "levels = [60]"))  # it clips in 16 bits
    main(["run", str(path), "--device", "cpu"])
    status = read_status(tmp_path / "set")
    assert status.counts["error"] == 3
    assert "and clips; lower its level" in status.errors[0].message


def test_metamers_and_such_sounds_do_not_share_a_folder(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "mad", n_clips=1)
    (tmp_path / "set" / "items").mkdir(parents=True)
    assert "holds metamers; give the plan another output" in refused(capsys, "run", str(path), "--device", "cpu")


def test_the_record_names_what_determined_the_sounds(whole):
    at, record = next((at, record) for at, record in iterate_comparisons(whole) if record.kind == "mad")
    content = json.loads((at / "item.json").read_text())
    assert content["settings"] == {"kind": "mad", "noise": -10.0, "steps": 10}
    assert content["weights"] == {model.name: model.weights_sha256() for model in MODELS}
    assert at.relative_to(whole).as_posix() == record.folder
