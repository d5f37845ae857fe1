"""Attacks on linear models, of which it is known at what radius they succeed."""

import numpy as np
import pytest
import torch
from tiny_evaluation import echo, sound, write_metamer
from torch import nn

import audiometamer as am
from audiometamer.evaluation.attacks import accuracy_under_attack
from audiometamer.evaluation.collection import read_collection
from audiometamer.evaluation.judging import Judge, judge_clips
from audiometamer.statistics.bootstrap import Bootstrap
from audiometamer.training.adversaries import Adversary

CLIPS = {"x": sound(0.5, 0.1), "y": sound(0.1, 0.3), "z": sound(-0.3, -0.2)}


@pytest.fixture
def collection(tmp_path):
    for name, clip in CLIPS.items():
        write_metamer(tmp_path, name, clip, clip)
    return read_collection([tmp_path])


def curve(judge, collection, adversaries, truths=None):
    rows = accuracy_under_attack(
        judge, collection, judge_clips(judge, collection), adversaries, truths=truths, bootstrap=Bootstrap(resamples=100)
    )  # fmt: skip
    return {(row.attack, row.radius): row.value for row in rows}


def first_or_second():
    """Its label says which of the first two samples is higher."""
    network = nn.Linear(8, 2, bias=False).eval().requires_grad_(False)
    network.weight.copy_(torch.eye(8)[:2])
    return am.Model(network, sample_rate=8, duration=1.0, level=None, labels={"letter": list("ab")}, name="which")


@pytest.mark.parametrize(("norm", "reach"), [("l2", 2**-0.5), ("linf", 0.5)])
def test_a_label_flips_where_the_radius_passes_the_margin(collection, norm, reach):
    """Two samples meet when each has gone half the way: L∞ half of their distance (0.4, 0.2 and 0.1), L2 that times √2."""
    radii = [0.9 * reach * 0.1, 1.1 * reach * 0.1, 0.9 * reach * 0.4, 1.1 * reach * 0.4]
    found = curve(
        Judge(first_or_second(), with_layers=False),
        collection,
        [Adversary("waveform", norm, r, steps=60, step=0.125) for r in radii],
    )
    assert found.pop((f"waveform:{norm}", 0.0)) == 1
    assert [round(3 * value) for value in found.values()] == [3, 2, 1, 0]


def test_true_labels_decide_where_they_are_known(collection):
    """Of two known clips one is right, until it is not."""
    truths = {("x", "letter"): "a", ("y", "letter"): "a", ("z", "letter"): "unheard-of"}
    adversaries = [Adversary("waveform", "linf", radius, steps=20, step=0.2) for radius in (0.01, 0.25)]
    rows = list(
        accuracy_under_attack(
            Judge(echo()),
            collection,
            judge_clips(Judge(echo()), collection),
            adversaries,
            truths=truths,
            bootstrap=Bootstrap(resamples=100),
        )
    )
    assert [(row.value, row.clips) for row in rows] == [(0.5, 2), (0.5, 2), (0.0, 2)]
    assert {(row.judge, row.layer, row.task, row.measure) for row in rows} == {("echo", "natural", "letter", "accuracy")}


class Eavesdropper(nn.Module):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(8, 8, bias=False)
        with torch.no_grad():
            self.out.weight.copy_(torch.eye(8))
        self.heard: list[torch.Tensor] = []
        self.eval().requires_grad_(False)

    def forward(self, x):
        self.heard.append(x.detach().clone())
        return self.out(x)


@pytest.mark.parametrize(("norm", "order"), [("l2", 2), ("linf", np.inf)])
@pytest.mark.parametrize("radius", [1e-3, 0.3, 2.0])
def test_no_sound_that_is_heard_leaves_the_ball_or_the_range(tmp_path, norm, order, radius):
    """Near the ends of the range too; a clip beyond it is taken as models take it, limited."""
    sounds = torch.stack([sound(0.9999, -0.9999, 0.5), sound(1.3, -1.2, 0.7), sound(*[0.0] * 7, 0.1)])
    for name, samples in zip("xyz", sounds, strict=True):
        write_metamer(tmp_path, name, samples, samples)
    network = Eavesdropper()
    model = am.Model(network, sample_rate=8, duration=1.0, level=None, labels={"letter": list("abcdefgh")})
    judge, collection = Judge(model), read_collection([tmp_path])
    heard = judge_clips(judge, collection)
    network.heard.clear()
    list(
        accuracy_under_attack(
            judge,
            collection,
            heard,
            [Adversary("waveform", norm, radius, steps=9)],
            truths=None,
            bootstrap=Bootstrap(resamples=9),
        )
    )
    assert len(network.heard) == 10
    clips = sounds.clamp(-1, 1).double()
    for given in network.heard:
        assert given.abs().max() <= 1
        sizes = np.linalg.norm(given.double() - clips, ord=order, axis=1)
        assert sizes.max() <= radius * (1 + 1e-6) + 1e-7
    assert sizes.max() > 0.5 * min(radius, 1)


def test_the_cochleagram_is_attacked_within_its_budget(tmp_path, tiny, tiny_clip):
    write_metamer(tmp_path, "vowel", tiny_clip.samples, tiny_clip.samples, rate=4000)
    given = []
    handle = tiny.network.register_forward_pre_hook(lambda _, args: given.append(args[0].detach().clone()))
    judge, collection = Judge(tiny, with_layers=False), read_collection([tmp_path])
    heard = judge_clips(judge, collection)
    clip = given[-1]
    given.clear()
    list(
        accuracy_under_attack(
            judge,
            collection,
            heard,
            [Adversary("cochleagram", "l2", 0.5, steps=4)],
            truths=None,
            bootstrap=Bootstrap(resamples=9),
        )
    )
    handle.remove()
    assert len(given) == 5
    assert max(float((x - clip).double().norm()) for x in given) <= 0.5 * (1 + 1e-5)
