"""``audiometamer confusions``: do networks make the listeners' confusions?"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audiometamer.cli import options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError, pluralize
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import as_output_folder, check_distinct_paths, safe_name

if TYPE_CHECKING:
    from audiometamer.evaluation.confusion_table import ConfusionRow, NetworkConfusions

_PERCENTAGES = ("network_accuracy", "confusion_share", "agreement", "confusion_percentile")


@click.command()
@click.argument("path", metavar="CORPUS", type=click.Path(path_type=Path))
@click.option("--models", "model_names", multiple=True, required=True, metavar="A,B,…", help="Networks, named as for --model.")
@click.option("--task", help="Task whose labels are the words; default: the one that knows most targets.")
@click.option("--talkers", multiple=True, metavar="A,B,…", help="Only the tokens of these talkers; default: all.")
@click.option(
    "--permutations", type=click.IntRange(1), default=1000, show_default=True, help="Permutations of the tokens, for chance."
)
@click.option("--resamples", type=click.IntRange(1), default=10_000, show_default=True, help="Bootstrap samples of words.")
@click.option(
    "--splits", type=click.IntRange(1), default=100, show_default=True, help="Splits of the listeners, for their reliability."
)
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of all of these.")
@options.device
@options.batch_size
@options.out("confusions")
@click.option("--overwrite", is_flag=True, help="Overwrite existing tables and figures.")
def confusions(
    path: Path, model_names: tuple[str, ...], task: str | None, talkers: tuple[str, ...], permutations: int, resamples: int,
    splits: int, seed: int, device: str, batch_size: int, out: Path, overwrite: bool,
) -> None:  # fmt: skip
    """Compare networks with what listeners heard of words in maskers.

    CORPUS is the folder of the English Consistent Confusion Corpus (confusionCorpus_v1.2.csv and confusionWavs), or a table with
    the columns path, target and responses (as in boat:9;both:4). Use only networks that were not trained on its talkers.

    Writes confusions.tsv, and for each network its answers to each token, tokens_NETWORK.tsv, and confusions_NETWORK.png.
    """
    from audiometamer.evaluation.confusion_corpus import read_corpus
    from audiometamer.evaluation.confusion_figure import draw_confusions
    from audiometamer.evaluation.confusion_table import write_confusions, write_tokens
    from audiometamer.evaluation.confusions import compare_confusions

    table = out / "confusions.tsv"
    corpus = read_corpus(path)
    if chosen := options.split_names(talkers):
        corpus = corpus.of_talkers(chosen)
    with exclusive_folder(as_output_folder(out)), tracked() as tracker:
        options.check_free(table, overwrite=overwrite)
        models = [options.opened_model(name, device) for name in options.split_names(model_names)]
        if not models:
            raise AudioMetamerError("--models names no model; it takes one or several, as in --models cochcnn-word,my-network")
        check_distinct_paths((model.name, safe_name(model.name)) for model in models)
        found = compare_confusions(
            corpus, models, task=task, batch_size=batch_size, permutations=permutations, resamples=resamples, splits=splits,
            seed=seed, progress=tracker,
        )  # fmt: skip
        for network in found:
            write_tokens(network, out / f"tokens_{safe_name(network.network)}.tsv")
            draw_confusions(network, out / f"confusions_{safe_name(network.network)}.png")
        write_confusions(found, table)
    for network in found:
        _print_network(network)
    click.echo(f"{table}, and the tokens and a figure of each network beside it")


def _print_network(found: "NetworkConfusions") -> None:
    """Print what is left out, and the network against chance and listeners."""
    from audiometamer.evaluation.confusion_measures import MEASURES
    from audiometamer.evaluation.confusion_table import CORRELATION, HEARD

    rows = {row.measure: row for row in found.rows if not row.presentation}
    targets, heard, confused = (rows[f"{what}_coverage"] for what in ("target", "response", "confusion"))
    click.echo(
        f"{found.network}: {len(found.tokens)} of {pluralize(targets.tokens, 'token')} have a target in its vocabulary (task "
        f"{found.task}); of these, {100 * confused.value:.0f} % have a confusion in it, as are {100 * heard.value:.0f} % of all "
        "responses"
    )
    table = plain_table("measure", numbers=("network", "95 % interval", "chance", "p", "listeners", "tokens"))
    accuracy = found.row("listener_accuracy", HEARD)
    for measure in ("network_accuracy", *MEASURES, CORRELATION):
        row = found.row(measure, HEARD)
        if row is not None:
            listeners = accuracy.value if measure == "network_accuracy" and accuracy is not None else row.listeners
            table.add_row(measure.replace("_", " "), *_cells(row, listeners))
    print_table(table)


def _cells(row: "ConfusionRow", listeners: float) -> Sequence[str]:
    unit = " %" if row.measure in _PERCENTAGES else ""

    def text(value: float) -> str:
        if math.isnan(value):
            return ""
        return f"{100 * value:.1f}" if unit else f"{value:.2f}"

    interval = "" if math.isnan(row.low) else f"{text(row.low)} to {text(row.high)}"
    p = "" if math.isnan(row.p) else f"{row.p:.3f}"
    return f"{text(row.value)}{unit}", interval, text(row.chance), p, text(listeners), str(row.tokens)
