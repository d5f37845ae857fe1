"""Signals made on the way: in which order, by whom they are found, and what happens when they cannot be made."""

import logging
import threading
import time

import pytest
import torch
from tiny_exploration import sound_dimensions, sounds

from audiometamer.dimensions.dimensions import Dimension
from audiometamer.dimensions.ladder import read_ladder
from audiometamer.dimensions.ladder_files import read_moved_stimuli, write_moved
from audiometamer.dimensions.moved import Move
from audiometamer.dimensions.moving import all_moves, move
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.exploration import model_mover
from audiometamer.exploration.model_mover import ModelMover
from audiometamer.exploration.render_queue import MoveRequest, RenderQueue

FIRST, SECOND, DEEP = "relu0/0/+", "relu0/1/-", "relu1/0/+"
request = MoveRequest.of


@pytest.fixture(scope="module")
def dimensions(tiny):
    return sound_dimensions(tiny, ["relu0", "relu1"])


@pytest.fixture(scope="module")
def ladder(tiny, dimensions, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ladder")
    chosen = [Dimension.parse(name) for name in (FIRST, SECOND, DEEP)]
    write_moved(tiny, move(tiny, dimensions, all_moves(sounds(2, first=30), chosen, [0.3]), steps=3), folder)
    return read_ladder(folder)


@pytest.fixture
def render_queue(tiny, dimensions, ladder, tmp_path):
    made = tmp_path / "made"
    with RenderQueue(ModelMover(tiny, dimensions, ladder, made, batch_size=2), ladder, made) as opened:
        yield opened


@pytest.fixture
def gate(monkeypatch):
    """Batches as they are begun; each waits until the gate is opened once more."""
    real, opened, begun = model_mover.move, threading.Semaphore(0), []

    def waiting(model, dimensions, moves, **options):
        begun.append([(str(each.dimension), each.clip.name, each.change) for each in moves])
        assert opened.acquire(timeout=30)
        return real(model, dimensions, moves, **options)

    monkeypatch.setattr(model_mover, "move", waiting)
    return opened, begun


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_weights_are_read_once_rather_than_for_each_signal(tiny, dimensions, ladder, tmp_path, monkeypatch):
    read, real = [], type(tiny).weights_sha256
    monkeypatch.setattr(type(tiny), "weights_sha256", lambda model: read.append(model) or real(model))
    mover = ModelMover(tiny, dimensions, ladder, tmp_path)
    opened = len(read)
    assert opened > 0
    for change in (0.1, 0.2):
        (stimulus,) = mover([request(FIRST, "sound30", change)])
        assert stimulus.record.requested == change
    assert len(read) == opened
    move(tiny, dimensions, [Move(sounds(1)[0], Dimension.parse(FIRST), 0.1)], steps=3)  # who calls it may not have looked
    assert len(read) == opened + 1


def test_what_is_made_is_what_move_makes_and_is_found_again(render_queue, tiny, dimensions, ladder, monkeypatch):
    requested = 0.123456789
    render_queue.want(request(FIRST, "sound30", requested))
    stimulus = render_queue.wait(request(FIRST, "sound30", requested), timeout=30)
    assert stimulus.path == render_queue.folder / "sound30" / "relu0_0_+0.123457.wav"
    assert (stimulus.record.requested, stimulus.record.steps) == (0.123457, 3)
    (expected,) = move(tiny, dimensions, [Move(ladder.clip("sound30"), Dimension.parse(FIRST), 0.123457)], steps=3)
    torch.testing.assert_close(stimulus.read(), expected.samples, rtol=1e-3, atol=1e-4)
    render_queue.close()
    monkeypatch.setattr(model_mover, "move", None)  # nothing is made
    with RenderQueue(render_queue.mover, ladder, render_queue.folder) as later:
        later.want(request(FIRST, "sound30", requested))
        assert later.wait(request(FIRST, "sound30", requested)) == stimulus
        assert later.wait(request(FIRST, "sound31", requested), timeout=30) is None, "nobody asked for it, so nobody waits"


def test_the_most_urgent_first_and_batches_of_one_layer(render_queue, gate):
    opened, begun = gate
    render_queue.want(request(FIRST, "sound30", 0.1))
    wait_for(lambda: begun)
    render_queue.want(request(FIRST, "sound30", 0.2))
    render_queue.want(request(DEEP, "sound30", 0.2))
    render_queue.want(request(SECOND, "sound31", 0.2), urgency=1)
    render_queue.want(request(DEEP, "sound31", 0.2))
    render_queue.want(request(SECOND, "sound30", 0.2))
    render_queue.want(request(FIRST, "sound31", 0.2))
    render_queue.want(request(DEEP, "sound30", 0.2), urgency=2)  # now it is
    render_queue.drop(request(SECOND, "sound30", 0.2))
    assert render_queue.wait(request(DEEP, "sound30", 0.2), timeout=0.05) is None, "it is not made yet"
    for _ in range(5):
        opened.release()
    assert render_queue.wait(request(FIRST, "sound31", 0.2), timeout=30) is not None
    assert begun == [
        [(FIRST, "sound30", 0.1)],
        [(DEEP, "sound30", 0.2), (DEEP, "sound31", 0.2)],
        [(SECOND, "sound31", 0.2), (FIRST, "sound30", 0.2)],
        [(FIRST, "sound31", 0.2)],
    ]
    assert render_queue.wait(request(SECOND, "sound30", 0.2), timeout=30) is None
    assert len(read_moved_stimuli(render_queue.folder)) == 6


def test_what_one_listener_drops_is_made_for_the_others(render_queue, gate):
    opened, begun = gate
    render_queue.want(request(FIRST, "sound30", 0.1))
    wait_for(lambda: begun)
    for listener, urgency in ((1, 3), (2, 0)):
        render_queue.want(request(FIRST, "sound31", 0.2), urgency=urgency, listener=listener)
    render_queue.want(request(DEEP, "sound30", 0.2), urgency=2)
    render_queue.want(request(SECOND, "sound30", 0.2), urgency=1, listener=1)
    render_queue.drop(request(FIRST, "sound31", 0.2), listener=1)  # for whom it was the most urgent
    render_queue.drop(request(SECOND, "sound30", 0.2), listener=2)  # who had not asked
    for _ in range(3):
        opened.release()
    assert render_queue.wait(request(FIRST, "sound31", 0.2), timeout=30) is not None
    assert begun[1:] == [[(DEEP, "sound30", 0.2)], [(SECOND, "sound30", 0.2), (FIRST, "sound31", 0.2)]]


def test_what_is_in_the_making_is_not_made_again(render_queue, gate):
    opened, begun = gate
    render_queue.want(request(FIRST, "sound30", 0.1))
    wait_for(lambda: begun)
    render_queue.want(request(FIRST, "sound30", 0.1), urgency=5)
    render_queue.drop(request(FIRST, "sound30", 0.1))
    opened.release()
    assert render_queue.wait(request(FIRST, "sound30", 0.1), timeout=30) is not None
    assert len(begun) == 1


def test_a_fault_is_reported_once_and_leaves_the_ladder(render_queue, gate, monkeypatch, caplog):
    opened, begun = gate
    calm = model_mover.move

    def poisoned(model, dimensions, moves, **options):
        if any(each.clip.name == "sound31" for each in moves):
            raise ZeroDivisionError("no gradient\nat all")
        return calm(model, dimensions, moves, **options)

    monkeypatch.setattr(model_mover, "move", poisoned)
    with caplog.at_level(logging.ERROR):
        render_queue.want(request(DEEP, "sound30", 0.1))
        wait_for(lambda: begun)
        render_queue.want(request(FIRST, "sound31", 0.1))
        render_queue.want(request(FIRST, "sound30", 0.1))
        render_queue.want(request(SECOND, "sound31", 0.1))
        for _ in range(3):
            opened.release()
        assert render_queue.wait(request(FIRST, "sound30", 0.1), timeout=30) is not None, "the other of its batch is made"
        assert render_queue.wait(request(SECOND, "sound31", 0.1), timeout=30) is None
        render_queue.want(request(FIRST, "sound31", 0.1))
        began = time.monotonic()
        assert render_queue.wait(request(FIRST, "sound31", 0.1), timeout=30) is None
        assert time.monotonic() - began < 10, "nobody waits for what cannot be made"
    (reported,) = (record.getMessage() for record in caplog.records)
    assert reported.startswith("could not move sound31 along relu0/0/+ by 0.1; the nearest of the ladder is taken for this and")
    assert reported.endswith("no gradient at all")


def test_a_disk_that_refuses_is_a_fault_too(render_queue, caplog):
    render_queue.folder.write_text("a file is in the way")
    with caplog.at_level(logging.ERROR):
        render_queue.want(request(FIRST, "sound30", 0.1))
        assert render_queue.wait(request(FIRST, "sound30", 0.1), timeout=30) is None
    assert "could not write" in caplog.text


def test_closing_lets_everybody_go(render_queue, gate):
    opened, begun = gate
    render_queue.want(request(FIRST, "sound30", 0.1))
    render_queue.want(request(FIRST, "sound30", 0.2))
    wait_for(lambda: begun)
    found = []
    waiter = threading.Thread(target=lambda: found.append(render_queue.wait(request(FIRST, "sound30", 0.2), timeout=30)))
    waiter.start()
    threading.Timer(0.1, opened.release).start()
    render_queue.close()
    waiter.join(10)
    assert found == [None]
    assert not render_queue._thread.is_alive()


def test_what_does_not_belong_together_is_reported_in_a_line(render_queue, tiny, dimensions, ladder):
    fewer = sound_dimensions(tiny, ["relu0", "relu1"], kept=2)
    for match, ask in (
        ("has no dimension 'relu9/0/", lambda: render_queue.want(request("relu9/0/+", "sound30", 0.1))),
        ("has no reference 'song' moved along", lambda: render_queue.want(request(FIRST, "song", 0.1))),
        ("a change of 0 is requested", lambda: render_queue.want(request(FIRST, "sound30", 0))),
        ("with other dimensions", lambda: ModelMover(tiny, fewer, ladder, render_queue.folder)),
    ):
        with pytest.raises(AudioMetamerError, match=match):
            ask()
    render_queue.want(request(FIRST, "sound30", 0.1))
    record = render_queue.wait(request(FIRST, "sound30", 0.1), timeout=30).path.with_suffix(".json")
    whole = record.read_text()
    record.write_text(whole.replace(dimensions["relu0"].record.tensors_sha256, "0"))
    with pytest.raises(AudioMetamerError, match=r"was not made with the weights and dimensions of .*; delete it"):
        RenderQueue(render_queue.mover, ladder, render_queue.folder)
    record.write_text(whole[:-50])
    with pytest.warns(AudioMetamerWarning, match="is not the record of a moved signal: .*: counts as not made"):
        another = RenderQueue(render_queue.mover, ladder, render_queue.folder)
    with another:
        another.want(request(FIRST, "sound30", 0.1))
        assert another.wait(request(FIRST, "sound30", 0.1), timeout=30).path == record.with_suffix(".wav")
    assert record.with_name(f"{record.name}.broken").read_text() == whole[:-50]


def test_whether_a_signal_can_come(render_queue, monkeypatch):
    assert render_queue.can_come(request(FIRST, "sound30", 0.1))
    monkeypatch.setattr(model_mover, "move", None)
    render_queue.want(request(FIRST, "sound30", 0.1))
    assert render_queue.wait(request(FIRST, "sound30", 0.1), timeout=30) is None
    assert not render_queue.can_come(request(FIRST, "sound30", 0.1)), "it could not be made"
    assert render_queue.can_come(request(SECOND, "sound30", 0.1))
    render_queue.close()
    assert not render_queue.can_come(request(SECOND, "sound30", 0.1))
