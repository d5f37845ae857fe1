"""Runs of a ladder to which something happens: what processes of `test_ladder_run` do."""

import itertools
import os
import re
import signal

from disks import Disk
from faulty_runs import refused

from audiometamer.cli import main
from audiometamer.dimensions import ladder_run
from audiometamer.dimensions.ladder import read_ladder


def make(path):
    """A run as it should be; its exit status."""
    return main(["explore", "ladder", str(path), "--device", "cpu"])


def make_until_killed(path, operation):
    """A run that ends, without a word to anybody, at its n-th change to the names of files."""
    count = itertools.count()

    def deadly(real):
        def change(*args, **kwargs):
            if next(count) == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            real(*args, **kwargs)

        return change

    for name in ("replace", "link", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))
    return make(path)


def make_and_note(path, notes, gate):
    """A run that begins when another does, and notes each signal that it makes."""
    save = ladder_run.save_moved

    def noting(model, moved, folder):
        if not notes.exists():
            gate.wait(60)  # until the other has one too, however busy the machine is
        with notes.open("a") as file:
            file.write(f"{moved.record.clip} {moved.record.dimension} {moved.record.requested}\n")
        return save(model, moved, folder)

    ladder_run.save_moved = noting
    gate.wait(60)
    return make(path)


def make_on_a_full_disk(path, folder):
    """A run whose disk becomes full, and another when there is space again."""
    disk = Disk(folder, small=True)
    reported = refused("explore", "ladder", path)
    assert re.search(r"could not write .*: (No space left on device|File too large)", reported), reported
    assert not list((folder / ".making" / "claims").glob("[!.]*"))
    disk.grow()
    assert make(path) == 0
    assert len(read_ladder(folder).all) == 12
