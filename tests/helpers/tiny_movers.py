"""Movers that need no model: what processes of `test_mover_process` open."""

import os
import signal
import time
from pathlib import Path

import psutil

from audiometamer.errors import AudioMetamerError


class Teller:
    """Makes nothing; reports of each request what it is, its process, its priority, how long threads spin; some are its end."""

    batch_size = 3

    def __call__(self, requests):
        for request in requests:
            if request.reference == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)
            if request.reference == "slow":
                Path(request.dimension).touch()
                time.sleep(60)
        return [f"{request}, {os.getpid()}, {psutil.Process().nice()}, {os.environ['GOMP_SPINCOUNT']}" for request in requests]

    def close(self):
        pass


def refused():
    raise AudioMetamerError("there is no such model")


def gone():
    os._exit(3)


def gone_the_second_time(folder):
    """Opened once, and never again."""
    if (folder / "opened").exists():
        os._exit(3)
    (folder / "opened").touch()
    return Teller()


def patient():
    """It takes a while to be opened."""
    time.sleep(1)
    return Teller()
