"""``audiometamer report``: a page for looking at and listening to a folder of metamers."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli.progress import tracked

if TYPE_CHECKING:
    from audiometamer.models.model import Model


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: report.html in FOLDER.")
@click.option(
    "--evaluation", type=click.Path(path_type=Path),
    help="Folder with evaluation.tsv and figures to include; default: FOLDER, if it has any.",
)  # fmt: skip
@click.option(
    "--figures", is_flag=True,
    help="Draw missing figures of clips and models, for example in a set: about a second each.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Redraw existing cochleagrams and figures.")
def report(folder: Path, out: Path | None, evaluation: Path | None, figures: bool, overwrite: bool) -> None:
    """Make one HTML page of a FOLDER of metamers, with players, cochleagrams, verdicts and loss curves.

    FOLDER is the --out folder of `audiometamer synth`, or a set that `audiometamer run` made, even an unfinished one. The page
    works offline: open it with a double click. Sounds stay where they are; cochleagrams are drawn into a folder beside the page.
    An earlier report is replaced; any other file of that name is not.
    """
    from audiometamer.report.report import make_report

    opener = partial(_opened, folder) if figures else None
    with tracked() as tracker:
        page = make_report(folder, out=out, evaluation=evaluation, redraw=overwrite, progress=tracker, open_model=opener)
    click.echo(f"report: {page}")


def _opened(folder: Path, name: str) -> "Model":
    """A model by its name in the records: from the plans of a set, or else by the name for --model."""
    from audiometamer.models.loading import load_model
    from audiometamer.stimuli.plan import plans_of

    planned = [(plan, number, entry.name) for plan in plans_of(folder) for number, entry in enumerate(plan.content.models)]
    for plan, number, _ in sorted(planned, key=lambda found: found[2] != name):  # most models have the name that loads them
        model, _ = plan.open_model(number)
        if model.name == name:
            return model
    return load_model(name)
