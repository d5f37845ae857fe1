"""What can go wrong while a set is made, for real: processes that are killed, disks that are full, clips that vanish."""

import csv
import json
import os
import random
import signal
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import faulty_runs
import numpy as np
import pytest
import soundfile
import tiny_stimuli
import torch
from command_line import refused
from msgspec.structs import replace
from msgspec.toml import encode
from processes import CONTEXT, finished, started
from tiny_plan import PLAN, write_plan

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerWarning
from audiometamer.io.files import is_temporary
from audiometamer.io.paths import printable
from audiometamer.io.tables import write_table
from audiometamer.metamers.layout import RECORD
from audiometamer.metamers.results import PlannedRow, iterate_results, read_planned
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard
from audiometamer.models.model_folder import build_model, save_weights
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.run import run
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import verify

# One attempt of two steps each: what is tested is not how they sound.
QUICK = PLAN.replace("steps = 20", 'steps = 2\nmethod = "feather2023"')
ONE_BY_ONE = QUICK.replace("batch_size = 2", "batch_size = 1")


def opened(path):
    return expand(read_plan(path))


def completed(folder):
    """Content and time of every file of the complete items."""
    found = [path for record in (folder / "items").glob(f"*/*/*/{RECORD}") for path in record.parent.iterdir()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found if not is_temporary(path.name)}


def assert_is_whole(folder):
    """Everything that the plan asks for is there once, and what the set says of itself is true."""
    made = sorted(item.key for item in iterate_results(folder))
    assert made == sorted(item.key for item in read_planned(folder))
    assert list(verify(folder)) == []
    with (folder / "index.tsv").open(newline="") as file:
        assert sorted(row["key"] for row in csv.DictReader(file, delimiter="\t")) == made
    assert not [path for path in folder.rglob(".*") if is_temporary(path.name) and path.parent.name != "claims"]
    assert not list((folder / "claims").glob("[!.]*"))


def assert_is_true_of_items(folder):
    """What a manifest, if there is one, says of items is so, though it may not know of the latest."""
    if (folder / "MANIFEST.sha256").exists():
        assert all(kind == "extra" or (kind == "changed" and "/" not in file) for kind, file in verify(folder))


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_make_nothing_twice(tmp_path):
    rng, folder, log = random.Random(0), tmp_path / "set", tmp_path / "log"
    path = write_plan(tmp_path, ONE_BY_ONE.replace("[0, 1]", "[0]"), n_clips=2)
    kept, seeds, kills, seconds = {}, [0], 0, 1.0
    while kills < 50:
        began = time.monotonic()
        if rng.random() < 0.5:
            process = started(faulty_runs.make, path, output=log)
            process.join(rng.uniform(0, seconds))
            process.kill()
        else:
            process = started(faulty_runs.make_until_killed, path, rng.randrange(50), rng.random() < 0.5, output=log)
        status = finished(process)
        now = completed(folder)
        assert kept.items() <= now.items(), "what was complete has been touched"
        kept = now
        if status == -signal.SIGKILL:
            kills += 1
            assert_is_true_of_items(folder)
            continue
        assert status == 0, log.read_text()
        assert_is_whole(folder)
        seconds = time.monotonic() - began
        seeds.append(len(seeds))  # there is more to do
        path.write_text(ONE_BY_ONE.replace("[0, 1]", str(seeds)))
    assert len(seeds) > 3, "some runs came to their end between the kills"
    assert main(["run", str(path), "--device", "cpu"]) == 0
    assert kept.items() <= completed(folder).items()
    assert_is_whole(folder)


@pytest.mark.parametrize(
    "run_on",
    [faulty_runs.make_on_a_full_disk, faulty_runs.make_on_a_disk_full_of_checkpoints, faulty_runs.make_on_a_read_only_disk],
)
def test_a_disk_that_is_full_or_read_only_is_reported_in_one_line(tmp_path, run_on):
    process = started(run_on, write_plan(tmp_path, ONE_BY_ONE), tmp_path / "set", output=tmp_path / "log")
    assert finished(process) == 0, (tmp_path / "log").read_text()


