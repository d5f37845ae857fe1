"""Runs of one plan whose processes are killed, suspended and terminated at random: is everything made once, and is it true?

    python tests/endurance/killed_runs.py [--faults 24] [--seed 0] [--clips 30]

Each fault meets one of two runs that share the work: SIGKILL of a worker, of a parent or of a whole run, SIGTERM, and SIGSTOP,
after which others may take over what the suspended process claims, with SIGCONT. A claim counts as silent after 3 s rather than
120 s. At the end one run finishes the set. It must print that nothing is lost, doubled, changed or left over and that every WAV
fits its record; the exit status is 1 if not. POSIX only.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import scipy.io.wavfile

from audiometamer.jobs.claims import Claims

HELPERS = Path(__file__).resolve().parents[1] / "helpers"
sys.path.insert(0, str(HELPERS))

from tiny_plan import PLAN, write_plan  # noqa: E402 (it lies in the folder that was just added)

SILENCE = 3.0
FAULTS = ("worker", "parent", "run", "terminate", "suspend", "suspend")
LAYERS, SEEDS = ("relu0", "relu1"), (0, 1)

# Also in workers, which import this file anew.
Claims.__init__.__kwdefaults__.update(beat=0.3, silence=SILENCE)  # type: ignore[union-attr]  # it has defaults


class Runs:
    """Runs of one plan, started and disturbed.

    Parameters
    ----------
    folder : path
    clips : int
    rng : random.Random
    """

    def __init__(self, folder: Path, clips: int, rng: random.Random) -> None:
        text = PLAN.replace('["relu0"]', json.dumps(LAYERS)).replace("steps = 20", "steps = 300")
        self.plan = write_plan(folder, text.replace("batch_size = 2", "batch_size = 4"), n_clips=clips)
        self.set, self.log, self.rng = folder / "set", folder / "log", rng
        self.wanted = clips * len(LAYERS) * len(SEEDS)
        self.live: list[subprocess.Popen[bytes]] = []
        self.faults: Counter[str] = Counter()
        self.seen: dict[Path, str] = {}
        self.changed: set[Path] = set()

    def start(self, workers: int) -> "subprocess.Popen[bytes]":
        paths = os.pathsep.join([str(HELPERS), str(HELPERS.parents[1]), os.environ.get("PYTHONPATH", "")])
        env = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "command", "run", str(self.plan), "--workers", str(workers), "--device", "cpu"]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def disturb(self) -> None:
        """Let something happen to one of two runs."""
        while len(self.live) < 2:
            self.live.append(self.start(self.rng.choice([1, 2])))
        time.sleep(self.rng.uniform(1, 12))
        run, fault = self.rng.choice(self.live), self.rng.choice(FAULTS)
        workers = _children(run.pid)
        if fault == "worker" and workers:
            _send(self.rng.choice(workers), signal.SIGKILL)
        elif fault in {"parent", "run", "worker"}:
            for pid in [run.pid, *(workers if fault == "run" else ())]:
                _send(pid, signal.SIGKILL)
        elif fault == "terminate":
            _send(run.pid, signal.SIGTERM)
        else:
            pid = self.rng.choice([run.pid, *workers])
            _send(pid, signal.SIGSTOP)
            time.sleep(self.rng.uniform(0.5, 4 * SILENCE))
            self.look()
            _send(pid, signal.SIGCONT)
        self.faults[fault] += 1
        self.look()
        self.live = [one for one in self.live if one.poll() is None]

    def look(self) -> None:
        """Note what is complete, and what was complete and is not as it was."""
        now = {path: _sum(path) for path in self.set.glob("items/*/*/*/item.json")}
        now |= {path: _sum(path) for record in tuple(now) for path in record.parent.glob("metamer.*")}
        self.changed |= {path for path, before in self.seen.items() if now.get(path) != before}
        self.seen |= {path: now[path] for path in now.keys() - self.seen.keys()}

    def finish(self) -> int:
        """Let all runs end, then one more; its exit status."""
        for run in self.live:
            run.wait(900)
        status = self.start(1).wait(900)
        self.look()
        return status

    def problems(self) -> Iterator[str]:
        """What is not as it should be at the end."""
        records = {path: json.loads(path.read_text()) for path in self.set.glob("items/*/*/*/item.json")}
        keys = Counter(record["key"] for record in records.values())
        if len(keys) != self.wanted:
            yield f"{len(keys)} of {self.wanted} items are there"
        yield from (f"{key} was made {n} times" for key, n in keys.items() if n > 1)
        yield from (f"{path} has changed since it was complete, or is gone" for path in sorted(self.changed))
        yield from (f"{path} does not fit its WAV" for path, record in records.items() if not _fits(path, record))
        yield from (f"{path} is left over" for path in self.set.rglob("*") if _is_left_over(path))
        command = [sys.executable, "-m", "audiometamer", "stimuli", "verify", str(self.set)]
        if (reported := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
            yield f"verify: {reported.stdout} {reported.stderr}"
        if "Traceback" in (log := self.log.read_text()):
            yield log[log.index("Traceback") :][:2000]


def _children(pid: int) -> list[int]:
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it was quicker
        return


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fits(path: Path, record: dict[str, dict[str, float]]) -> bool:
    samples = scipy.io.wavfile.read(path.parent / str(record["file"]))[1].astype(float)
    found = np.array([np.abs(samples).max(), np.sqrt(np.mean(samples**2))])
    return bool(np.allclose(found, [record["evidence"]["peak"], record["evidence"]["rms"]], rtol=0, atol=1e-6))


def _is_left_over(path: Path) -> bool:
    is_claim = path.parent.name == "claims" and path.name != ".lock"
    return is_claim or (path.name.startswith(".") and path.name != ".lock") or path.name == "checkpoint.safetensors"


def main() -> int:
    """Disturb, finish, count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=30)
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        runs = Runs(Path(folder), asked.clips, random.Random(asked.seed))
        for _ in range(asked.faults):
            runs.disturb()
        made = len(runs.seen)
        status = runs.finish()
        problems = [*runs.problems(), *([f"the last run ended with status {status}"] if status else [])]
        taken = runs.log.read_text().count("was taken over by another worker")
    found = ", ".join(f"{name} {n}" for name, n in runs.faults.items())
    made_files = f"{made} files were complete; {taken} results of suspended workers discarded"
    print(f"{runs.faults.total()} faults ({found}) before {made_files}")
    print(
        *problems or ["nothing is lost, doubled, changed or left over; every WAV fits its record; verify finds nothing"], sep="\n"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["command"]:
        from audiometamer.cli import main as command

        sys.exit(command(sys.argv[2:]))
    sys.exit(main())
