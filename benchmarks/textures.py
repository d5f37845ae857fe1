"""Sound-texture statistics: time of forward + backward, its peak memory, and syntheses to the published stop rule."""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from audiometamer.metamers.benchmark import Work, medians
from audiometamer.metamers.synthesis import synthesize
from audiometamer.models.loading import load_model
from audiometamer.models.model import Model
from audiometamer.networks.texture_statistics import TextureStatistics
from audiometamer.signals.audio import Clip
from benchmarks.measuring import peak_memory, table

RATE = 20_000
# Of 2 s of bubbles, one iteration of the toolbox in Octave 7 on one core; another run, on a shared machine.
PUBLISHED_SECONDS = 13.0
_ROOT = Path(__file__).parents[1]
_SYNTHESIS_SECONDS = 4.0


def forward_backward(preset: str, seconds: float, batch: int) -> Work:
    """A forward and a backward pass of a batch of noises."""
    measure = TextureStatistics.from_preset(preset)
    noise = 0.01 * torch.randn(batch, round(seconds * RATE), generator=torch.Generator().manual_seed(0))

    def work() -> None:
        signals = noise.clone().requires_grad_()
        total = torch.stack([values.square().sum() for values in measure(signals).values()]).sum()
        torch.autograd.grad(total, signals)

    measure(noise[:1])  # the filters are made once
    return work


def times(repeats: int) -> str:
    """Forward + backward of 4 s."""
    rows: list[tuple[object, ...]] = [("preset", "sounds of 4 s", "forward + backward (s)", "per sound (s)")]
    for preset in ("toolbox", "mcdermott2011"):
        for batch in (1, 8):
            (seconds,) = medians([forward_backward(preset, 4.0, batch)], repeats=repeats)
            rows.append((preset, batch, f"{seconds:.2f}", f"{seconds / batch:.2f}"))
    return f"{table(*rows)}\n\nAn iteration of the toolbox took {PUBLISHED_SECONDS:g} s for 2 s of sound, in another run."


def memory() -> str:
    """Peak memory of forward + backward; linear in seconds and batch."""
    rows: list[tuple[object, ...]] = [("seconds", "sounds", "MB", "MB per second of sound")]
    for seconds, batch in ((4, 1), (4, 8), (15, 1), (60, 1)):
        megabytes = peak_memory(forward_backward, "toolbox", seconds, batch) / 1e6
        rows.append((seconds, batch, f"{megabytes:.0f}", f"{megabytes / seconds / batch:.1f}"))
    return table(*rows)


def synthesis() -> str:
    """Seconds until every class of the toolbox's default has the published 30 dB, of 4 s of sound."""
    model = load_model(f"texture:toolbox/seconds={_SYNTHESIS_SECONDS:g}")
    rows: list[tuple[object, ...]] = [("sound", "steps", "CPU (s)", "wall (s)", "worst class", "SNR there (dB)")]
    reached = []
    for clip in _sounds(model):
        cpu, wall = time.process_time(), time.monotonic()
        (metamer,) = synthesize(model, clip)
        cpu, wall = time.process_time() - cpu, time.monotonic() - wall
        verdict = metamer.evidence.verdict
        name, match = min(verdict.classes.items(), key=lambda pair: 100.0 if pair[1].snr_db is None else pair[1].snr_db)
        steps = sum(tried.steps for tried in metamer.evidence.tries)
        rows.append(
            (clip.name, steps, f"{cpu:.0f}", f"{wall:.0f}", name, "inf" if match.snr_db is None else f"{match.snr_db:.1f}")
        )
        reached.append(verdict.reached_halt)
    return (
        f"{table(*rows)}\n\n{sum(reached)} of {len(reached)} reach 30 dB in every class. An iteration of the toolbox took "
        f"{PUBLISHED_SECONDS:g} s for 2 s of sound, in another run, and a synthesis takes 15 to 60: 200 to 800 s."
    )


def _sounds(model: Model) -> Iterator[Clip]:
    """4 s of the noise that the tests have, and the first 4 s of each shipped texture."""
    noise = np.load(_ROOT / "tests" / "data" / "texture_am_noise.npz")["x"].astype(np.float32)
    yield Clip.from_array(np.resize(noise, round(_SYNTHESIS_SECONDS * RATE)), RATE, name="am_noise")
    for path in sorted((_ROOT / "stimuli" / "textures").glob("*.flac")):
        yield model.read_clip(path, start=0.0)
