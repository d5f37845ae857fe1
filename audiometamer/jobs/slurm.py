"""A plan on a Slurm cluster: a short array script that a laboratory can read and edit."""

import re
import shlex
import subprocess
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.resources import COMMAND


class SlurmResources(msgspec.Struct, frozen=True, kw_only=True):
    """What one task of the array asks Slurm for.

    Parameters
    ----------
    tasks : int
        Of the array. Each takes items that no other has taken, so any number will do. Default 8.
    time : str
        Limit, as sbatch takes it. Default "04:00:00".
    warning : int
        Seconds before the limit at which a task gives back what it has not finished and queues again. Default 120.
    cpus, gpus : int
        Of a task. Default 4 and 0.
    memory : str, optional
        As sbatch takes it. Default: the partition's own.
    partition, account : str, optional
    modules : list of str
        Loaded first.
    options : list of str
        Any others of sbatch, as in "--constraint=a100"; they come last, where sbatch lets them overrule the rest.
    device : str
        What its worker computes on. Default "auto": the GPU if torch finds one, or else the CPU.
    attempts : int
        Of an item that fails its verdict, at most. Default 1.
    command : str
        Of audiometamer, which makes what a plan asks for. Default "run".
    """

    tasks: int = 8
    time: str = "04:00:00"
    warning: int = 120
    cpus: int = 4
    gpus: int = 0
    memory: str | None = None
    partition: str | None = None
    account: str | None = None
    modules: list[str] = []
    options: list[str] = []
    device: str = "auto"
    attempts: int = 1
    command: str = "run"


def parse_time_limit(time: str) -> int:
    """A time limit as sbatch takes it: minutes, ``MM:SS``, ``HH:MM:SS``, ``D-HH``, ``D-HH:MM`` or ``D-HH:MM:SS``."""
    if re.fullmatch(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}", time) is None:
        raise AudioMetamerError(f"time is {time!r}; it must be like 04:00:00, or 1-12:00:00 for a day and a half")
    days, _, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if days or len(parts) == 3:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = 0, *[*parts, 0][:2]
    return ((24 * int(days or 0) + hours) * 60 + minutes) * 60 + seconds


def script_file(plan: Path) -> Path:
    """Where the script of a plan is."""
    return plan.with_suffix(".sbatch")


def log_folder(plan: Path) -> Path:
    """Where its tasks' logs are."""
    return plan.with_name(f"{plan.stem}-logs")


def worker_command(plan: Path, resources: SlurmResources) -> list[str]:
    """What makes items of a plan, under any scheduler, as often and in as many places at once as you like."""
    command = [*COMMAND, *resources.command.split(), str(plan.resolve())]
    if resources.device != "auto":
        command += ["--device", resources.device]
    if resources.gpus > 1:
        command += ["--workers", str(resources.gpus)]
    if resources.attempts > 1:
        command += ["--retry", "failed", "--attempts", str(resources.attempts)]
    return command


def sbatch_script(plan: Path, resources: SlurmResources) -> str:
    """The text of an sbatch script.

    Raises
    ------
    AudioMetamerError
        If the time limit comes so soon that nothing would be made before its warning, an option is none, or the plan's path has
        characters that sbatch reads as its own.
    """
    if parse_time_limit(resources.time) < 3 * resources.warning:
        raise AudioMetamerError(
            f"time is {resources.time}; a task queues again {resources.warning} s before it, so give at least "
            f"{-(-3 * resources.warning // 60)} minutes"
        )
    for option in resources.options:
        if not option.startswith("-") or "\n" in option:
            raise AudioMetamerError(f"{option!r} is no option of sbatch; give one as in --sbatch=--constraint=a100")
    logs = log_folder(plan).resolve().as_posix()
    if found := set(logs) & set("%\\\n"):
        raise AudioMetamerError(f"{logs!r} would hold the logs, but sbatch takes {min(found)!r} in a path for its own: rename it")
    asked = {
        "job-name": plan.stem,
        "array": f"0-{resources.tasks - 1}",
        "time": resources.time,
        "cpus-per-task": resources.cpus,
        "gres": f"gpu:{resources.gpus}" if resources.gpus else None,
        "mem": resources.memory,
        "partition": resources.partition,
        "account": resources.account,
        "signal": f"B:USR1@{resources.warning}",
        "requeue": "",
        "open-mode": "append",
        "output": f"{logs}/%A_%a.log",
    }
    lines = [f"--{key}" + (f"={shlex.quote(str(value))}" if value else "") for key, value in asked.items() if value is not None]
    options = "\n".join(f"#SBATCH {line}" for line in (*lines, *map(shlex.quote, resources.options)))
    modules = "".join(f"module load {shlex.quote(module)} || exit\n" for module in resources.modules)
    return f"""#!/bin/bash{" -l" if modules else ""}
# Makes the stimuli of {plan.name}. Every task takes what no other has taken: more tasks, fewer, or this script
# once more make nothing twice. Edit it as your cluster needs, and start it with sbatch.
{options}

{modules}export OMP_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-{resources.cpus}}}
{shlex.join(worker_command(plan, resources))} &
worker=$!

# {resources.warning} s before the time limit: the worker gives back what it has not finished, and this task queues again.
queue_again() {{
  kill -USR1 "$worker"
  wait "$worker" && exit
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  exit
}}
trap queue_again USR1
trap 'kill "$worker"; wait "$worker"; exit' TERM

wait "$worker"
"""


def write_script(plan: Path, resources: SlurmResources, *, overwrite: bool = False) -> Path:
    """Write the script beside the plan, and make the folder of its logs: without one, Slurm lets tasks fail without a word.

    Raises
    ------
    AudioMetamerError
        If another is there, which a laboratory may have edited, unless it may be overwritten.
    """
    path, text = script_file(plan), sbatch_script(plan, resources)
    if path.exists() and path.read_text(encoding="utf-8") != text and not overwrite:
        raise AudioMetamerError(f"{path} is there and differs: start it as it is with sbatch {path}, or --overwrite it")
    with atomic_write(path) as temporary:
        log_folder(plan).mkdir(exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
    return path


def submit(plan: Path, resources: SlurmResources, *, overwrite: bool = False) -> str:
    """Write the script and start it; what sbatch says. One that sbatch refuses is not left behind.

    Raises
    ------
    AudioMetamerError
        If there is no Slurm here, it takes no array of so many tasks, or it refuses.
    """
    is_new = not script_file(plan).exists()
    path = write_script(plan, resources, overwrite=overwrite)
    try:
        most = re.search(r"MaxArraySize\s*=\s*(\d+)", _said("scontrol", "show", "config"))
        if most and resources.tasks > int(most[1]):
            raise AudioMetamerError(f"this cluster takes arrays of at most {most[1]} tasks (MaxArraySize), not {resources.tasks}")
        return _said("sbatch", str(path)).strip()
    except AudioMetamerError:
        if is_new:
            path.unlink()
        raise


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise AudioMetamerError(
            f"there is no {command[0]} here: submit from a machine of a Slurm cluster, or --write-only"
        ) from error
    except subprocess.CalledProcessError as error:
        lines = re.sub(rf"{command[0]}: (error|fatal): ", "", error.stderr or error.stdout).splitlines()
        raise AudioMetamerError(f"{command[0]} failed: {'; '.join(line.strip() for line in lines)}") from error
