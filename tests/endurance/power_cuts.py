"""Cut the power while ``audiometamer run`` makes a set, and look whether what it had finished is still there.

    python tests/endurance/power_cuts.py [--cuts 12] [--seed 0] [--items 120]

Needs root on Linux, mkfs.ext4 and a loop device. An image of ext4 is mounted, a real run makes items in it, and at random
moments the image is copied: a copy holds what had reached the disk by then, as after a power cut. While one is copied the run
is stopped, since power goes in no time. An item counts as finished once its record is there and its claim is given back. Each
copy is then mounted, which replays its journal; all that was finished before must be whole (record readable, signal and original
the same by SHA-256), and ``run`` must resume by itself to the end, with ``stimuli verify`` finding nothing.

Prints a row for each cut. The last line must say ``0 lost``; the exit status is 1 if anything was lost, or a run did not resume.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
sys.path.insert(0, str(HELPERS))

from tiny_plan import PLAN, write_plan  # noqa: E402 (in tests/, which is no package)

from audiometamer.cli import main as audiometamer  # noqa: E402

IMAGE_MB = 200
SEEDS = 5


def sha256(path: Path) -> str:
    """Of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """An image, mounted by a loop device."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, at], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", at], check=True)


@dataclass
class Finished:
    """What was seen to be finished, by an item's folder as it lies in the image: its files with their sums.

    Parameters
    ----------
    disk : path
        Where the image is mounted.
    """

    disk: Path
    items: dict[str, dict[str, str]] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look at the disk again and again, until `ended`."""
        while not self.ended.wait(0.03):
            for record in self.disk.glob("run-*/set/items/*/*/*/item.json"):
                at = record.parent
                if (name := at.relative_to(self.disk).as_posix()) in self.items:
                    continue
                stimulus_set = at.parents[3]
                if not (stimulus_set / "claims" / at.name.rpartition("-")[2]).exists():
                    reported = json.loads(record.read_bytes())
                    files = record, at / reported["file"], stimulus_set / reported["original"]
                    self.items[name] = {file.relative_to(self.disk).as_posix(): sha256(file) for file in files}


def new_run(disk: Path, number: int, n_items: int) -> "subprocess.Popen[bytes]":
    """A run of a new plan in the image."""
    folder = disk / f"run-{number}"
    folder.mkdir()
    quick = PLAN.replace("[0, 1]", str([*range(SEEDS)])).replace("steps = 20", 'steps = 2\nmethod = "feather2023"')
    plan = write_plan(folder, quick, n_clips=-(-n_items // SEEDS))
    subprocess.run(["sync", "-f", folder], check=True)  # the plan and its clips were there long before
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HELPERS), os.environ.get("PYTHONPATH", "")])}
    return subprocess.Popen(
        [sys.executable, "-m", "audiometamer", "run", plan, "--device", "cpu"],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def cut_under_load(
    folder: Path, n_cuts: int, n_items: int, rng: random.Random
) -> list[tuple[Path, int, dict[str, dict[str, str]]]]:
    """Copies of an image in which runs are at work; each with the latest run's number, and what was finished before."""
    image, cuts = folder / "disk.img", []
    subprocess.run(["truncate", "-s", f"{IMAGE_MB}M", image], check=True)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    with mounted(image, folder / "disk") as disk:
        finished, number = Finished(disk), 0
        watcher = threading.Thread(target=finished.watch)
        watcher.start()
        process = new_run(disk, number, n_items)
        try:
            while len(cuts) < n_cuts:
                time.sleep(rng.uniform(2, 8))
                if process.poll() is not None:
                    number += 1
                    process = new_run(disk, number, n_items)
                if not (disk / f"run-{number}/set/items").exists():  # it still starts
                    continue
                process.send_signal(signal.SIGSTOP)
                known, copy = dict(finished.items), folder / f"cut-{len(cuts)}.img"
                subprocess.run(["cp", "--sparse=always", image, copy], check=True)
                process.send_signal(signal.SIGCONT)
                cuts.append((copy, number, known))
        finally:
            process.kill()
            process.wait()
            finished.ended.set()
            watcher.join()
    return cuts


def state(disk: Path, files: dict[str, str]) -> str:
    """What became of a finished item: ``whole``, or what is wrong with its record, its signal or its original."""
    for what, (file, expected) in zip(("record", "signal", "original"), files.items(), strict=True):
        path = disk / file
        if not path.exists():
            return f"{what} gone"
        if sha256(path) != expected:
            return f"{what} {'changed' if path.read_bytes().strip(bytes(1)) else 'empty'}"
    return "whole"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=12, help="Copies of the image.")
    parser.add_argument("--items", type=int, default=120, help="Items of one run.")
    parser.add_argument("--seed", type=int, default=0, help="Random seed of the moments.")
    options = parser.parse_args()
    n_lost = n_stuck = n_finished = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuts = cut_under_load(folder, options.cuts, options.items, random.Random(options.seed))
        rows = []
        for k, (copy, number, finished) in enumerate(cuts):
            with mounted(copy, folder / "copy") as disk:
                states = Counter(state(disk, files) for files in finished.values())
                resumed = audiometamer(["run", str(disk / f"run-{number}" / "plan.toml"), "--device", "cpu"])
                verified = audiometamer(["stimuli", "verify", str(disk / f"run-{number}" / "set")])
            copy.unlink()
            rows.append((k + 1, len(finished), states, resumed, verified))
            n_finished += len(finished)
            n_lost += len(finished) - states["whole"]
            n_stuck += bool(resumed or verified)
    print("cut  finished  whole  run  verify  lost")
    for k, count, states, resumed, verified in rows:
        lost = ", ".join(f"{n} {what}" for what, n in states.items() if what != "whole")
        print(f"{k:3}  {count:8}  {states['whole']:5}  {resumed:3}  {verified:6}  {lost or '-'}")
    print(f"{len(rows)} cuts, {n_finished} finished items looked at, {n_lost} lost, {n_stuck} runs did not resume")
    raise SystemExit(1 if n_lost or n_stuck else 0)


if __name__ == "__main__":
    main()
