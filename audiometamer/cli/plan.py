"""``audiometamer plan check``, ``run`` and ``submit``: sets of thousands of metamers."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from audiometamer.cli import options, slurm
from audiometamer.cli.groups import Group
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.cli.status import print_status
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, pluralize
from audiometamer.jobs.progress import format_duration
from audiometamer.stimuli.status import read_status

if TYPE_CHECKING:
    from audiometamer.metamers.criteria import NullDistribution
    from audiometamer.models.model import Model
    from audiometamer.stimuli.plan import LoadedPlan

plan_file = click.argument("path", metavar="PLAN", type=click.Path(path_type=Path))
retry = click.option(
    "--retry", type=click.Choice(["failed"]), help="Attempt items that failed their verdict again, with other seeds."
)
attempts = click.option(
    "--attempts", type=click.IntRange(2), default=5, show_default=True, help="Maximum number of attempts at an item with --retry."
)


@click.group(cls=Group)
def plan() -> None:
    """Check a plan, the TOML file that says which stimuli to make."""


@plan.command()
@plan_file
@options.device
@click.option(
    "--measure/--no-measure", default=True, show_default=True, help="Time a few steps at each layer, to estimate hours."
)
def check(path: Path, device: str, measure: bool) -> None:
    """Check every key of PLAN; estimate the number of items, time and disk space, and count the items that exist."""
    from audiometamer.stimuli.comparisons.plan import is_comparison_plan
    from audiometamer.stimuli.estimate import estimate
    from audiometamer.stimuli.plan import read_plan

    if is_comparison_plan(path):
        _check_comparisons(path)
        return
    plan = read_plan(path)
    with tracked() as tracker, _few_notes():
        found = estimate(plan, device=device, measure=measure, progress=tracker, visit=partial(_note_missing_null, plan))
    table = plain_table("model", "layer", numbers=("items", "there", *(("time left",) if measure else ())))
    for row in found.rows:
        time = (format_duration(row.seconds),) if row.seconds is not None else ()
        table.add_row(row.model, row.layer, str(row.items), str(row.there), *time)
    print_table(table)
    click.echo(
        f"{pluralize(found.items, 'item')} of {pluralize(found.clips, 'clip')} in {plan.folder}, {found.there} "
        f"of them there already; {_spell_bytes(found.n_bytes)} of disk in all"
    )
    if found.seconds is not None:
        few = (
            ""
            if found.at_most is None
            else f"; up to {format_duration(found.at_most)} if the steps are too few and every attempt is needed"
        )
        click.echo(f"about {format_duration(found.seconds)} of one worker on this device{few}")


def _check_comparisons(path: Path) -> None:
    """Count the items of a plan of sounds that tell models apart."""
    from audiometamer.stimuli.comparisons.items import expand_comparisons
    from audiometamer.stimuli.comparisons.plan import read_comparison_plan
    from audiometamer.stimuli.layout import is_complete

    expansion = expand_comparisons(read_comparison_plan(path))
    table = plain_table("kind", "made for", numbers=("items", "there"))
    there = {item.key: is_complete(expansion.folder / item.folder) for item in expansion.items}
    for kind, of in dict.fromkeys((item.kind, item.of) for item in expansion.items):
        keys = [item.key for item in expansion.items if (item.kind, item.of) == (kind, of)]
        table.add_row(kind, ", ".join(of), str(len(keys)), str(sum(there[key] for key in keys)))
    print_table(table)
    click.echo(f"{pluralize(len(there), 'item')} in {expansion.folder}, {sum(there.values())} of them there already")


def _note_missing_null(
    plan: "LoadedPlan", number: int, model: "Model", null: "NullDistribution | None", layers: Sequence[str]
) -> None:
    """Report before the work, not after it, that metamers of a model will not be judged."""
    from audiometamer.metamers.judging import null_notice

    if (notice := null_notice(model, null, layers, name=plan.content.models[number].name)) is not None:
        click.echo(f"note: {notice}", err=True)


@contextmanager
def _few_notes(most: int = 3) -> Iterator[None]:
    """Collect the warnings about hundreds of clips while this lasts; at its end, print the first few and count the rest."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes = [warning for warning in caught if issubclass(warning.category, AudioMetamerWarning)]
    others = [warning for warning in caught if warning not in notes]
    for warning in [*others, *notes[:most]]:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    if len(notes) > most:
        click.echo(
            f"note: and {len(notes) - most} more of this kind; the record of each item contains those of its clip", err=True
        )


def _spell_bytes(n: int) -> str:
    return f"{n / 1e9:.1f} GB" if n >= 1e9 else f"{max(n, 1e5) / 1e6:.1f} MB"


@click.command()
@plan_file
@options.device
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes on this machine.")
@retry
@attempts
def run(path: Path, device: str, workers: int, retry: str | None, attempts: int) -> None:
    """Make the missing items of PLAN.

    Finished items are kept: rerun the same command to resume after an interruption. Several runs share the work. Each ends by
    writing the set's index, licences, README and manifest.
    """
    from audiometamer.stimuli.comparisons.plan import is_comparison_plan
    from audiometamer.stimuli.items import expand
    from audiometamer.stimuli.plan import read_plan
    from audiometamer.stimuli.run import run as run_plan

    if is_comparison_plan(path):
        _run_comparisons(path, device=device, workers=workers, retry=retry)
        return
    plan = read_plan(path)
    with _few_notes():
        expansion = expand(plan, visit=partial(_note_missing_null, plan))
    with tracked() as tracker:
        run_plan(expansion, device=device, workers=workers, attempts=attempts if retry else 1, progress=tracker)
    print_status(read_status(expansion.folder))


def _run_comparisons(path: Path, *, device: str, workers: int, retry: str | None) -> None:
    from audiometamer.stimuli.comparisons.items import expand_comparisons
    from audiometamer.stimuli.comparisons.plan import read_comparison_plan
    from audiometamer.stimuli.comparisons.run import run_comparisons

    _refuse_retry(retry)
    expansion = expand_comparisons(read_comparison_plan(path))
    with tracked() as tracker:
        run_comparisons(expansion, device=device, workers=workers, progress=tracker)
    print_status(read_status(expansion.folder))


def _refuse_retry(retry: str | None) -> None:
    if retry is not None:
        raise AudioMetamerError("--retry is for metamers; give the plan of sounds that tell models apart further seeds")


@click.command()
@plan_file
@slurm.options
@retry
@attempts
def submit(path: Path, retry: str | None, attempts: int, **asked: Any) -> None:
    """Make the items of PLAN on a Slurm cluster: write an array script beside it, and submit it."""
    from audiometamer.metamers.criteria import default_null
    from audiometamer.stimuli.comparisons.items import expand_comparisons
    from audiometamer.stimuli.comparisons.plan import is_comparison_plan, read_comparison_plan
    from audiometamer.stimuli.plan import read_plan
    from audiometamer.stimuli.sources import find_sources

    if is_comparison_plan(path):
        _refuse_retry(retry)
        expand_comparisons(read_comparison_plan(path))  # faults are reported here rather than in a log
        slurm.submit(path, attempts=1, **asked)
        return
    plan = read_plan(path)
    find_sources(plan)  # faults are reported here rather than in a log
    for number in range(len(plan.content.models)):
        model, null = plan.open_model(number)
        _note_missing_null(plan, number, model, null or default_null(model), plan.layers_of(number, model))
    slurm.submit(path, attempts=attempts if retry else 1, **asked)
