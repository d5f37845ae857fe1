"""``audiometamer test-model``: the accuracy of a model on labelled recordings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from audiometamer.cli import attacking, options
from audiometamer.cli.printing import plain_table, print_table
from audiometamer.cli.progress import tracked
from audiometamer.io.names import safe_name
from audiometamer.training import testing
from audiometamer.training.sources import open_sources


def print_accuracy(accuracy: Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]) -> None:
    """Print scores by split, task and condition; those of a split are as in a model's card."""
    table = plain_table("split", "task", "condition", numbers=("clips", "correct", "%", "95 % interval"))
    rows = [
        (split, t, c, score) for split, tasks in accuracy.items() for t, scores in tasks.items() for c, score in scores.items()
    ]
    for split, task, condition, score in rows:
        correct, (low, high) = score.get("correct"), score["interval_95"]
        counts = str(score["clips"]), "" if correct is None else str(correct)
        interval = f"{low:.1f} to {high:.1f}"
        table.add_row(split, task, condition.replace("_", " "), *counts, f"{score['percent']:.1f}", interval)
    print_table(table)


@click.command("test-model")
@click.argument("model_name", metavar="MODEL")
@options.data
@click.option(
    "--split", "splits", type=click.Choice(("train", "valid", "test")), multiple=True, default=("test",), show_default=True,
    help="Recordings to test on; may be given several times.",
)  # fmt: skip
@click.option(
    "--snr",
    "snrs",
    type=options.Number(-200, 200),
    multiple=True,
    default=(10.0, 0.0, -5.0),
    show_default=True,
    help="Signal-to-noise ratio in dB; may be given several times.",
)
@attacking.attacks
@attacking.attack_steps
@click.option("--seed", type=options.SEED, default=0, show_default=True, help="Random seed of the backgrounds.")
@options.device
@options.batch_size
@click.option("--out", type=click.Path(path_type=Path), help="Folder for tables and figures; default: test-model/MODEL.")
@click.option("--overwrite", is_flag=True, help="Overwrite existing tables and figures.")
def test_model(
    model_name: str, data: tuple[str, ...], splits: tuple[str, ...], snrs: tuple[float, ...], attacks: tuple[str, ...],
    attack_steps: int, seed: int, device: str, batch_size: int, out: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Measure the accuracy of MODEL by task: in quiet, below 4 kHz, in background at each SNR.

    Backgrounds are the last fifth of the data sets' backgrounds, reserved for tests; without any, pink noise is used.
    """
    adversaries = attacking.adversaries(attacks, attack_steps)
    model = options.opened_model(model_name, device)
    out = out or Path("test-model") / safe_name(model.name)
    table = out / "accuracy.tsv"
    options.check_free(table, overwrite=overwrite)
    recordings = open_sources(data, click.echo)
    conditions = testing.conditions(snrs, adversaries)
    scores: dict[str, testing.Scores] = {}
    with tracked() as tracker:
        for k, split in enumerate(dict.fromkeys(splits)):

            def advance(done: float, message: str, k: int = k, split: str = split) -> None:
                tracker((k + done) / len(splits), f"{split}: {message}")

            advance(0.0, f"reading {len(recordings)} recordings")
            tests = testing.prepare_test_set(model, recordings, split=split, seed=seed)
            scores[split], confusions = testing.measure(model, tests, conditions, batch_size=batch_size, progress=advance)
            for task, confusion in confusions.items():
                labels, stem = tests.corpus.tasks[task].labels, f"confusion-{safe_name(task)}-{split}"
                testing.write_confusion(out / f"{stem}.tsv", confusion, labels)
                title = f"{model.name}, {task}: {split}, in quiet"
                testing.draw_confusion(out / f"{stem}.png", confusion, labels, title=title)
    testing.write_scores(table, scores)
    print_accuracy(msgspec.to_builtins(scores))
    click.echo(f"{table} and confusion matrices beside it")
