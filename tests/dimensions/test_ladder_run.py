"""A ladder made from a plan: what is made, resumed and shared, and what goes wrong."""

import os
import shutil
import signal
import threading
import time

import faulty_ladders
import pytest
import tiny_models
import torch
from command_line import refused
from msgspec.structs import replace
from processes import CONTEXT, finished, started
from tiny_exploration import sound_dimensions
from tiny_ladder_plan import PLAN, write_ladder_plan

from audiometamer.cli import main
from audiometamer.dimensions import ladder_run
from audiometamer.dimensions.calibration import read_calibration
from audiometamer.dimensions.dimensions import Dimension, load_all
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.ladder_plan import planned_ladder, read_ladder_plan
from audiometamer.dimensions.ladder_run import LadderMaker, run_ladder
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import move
from audiometamer.io.files import write_json
from audiometamer.io.tables import read_table
from audiometamer.jobs.queue import Queue

DIMENSIONS = ("relu0/0/+", "relu0/0/-", "relu1/2/-")


@pytest.fixture(scope="module")
def ready(tmp_path_factory, tiny):
    folder = tmp_path_factory.mktemp("ready")
    write_ladder_plan(folder, tiny)
    return folder


@pytest.fixture
def path(ready, tmp_path):
    """A plan of its own for each test, with what it names beside it."""
    shutil.copytree(ready, tmp_path, dirs_exist_ok=True)
    return tmp_path / "plan.toml"


@pytest.fixture(scope="module")
def made(ready, tmp_path_factory):
    """The folder of a plan whose ladder is whole."""
    folder = shutil.copytree(ready, tmp_path_factory.mktemp("made"), dirs_exist_ok=True)
    run_ladder(folder / "plan.toml", read_ladder_plan(folder / "plan.toml"), device="cpu")
    return folder


