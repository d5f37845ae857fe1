"""Real processes for tests, forked from one that has everything imported: each begins within milliseconds."""

import multiprocessing
import os
import sys
from pathlib import Path

# What a run imports; pandas because pyarrow looks for it. What is not installed is passed over.
IMPORTED = (
    "audiometamer.cli.explore",
    "filelock",
    "pandas",
    "psutil",
    "pyarrow.parquet",
    "scipy.io.wavfile",
    "soundfile",
    "torchaudio.functional",
)

# Forked from a process of its own: in this one torch may have threads, which a fork would leave behind.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(list(IMPORTED))


def started(function, *arguments, output: Path):
    """A process at work on a function of a module of tests; what it prints goes into a file."""
    process = CONTEXT.Process(target=_work, args=(function, arguments, output))
    process.start()
    return process


def finished(process, seconds=60):
    """The exit status of a process."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        raise AssertionError(f"it has not ended after {seconds} s")
    return process.exitcode


def _work(function, arguments, output):
    import torch

    torch.set_num_threads(1)
    with output.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(function(*arguments))
