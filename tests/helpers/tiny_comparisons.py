"""Small models of 64 samples that disagree, and plans of sounds for them."""

from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import nn

import audiometamer as am

RATE, SAMPLES = 1000, 64
WORDS = ("yes", "no", "perhaps")
MODELS = """
[[models]]
name = "tiny_comparisons:first"

[[models]]
name = "tiny_comparisons:second"

[[models]]
name = "tiny_comparisons:third"
"""
HEAD = f"""\
output = "set"
layers = ["hidden"]
rate = {RATE}
level = 0.05

[clips]
table = "clips.csv"
{MODELS}"""
KINDS = {
    "eigendistortions": "levels = [-10]",
    "finite": "levels = [-10]\nsteps = 5",
    "principal": "levels = [-10]",
    "mad": "noise = -10\nsteps = 10",
    "controversial": "steps = 30",
    "distant": "rounds = 1\nsteps = 5\nsynthesis_steps = 10",
}


class TwoLayers(nn.Module):
    """Softplus units with their own tuning, and a read-out."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        tuning = torch.exp(
            -0.5 * ((torch.arange(SAMPLES // 2 + 1) - 5 - 9 * seed) / 6.0) ** 2
        )  # each model hears other frequencies
        noise = torch.randn(40, SAMPLES, generator=generator)
        self.inner, self.hidden, self.read_out = nn.Linear(SAMPLES, 40), nn.Softplus(), nn.Linear(40, len(WORDS))
        self.inner.weight = nn.Parameter(torch.fft.irfft(torch.fft.rfft(noise) * tuning) * 2)
        self.inner.bias, self.read_out.bias = (nn.Parameter(torch.zeros(size)) for size in (40, len(WORDS)))
        self.read_out.weight = nn.Parameter(torch.randn(len(WORDS), 40, generator=generator))
        self.layers = {"hidden": "hidden", "final": "read_out"}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.read_out(self.hidden(self.inner(x)))


def _model(name: str, seed: int) -> am.Model:
    network = TwoLayers(seed).eval().requires_grad_(False)
    return am.Model(
        network, sample_rate=RATE, duration=SAMPLES / RATE, labels={"word": WORDS}, name=name, level=0.05, check=False
    )  # fmt: skip


def first() -> am.Model:
    """It hears low frequencies."""
    return _model("first", 0)


def second() -> am.Model:
    """It hears middle frequencies."""
    return _model("second", 1)


def third() -> am.Model:
    """It hears high frequencies."""
    return _model("third", 2)


def write_comparison_plan(folder: Path, *kinds: str, n_clips: int = 2) -> Path:
    """A plan of some kinds, with its clips."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for k in range(n_clips):
        soundfile.write(folder / f"c{k}.wav", 0.05 * rng.standard_normal(SAMPLES), RATE, subtype="FLOAT")
    (folder / "clips.csv").write_text("\n".join(["path,licence", *(f"c{k}.wav,CC0" for k in range(n_clips))]) + "\n")
    tables = (f'\n[[comparisons]]\nkind = "{kind}"\n{KINDS[kind]}\n' for kind in kinds or KINDS)
    (folder / "plan.toml").write_text(HEAD + "".join(tables))
    return folder / "plan.toml"
