"""The log of a training run: a table of epochs, its learning curve, and events for TensorBoard if that is installed."""

import csv
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from audiometamer.drawing import literal_text
from audiometamer.io.files import atomic_write

EpochRow = dict[str, float]


def write_table(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write all epochs as CSV."""
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)


@literal_text()
def draw_learning_curve(path: Path, rows: Sequence[EpochRow], *, title: str) -> None:
    """Draw losses and accuracies by epoch, side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    epochs = [row["epoch"] for row in rows]
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for key in (key for key in rows[0] if what in key):
            axes.plot(epochs, [row[key] for row in rows], marker=".", label=key.replace("_", " "))
        axes.set(xlabel="epoch", ylabel=what, title=title if what == "loss" else "")
        axes.set_ylim(bottom=0, top=1 if what == "accuracy" else None)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120)


class EventFiles:
    """Events for TensorBoard in a folder, created with the first one; nothing if `tensorboard` is not installed.

    Parameters
    ----------
    folder : path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer: Any = None

    def write(self, row: EpochRow) -> None:
        """Add an epoch; TensorBoard hides earlier events of this and later epochs, which an interrupted run may have written."""
        if self.writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self.writer = SummaryWriter(str(self.folder), purge_step=int(row["epoch"]))
        for key, value in row.items():
            if key != "epoch":
                self.writer.add_scalar(key, value, int(row["epoch"]))
        self.writer.flush()

    def __enter__(self) -> "EventFiles":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.writer is not None:
            self.writer.close()
