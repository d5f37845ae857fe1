"""``audiometamer report``: a page to look and listen through a folder of metamers."""

from pathlib import Path

import click

from audiometamer.cli.progress import tracked
from audiometamer.evaluation.report import make_report


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="File to write; default: report.html in FOLDER.")
@click.option(
    "--evaluation", type=click.Path(path_type=Path),
    help="Folder with evaluation.tsv and pictures to show as well; default: FOLDER, if it has any.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Draw cochleagrams again that are there already.")
def report(folder: Path, out: Path | None, evaluation: Path | None, overwrite: bool) -> None:
    """Make one HTML page of a FOLDER of metamers, with players, cochleagrams, verdicts and loss curves.

    It opens with a double click, without a network. Sounds stay where they are; cochleagrams are drawn into a folder beside the
    page. A report made before is replaced; any other file of that name is not.
    """
    with tracked() as tracker:
        page = make_report(folder, out=out, evaluation=evaluation, redraw=overwrite, progress=tracker)
    click.echo(f"report: {page}")
