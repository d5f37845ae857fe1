"""``audiometamer stimuli``: describe, verify and export a stimulus set, and select from it."""

from collections import Counter
from pathlib import Path
from typing import Literal, cast

import click

from audiometamer.cli import options
from audiometamer.cli.groups import Group
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.metamers.folder_kinds import is_set
from audiometamer.metamers.layout import find_records
from audiometamer.metamers.summaries import ATTEMPTS
from audiometamer.signals.presentation import PresentationSettings
from audiometamer.stimuli import export as exporting
from audiometamer.stimuli.set import write_set
from audiometamer.stimuli.verify import count_made_since, read_manifest
from audiometamer.stimuli.verify import verify as differences

_DIFFERENT = 1  # exit status, as of diff; 2 is bad input

_stimulus_set = click.argument("stimulus_set", metavar="SET", type=click.Path(path_type=Path))


@click.group(cls=Group)
def stimuli() -> None:
    """Stimulus sets: what `audiometamer run` made, for an experiment or another laboratory."""


@stimuli.command()
@_stimulus_set
@click.option(
    "--clips",
    type=click.Path(path_type=Path),
    help="Table of the clips: the column name or path, and word, speaker, licence, … It adds to what the set knows of them.",
)
@click.option("--name", help="Name of the data set; default: that of the folder.")
def index(stimulus_set: Path, clips: Path | None, name: str | None) -> None:
    """Rewrite the index, clips, licences, description, README and manifest of SET."""
    rows = write_set(stimulus_set, clips=clips, name=name)
    verdicts = ", ".join(f"{n} {verdict}" for verdict, n in Counter(row.verdict for row in rows).items())
    click.echo(f"{len(rows)} items ({verdicts}): {stimulus_set / 'index.tsv'}")


