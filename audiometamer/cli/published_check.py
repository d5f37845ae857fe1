"""``audiometamer published check``: whether a model is what it should be, before it is used."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import pluralize
from audiometamer.io.files import check_writable, write_json
from audiometamer.io.names import safe_name
from audiometamer.metamers.verdicts import PAIRS
from audiometamer.models.published import published, published_home

if TYPE_CHECKING:
    from audiometamer.models.model import Model
    from audiometamer.published.checking import Checked

_DIFFERENT = 1  # exit status; 2 is bad input
_CHECK, _NULL = "check.json", "null.json"


@click.command()
@click.argument("model_name", metavar="NAME")
@options.data_sets(required=False)
@click.option(
    "--split", "splits", type=click.Choice(("train", "valid", "test")), multiple=True, default=("test",), show_default=True,
    help="Recordings of --data to test on; of data that the network was not trained on, any; may be given several times.",
)  # fmt: skip
@click.option(
    "--sounds", multiple=True, metavar="PATH",
    help="Natural sounds for a null distribution: files, or folders of them; may be given several times.",
)  # fmt: skip
@click.option(
    "--pairs", type=click.IntRange(1), default=PAIRS, show_default=True,
    help="Minimum number of random pairs of --sounds, if there are enough.",
)  # fmt: skip
@options.layers
@click.option("--steps", type=click.IntRange(1, 10**6), default=10, show_default=True, help="Steps of a synthesis to time.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed.")
@options.device
@options.batch_size
@click.option(
    "--out", type=click.Path(path_type=Path),
    help=f"Folder for {_CHECK} and, with --sounds, {_NULL}; default: the model's own if it was fetched, or check/NAME.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Overwrite existing files.")
@click.pass_context
def check(
    ctx: click.Context, model_name: str, data: tuple[str, ...], splits: tuple[str, ...], sounds: tuple[str, ...], pairs: int,
    layer_names: tuple[str, ...], steps: int, seed: int, device: str, batch_size: int, out: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Check a model, NAME, before it is used: try it on noise, and time steps of a synthesis at its layers.

    With --data, its accuracy on labelled recordings is tested; with --sounds, the null distribution of these is measured, and is
    found from then on if it lies in the model's folder. NAME is any that --model takes; --data and --sounds may be the name of
    recordings that were fetched, feather2023/stimuli.

    The exit status is 0 if all is well, 1 if the accuracy is at chance level or no step can be taken at a layer, 2 if the model
    cannot be used at all.
    """
    from audiometamer.published.checking import check as checked  # late: `published list` is quicker without
    from audiometamer.training.sources import open_sources

    model = options.opened_model(model_name, device)
    out = out or _folder_of(model)
    for name in (_CHECK, _NULL) if sounds else (_CHECK,):
        options.check_free(out / name, overwrite=overwrite)
    check_writable(out / _CHECK)
    recordings = open_sources([*map(_fetched, data)], click.echo)
    with tracked() as tracker:
        found, null = checked(
            model, layers=options.split_names(layer_names) or None, recordings=recordings, splits=splits,
            sounds=[*map(_fetched, sounds)],
            pairs=pairs, steps=steps, seed=seed, batch_size=batch_size, progress=tracker,
        )  # fmt: skip
    if null is not None:
        null.save(out / _NULL)
    write_json(out / _CHECK, found)
    _print(found)
    click.echo("written: " + ", ".join(str(out / name) for name in ((_CHECK, _NULL) if null is not None else (_CHECK,))))
    for problem in found.problems:
        click.echo(f"problem: {problem}", err=True)
    ctx.exit(_DIFFERENT if found.problems else 0)


def _fetched(name: str) -> str:
    """The folder of published recordings that are here; any other name is a path."""
    entry = published().get(name)
    return str(entry.folder) if entry is not None and entry.is_here and not Path(name).exists() else name


def _folder_of(model: "Model") -> Path:
    """Where the results go, unless the user says: nothing is put into a folder of the zoo, or of the user's own, unasked."""
    if model.folder is not None and model.folder.is_relative_to(published_home()):
        return model.folder
    return Path("check") / safe_name(model.name)


def _print(found: "Checked") -> None:
    from audiometamer.cli.accuracy import print_scores
    from audiometamer.training.scores import Scores

    classes = "".join(f", {pluralize(n, task)}" for task, n in found.classes.items())
    click.echo(f"{found.model}: {found.parameters:,} weights, {pluralize(len(found.layers), 'layer')}{classes}; {found.machine}")
    if found.accuracy:
        click.echo("\naccuracy in quiet:")
        guessed: Scores = {(a.task, a.split, "" if a.chance is None else f"{a.chance:.2g}"): a.score for a in found.accuracy}
        print_scores(guessed, columns=("task", "split", "by guessing (%)"))
    click.echo(f"\nnatural sounds: {found.null_pairs:,} pair{'s' * (found.null_pairs != 1)}" if found.null_pairs else "")
    table = plain_table("layer", numbers=("largest r² of a pair", "a step (ms)", "SNR at the start (dB)", "and after them"))
    steps = {taken.layer: taken for taken in found.steps}
    for layer in found.layers:
        r2, taken = found.largest_r2.get(layer), steps.get(layer)
        numbers = (f"{1000 * taken.seconds:.1f}", _db(taken.before_db), _db(taken.after_db)) if taken else ("", "", "")
        table.add_row(layer, "" if r2 is None else f"{r2:.4f}", *numbers)
    print_table(table)


def _db(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
