"""Signals to start from in place of noise."""

import pytest
import torch
from msgspec.structs import replace
from tiny_models import DURATION, SAMPLE_RATE, make_clip

import audiometamer as am
from audiometamer.matching import Constant, NormalizedDescent
from audiometamer.metamers import Attempt, Method

# A step of no size: what comes out is what it started from.
STILL = Method("still", 1, (Attempt("still", lambda steps: NormalizedDescent(Constant(0.0))),))
OPTIONS = {"layers": "relu0", "method": STILL}


@pytest.fixture(scope="module")
def others():
    return [make_clip("one", 3), make_clip("two", 4)]


def test_one_for_all_clips_or_one_for_each(tiny, tiny_clip, others):
    clips = [tiny_clip, make_clip("other", 1)]
    for initial in (others, [o.samples for o in others], torch.stack([o.samples for o in others]).numpy()):
        made = am.synthesize(tiny, clips, initial=initial, **OPTIONS)
        assert all(torch.equal(m.samples, other.samples) for m, other in zip(made, others, strict=True))
    made = am.synthesize(tiny, clips, initial=others[1].samples, **OPTIONS)
    assert all(torch.equal(m.samples, others[1].samples) for m in made)
    assert made[0].evidence.settings.initial == made[1].evidence.settings.initial != ""


def test_a_recording_keeps_its_level(tiny, tiny_clip, others, tmp_path):
    quiet = 0.01 * others[0].samples
    am.write_wav(tmp_path / "quiet.wav", quiet, SAMPLE_RATE)
    (made,) = am.synthesize(tiny, tiny_clip, initial=tmp_path / "quiet.wav", **OPTIONS)
    assert torch.equal(made.samples, quiet)


def test_every_attempt_from_noise_starts_there_instead(tiny, tiny_clip, others):
    seen = []
    method = Method("twice", 1, STILL.attempts * 2)
    null = am.NullDistribution.measure(tiny, [make_clip("c", seed).samples for seed in range(3, 7)])
    am.synthesize(
        tiny, tiny_clip, "relu0", method=method, initial=others[0], null=null,
        callback=lambda step, signals, losses: seen.append(signals[0]),
    )  # fmt: skip
    assert len(seen) == 2
    assert all(torch.equal(signal, others[0].samples) for signal in seen)


@pytest.mark.filterwarnings("ignore:vowel. perhaps none of the 3 words")
def test_it_is_a_setting(tiny, tiny_clip, others, tmp_path):
    (noise,), (given,) = (am.synthesize(tiny, tiny_clip, initial=initial, **OPTIONS) for initial in (None, others[0]))
    assert noise.evidence.settings == replace(given.evidence.settings, initial="")
    options = OPTIONS | {"method": "feather2023", "steps": 1}
    am.synthesize_into(tmp_path, tiny, tiny_clip, initial=others[0], **options)
    (found,) = am.synthesize_into(tmp_path, tiny, tiny_clip, initial=others[0], **options)
    assert found.evidence.settings.initial == given.evidence.settings.initial
    with pytest.raises(am.AudioMetamerError, match=r"different settings \(initial\)"):
        am.synthesize_into(tmp_path, tiny, tiny_clip, initial=others[1], **options)


@pytest.mark.parametrize(
    ("initial", "match"),
    [
        (torch.zeros(900), r"initial has shape \(900,\) at 4000 Hz; tiny takes \(1000,\) at 4000 Hz"),
        (am.Clip("fast", torch.zeros(1000), 8000), r"initial 'fast' has shape \(1000,\) at 8000 Hz; tiny takes"),
        (torch.full((1000,), 1.5), "initial has values from 1.5 to 1.5; tiny takes -1 to 1"),
        ([torch.zeros(1000)] * 2, "initial has 2 signals for 1 clip; give one for each"),
        (3, "initial is a int; give a signal, or one for each clip"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(tiny, tiny_clip, initial, match):
    assert round(SAMPLE_RATE * DURATION) == 1000
    with pytest.raises(am.AudioMetamerError, match=match):
        am.synthesize(tiny, tiny_clip, initial=initial, **OPTIONS)
