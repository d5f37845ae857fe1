"""Run a plan on a Slurm cluster, by a short array script that a laboratory can read and edit."""

import re
import shlex
import subprocess
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.io.resources import COMMAND


class SlurmResources(msgspec.Struct, frozen=True, kw_only=True):
    """The job array and the resources of each of its tasks.

    Parameters
    ----------
    tasks : int
        Number of tasks. Each makes items that no other has claimed, so any number will do. Default 8.
    time : str
        Time limit of a task, as sbatch takes it. Default "04:00:00".
    warning : int
        Seconds before the limit at which a task releases what it has not finished and requeues itself. Default 120.
    cpus, gpus : int
        Number for each task. Default 4 and 0.
    memory : str, optional
        Memory of a task, as sbatch takes it. Default: the partition's own.
    partition, account : str, optional
    modules : list of str
        Environment modules to load first.
    options : list of str
        Other options of sbatch, as in "--constraint=a100"; they come last, where they override the rest.
    device : str
        Device of the workers. Default "auto": the GPU if torch finds one, or else the CPU.
    attempts : int
        Maximum number of attempts at an item that fails its verdict. Default 1.
    command : str
        Command of audiometamer that makes what the plan asks for. Default "run".
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
    """Seconds of a time limit as sbatch takes it: minutes, ``MM:SS``, ``HH:MM:SS``, ``D-HH``, ``D-HH:MM`` or ``D-HH:MM:SS``."""
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
    """Path of a plan's script."""
    return plan.with_suffix(".sbatch")


def log_folder(plan: Path) -> Path:
    """Folder of its tasks' logs."""
    return plan.with_name(f"{plan.stem}-logs")


def worker_command(plan: Path, resources: SlurmResources) -> list[str]:
    """The command that makes items of a plan; under any scheduler, any number of times and in any number of places."""
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
        If the time limit is so short that nothing would be made before its warning, an option is malformed, or the plan's path
        contains characters that sbatch interprets.
    """
    if parse_time_limit(resources.time) < 3 * resources.warning:
        raise AudioMetamerError(
            f"time is {resources.time}; a task requeues itself {resources.warning} s before it, so give at least "
            f"{-(-3 * resources.warning // 60)} minutes"
        )
    for option in resources.options:
        if not option.startswith("-") or "\n" in option:
            raise AudioMetamerError(f"{option!r} is not an option of sbatch; give one as in --sbatch=--constraint=a100")
    logs = log_folder(plan).resolve().as_posix()
    if found := set(logs) & set("%\\\n"):
        raise AudioMetamerError(f"{logs!r} would hold the logs, but sbatch interprets {min(found)!r} in a path: rename it")
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
# Makes the stimuli of {plan.name}. Each task makes what no other has claimed: more tasks, fewer tasks, or a second
# submission make nothing twice. Edit it for your cluster, and submit it with sbatch.
{options}

{modules}export OMP_NUM_THREADS=${{SLURM_CPUS_PER_TASK:-{resources.cpus}}}
{shlex.join(worker_command(plan, resources))} &
worker=$!

# {resources.warning} s before the time limit: the worker releases what it has not finished, and this task requeues itself.
requeue() {{
  kill -USR1 "$worker"
  wait "$worker" && exit
  scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
  exit
}}
trap requeue USR1
trap 'kill "$worker"; wait "$worker"; exit' TERM

wait "$worker"
"""


def write_script(plan: Path, resources: SlurmResources, *, overwrite: bool = False) -> Path:
    """Write the script beside the plan, and make the folder of its logs: without it, tasks of Slurm fail silently.

    Raises
    ------
    AudioMetamerError
        If a different script exists, which a laboratory may have edited, unless `overwrite`.
    """
    path, text = script_file(plan), sbatch_script(plan, resources)
    if path.exists() and path.read_text(encoding="utf-8") != text and not overwrite:
        raise AudioMetamerError(f"{path} exists and differs: submit it as it is with sbatch {path}, or --overwrite it")
    with atomic_write(path) as temporary:
        log_folder(plan).mkdir(exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
    return path


def submit(plan: Path, resources: SlurmResources, *, overwrite: bool = False) -> str:
    """Write the script and submit it; returns what sbatch prints. A script that sbatch refuses is not left behind.

    Raises
    ------
    AudioMetamerError
        If there is no Slurm here, the array has too many tasks for it, or it refuses the script.
    """
    is_new = not script_file(plan).exists()
    path = write_script(plan, resources, overwrite=overwrite)
    try:
        most = re.search(r"MaxArraySize\s*=\s*(\d+)", _output_of("scontrol", "show", "config"))
        if most and resources.tasks > int(most[1]):
            raise AudioMetamerError(f"this cluster takes arrays of at most {most[1]} tasks (MaxArraySize), not {resources.tasks}")
        return _output_of("sbatch", str(path)).strip()
    except AudioMetamerError:
        if is_new:
            path.unlink()
        raise


def _output_of(*command: str) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except FileNotFoundError as error:
        raise AudioMetamerError(
            f"there is no {command[0]} here: submit from a machine of a Slurm cluster, or use --write-only"
        ) from error
    except subprocess.CalledProcessError as error:
        lines = re.sub(rf"{command[0]}: (error|fatal): ", "", error.stderr or error.stdout).splitlines()
        raise AudioMetamerError(f"{command[0]} failed: {'; '.join(line.strip() for line in lines)}") from error
