"""The array on a real Slurm: shared, killed, warned of its time limit, queued again; what it makes is what `run` makes."""

import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
import scipy.io.wavfile
import slurm
import torch
from command_line import refused
from slurm import MAX_ARRAY_SIZE, ended, tasks, wait_for
from tiny_ladder_plan import write_ladder_plan
from tiny_plan import PLAN, write_plan

import audiometamer as am
from audiometamer.cli import main
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.jobs.claims import read_claim
from audiometamer.jobs.slurm import SlurmResources, submit
from audiometamer.metamers.results import iterate_results
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.records import read_record
from audiometamer.stimuli.run import run
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import verify

pytestmark = pytest.mark.slurm
HERE = [str(Path(__file__).parents[1] / "helpers"), str(Path(am.__file__).parents[1])]
N_CLIPS = 8  # of the largest of these plans; the others' are among them
ONE_BY_ONE = PLAN.replace("batch_size = 2", "batch_size = 1")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    with slurm.cluster() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        patch.setenv("PYTHONPATH", os.pathsep.join(HERE))
        yield folder


@pytest.fixture(scope="module", autouse=True)
def warned(cluster, tmp_path_factory):
    """A plan, and its task that cannot be ready before its warning; Slurm looks at the limits every half minute, so it begins
    before all other tests."""
    path = plan_of("model_slow_at_first", tmp_path_factory.mktemp("warned"), n_clips=N_CLIPS)
    return path, started(path, tasks=1, time="00:01:00", warning=20)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The samples of all items, by key, of a plain run with as many threads as a task has."""
    path = write_plan(tmp_path_factory.mktemp("whole"), ONE_BY_ONE, n_clips=N_CLIPS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run(expand(read_plan(path)), device="cpu")
    torch.set_num_threads(threads)
    return made(path)


def plan_of(model, folder, **more):
    return write_plan(folder, ONE_BY_ONE.replace("tiny_models:sound_model", f"slurm_models:{model}"), **more)


def started(path, **resources):
    """Submit a plan; its array's number."""
    return submit(path, SlurmResources(cpus=1, **resources)).split()[-1]


def notes(path):
    """Key, process and GPU of each item that was written, as often as it was."""
    file = path.parent / "notes"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def made(path):
    folder = path.parent / "set"
    return {item.key: scipy.io.wavfile.read(item.path)[1] for item in iterate_results(folder)}


def claimed_by(path):
    """The processes that hold claims."""
    found = [read_claim(file) for file in (path.parent / "set" / "claims").glob("[!.]*")]
    return {claim.pid for claim in found if claim is not None}


def log(path, job):
    return "".join(file.read_text() for file in sorted((path.parent / "plan-logs").glob(f"{job}*.log")))


def states(found):
    return [task["JobState"] for task in found]


def assert_made_once(path, whole, n_items):
    found, keys = made(path), [key for key, *_ in notes(path)]
    assert read_status(path.parent / "set").made == len(found) == n_items
    assert len({*keys}) == len(keys)
    for key, samples in found.items():
        np.testing.assert_array_equal(samples, whole[key])  # one by one there are no other batches, so no other rounding
    assert not claimed_by(path)
    assert list(verify(path.parent / "set")) == []


