"""The table of epochs, its picture, and events that need a library which may be missing."""

import sys

import matplotlib.image
import numpy as np

from audiometamer.training.journal import EventFiles, draw_learning_curve, write_table

ROWS = [
    {"epoch": 1, "loss": 2.123456789, "word_loss": 2.0, "word_accuracy": 0.25, "learning_rate": 1e-5},
    {"epoch": 2, "loss": 1.5, "word_loss": 1.4, "word_accuracy": 0.5, "learning_rate": 0.0},
]


def test_table(tmp_path):
    write_table(tmp_path / "log.csv", ROWS)
    assert (tmp_path / "log.csv").read_text() == (
        "epoch,loss,word_loss,word_accuracy,learning_rate\n1,2.12346,2,0.25,1e-05\n2,1.5,1.4,0.5,0\n"
    )


def test_picture(tmp_path):
    """Another course of the loss, another picture; the learning rate is not in it."""
    pictures = []
    for k, change in enumerate(({}, {"learning_rate": 1.0}, {"loss": 0.1})):
        draw_learning_curve(tmp_path / f"{k}.png", [ROWS[0], ROWS[1] | change], title="tones")
        pictures.append(matplotlib.image.imread(tmp_path / f"{k}.png"))
    assert len(np.unique(pictures[0].reshape(-1, 4), axis=0)) > 10
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_events(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with EventFiles(tmp_path / "events") as events:
        assert not (tmp_path / "events").exists()
        for row in ROWS:
            events.write(row)
    with EventFiles(tmp_path / "events") as events:  # as after an interruption in the second epoch
        events.write(ROWS[1] | {"loss": 1.25})
    found = EventAccumulator(str(tmp_path / "events"))
    found.Reload()
    assert set(found.Tags()["scalars"]) == set(ROWS[0]) - {"epoch"}
    assert [(event.step, event.value) for event in found.Scalars("loss")] == [(1, np.float32(2.123456789)), (2, 1.25)]


def test_without_tensorboard_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with EventFiles(tmp_path / "events") as events:
        events.write(ROWS[0])
    assert list(tmp_path.iterdir()) == []
