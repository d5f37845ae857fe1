"""Many sounds: a batch against one after the other, and all pairs of a null distribution against one pair after the other."""

import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import torch
from torch import Tensor

import audiometamer as am
from audiometamer.errors import AudioMetamerWarning
from audiometamer.io.own_process import keep_memory
from audiometamer.io.resources import clips_folder
from benchmarks.measuring import spent, table

_CLIPS, _STEPS, _COMMANDS = 64, 50, 4
WORDS = clips_folder() / "words"


def clips() -> list[am.Clip]:
    """The shipped words, again and again."""
    paths = sorted(WORDS.glob("*.flac"))
    with warnings.catch_warnings(action="ignore", category=AudioMetamerWarning):  # peaks beyond 1
        return [am.read_clip(paths[k % len(paths)]) for k in range(_CLIPS)]


def batch_against_single(layer: str = "relu2") -> str:
    """What 64 clips at one layer take, 50 steps each: together, by a call for each, and by a command for each.

    All keep their memory, as commands do.
    """
    keep_memory()
    model, sounds = am.load_model("cochcnn-word"), clips()
    options = {"method": "feather2023", "steps": _STEPS, "exact": False}
    together = spent(lambda: am.synthesize(model, sounds, layer, **options))
    calls = spent(lambda: [am.synthesize(model, sound, layer, **options) for sound in sounds])
    commands = _CLIPS / _COMMANDS * sum(_command(path, layer) for path in sorted(WORDS.glob("*.flac"))[:_COMMANDS])
    rows: list[tuple[object, ...]] = [("clips", "layer", "how", "seconds", "ratio to together", "processor (s)", "page faults")]
    for how, one in (("together", together), ("a call for each", calls)):
        ratio, work = one.seconds / together.seconds, (f"{one.processor:.0f}", one.page_faults)
        rows.append((_CLIPS, layer, how, f"{one.seconds:.0f}", f"{ratio:.2f}", *work))
    each = f"a command for each ({_COMMANDS} timed)"
    rows.append((_CLIPS, layer, each, f"{commands:.0f}", f"{commands / together.seconds:.2f}", "", ""))
    return table(*rows)


def _command(clip: Path, layer: str) -> float:
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "audiometamer", "synth", str(clip), "--layers", layer, "--out", out]
        command += ["--method", "feather2023", "--fast", "--steps", str(_STEPS)]
        subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def null_distribution(layer: str = "relu2", n_sounds: int = 1415, n_pairs: int = 20) -> str:
    """A million pairs: all of them at once, and one after the other with two forward passes each."""
    model = am.load_model("cochcnn-word")
    generator = torch.Generator().manual_seed(0)
    sounds = 0.1 * torch.randn(n_sounds, *model.signal_shape, generator=generator)

    began = time.perf_counter()
    pairs = am.NullDistribution.measure(model, sounds, layers=[layer]).pairs
    at_once = time.perf_counter() - began

    began = time.perf_counter()
    for k in range(n_pairs):
        am.similarity(*(_activation(model, sounds[i], layer) for i in (2 * k, 2 * k + 1)))
    one = (time.perf_counter() - began) / n_pairs
    head = ("layer", "pairs", "one pair (ms)", "all pairs, one by one (h)", "all pairs at once (s)", "ratio")
    row = (layer, pairs, f"{1000 * one:.0f}", f"{one * pairs / 3600:.1f}", f"{at_once:.0f}", f"{one * pairs / at_once:.0f}")
    return table(head, row)


def _activation(model: am.Model, sound: Tensor, layer: str) -> Tensor:
    found = {}
    hook = model.get_submodule(model.tap(layer).path).register_forward_hook(lambda _, __, output: found.update(layer=output))
    with torch.no_grad():
        model(sound[None])
    hook.remove()
    return found["layer"]