@pytest.mark.slow
def test_an_array_makes_what_run_makes(whole, tmp_path, monkeypatch, capsys):
    (tmp_path / ".bash_profile").write_text('module() { echo "module $*"; }\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    (folder := tmp_path / "Töne & 'Wörter' #1").mkdir()
    path = plan_of("slow_model", folder)
    asked = ["--tasks", "3", "--gpus", "1", "--cpus", "1", "--module", "cuda/12", "--sbatch=--comment=for the ears"]
    with slurm.drained():  # no mistake of the user's: the tasks wait
        assert main(["submit", str(path), *asked]) == 0
        job = re.search(r"Submitted batch job (\d+)", capsys.readouterr().out)[1]
        assert states(tasks(job)) == ["PENDING"]
    assert states(ended(job)) == ["COMPLETED"] * 3
    assert_made_once(path, whole, 6)
    assert {gpu for _, _, gpu in notes(path)} == {"0", "1"}
    for item in iterate_results(folder / "set"):  # those GPUs are none, so torch finds no other device
        assert read_record(folder / "set" / item.record).evidence.device == "cpu"
    assert log(path, job).count("module load cuda/12\n") == 3
    assert log(path, job).count("6 of 6 items") >= 1


@pytest.mark.slow
def test_one_killed_and_one_cancelled_and_the_third_finishes(whole, tmp_path):
    path = plan_of("slow_model", tmp_path, n_clips=6)
    job = started(path, tasks=3)
    wait_for(lambda: notes(path) and len(claimed_by(path)) == 3)
    workers = {psutil.Process(pid).environ()["SLURM_ARRAY_TASK_ID"]: pid for pid in claimed_by(path)}
    os.kill(workers["0"], signal.SIGKILL)
    slurm.cancel(f"{job}_1")
    ends = {task["ArrayTaskId"]: (task["JobState"], task["ExitCode"]) for task in ended(job)}
    assert ends["0"] == ("FAILED", "137:0")
    assert ends["1"][0] == "CANCELLED"
    assert ends["2"] == ("COMPLETED", "0:0")
    assert_made_once(path, whole, 12)
    assert "finished work is kept" in log(path, f"{job}_1")


@pytest.mark.slow
def test_submitted_twice_at_once_makes_nothing_twice(whole, tmp_path):
    path = plan_of("slow_model", tmp_path)
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda _: started(path, tasks=1), range(2)))
    assert [states(ended(job)) for job in jobs] == [["COMPLETED"]] * 2
    assert_made_once(path, whole, 6)
    assert len({process for _, process, _ in notes(path)}) == 2


def test_what_cannot_be_made_at_all_is_a_failed_task(tmp_path):
    path = plan_of("slow_model", tmp_path, n_clips=1)
    wrong = started(path, tasks=1, device="mps")
    path.with_suffix(".sbatch").unlink()
    missing = started(path, tasks=1, modules=["cuda/12"])
    for job, status in ((wrong, "2:0"), (missing, "127:0")):
        (task,) = ended(job)
        assert (task["JobState"], task["ExitCode"]) == ("FAILED", status)
    assert "audiometamer: error: device 'mps' is not available here" in log(path, wrong)
    assert "module: command not found" in log(path, missing)


def test_what_slurm_refuses_is_reported_in_a_line(tmp_path, capsys):
    path = write_plan(tmp_path)
    script = path.with_suffix(".sbatch")
    assert "invalid partition specified: nosuch" in refused(capsys, "submit", path, "--partition", "nosuch", "--tasks", 1)
    assert "node configuration is not available" in refused(capsys, "submit", path, "--gpus", 3, "--tasks", 1)
    assert "Invalid feature specification" in refused(capsys, "submit", path, "--sbatch=--constraint=a100", "--tasks", 1)
    assert "unrecognized option" in refused(capsys, "submit", path, "--sbatch=--nonsense", "--tasks", 1)
    reported = refused(capsys, "submit", path, "--tasks", MAX_ARRAY_SIZE + 1)
    assert f"this cluster takes arrays of at most {MAX_ARRAY_SIZE} tasks" in reported
    assert not script.exists()
    with slurm.drained():
        slurm.cancel(started(path, tasks=MAX_ARRAY_SIZE))


def test_before_its_time_limit_a_task_queues_again_and_goes_on(warned, whole):
    path, job = warned
    (task,) = ended(job)
    assert task["JobState"] == "COMPLETED"
    assert int(task["Restarts"]) >= 1
    assert_made_once(path, whole, 2 * N_CLIPS)
    assert len({process for _, process, _ in notes(path)}) > 1
    reported = log(path, job)
    assert reported.index("finished work is kept") < reported.index(f"{2 * N_CLIPS} of {2 * N_CLIPS} items")


def test_a_ladder_is_made_by_an_array_too(tmp_path, tiny, capsys):
    path = write_ladder_plan(tmp_path, tiny)
    assert main(["explore", "submit", str(path), "--tasks", "2", "--cpus", "1"]) == 0
    job = re.search(r"Submitted batch job (\d+)", capsys.readouterr().out)[1]
    assert states(ended(job)) == ["COMPLETED"] * 2, log(path, job)
    assert len(read_ladder(tmp_path / "ladder").all) == 12
    assert "12 moved signals in" in log(path, job)
