"""``audiometamer evaluate``: who recognises whose metamers."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli import attacking, options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import as_output_folder
from audiometamer.models.inputs import NATURAL

if TYPE_CHECKING:
    from audiometamer.evaluation import EvaluationRow


@click.command()
@click.argument("folders", metavar="DIR…", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--models", "model_names", multiple=True, required=True, metavar="A,B,…", help="Judging networks, named as for --model."
)
@click.option(
    "--labels", type=click.Path(path_type=Path),
    help="CSV with the clips' true labels: columns path or clip, and one for each task (word, speaker, …).",
)  # fmt: skip
@attacking.attacks
@attacking.attack_steps
@click.option(
    "--rdms/--no-rdms", default=True, show_default=True, help="Compute dissimilarities of all pairs of sounds at every layer."
)
@click.option("--only-passed", is_flag=True, help="Leave out metamers that did not pass their verdict.")
@click.option("--selection", type=click.Path(path_type=Path), help="Evaluate only the files in this table of `stimuli select`.")
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap samples of clips.")
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the bootstrap.")
@options.device
@options.batch_size
@options.out("evaluation")
@click.option("--overwrite", is_flag=True, help="Overwrite an existing table and figures.")
def evaluate(
    folders: tuple[Path, ...], model_names: tuple[str, ...], labels: Path | None, attacks: tuple[str, ...], attack_steps: int,
    rdms: bool, only_passed: bool, selection: Path | None, resamples: int, seed: int, device: str, batch_size: int, out: Path,
    overwrite: bool,
) -> None:  # fmt: skip
    """Measure how networks recognise metamers and their clips. DIR is a folder of `audiometamer synth` or a set of `run`.

    Writes evaluation.tsv and figures; with --attack also the accuracy on clips under attack.
    """
    from audiometamer.evaluation import draw_figures, write_table
    from audiometamer.evaluation import evaluate as evaluate_models
    from audiometamer.evaluation.labels import chance_of

    adversaries = attacking.adversaries(attacks, attack_steps)
    table = out / "evaluation.tsv"
    with exclusive_folder(as_output_folder(out)), tracked() as tracker:
        options.check_free(table, overwrite=overwrite)
        models = [options.opened_model(name, device) for name in options.split_names(model_names)]
        if not models:
            raise AudioMetamerError(
                "--models names no model; it takes one or several, as in --models cochcnn-word,cochresnet-word"
            )
        rows = evaluate_models(
            folders, models, labels=labels, attacks=adversaries, rdms=out / "rdms" if rdms else None, only_passed=only_passed,
            selection=selection, batch_size=batch_size, resamples=resamples, seed=seed, progress=tracker,
        )  # fmt: skip
        write_table(table, rows)
        figures = draw_figures(rows, out, chance=chance_of(models))
    _print_recognition(rows)
    click.echo(f"{table}   figures: {', '.join(figure.name for figure in figures)}")


def _print_recognition(rows: "Sequence[EvaluationRow]") -> None:
    """Print the percentages that the other networks recognise, by task: layers in rows, generating models in columns."""
    from audiometamer.evaluation.measures import RECOGNITION
    from audiometamer.evaluation.table import OTHERS

    recognised = [row for row in rows if row.measure in RECOGNITION and not row.attack]
    shown = [row for row in recognised if row.judge == OTHERS] or recognised
    for task in dict.fromkeys(row.task for row in shown):
        measure = next(name for name in RECOGNITION if any((row.task, row.measure) == (task, name) for row in shown))
        found = {(row.layer, row.generator): row for row in shown if (row.task, row.measure) == (task, measure)}
        generators = dict.fromkeys(generator for _, generator in found)
        table = plain_table("layer", numbers=generators)
        for layer in sorted(dict.fromkeys(layer for layer, _ in found), key=lambda layer: layer != NATURAL):
            cells = (found.get((layer, generator)) for generator in generators)
            table.add_row(layer, *("" if cell is None else _percent(cell) for cell in cells))
        judge = "the other networks" if shown[0].judge == OTHERS else shown[0].judge
        click.echo(f"{task}: {measure.replace('_', ' ')} of {judge}, % (95 % interval), by the network that made the metamers")
        print_table(table)


def _percent(row: "EvaluationRow") -> str:
    interval = "" if math.isnan(row.low) else f" ({100 * row.low:.0f}–{100 * row.high:.0f})"
    return f"{100 * row.value:.0f}{interval}"
