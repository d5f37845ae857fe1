"""How time and memory grow with the length of the clips and with their number."""

import time
from pathlib import Path

import torch

import audiometamer as am
from audiometamer.metamers.benchmark import STEPS, Work, step_of
from benchmarks.measuring import peak_memory, table
from benchmarks.published import RATE

SECONDS = (2, 5, 10, 20, 40, 60)
CLIPS = (1, 4, 8, 16, 32, 64)
_LAYER = "relu2"  # the last one before sizes are fixed by the fully connected layer


def model_of(seconds: float) -> am.Model:
    """The compact CochCNN9 of the zoo for clips of another length, with random weights; times do not depend on them."""
    torch.manual_seed(0)
    ears = am.Cochleagram()
    shape = (len(ears.filterbank), ears.n_frames(round(seconds * RATE)))
    network = am.networks.CochCNN9(16, width=0.105, cochleagram_shape=shape).eval().requires_grad_(False)
    return am.Model(network, front_end=ears, sample_rate=RATE, duration=seconds, check=False)


def prepared(seconds: float, n_clips: int) -> Work:
    """The steps that are measured, with everything built that is built once."""
    signals = 0.1 * torch.randn(n_clips, round(seconds * RATE), generator=torch.Generator().manual_seed(0))
    model = model_of(seconds)
    step_of(model, _LAYER, signals[:1])()
    return step_of(model, _LAYER, signals)


def measured(seconds: float, n_clips: int) -> tuple[float, float]:
    """Seconds of a step, and the bytes that it takes."""
    work, times = prepared(seconds, n_clips), []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) / STEPS)
    return sorted(times)[1], peak_memory(prepared, seconds, n_clips)


def growth() -> str:
    """Of a step at `relu2` of a compact network: one clip of 2 to 60 s, and 1 to 64 clips of 2 s; drawn to docs/growth.png."""
    lengths = {seconds: measured(seconds, 1) for seconds in SECONDS}
    numbers = {n: measured(2, n) for n in CLIPS}
    _draw({"length of the clip (s)": lengths, "clips of 2 s side by side": numbers})
    rows: list[tuple[object, ...]] = [("clips", "seconds", "step (ms)", "memory (MB)", "a clip and second (ms)", "(MB)")]
    for n, seconds, (taken, memory) in [(1, s, m) for s, m in lengths.items()] + [(n, 2, m) for n, m in numbers.items()]:
        ms, mb = 1000 * taken, memory / 1e6
        rows.append((n, seconds, f"{ms:.0f}", f"{mb:.0f}", f"{ms / n / seconds:.1f}", f"{mb / n / seconds:.1f}"))
    return table(*rows)


def _draw(measured: dict[str, dict[int, tuple[float, float]]]) -> None:
    import matplotlib.pyplot as plt

    figure, rows = plt.subplots(2, 2, figsize=(8, 5.5), layout="constrained", sharex="col")
    for column, (label, values) in enumerate(measured.items()):
        x = list(values)
        for axes, k, unit, name in ((rows[0][column], 0, 1e3, "a step (ms)"), (rows[1][column], 1, 1e-6, "memory (MB)")):
            y = [unit * v[k] for v in values.values()]
            axes.plot(x, y, "o-", color="#1f6f8b", label="measured")
            axes.plot([0, x[-1]], [0, y[-1]], "--", color="0.6", linewidth=1, label="in proportion to the last")
            axes.set_ylabel(name)
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
        rows[1][column].set_xlabel(label)
    rows[0][0].legend(frameon=False)
    figure.savefig(Path(__file__).parent.parent / "docs" / "growth.png", dpi=110)
    plt.close(figure)
