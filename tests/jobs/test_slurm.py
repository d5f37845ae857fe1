"""The Slurm script: what it asks for, and what is not taken; `test_slurm` starts it."""

import subprocess

import pytest
from command_line import refused
from tiny_plan import write_plan

from audiometamer.cli import main
from audiometamer.jobs.slurm import SlurmResources, parse_time_limit, sbatch_script


def test_the_script_says_what_it_asks_for(tmp_path):
    asked = SlurmResources(
        tasks=12, time="01:30:00", gpus=1, partition="gpu", modules=["cuda/12.4"], memory="16G", options=["--comment=two words"]
    )
    text = sbatch_script(tmp_path / "my plan.toml", asked)
    for line in (
        "--array=0-11",
        "--time=01:30:00",
        "--gres=gpu:1",
        "--partition=gpu",
        "--mem=16G",
        "--signal=B:USR1@120",
        "--requeue",
        "'--comment=two words'",
    ):
        assert f"#SBATCH {line}\n" in text
    assert "module load cuda/12.4 || exit\n" in text
    assert f"-m audiometamer run '{tmp_path}/my plan.toml' &\n" in text
    assert "--account" not in text
    assert len(text.splitlines()) < 40
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_the_worker_uses_every_gpu_of_its_task(tmp_path):
    text = sbatch_script(tmp_path / "plan.toml", SlurmResources(gpus=4, device="cuda", attempts=3))
    assert "plan.toml --device cuda --workers 4 --retry failed --attempts 3 &\n" in text


def test_what_was_edited_is_kept(tmp_path, capsys):
    path = write_plan(tmp_path)
    assert main(["submit", str(path), "--tasks", "3", "--write-only"]) == 0
    assert f"script: {tmp_path}/plan.sbatch, logs: {tmp_path}/plan-logs" in capsys.readouterr().out
    assert (tmp_path / "plan-logs").is_dir()
    with (tmp_path / "plan.sbatch").open("a") as file:
        file.write("# edited\n")
    assert "exists and differs" in refused(capsys, "submit", path, "--tasks", "3")
    assert main(["submit", str(path), "--tasks", "3", "--overwrite", "--write-only"]) == 0
    assert "# edited" not in (tmp_path / "plan.sbatch").read_text()


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("90", 5400), ("90:30", 5430), ("01:30:00", 5400), ("1-12", 129_600), ("2-00:30", 174_600), ("1-00:00:05", 86_405)],
)
def test_time_limits_as_sbatch_reads_them(time, seconds):
    assert parse_time_limit(time) == seconds


def test_a_time_limit_that_leaves_no_time_is_refused(tmp_path, capsys):
    path = write_plan(tmp_path)
    assert "give at least 6 minutes" in refused(capsys, "submit", path, "--time", "00:02:00")
    assert "give at least 2 minutes" in refused(capsys, "submit", path, "--time", "00:01:00", "--warning", "21")
    assert "it must be like 04:00:00" in refused(capsys, "submit", path, "--time", "4h")


def test_what_sbatch_would_take_for_its_own_is_refused(tmp_path, capsys):
    assert "'qos=long' is not an option of sbatch" in refused(capsys, "submit", write_plan(tmp_path), "--sbatch", "qos=long")
    (tmp_path / "100%").mkdir()
    reported = refused(capsys, "submit", write_plan(tmp_path / "100%"))
    assert "sbatch interprets '%' in a path: rename it" in reported


def test_without_slurm_it_says_so(tmp_path, monkeypatch, capsys):
    path = write_plan(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "there is no scontrol here" in refused(capsys, "submit", path)
    assert not (tmp_path / "plan.sbatch").exists()