@stimuli.command()
@_stimulus_set
@click.pass_context
def verify(ctx: click.Context, stimulus_set: Path) -> None:
    """List every file of SET that differs from what its manifest or its records state.

    A file may be missing, changed, extra, unreadable or a link; a record, misplaced in the folder of another item; a signal or
    an original, foreign to its record. A folder of `audiometamer synth` has no manifest: only its records are checked.

    The exit status is 0 if there are none, 1 if there are some, 2 if SET has no readable manifest.
    """
    found = []
    for difference in differences(stimulus_set):
        found.append(difference)
        click.echo(f"{difference.kind:<10} {difference.file}")
    if found:
        counts = Counter(difference.kind for difference in found)
        click.echo(f"{stimulus_set}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()), err=True)
        if n := count_made_since(found):
            click.echo(
                f"{stimulus_set}: index and manifest are out of date: {n} items were made or attempted again since they "
                f"were written; `audiometamer run` rewrites them at its end, `audiometamer stimuli index {stimulus_set}` now",
                err=True,
            )
        ctx.exit(_DIFFERENT)
    if is_set(stimulus_set):
        click.echo(f"{stimulus_set}: all {len(read_manifest(stimulus_set))} files are as the manifest states")
    else:
        click.echo(f"{stimulus_set}: all {len(find_records(stimulus_set))} metamers are as their records state")


@stimuli.command()
@_stimulus_set
@click.option("--to", required=True, type=click.Choice(["bids", "psychopy", "folder"]), help="Form of the export.")
@options.out("export")
@click.option("--selection", type=click.Path(path_type=Path), help="A selection.tsv; default: every finished item.")
@click.option(
    "--key", type=click.Path(path_type=Path), help="Table of what each sound is; default: OUT-key.tsv, beside the folder."
)
@click.option(
    "--names-key",
    type=click.Path(path_type=Path),
    help="Private key (names.key) of an earlier export, to get the same names; default: a new key.",
)
@click.option("--rate", type=click.Choice(["44100", "48000"]), default="48000", show_default=True, help="Sample rate, Hz.")
@click.option("--bits", type=click.Choice(["16", "24"]), default="24", show_default=True, help="Bits per sample.")
@click.option(
    "--level", type=options.Number(), help="RMS of every sound, dB re full scale (a constant 1 has 0 dB); default: -30."
)
@click.option("--factor", type=options.Number(), help="Instead of --level: factor by which all sounds are multiplied.")
@click.option(
    "--peaks", type=click.Choice(["lower", "stop"]), default="lower", show_default=True,
    help="If a peak would clip: lower the whole set, or stop with an error.",
)  # fmt: skip
@click.option("--ramp", type=options.Number(0), default=10.0, show_default=True, help="Raised-cosine rise and fall, ms.")
@click.option(
    "--seed", type=options.SEED, default=0, show_default=True, help="Random seed of names, dither and calibration noise."
)
@click.option(
    "--bids-version", type=click.Choice(["current", "coming"]), default="current", show_default=True,
    help="current: a column stim_file; coming: stimuli.tsv and stim_id (BIDS extension proposal 44, a draft).",
)  # fmt: skip
@click.option("--reveal", is_flag=True, help="Also write what each sound is into the tables of the export.")
def export(
    stimulus_set: Path,
    to: str,
    out: Path,
    selection: Path | None,
    key: Path | None,
    names_key: Path | None,
    rate: str,
    bits: str,
    level: float | None,
    factor: float | None,
    peaks: str,
    ramp: float,
    seed: int,
    bids_version: str,
    reveal: bool,
) -> None:
    """Write presentation copies of SET: PCM, one level for all, ramps, opaque names, and calibration sounds."""
    settings = PresentationSettings(
        sample_rate=int(rate), bits=int(bits), level=-30.0 if level is None and factor is None else level, factor=factor,
        peaks=cast("Literal['lower', 'stop']", peaks), ramp=ramp, seed=seed,
        bids_version=cast("Literal['current', 'coming']", bids_version), reveal=reveal,
    )  # fmt: skip
    key = key or exporting.default_key_file(out)
    form = cast("exporting.FormatName", to)
    made = exporting.export(stimulus_set, out, to=form, settings=settings, selection=selection, key=key, names_key=names_key)
    click.echo(f"{len(made)} sounds: {out}   key: {key}   names follow from {exporting.names_key_file(key)}: keep both private")


def _wanted(text: str) -> tuple[str, tuple[str, ...]]:
    """A column and its values, from ``COLUMN=A,B``."""
    column, equals, values = text.partition("=")
    if not (column and equals and values):
        raise AudioMetamerError(f"--only is {text!r}; it must be COLUMN=VALUE or COLUMN=VALUE,VALUE")
    return column, tuple(options.split_names((values,)))


@stimuli.command()
@_stimulus_set
@options.out("selection")
@click.option(
    "--among", type=click.Choice(["complete", "largest"]), default="complete", show_default=True,
    help="Clips that passed at all models and layers; or as many items as possible with equally many at each.",
)  # fmt: skip
@click.option("--balance", multiple=True, metavar="A,B,…", help="Columns of clips.tsv whose values are to be equally frequent.")
@click.option("--may-drop", multiple=True, metavar="A,B,…", help="As --balance, but values may be left out altogether.")
@click.option("--most-clips", type=int, help="Maximum number of clips at each model and layer; default: as many as there are.")
@click.option("--level-within", type=options.Number(0), metavar="DB", help="Width of the window in which all RMS levels lie.")
@click.option("--duration-within", type=options.Number(0), metavar="S", help="Width of the window in which all durations lie.")
@click.option(
    "--only", multiple=True, metavar="COLUMN=A,B,…", help="Select from items with these values of a column of the index or clips."
)
@click.option(
    "--without-attempt", "without_attempts", multiple=True, type=click.Choice(ATTEMPTS),
    help="Leave out metamers that were made in this way: by the first attempt, from new noise, by continuing an earlier "
    "attempt, or by first matching the layer before; may be given several times.",
)  # fmt: skip
@click.option(
    "--without-path", "without_paths", multiple=True, metavar="PATTERN",
    help="Leave out metamers whose path, a column of the index, is like this: '*longer*'; may be given several times.",
)  # fmt: skip
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of every draw.")
def select(
    stimulus_set: Path,
    out: Path,
    among: str,
    balance: tuple[str, ...],
    may_drop: tuple[str, ...],
    most_clips: int | None,
    level_within: float | None,
    duration_within: float | None,
    only: tuple[str, ...],
    without_attempts: tuple[str, ...],
    without_paths: tuple[str, ...],
    seed: int,
) -> None:
    """Select items of SET that passed their verdict, balanced and matched, and record the selection with its rules."""
    from audiometamer.stimuli import select as selecting
    from audiometamer.stimuli.selection_rules import SelectionRules

    rules = SelectionRules(
        among=cast("Literal['complete', 'largest']", among), balance=tuple(options.split_names(balance)),
        may_drop=tuple(options.split_names(may_drop)), most_clips=most_clips, level_within=level_within,
        duration_within=duration_within, only=dict(map(_wanted, only)), without_attempts=without_attempts,
        without_paths=without_paths, seed=seed,
    )  # fmt: skip
    n = selecting.write_selection(stimulus_set, out, rules).counts
    clips, conditions = pluralize(n["selected_clips"], "clip"), pluralize(n["conditions"], "condition")
    click.echo(f"{n['selected']} of {n['items']} items, {clips} at {conditions}: {out / selecting.TABLE}")
    if n["at_most"] > n["selected"]:
        click.echo(f"not every window was searched: there may be selections of up to {n['at_most']} items")
