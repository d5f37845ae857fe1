"""The Slurm script: what it asks for, and what it does when the time limit comes near; `sbatch` is played by a shell script."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest
from command_line import refused
from tiny_plan import PLAN, write_plan

import audiometamer as am
from audiometamer.cli import main
from audiometamer.stimuli.cluster import Resources, script, seconds_of
from audiometamer.stimuli.layout import read_items


def program(folder, name, text):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(stat.S_IRWXU)


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder of programs that note how they were called."""
    folder = tmp_path / "bin"
    program(folder, "scontrol", f'echo "scontrol $*" >> {tmp_path}/called; echo "MaxArraySize            = 1001"')
    program(folder, "sbatch", f'echo "sbatch $*" >> {tmp_path}/called; echo "Submitted batch job 7"')
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path / "called"


def test_the_script_says_what_it_asks_for(tmp_path):
    asked = Resources(tasks=12, time="01:30:00", gpus=1, partition="gpu", modules=["cuda/12.4"], memory="16G")
    text = script(tmp_path / "my plan.toml", asked)
    for line in (
        "--array=0-11",
        "--time=01:30:00",
        "--gres=gpu:1",
        "--partition=gpu",
        "--mem=16G",
        "--signal=B:USR1@120",
        "--requeue",
    ):
        assert f"#SBATCH {line}\n" in text
    assert "module load cuda/12.4\n" in text
    assert f"-m audiometamer run '{tmp_path}/my plan.toml'" in text
    assert "--account" not in text
    assert len(text.splitlines()) < 40
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_submit_writes_and_starts_it_and_keeps_what_was_edited(tmp_path, slurm, capsys):
    path = write_plan(tmp_path)
    assert main(["submit", str(path), "--tasks", "3"]) == 0
    assert "Submitted batch job 7" in capsys.readouterr().out
    assert slurm.read_text().splitlines() == ["scontrol show config", f"sbatch {tmp_path}/plan.sbatch"]
    assert (tmp_path / "plan-logs").is_dir()
    assert "takes arrays of at most 1001 tasks" in refused(capsys, "submit", path, "--tasks", "2000", "--overwrite")
    assert "is there and differs" in refused(capsys, "submit", path, "--tasks", "4")
    assert main(["submit", str(path), "--tasks", "4", "--overwrite", "--write-only"]) == 0
    program(tmp_path / "bin", "sbatch", "echo 'invalid partition' >&2; exit 1")
    assert "sbatch failed: invalid partition" in refused(capsys, "submit", path, "--tasks", "4")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("90:30", 5430), ("01:30:00", 5400), ("1-12", 129_600), ("2-00:30", 174_600), ("1-00:00:05", 86_405)],
)
def test_time_limits_as_sbatch_reads_them(time, seconds):
    assert seconds_of(time) == seconds


def test_a_time_limit_that_leaves_no_time_is_refused(tmp_path, capsys):
    path = write_plan(tmp_path)
    assert "give at least 6 minutes" in refused(capsys, "submit", path, "--time", "00:02:00")
    assert "it must be like 04:00:00" in refused(capsys, "submit", path, "--time", "4h")


def test_without_slurm_it_says_so(tmp_path, monkeypatch, capsys):
    path = write_plan(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no scontrol here" in refused(capsys, "submit", path)


def test_before_the_time_limit_a_task_gives_back_its_claims_and_queues_again(tmp_path, slurm):
    path = write_plan(tmp_path, PLAN.replace("steps = 20", "steps = 20000"))
    (tmp_path / "task.sh").write_text(script(path, Resources(tasks=1)))
    here = [str(Path(__file__).parents[1]), str(Path(am.__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": ":".join(here), "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "0"}
    task = subprocess.Popen(["bash", tmp_path / "task.sh"], env=environment, stderr=subprocess.PIPE, text=True)
    claims, end = tmp_path / "set" / "claims", time.monotonic() + 60
    while not list(claims.glob("[!.]*")):
        assert time.monotonic() < end
        time.sleep(0.05)
    task.send_signal(signal.SIGUSR1)  # as Slurm does: to the shell alone
    _, told = task.communicate(timeout=60)
    assert "interrupted" in told
    assert slurm.read_text().splitlines() == ["scontrol requeue 7_0"]
    assert not list(claims.glob("[!.]*"))
    assert not list(read_items(tmp_path / "set"))
