"""A folder of metamers of the tiny model, for what shows such folders; levels, verdicts and names differ on purpose."""

import functools
import itertools
from pathlib import Path

import numpy as np
import tiny_models
import torch
from msgspec.structs import replace

import audiometamer as am
from audiometamer.metamers.index import write_index
from audiometamer.metamers.metamer import Metamer

HOSTILE = "</script><img src=x onerror=alert(1)> & \"q\" 'a'"
LAYERS = ("cochleagram", "relu0", "relu1", "final")
MODELS = ("tiny", "tiny-two")
SEEDS = (0, 1, 10)
SECONDS = 1.0


@functools.cache
def _synthesised() -> list[Metamer]:
    n = round(tiny_models.SAMPLE_RATE * tiny_models.DURATION)
    t = np.arange(n) / tiny_models.SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 9)) * np.exp(-6 * t)
    clip = am.Clip("vowel", torch.from_numpy((0.1 * sound / sound.std()).astype(np.float32)), tiny_models.SAMPLE_RATE)
    return am.synthesize(tiny_models.sound_model(), clip, LAYERS, steps=20)


def write_folder(folder: Path, *, clips=("vowel", HOSTILE), models=MODELS, layers=LAYERS, seeds=SEEDS) -> Path:
    """Sounds of a second, a level and a verdict for each seed."""
    for clip_name, model, seed, metamer in itertools.product(clips, models, seeds, _synthesised()):
        evidence = metamer.evidence
        if evidence.settings.layer not in layers:
            continue
        samples = torch.tile(metamer.samples, (4,)) / (1 + seed)
        passed = {0: True, 1: False}.get(seed)
        changed = replace(
            evidence, settings=replace(evidence.settings, clip=clip_name, model=model, seed=seed), verdict=replace(
                evidence.verdict, passed=passed), rms=float(samples.square().mean().sqrt()),
        )  # fmt: skip
        clip = am.Clip(clip_name, torch.tile(metamer.clip.samples, (4,)), metamer.clip.sample_rate)
        Metamer(samples, clip, changed).save(folder)
    write_index(folder)
    return folder
