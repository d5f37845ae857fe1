"""Makes the sounds and pictures of docs/textures.md and docs/modulation.md, in the folder of this file.

Usage: ``python docs/sounds/make_sounds.py [textures] [long] [modulation]``; some minutes of one core. Sounds that are there
already are kept: delete those that are to be made anew.
"""

import sys
import time
from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
import torch
from scipy.signal import resample_poly
from torch import Tensor

import audiometamer as am

matplotlib.use("agg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
TEXTURES = HERE.parents[1] / "stimuli" / "textures"
RATE, OPUS_RATE = 20_000, 24_000  # of the models, and of Opus, which browsers play
RMS, LEVEL = 0.05, 0.01  # to listen to, and of the models' sounds
STEPS = {"textures": 300, "ablations": 100, "long": 60, "modulation": 12}  # at most; of modulation, iterations
ABLATED = {
    "without_envelope_correlation": "envelope_correlation",
    "without_modulation_power": "modulation_power",
    "without_modulation_c1": "modulation_c1",
    "spectrum_and_means": "envelope_cv,envelope_skewness,envelope_correlation,modulation_power,modulation_c1",
}
CONDITIONS = ("cochlear", "temporal", "spectral", "full")


def textures() -> None:
    """An exemplar of each texture by the statistics of the toolbox, and bubbles without some of these."""
    model = am.load_model("texture:toolbox/seconds=3")
    made = {}
    for path in sorted(TEXTURES.glob("*.flac")):
        clip = model.read_clip(path, start=0.0)
        made |= {f"{path.stem}, original": clip.samples, path.stem: made_once(f"{path.stem}_synthetic", model, clip, "textures")}
    draw("textures", made, columns=2)
    bubbles = am.load_model("texture:toolbox/seconds=3").read_clip(TEXTURES / "bubbles.flac", start=0.0)
    ablated = {"original": bubbles.samples, "all classes": made["bubbles"]}
    for name, classes in ABLATED.items():
        model = am.load_model(f"texture:toolbox/seconds=3/without={classes}")
        ablated[name.replace("_", " ")] = made_once(f"bubbles_{name}", model, bubbles, "ablations")
    draw("ablations", ablated, columns=2)


def long() -> None:
    """Half a minute of rain from two seconds of it."""
    model = am.load_model("texture:toolbox/seconds=30")
    rain = model.read_clip(TEXTURES / "rain.flac", start=0.0, length=2.0)
    samples = made_once("rain_30s", model, rain, "long")
    jump, usual = (samples[0] - samples[-1]).abs().item(), samples.diff().abs()
    print(f"from the last sample to the first: {jump / usual.mean().item():.2f} of the mean step")
    draw("rain_30s", {"2 s, repeated": rain.samples, "30 s": samples}, columns=1)


def modulation() -> None:
    """A sound that matches a synthetic vowel in each condition."""
    model = am.load_model("modulation:normanhaignere2018/seconds=1/padding_seconds=1/padding_octaves=4")
    original = vowel(1.0)
    made = {"original": original}
    write("vowel", original)
    for condition in CONDITIONS:
        options = {"layers": condition, "method": "normanhaignere2018"}
        made[condition] = made_once(f"vowel_{condition}", model, original, "modulation", **options)
    draw("model_matched", made, columns=1)


def vowel(seconds: float) -> Tensor:
    """A vowel whose pitch and level vary, [shape=(samples,)], at an RMS of 0.01."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(120 + 15 * np.sin(2 * np.pi * 2.5 * t)) / RATE
    formants = {k: 1 / (1 + ((120 * k - 700) / 300) ** 2 + ((120 * k - 1800) / 500) ** 2) for k in range(1, 60)}
    sound = sum(gain * np.sin(k * phase) for k, gain in formants.items()) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t - 1.5))
    return torch.from_numpy(0.01 * sound / np.sqrt(np.mean(sound**2))).float()


def made_once(name: str, model: am.Model, original: am.Clip | Tensor, kind: str, **options: str) -> Tensor:
    """Samples of a metamer, written as Opus, or of the file that is there; prints how well it matches."""
    if (HERE / f"{name}.opus").exists():
        sound, _ = soundfile.read(HERE / f"{name}.opus")
        return torch.from_numpy(LEVEL / RMS * resample_poly(sound, RATE, OPUS_RATE)).float()
    before = time.process_time()
    sounds = original[None] if isinstance(original, Tensor) else original
    (metamer,) = am.synthesize(model, sounds, steps=STEPS[kind], **options)
    verdict, steps = metamer.evidence.verdict, sum(tried.steps for tried in metamer.evidence.tries)
    classes = {each: match.snr_db for each, match in verdict.classes.items()} if verdict and verdict.classes else {}
    shown = ", ".join(f"{each} {snr:.1f}" for each, snr in classes.items())
    print(f"{name}: {steps} steps, {time.process_time() - before:.0f} s CPU; {shown}", flush=True)
    write(name, metamer.samples)
    return metamer.samples


def write(name: str, samples: Tensor) -> None:
    """A sound as Opus; raises if it would be clipped."""
    sound = resample_poly(samples.double().numpy(), OPUS_RATE, RATE)
    sound = RMS * sound / np.sqrt(np.mean(sound**2))
    peak = np.abs(sound).max()
    assert peak < 1, f"{name} has a peak of {peak:.2f}"
    path = HERE / f"{name}.opus"
    soundfile.write(path, sound, OPUS_RATE, format="OGG", subtype="OPUS")
    print(f"{path.name}: RMS {RMS:g}, peak {peak:.2f}, {path.stat().st_size / 1000:.0f} kB", flush=True)


def draw(name: str, sounds: Mapping[str, Tensor], *, columns: int) -> None:
    """Cochleagrams of sounds at 20 kHz."""
    front_end = am.Cochleagram.from_preset("feather2023")
    rows = -(-len(sounds) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, 1.6 * rows + 0.6), layout="constrained", squeeze=False)
    for ax, (title, samples) in zip(axes.flat, sounds.items(), strict=True):
        seconds = len(samples) / RATE
        ax.imshow(front_end(10 * samples[None])[0], aspect="auto", origin="lower", extent=(0, seconds, 0, 1))
        ax.set(title=title, yticks=[])
    for ax in axes[-1]:
        ax.set_xlabel("time (s)")
    figure.savefig(HERE / f"{name}.jpg", dpi=80, pil_kwargs={"quality": 75})


if __name__ == "__main__":
    parts = {"textures": textures, "long": long, "modulation": modulation}
    for part in sys.argv[1:] or parts:
        parts[part]()
