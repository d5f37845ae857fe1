"""Options of the commands that submit a plan to Slurm, and what they do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from audiometamer.cli import options as common
from audiometamer.jobs import slurm as cluster
from audiometamer.jobs.slurm import SlurmResources, log_folder, script_file, write_script

_ASKED = (
    click.option(
        "--tasks", type=click.IntRange(1), default=8, show_default=True, help="Tasks of the array; they share the items."
    ),
    click.option(
        "--time", default="04:00:00", show_default=True, help="Time limit of each task, which requeues itself shortly before it."
    ),
    click.option(
        "--warning",
        type=click.IntRange(1),
        default=120,
        show_default=True,
        help="Seconds before the limit at which it does so.",
    ),
    click.option("--cpus", type=click.IntRange(1), default=4, show_default=True, help="CPU cores of each task."),
    click.option(
        "--gpus", type=click.IntRange(0), default=0, show_default=True, help="GPUs of each task, which runs one worker on each."
    ),
    click.option("--memory", help="Memory of each task, as in 16G."),
    click.option("--partition", help="Partition of the cluster."),
    click.option("--account", help="Account to charge."),
    click.option("--module", "modules", multiple=True, help="Module to load first; may be given several times."),
    click.option(
        "--sbatch",
        "options",
        multiple=True,
        help="Any other option of sbatch, as in --sbatch=--qos=long; may be given several times.",
    ),
    common.device,
    click.option("--write-only", is_flag=True, help="Write the script without submitting it."),
    click.option("--overwrite", is_flag=True, help="Overwrite an existing script."),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a command that submits, in the order of --help."""
    for option in reversed(_ASKED):
        command = option(command)
    return command


def submit(
    plan: Path, *, modules: tuple[str, ...], options: tuple[str, ...], write_only: bool, overwrite: bool, **asked: Any
) -> None:
    """Write a plan's array script beside it, and submit it."""
    resources = SlurmResources(modules=list(modules), options=list(options), **asked)
    if write_only:
        write_script(plan, resources, overwrite=overwrite)
    else:
        click.echo(cluster.submit(plan, resources, overwrite=overwrite))
    click.echo(f"script: {script_file(plan)}, logs: {log_folder(plan)}")
