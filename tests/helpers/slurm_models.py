"""Models for a cluster's workers, imported by them alone: each item that is written is noted in a file beside the plan."""

import os
import sys
import time
from pathlib import Path

import tiny_models

import audiometamer as am
from audiometamer.stimuli import run

_save_item = run.save_item


def _noted(folder, item, *rest, **more):
    _save_item(folder, item, *rest, **more)
    with Path(sys.argv[2]).with_name("notes").open("a") as file:  # argv: audiometamer run PLAN
        file.write(f"{item.key} {os.getpid()} {os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\n")


if sys.argv[1:2] == ["run"]:  # not in a test that only looks at a plan
    run.save_item = _noted


def sound_model() -> am.Model:
    return tiny_models.sound_model()


def slow_model(pause: float = 0.02) -> am.Model:
    """A pass takes some hundredths of a second, and none of the processor's."""
    model = sound_model()
    model.network.register_forward_pre_hook(lambda *_: time.sleep(pause))
    return model


def model_slow_at_first() -> am.Model:
    """Very slow, until its task was queued again."""
    return sound_model() if "SLURM_RESTART_COUNT" in os.environ else slow_model(0.1)