@pytest.fixture
def again(made, tmp_path):
    """A whole ladder that a test may spoil, and its plan."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path / "plan.toml"


def content(folder):
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.glob("sound*/[!.]*")}


def assert_is_whole(folder, dimensions=DIMENSIONS):
    """All that the plan asks for is there, its tables too, and nothing is left of the making."""
    ladder = read_ladder(folder)
    assert ladder.dimensions == [*dimensions]
    assert all(len(ladder.references(dimension)) == 2 for dimension in dimensions)
    assert {tuple(ladder.changes(*key)) for key in ladder.stimuli} == {(0.2, 0.5)}
    assert len(read_table(folder / "moves.tsv")) == len(ladder.all) == 4 * len(dimensions)
    assert [row.signals for row in read_calibration(folder / "calibration.tsv")] == [2] * 2 * len(dimensions)
    assert not list((folder / ".making" / "claims").glob("[!.]*"))
    assert not list((folder / ".making" / "failed").glob("*"))


def test_what_is_made_is_what_move_makes(made, tiny):
    assert_is_whole(made / "ladder")
    ladder = read_ladder(made / "ladder")
    dimensions = load_all(made / "dimensions")
    ladder.check(dimensions)
    for stimulus in ladder.all[::5]:
        clip = ladder.clip(stimulus.record.clip)
        dimension = Dimension.parse(stimulus.record.dimension)
        (expected,) = move(tiny, dimensions, [Move(clip, dimension, stimulus.record.requested)], steps=3)
        torch.testing.assert_close(stimulus.read(), expected.samples, rtol=1e-3, atol=1e-4)
        assert stimulus.record.reached == pytest.approx(expected.record.reached, abs=1e-3)


def test_the_same_command_makes_nothing_twice_and_a_larger_plan_what_is_missing(again, capsys):
    folder = again.parent / "ladder"
    before = content(folder)
    assert main(["explore", "ladder", str(again), "--device", "cpu"]) == 0
    assert "12 moved signals in " in capsys.readouterr().out
    assert content(folder) == before
    again.write_text(PLAN.replace("references = 2", "references = 3").replace("[0.2, 0.5]", "[0.2, 0.5, 0.7]"))
    assert main(["explore", "ladder", str(again), "--device", "cpu"]) == 0
    after = content(folder)
    assert before.items() <= after.items()
    assert len(read_ladder(folder).all) == 27
    assert len(read_table(folder / "moves.tsv")) == 27


def test_the_draw_is_of_the_seed_and_grows(path):
    def drawn(text):
        path.write_text(text)
        moves = planned_ladder(path, read_ladder_plan(path))[0].moves
        return {d: list(dict.fromkeys(m.reference for m in moves if str(m.dimension) == d)) for d in DIMENSIONS}

    two, three = drawn(PLAN), drawn(PLAN.replace("references = 2", "references = 3"))
    assert {d: names[:2] for d, names in three.items()} == two == drawn(PLAN)
    seeds = [drawn(PLAN + f"seed = {seed}\n") for seed in range(8)]
    assert any(each != two for each in seeds)


def test_every_dimension_has_a_reference_before_any_has_two(path):
    moves = planned_ladder(path, read_ladder_plan(path))[0].moves
    assert [(str(m.dimension), m.change) for m in moves[:6]] == [(d, c) for d in DIMENSIONS for c in (0.2, 0.5)]
    assert len({m.path for m in moves}) == 12


def test_kills_at_any_moment_lose_nothing(path):
    path.write_text(PLAN.replace('"relu0/0", "relu1/2/-"', '"relu1/2/-"').replace("batch_size = 4", "batch_size = 1"))
    folder, log, kept = path.parent / "ladder", path.with_name("log"), {}
    for operation in (1, 6, 8, 9, 11, 12):  # of a run's own; about eight belong to each signal
        process = started(faulty_ladders.make_until_killed, path, operation, output=log)
        assert finished(process) == -signal.SIGKILL, log.read_text()
        now = {file: found for file, found in content(folder).items() if file.with_suffix(".json").exists()}
        assert kept.items() <= now.items(), "what was complete has been touched"
        kept = now
    assert main(["explore", "ladder", str(path), "--device", "cpu"]) == 0
    assert kept.items() <= content(folder).items()
    assert kept
    assert_is_whole(folder, DIMENSIONS[2:])


def test_interrupted_it_gives_its_claims_back_and_says_how_to_go_on(path):
    path.write_text(PLAN.replace("steps = 3", "steps = 2000"))
    folder, log = path.parent / "ladder", path.with_name("log")
    for number in (signal.SIGINT, signal.SIGUSR1):
        process = started(faulty_ladders.make, path, output=log)
        wait_for(lambda: claims(folder))
        os.kill(process.pid, number)
        assert finished(process) == 130
        assert "finished work is kept: rerun the same command to resume" in log.read_text()
        assert not claims(folder)


def test_a_full_disk_is_reported_in_one_line(path):
    process = started(faulty_ladders.make_on_a_full_disk, path, path.parent / "ladder", output=path.with_name("log"))
    assert finished(process) == 0, path.with_name("log").read_text()


def test_two_runs_make_every_signal_once(path):
    notes, gate = [path.with_name("a"), path.with_name("b")], CONTEXT.Barrier(2)
    path.write_text(PLAN.replace("batch_size = 4", "batch_size = 1"))
    both = [started(faulty_ladders.make_and_note, path, note, gate, output=path.with_name("log")) for note in notes]
    assert [finished(process) for process in both] == [0, 0], path.with_name("log").read_text()
    lines = [note.read_text().splitlines() for note in notes]
    assert all(lines), "both had something to do"
    assert len({*lines[0], *lines[1]}) == len(lines[0]) + len(lines[1]) == 12
    assert_is_whole(path.parent / "ladder")


def test_workers_share_the_work_and_one_that_is_killed_is_replaced(path, monkeypatch):
    monkeypatch.setattr("multiprocessing.get_context", lambda method: CONTEXT)  # seconds faster than to begin anew
    monkeypatch.setattr("audiometamer.jobs.workers._POLL", 0.1)
    folder = path.parent / "ladder"
    path.write_text(PLAN.replace("steps = 3", "steps = 20"))

    def kill_one():
        wait_for(lambda: claims(folder))
        os.kill(int(claims(folder)[0].read_text().split('"pid":')[1].split(",")[0]), signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    run_ladder(path, read_ladder_plan(path), device="cpu", workers=2)
    killer.join()
    assert_is_whole(folder)


def test_what_does_not_move_is_reported_and_stops_nothing_else(path, monkeypatch, capsys):
    def poisoned(model, dimensions, moves, **options):
        if any(each.clip.name == "sound1" and each.dimension.layer == "relu1" for each in moves):
            raise RuntimeError("the gradient\nis zero")
        return move(model, dimensions, moves, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ladder_run, "move", poisoned)
        path.write_text(PLAN.replace("references = 2", "references = 3"))
        assert main(["explore", "ladder", str(path), "--device", "cpu"]) == 0
    out = capsys.readouterr().out
    assert "sound1 along relu1/2/- by 0.5: the gradient is zero" in out
    assert "16 moved signals in" in out
    assert "2 could not be made" in out
    assert main(["explore", "ladder", str(path), "--device", "cpu"]) == 0
    assert "18 moved signals in" in capsys.readouterr().out
    assert not list((path.parent / "ladder" / ".making" / "failed").glob("*"))


def test_a_run_that_can_move_nothing_says_why(path, monkeypatch, capsys):
    monkeypatch.setattr(ladder_run, "move", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("out of memory")))
    assert "nothing could be moved: out of memory" in refused(capsys, "explore", "ladder", path, "--device", "cpu")


def test_a_worker_leaves_alone_what_another_holds(path, tiny):
    planned, model, dimensions, clips = planned_ladder(path, read_ladder_plan(path))
    ladder_run._prepare(planned, model, dimensions, clips)
    first, second = (Queue(LadderMaker(planned, torch.device("cpu")), planned.moves, planned.folder / "claims") for _ in range(2))
    mine, rest = first.claim(planned.moves, 4)
    assert ([task.item for task in mine], rest) == (planned.moves[:4], planned.moves[4:])
    others, _ = second.claim(planned.moves, 4)
    assert [task.item for task in others] == planned.moves[4:8]


def test_what_is_there_and_does_not_belong_is_reported(again, capsys):
    folder = again.parent / "ladder"

    def reported(*arguments):
        return refused(capsys, "explore", "ladder", again, "--device", "cpu", *arguments)

    stimulus = read_ladder(folder).all[0]
    record, original = stimulus.path.with_suffix(".json"), stimulus.original.read_bytes()
    whole = record.read_bytes()
    record.write_bytes(whole[:-40])
    assert main(["explore", "ladder", str(again), "--device", "cpu"]) == 0, "it is made again"
    line = f"{record} is not the record of a moved signal: Input data was truncated: counts as not made; explore ladder makes it"
    assert line in capsys.readouterr().err
    assert record.with_name(f"{record.name}.broken").read_bytes() == whole[:-40]
    for path in folder.rglob("*.broken"):
        path.unlink()
    stimulus.path.write_bytes(b"")
    stimulus.original.write_bytes(original[:100])
    assert main(["explore", "ladder", str(again), "--device", "cpu"]) == 0, "as well without its signal, or its reference"
    assert stimulus.original.read_bytes() == original
    for path in folder.rglob("*.broken"):
        path.unlink()
    whole = record.read_bytes()
    assert_is_whole(folder)
    again.write_text(PLAN.replace("steps = 3", "steps = 4"))
    assert "was moved by default in 3 steps, not by default in 4; choose another output" in reported()
    again.write_text(PLAN)
    write_json(record, replace(stimulus.record, weights_sha256="0"))
    assert "holds signals of different models" in reported()
    record.write_bytes(whole)
    other = next(path for path in (again.parent / "references").glob("*.wav") if path.stem != stimulus.record.clip)
    stimulus.original.write_bytes((folder / other.stem / "original.wav").read_bytes())
    assert f"{stimulus.original} is not {stimulus.record.clip} of this plan; choose another output" in reported()
    stimulus.original.write_bytes(original)
    shutil.rmtree(again.parent / "dimensions")
    for layer, found in sound_dimensions(tiny_models.sound_model(), ["relu0", "relu1"], kept=2, components=6).items():
        found.save(again.parent / "dimensions" / layer)
    again.write_text(PLAN.replace("relu1/2/-", "relu1/1/-"))
    assert "has signals moved at relu0 with other dimensions; choose another folder" in reported()
    again.write_text(PLAN.replace("tiny_models:sound_model", "permuted:tiny_models:sound_model:1"))
    assert "plan.toml: dimensions: the dimensions of relu0 are of tiny with weights" in reported()


@pytest.mark.parametrize(
    ("before", "after", "reported"),
    [
        ("steps = 3", "step = 3", "plan.toml: there is no key 'step'; did you mean 'steps'?"),
        ("[0.2, 0.5]", "[0.2, 0]", "plan.toml: changes[1]: must be"),
        ("[0.2, 0.5]", "[]", "plan.toml: changes: must be"),
        ("[0.2, 0.5]", "[0.2, 0.20000001]", "plan.toml: changes: 0.2 appears twice"),
        ("steps = 3", 'method = "newton"', "plan.toml: method: there is no method 'newton' of moving; there are default, adam"),
        ("steps = 3", 'output = "plan.toml"', "is a file; the ladder needs a folder"),
        ("relu1/2/-", "relu1/9/-", "plan.toml: choose: "),
        ("relu1/2/-", "final/0", "plan.toml: choose: there are no dimensions of layer 'final'"),
        ('"references"', '"nowhere"', "nowhere does not exist"),
        ('"references"', '"dimensions"', "plan.toml: signals: there are no recordings or photographs in dimensions"),
        ("references = 2", "references = 4", "plan.toml: references: 4 are requested, and there are 3"),
        ("steps = 3", 'dimensions = "elsewhere"', "elsewhere holds no dimensions"),
        ("sound_model", "no_model", "plan.toml: model: "),
        ('["references"]', '["references", "more"]', "would both be sound"),
    ],
)
def test_what_is_wrong_with_a_plan_is_reported_in_a_line(path, capsys, before, after, reported):
    if "more" in after:
        shutil.copytree(path.parent / "references", path.parent / "more")
    path.write_text(PLAN.replace("references = 2\n", "") if "more" in after else PLAN)
    path.write_text(path.read_text().replace(before, after))
    assert reported in refused(capsys, "explore", "ladder", path, "--device", "cpu")
    assert not list(path.parent.glob("ladder/sound*/*.json"))


def test_it_is_submitted_as_a_set_is(path, capsys):
    assert main(["explore", "submit", str(path), "--tasks", "3", "--gpus", "2", "--write-only"]) == 0
    assert f"script: {path.with_name('plan.sbatch')}, logs: {path.with_name('plan-logs')}" in capsys.readouterr().out
    text = path.with_name("plan.sbatch").read_text()
    assert f"-m audiometamer explore ladder {path} --workers 2 &\n" in text
    assert "#SBATCH --array=0-2\n" in text
    path.write_text(PLAN.replace("steps", "step"))
    assert "there is no key 'step'" in refused(capsys, "explore", "submit", path, "--write-only")


def claims(folder):
    return list((folder / ".making" / "claims").glob("[!.]*"))


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