@pytest.mark.parametrize("jumping_clocks", [False, True])
def test_two_runs_at_once_make_every_item_once(tmp_path, jumping_clocks):
    path, notes = write_plan(tmp_path, PLAN.replace("batch_size = 2", "batch_size = 1")), [tmp_path / "a", tmp_path / "b"]
    gate, log = CONTEXT.Barrier(2), tmp_path / "log"
    both = [
        started(faulty_runs.make_and_note, path, note, gate, seed if jumping_clocks else None, output=log)
        for seed, note in enumerate(notes)
    ]
    assert [finished(process) for process in both] == [0, 0], log.read_text()
    assert all(note.exists() for note in notes), "both had something to do"
    made = [key for note in notes for key in note.read_text().split()]
    assert sorted(made) == sorted(item.key for item in read_planned(tmp_path / "set"))
    assert_is_whole(tmp_path / "set")


def test_a_clip_that_vanishes_or_changes_under_way_is_an_error_of_its_items_alone(tmp_path, capsys):
    path = write_plan(tmp_path, ONE_BY_ONE.replace("[0, 1]", "[0]"), n_clips=8)

    def spoil(share, message):
        (tmp_path / "c6.wav").unlink(missing_ok=True)
        (tmp_path / "c7.wav").write_bytes((tmp_path / "c0.wav").read_bytes())

    run(opened(path), device="cpu", progress=spoil)
    status = read_status(tmp_path / "set")
    assert (status.made, status.counts["error"]) == (6, 2)
    assert [(error.folder.split("/")[1], error.message) for error in status.errors] == [
        ("c6", f"{tmp_path}/c6.wav does not exist"),
        ("c7", f"{tmp_path}/c7.wav has changed since the run began; start the run again"),
    ]
    before = completed(tmp_path / "set")
    write_plan(tmp_path, path.read_text(), n_clips=8)  # as they were
    assert main(["run", str(path), "--device", "cpu"]) == 0
    assert "8 of 8 items" in capsys.readouterr().out
    assert before.items() <= completed(tmp_path / "set").items()
    assert not list(tmp_path.rglob("error.json"))
    assert_is_whole(tmp_path / "set")


def test_a_corrupt_clip_is_named_before_anything_is_made(tmp_path, capsys):
    path = write_plan(tmp_path)
    (tmp_path / "c1.wav").write_bytes((tmp_path / "c1.wav").read_bytes()[:-100])
    assert f"plan.toml: clips: {tmp_path}/c1.wav is truncated" in refused(capsys, "run", path, "--device", "cpu")
    (tmp_path / "c1.wav").write_bytes(b"RIFF" + bytes(100))
    assert f"plan.toml: clips: {tmp_path}/c1.wav cannot be read as audio" in refused(capsys, "run", path)
    assert not (tmp_path / "set").exists()


def write_model(folder, seed, *, with_card=True):
    """A model's folder with a small network of random weights."""
    card = Card(
        "small", 20_000, 0.25, 0.1, NetworkCard("CochCNN9", {"width": 0.02, "cochleagram_shape": [211, 40]}),
        FrontEndCard("feather2023"), WeightsCard("weights.safetensors", ""), {"word": ["yes", "no"]},
    )  # fmt: skip
    torch.manual_seed(seed)
    sha = save_weights(build_model(card).network, folder / "weights.safetensors")
    if with_card:
        (folder / "model.toml").write_bytes(encode(replace(card, weights=WeightsCard("weights.safetensors", sha))))


@pytest.mark.parametrize(
    ("with_card", "reported"),
    [
        (False, r"plan.toml: models[1].name: {folder}/weights.safetensors has SHA-256"),
        (True, "small has other weights than when the run began; start the run again"),
    ],
)
def test_a_model_whose_weights_change_under_way_makes_nothing(tmp_path, with_card, reported):
    path = write_plan(tmp_path, QUICK + '\n[[models]]\nname = "small"\n', n_clips=1)
    write_model(tmp_path / "small", 0)
    run(opened(path), device="cpu", progress=lambda *_: write_model(tmp_path / "small", 1, with_card=with_card))
    status = read_status(tmp_path / "set")
    assert status.layers["tiny"]["relu0"]["error"] == 0
    assert status.layers["small"]["relu0"]["error"] == 2
    assert all(reported.format(folder=tmp_path / "small") in error.message for error in status.errors)


