"""Faults under the server while listeners answer: what was confirmed is there once, and everybody finishes when it is over.

::

    python tests/endurance/faulty_disks.py kill|full|ro|delete|replace [--listeners 100] [--kills 20]

- kill: the server is killed again and again.
- full: the disk fills up, and later there is space. As root, on Linux.
- ro: the disk's file system fails and becomes read-only; then the server is stopped, the file system is checked, and the server
  is started again. As root, on Linux.
- delete, replace: the files of the database are deleted, or replaced by a copy, and after a while put back.

It must print "0 lost"; the exit status is 1 if anything confirmed is lost, the database is not whole, a listener does not finish,
or the log has a traceback or more than 20 kB.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from crowd import Crowd, Server, build, lost

ENDS = ("", "-wal", "-shm")


@contextmanager
def mounted(*command: str, place: Path) -> Iterator[None]:
    subprocess.run(["mount", *command, str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


class Faults:
    """What happens to the server and its disk, while listeners answer.

    Parameters
    ----------
    folder : path
    kills : int
    stack : ExitStack
        Of what is mounted.
    """

    def __init__(self, folder: Path, kills: int, stack: ExitStack) -> None:
        self.folder, self.kills, self.stack = folder, kills, stack
        self.disk = folder / "mounted"
        self.disk.mkdir()
        self.server: Server

    def kill(self) -> None:
        generator = random.Random(7)
        for _ in range(self.kills):
            time.sleep(generator.uniform(0.1, 2))
            self.server.kill()
            self.server.start()

    def full(self) -> None:
        time.sleep(25)
        subprocess.run(["mount", "-o", "remount,size=50m", str(self.disk)], check=True)

    def ro(self) -> None:
        time.sleep(6)
        subprocess.run(["mount", "-o", "remount,abort", str(self.disk)], check=True)
        time.sleep(4)
        self.server.kill()
        subprocess.run(["umount", str(self.disk)], check=True)
        subprocess.run(["e2fsck", "-y", "-f", str(self.folder / "image")], check=False, stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-o", "loop", str(self.folder / "image"), str(self.disk)], check=True)
        self.server.start()

    def delete(self) -> None:
        self._swap(lambda path: path.unlink())

    def replace(self) -> None:
        def replace(path: Path) -> None:
            copy = path.with_name("copy")
            shutil.copy(path, copy)
            copy.replace(path)

        self._swap(replace)

    def _swap(self, swap: Callable[[Path], None]) -> None:
        """Do something to the files, and put them back; twice."""
        for _ in range(2):
            time.sleep(5)
            for end in ENDS:
                os.link(self.disk / f"answers.db{end}", self.disk / f"kept{end}")
            for end in ENDS:
                swap(self.disk / f"answers.db{end}")
            time.sleep(5)
            for end in ENDS:
                (self.disk / f"kept{end}").replace(self.disk / f"answers.db{end}")

    def prepare(self, fault: str) -> None:
        """The disk on which the database lies."""
        if fault == "full":
            self.stack.enter_context(mounted("-t", "tmpfs", "-o", "size=3m", "tmpfs", place=self.disk))
        elif fault == "ro":
            image = self.folder / "image"
            with image.open("wb") as file:
                file.truncate(100 * 1024**2)
            subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
            self.stack.enter_context(mounted("-o", "loop", str(image), place=self.disk))


def main() -> int:
    """Let it happen, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("fault", choices=["kill", "full", "ro", "delete", "replace"])
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pace", type=float, default=1.0, help="1: as slow as people.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        experiment = build(folder, asked.listeners)
        faults = Faults(folder, asked.kills, stack)
        faults.prepare(asked.fault)
        database, log = faults.disk / "answers.db", folder / "log.txt"
        crowd = Crowd(experiment, database, asked.listeners, pace=asked.pace)
        faults.server = Server(experiment, database, log)
        crowd.start(faults.server.address)
        getattr(faults, asked.fault)()
        during = len(crowd.confirmed)
        for thread in crowd.threads:
            thread.join()
        faults.server.stop()
        n, there, whole = lost(database, crowd.confirmed)
        text = log.read_text()
    print(f"{asked.fault}: {len(crowd.confirmed)} confirmed ({during} before it was over, {crowd.again} sent more than once),")
    print(f"{there} there, {n} lost, {whole}; {dict(crowd.ends)}; {text.count('Traceback')} tracebacks, {len(text)} bytes of log")
    bad = n or whole != "ok" or set(crowd.ends) != {"finished"} or "Traceback" in text or len(text) > 20_000
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
