"""A model is tried, tested on labelled recordings, compared with natural sounds, and its steps are timed."""

import msgspec
import numpy as np
import pytest
import soundfile
import tiny_models
import torch
from torch import nn

import audiometamer as am
from audiometamer.published import check
from audiometamer.published.checking import Checked, Steps
from audiometamer.training.sources import open_sources

RATE, N = tiny_models.SAMPLE_RATE, 1000


@pytest.fixture(scope="module")
def model():
    return tiny_models.sound_model()


@pytest.fixture(scope="module")
def sounds(tmp_path_factory, model):
    """Eight noises as they come; ``right.csv`` labels them as the network does, ``wrong.csv`` with the next class."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = {"right": ["path,word,split"], "wrong": ["path,word,split"]}
    for seed in range(8):
        noise = np.random.default_rng(seed).standard_normal(N)
        soundfile.write(folder / f"{seed}.wav", 0.1 * noise / np.abs(noise).max(), RATE, subtype="FLOAT")
        with torch.no_grad():
            answer = int(model(model.read_clip(folder / f"{seed}.wav", start=0.0).samples[None]).argmax())
        for name, shift in (("right", 0), ("wrong", 1)):
            rows[name].append(f"{seed}.wav,{tiny_models.WORDS[(answer + shift) % 3]},test")
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(lines))
    return folder


def test_all_at_once(model, sounds):
    messages = []
    found, null = check(
        model,
        recordings=open_sources([str(sounds / "right.csv")]),
        sounds=[sounds],
        pairs=28,
        steps=12,
        progress=lambda done, message: messages.append((done, message)),
    )
    assert (found.model, found.classes, found.layers) == ("tiny", {"word": 3}, ["cochleagram", "relu0", "relu1", "final"])
    assert found.parameters == 13 * 12 * 3 + 12 + 12 * 8 * 3 + 8 + 8 * 3 + 3
    (accuracy,) = found.accuracy
    assert (accuracy.task, accuracy.split, accuracy.score.correct, accuracy.score.clips) == ("word", "test", 8, 8)
    assert accuracy.chance == pytest.approx(100 / 3)
    assert (null.pairs, found.null_pairs) == (28, 28)
    assert found.largest_r2["relu1"] == null.layers["relu1"]["pearson_r2"].maximum
    assert [taken.layer for taken in found.steps] == found.layers
    assert all(taken.steps == 12 and taken.seconds > 0 for taken in found.steps)
    assert found.steps[0].after_db > found.steps[0].before_db
    assert found.problems == []
    assert messages[-1] == (1.0, "done")
    assert [done for done, _ in messages] == sorted(done for done, _ in messages)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Checked) == found


def test_the_steps_start_from_the_noise_of_the_seed(model, sounds):
    """Their SNR before is that of the noise against the first sound; other metrics are not needed for it."""
    found, _ = check(model, layers=["relu1"], sounds=[sounds], pairs=28, steps=1, seed=5)
    clip = model.read_clip(sounds / "0.wav", start=0.0)
    start = model.domain.start(model.signal_shape, seeds=[5], dtype=torch.float32, device="cpu")
    target, before = am.record(model, torch.stack([clip.samples, start[0]]), "relu1")
    expected = 10 * torch.log10(target.square().sum() / (target - before).square().sum())
    assert found.steps == [
        Steps("relu1", 1, found.steps[0].seconds, pytest.approx(float(expected), abs=1e-3), found.steps[0].after_db)
    ]


def test_labels_in_another_order_are_a_problem(model, sounds):
    found, null = check(model, layers=["final"], recordings=open_sources([str(sounds / "wrong.csv")]), steps=1)
    assert null is None
    (problem,) = found.problems
    assert problem.startswith(
        "word (test): 0 of 8 correct is at chance level, as happens when the labels are in the wrong order: does"
    )


class Masked(nn.Module):
    """Its layer `gate` has no gradient, as of a threshold."""

    def __init__(self):
        super().__init__()
        self.gate, self.out = nn.Threshold(0.5, 0.0), nn.Linear(N, 2)
        torch.nn.init.normal_(self.out.weight, generator=torch.Generator().manual_seed(0))
        self.layers = {"gate": "gate", "out": "out"}

    def forward(self, x):
        return self.out(self.gate(1e3 * x) * 0 + x)


def test_a_layer_that_no_step_reaches_is_a_problem_and_the_others_are_timed():
    network = Masked().eval().requires_grad_(False)
    model = am.Model(network, sample_rate=RATE, duration=N / RATE, labels=["a", "b"], name="masked")
    found, _ = check(model, steps=2)
    assert [taken.layer for taken in found.steps] == ["out"]
    assert found.problems[0].startswith("no step can be taken at gate: layer gate: the gradient is zero at the start of 'noise'")


def test_a_model_that_cannot_be_used_at_all(model):
    network = tiny_models.TinyNetwork()
    with pytest.raises(am.AudioMetamerError, match="is in train mode"):
        check(am.Model(network, front_end=tiny_models.front_end(), sample_rate=RATE, duration=0.25, check=False))
    with pytest.raises(am.AudioMetamerError, match="relu7"):
        check(model, layers=["relu7"])