def test_a_set_of_a_network_whose_name_has_gone_to_another(tmp_path):
    """Its items stay; whoever runs the plan again is told so, once."""
    path = write_plan(tmp_path, QUICK.replace("tiny_models:sound_model", "small"), n_clips=1)
    write_model(tmp_path / "small", 0)
    run(opened(path), device="cpu")
    write_model(tmp_path / "small", 1)
    with pytest.warns(AudioMetamerWarning, match=r"set holds 2 items of small with other weights: the plan's are made beside"):
        run(opened(path), device="cpu")
    assert sum(read_status(tmp_path / "set").layers["small"]["relu0"].values()) == 2
    run(opened(path), device="cpu")


def test_any_name_of_a_clip_will_do(tmp_path):
    names = ["zwölf Töne", "a b", "a_b", "x" * 200, "x" * 199 + "y", "ま" * 80, "#1 \"50%\" 'so'; $HOME", "-", "tab\there"]
    sound = 0.1 * np.random.default_rng(0).standard_normal(1000)
    (tmp_path / "my clips").mkdir()
    for name in names:
        soundfile.write(tmp_path / "my clips" / f"{name}.wav", sound, 4000, subtype="FLOAT")
    text = QUICK.replace("[0, 1]", "[0]").replace('table = "clips.csv"', 'folder = "my clips"').replace('"set"', '"mein Satz"')
    assert main(["run", str(write_plan(tmp_path, text, n_clips=0)), "--device", "cpu"]) == 0
    folder = tmp_path / "mein Satz"
    assert_is_whole(folder)
    with (folder / "index.tsv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert sorted(row["clip"] for row in rows) == sorted(map(printable, names))
    assert len({row["file"] for row in rows}) == len({Path(row["file"]).parent for row in rows}) == len(names)
    assert all((folder / row["file"]).is_file() and (folder / row["original"]).is_file() for row in rows)
    assert main(["run", str(folder / "plan.toml"), "--device", "cpu"]) == 0, "the resolved plan names them too"
    assert_is_whole(folder)


def test_what_a_power_cut_left_broken_is_made_again(tmp_path, capsys):
    path, folder = write_plan(tmp_path, QUICK, n_clips=5), tmp_path / "set"
    assert main(["run", str(path), "--device", "cpu"]) == 0
    records = sorted(folder.glob(f"items/*/*/*/{RECORD}"))
    empty, zeros, half, another, silent, cut, kept, last, *_ = records
    untouched = completed(folder)
    for record, content in ((empty, b""), (zeros, bytes(99)), (half, half.read_bytes()[:-100]), (another, b"{}")):
        record.write_bytes(content)
    halves = half.read_bytes()
    (silent.parent / "metamer.wav").unlink()
    sound = (cut.parent / "metamer.wav").read_bytes()
    (cut.parent / "metamer.wav").write_bytes(sound[: len(sound) // 2])
    original = folder / json.loads(kept.read_bytes())["original"]
    original.write_bytes(original.read_bytes()[:100])
    for name in ("dataset_description.json", "MANIFEST.sha256", "clips.csv", "plan.toml", "planned.tsv"):
        (folder / name).write_bytes(b"")
    (kept.parent / "error.json").write_bytes(b"{")

    assert main(["stimuli", "index", str(folder)]) == 0
    note = "is not the record of an item: Input data was truncated (and 7 more like it): counts as not made; the command"
    assert note in capsys.readouterr().err
    assert main(["stimuli", "verify", str(folder)]) == 1, "what is broken is in no manifest"
    assert main(["run", str(path), "--device", "cpu"]) == 0
    err = capsys.readouterr().err
    assert " (and 7 more like it): it counted as not made, and was made again" in err
    assert_is_whole(folder)
    aside = {file.relative_to(folder / "items"): file.read_bytes() for file in folder.rglob("items/**/*.broken")}
    at = [record.parent.relative_to(folder / "items") for record in records]
    assert aside[at[2] / "item.json.broken"] == halves
    assert aside[at[5] / "metamer.wav.broken"] == sound[: len(sound) // 2]
    assert not any(file.name == "item.json.broken" for file in aside if file.parent in (at[0], at[1])), "they held nothing"
    for record in (kept, last):  # of a clip whose original alone was broken
        for file in (record, record.parent / "metamer.wav"):
            assert (file.read_bytes(), file.stat().st_mtime_ns) == untouched[file]


def test_the_status_names_a_damaged_record_and_counts_its_item_as_to_do(tmp_path):
    at = tiny_stimuli.write_item(tmp_path, passed=True)
    item = PlannedRow("k", "c", "m", "l", 0, at.relative_to(tmp_path).as_posix())
    write_table(tmp_path / "planned.tsv", PlannedRow._fields, [item._asdict()])
    assert read_status(tmp_path).counts["passed"] == 1
    (at / RECORD).write_text((at / RECORD).read_text()[:-100])
    with pytest.warns(
        AudioMetamerWarning, match=r"item.json is not the record of an item: .*: counts as not made; `audiometamer"
    ):
        assert read_status(tmp_path).counts["to do"] == 1


STATES = ("passed", "failed", "unjudged", "error", "to do")


def write_many(folder, n):
    """A set of n items, a fifth in each state, with records as long as real ones: ten layers, 150 losses four times."""
    folder.mkdir()
    sources = {"error": folder.with_name("error.json")}
    sources["error"].write_text('{"message": "no", "type": "ValueError", "when": ""}')
    for state, passed in (("passed", True), ("failed", False), ("unjudged", None)):
        content = json.loads((tiny_stimuli.write_item(folder.with_name("one"), passed=passed) / RECORD).read_text())
        tries = [{"losses": [0.123456789012 / (k + 1) for k in range(150)], "loss_steps": list(range(0, 3000, 20))}] * 4
        similar = content["evidence"]["similarity"]["relu0"]
        content["evidence"] |= {"tries": tries, "similarity": {f"layer{k}": similar for k in range(10)}}
        sources[state] = folder.with_name(f"{state}.json")
        sources[state].write_text(json.dumps(content, indent=1))
    settings, key = content["evidence"]["settings"], content["key"]
    lines = ["\t".join(PlannedRow._fields)]
    for k in range(n):
        state, clip, model = STATES[k % 5], settings["clip"], settings["model"]
        at = f"items/{clip}/{model}/layer{k // 2 % 10}_seed{k}-{key}"  # one record for all: they are linked
        lines.append(f"{k:012x}\t{clip}\t{model}\tlayer{k // 2 % 10}\t{k}\t{at}")
        if state in sources:
            (folder / at).mkdir(parents=True)
            os.link(sources[state], folder / at / ("error.json" if state == "error" else RECORD))
    (folder / "planned.tsv").write_text("\n".join(lines) + "\n")


def test_the_status_of_20000_items_takes_less_than_two_seconds(tmp_path):
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else tmp_path) as parent:  # so many folders are slow to make and remove
        folder, notes, log = Path(parent) / "set", tmp_path / "notes", tmp_path / "log"
        write_many(folder, 20_000)
        assert finished(started(faulty_runs.measure_status, folder, notes, output=log)) == 0, log.read_text()
    counts, seconds, mebibytes = json.loads(notes.read_text())
    assert counts == dict.fromkeys(STATES, 4000) | {"running": 0}
    assert seconds < 2
    assert mebibytes < 100


def test_items_that_are_to_do_are_not_opened(tmp_path, monkeypatch):
    """Of a plan of a hundred thousand items most may be."""
    assert main(["run", str(write_plan(tmp_path, QUICK, n_clips=1)), "--device", "cpu"]) == 0
    planned, more = tmp_path / "set" / "planned.tsv", 500
    clip, model, layer, _, at = planned.read_text().splitlines()[1].split("\t")[1:]
    with planned.open("a") as file:
        file.writelines(f"{k:012x}\t{clip}\t{model}\t{layer}\t{k}\t{at[:-12]}{k:012x}\n" for k in range(more))
    opened, real = [], Path.open
    monkeypatch.setattr(Path, "open", lambda path, *args, **kwargs: opened.append(path) or real(path, *args, **kwargs))
    status = read_status(tmp_path / "set")
    assert (status.made, status.counts["to do"]) == (2, more)
    assert len(opened) < 10
