"""Power cuts under the server: what was confirmed before each is on the disk.

The answers lie on an ext4 file system in a file, which is copied while listeners answer; each copy is what a disk would hold if
the power had failed then. As root, on Linux::

    python tests/endurance/power_cuts_server.py [--cuts 12] [--listeners 60]

It must print "0 lost" and "ok" for every cut, and "0 lost in 12 cuts" in the end; the exit status is 1 if anything is lost.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crowd import Crowd, Server, build, lost


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def main() -> int:
    """Cut, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=12)
    parser.add_argument("--listeners", type=int, default=60)
    parser.add_argument("--pace", type=float, default=1.0, help="1: as slow as people.")
    asked = parser.parse_args()
    generator = random.Random(0)
    cuts: list[tuple[float, Path]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        experiment = build(folder, asked.listeners)
        image, place = folder / "disk", folder / "mounted"
        place.mkdir()
        with image.open("wb") as file:
            file.truncate(100 * 1024**2)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        with mounted(image, place):
            crowd = Crowd(experiment, place / "answers.db", asked.listeners, pace=asked.pace)
            server = Server(experiment, place / "answers.db", folder / "log.txt")
            crowd.start(server.address)
            while crowd.busy() and len(cuts) < asked.cuts:
                time.sleep(generator.uniform(0.3, 1.5))
                cuts.append((time.monotonic(), folder / f"cut{len(cuts)}"))
                subprocess.run(["cp", "--sparse=always", str(image), str(cuts[-1][1])], check=True)
            for thread in crowd.threads:
                thread.join()
            server.stop()
        gone = 0
        for when, copy in cuts:
            with mounted(copy, place):
                before = [one for one in crowd.confirmed if one.when < when]
                n, there, whole = lost(place / "answers.db", before)
            gone += n + (whole != "ok")
            print(f"{len(before)} confirmed, {there} there, {n} lost, {whole}")
    print(f"{gone} lost in {len(cuts)} cuts under {asked.listeners} listeners: {dict(crowd.ends)}")
    return int(gone > 0 or len(cuts) < asked.cuts or set(crowd.ends) != {"finished"})


if __name__ == "__main__":
    sys.exit(main())
