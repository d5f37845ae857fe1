"""Runs to which something happens: what processes of `test_faults` do."""

import contextlib
import io
import itertools
import json
import os
import random
import re
import resource
import signal
import time

from disks import Disk

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_write
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.stimuli import run as run_module
from audiometamer.stimuli.status import read_status
from audiometamer.stimuli.verify import verify


def make(path):
    """A run as it should be; its exit status."""
    return main(["run", str(path), "--device", "cpu"])


def refused(*arguments):
    """The one line of error that a command ends with."""
    with contextlib.redirect_stderr(io.StringIO()) as reported:
        assert main([str(a) for a in arguments]) == 2
    lines = [line for line in reported.getvalue().splitlines() if line.startswith("audiometamer:")]
    assert len(lines) == 1, reported.getvalue()
    assert "Traceback" not in reported.getvalue()
    return lines[0]


def keep_at_every_step():
    """From now on, what is unfinished is kept after every step."""
    defaults = list(Checkpoints.__init__.__defaults__)
    Checkpoints.__init__.__defaults__ = (0.0, *defaults[1:])


def make_until_killed(path, operation, afterwards):
    """A run that ends, without a word to anybody, at its n-th change to the names of files, or right after it."""
    keep_at_every_step()
    count = itertools.count()

    def deadly(real):
        def change(*args, **kwargs):
            mine = next(count) == operation
            if mine and not afterwards:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*args, **kwargs)
            if mine:
                os.kill(os.getpid(), signal.SIGKILL)

        return change

    for name in ("replace", "link", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))
    return make(path)


def make_and_note(path, notes, gate, seed):
    """A run that begins when another does, and notes each item that it makes; with a seed, by a clock that jumps."""
    save = run_module.save_item

    def noting(folder, item, metamer, *, attempt):
        if not notes.exists():
            gate.wait(60)  # until the other has one too, however busy the machine is
        with notes.open("a") as file:
            file.write(f"{item.key}\n")
        return save(folder, item, metamer, attempt=attempt)

    run_module.save_item = noting
    if seed is not None:
        rng, now = random.Random(seed), time.time
        time.time = lambda: now() + rng.choice([-1e9, -3600, 0, 1e6])
    gate.wait(60)
    return make(path)


def make_on_a_full_disk(path, folder):
    """A run whose disk becomes full, and another when there is space again."""
    disk = Disk(folder, small=True)
    reported = refused("run", path)
    assert re.search(r"could not write .*: (No space left on device|File too large)", reported), reported
    assert read_status(folder).made > 0 or not disk.mounted
    go_on_on(disk, path)


def make_on_a_disk_full_of_checkpoints(path, folder):
    """A run whose disk becomes full while unfinished items are kept, after every step here."""
    disk = Disk(folder, small=True)
    (folder / "ballast").write_bytes(bytes(32 * 1024 if disk.mounted else 0))
    path.write_text(path.read_text().replace("steps = 2", "steps = 20"))
    keep_at_every_step()
    reported = refused("run", path)
    assert re.search(r"could not write .*/checkpoint.safetensors: (No space left on device|File too large)", reported), reported
    (folder / "ballast").unlink()
    go_on_on(disk, path)


def go_on_on(disk, path):
    """What a run does when there is space again."""
    before = read_status(disk.folder)
    assert before.made < before.total
    assert before.counts["running"] == before.counts["error"] == 0
    disk.grow()
    assert make(path) == 0
    assert read_status(disk.folder).made == before.total
    assert list(verify(disk.folder)) == []
    assert not list(disk.folder.rglob("checkpoint*"))


def make_on_a_read_only_disk(path, folder):
    """A run whose disk becomes read-only under way, and another that finds it so; what only reads works."""
    disk = Disk(folder)
    assert make(path) == 0
    path.write_text(path.read_text().replace("[0, 1]", "[0, 1, 2]"))
    write = run_module.Queue.write

    def write_and_lock(*args):  # not before: no disk becomes read-only while a file is open for writing, as the claim is
        is_written = write(*args)
        disk.make_read_only()
        return is_written

    run_module.Queue.write = write_and_lock
    for command in (("run", path), ("run", path), ("stimuli", "index", folder)):
        reported = refused(*command)
        assert re.search(rf"could not write (into )?{folder}.*: (Read-only file system|Permission denied)", reported), reported
    with contextlib.suppress(AudioMetamerError), atomic_write(folder / "new") as new:  # and nothing else is raised
        new.write_text("")
    assert not (folder / "new").exists()
    assert main(["status", str(folder)]) == 0
    assert main(["stimuli", "verify", str(folder)]) == 1


def measure_status(folder, notes):
    """How long it takes to read the status of a set, in seconds of this process, and how much memory, in MiB."""
    began, used = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read_status(folder)
    seconds, more = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used
    notes.write_text(json.dumps([found.counts, seconds, more / 1024]))
