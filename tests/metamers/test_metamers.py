"""Metamers of a tiny model: what comes out, what is tried again, what is written, what is read back."""

import dataclasses
import threading

import numpy as np
import pytest
import scipy.io.wavfile
import torch
from msgspec.structs import replace
from only_device import OnlyDevice
from tiny_models import make_clip

import audiometamer as am
from audiometamer.io.hashes import file_sha256
from audiometamer.matching.domains import Waveform
from audiometamer.matching.losses import rectified, relative_l2, relative_l2_with_roots
from audiometamer.metamers.criteria import NullDistribution
from audiometamer.metamers.files import find_metamer, load_metamer
from audiometamer.metamers.index import write_index
from audiometamer.metamers.metamer import settings_of
from audiometamer.metamers.methods import METHODS, load_method
from audiometamer.metamers.targets import GivenTarget
from audiometamer.models.activations import record_taps
from audiometamer.models.folding import faster_copy


@pytest.fixture(scope="module")
def null(tiny):
    return NullDistribution.measure(tiny, [make_clip("c", seed).samples for seed in range(3, 9)])


@pytest.fixture(scope="module")
def metamers(tiny, tiny_clip, null):
    return am.synthesize(tiny, [tiny_clip, make_clip("other", 1)], seed=[0, 1], null=null)


def test_one_for_each_layer_clip_and_seed_in_order(metamers, tiny):
    found = [(m.evidence.settings.layer, m.evidence.settings.clip, m.evidence.settings.seed) for m in metamers]
    assert found == [(layer, clip, seed) for layer in tiny.layers for clip in ("vowel", "other") for seed in (0, 1)]


def test_they_are_metamers(metamers, tiny):
    for metamer in metamers:
        layer = metamer.evidence.settings.layer
        pair = torch.stack([metamer.clip.samples, metamer.samples])
        natural, synthetic = am.record(tiny, pair, layer)
        stored = metamer.evidence.similarity[layer]
        measured = am.similarity(natural, synthetic)
        assert measured["spearman_rho"] == pytest.approx(stored["spearman_rho"], abs=1e-4)
        assert measured["snr_db"] == pytest.approx(stored["snr_db"] if stored["snr_db"] is not None else np.inf, abs=0.1)
        assert measured["snr_db"] > 15
        assert metamer.passed is metamer.evidence.verdict.passed
        assert float(metamer.samples.abs().max()) <= 1
        assert float(metamer.samples.square().mean().sqrt()) == pytest.approx(metamer.evidence.rms, rel=1e-5)


def test_they_are_not_the_clip(metamers):
    """At the last layer next to nothing of the waveform is left: nothing leaks from the clip into the start."""
    for metamer in metamers:
        if metamer.evidence.settings.layer == "final":
            assert abs(float(torch.corrcoef(torch.stack([metamer.samples, metamer.clip.samples]))[0, 1])) < 0.3


def test_the_same_seed_gives_the_same_samples(tiny, tiny_clip):
    once, again = (am.synthesize(tiny, tiny_clip, "relu1", seed=1)[0].samples for _ in range(2))
    assert torch.equal(once, again)


def test_who_shares_the_batch_does_not_matter(tiny, tiny_clip):
    """Beyond rounding, which a synthesis magnifies: so compared early, and in a batch of other clips and seeds."""
    options = {"layers": "relu1", "steps": 15}
    (alone,) = am.synthesize(tiny, tiny_clip, seed=1, **options)
    together = am.synthesize(tiny, [make_clip("other", 2), tiny_clip], seed=[7, 1], **options)
    (same,) = [m for m in together if (m.clip.name, m.evidence.settings.seed) == ("vowel", 1)]
    assert am.similarity(alone.samples, same.samples)["snr_db"] > 60


def test_every_layer_is_measured_not_only_the_matched_one(metamers, tiny):
    for metamer in metamers:
        assert list(metamer.evidence.similarity) == list(tiny.layers)
    deep = [m for m in metamers if m.evidence.settings.layer == "relu0"]
    # What matches early matches late, but for how much each layer magnifies what is left.
    assert all(m.evidence.similarity["final"]["pearson_r2"] > 0.5 for m in deep)


def test_what_does_not_pass_is_tried_again_and_says_so(tiny, tiny_clip, null):
    layers = {
        layer: {m: replace(v, maximum=2.0 if m == "spearman_rho" else v.maximum) for m, v in metrics.items()}
        for layer, metrics in null.layers.items()
    }
    impossible = replace(null, layers=layers)
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", null=impossible, steps=40)
    assert metamer.passed is False
    tries, begins = metamer.evidence.tries, [0, 3, 5, 7, 10, 13]
    assert [t.start_seed for t in tries] == [k * 2**32 if k in begins else None for k in range(16)]
    assert metamer.evidence.kept == max(range(16), key=lambda i: tries[i].snr_db)
    assert tries[2].losses[0] < tries[3].losses[0]  # it goes on from where an earlier one ended
    assert [k for k, t in enumerate(tries) if "by the layer before" in t.attempt] == [10, 13]


def test_an_attempt_by_the_layer_before_matches_that_and_is_judged_at_the_wanted_one(tiny, tiny_clip, null, monkeypatch):
    never = replace(null, layers={"relu1": {m: replace(v, maximum=2.0) for m, v in null.layers["relu1"].items()}})
    first, *_ = METHODS["default"].attempts
    before = dataclasses.replace(first, name="before", layer_before=True)
    method = dataclasses.replace(METHODS["default"], attempts=(first, before))
    monkeypatch.setitem(METHODS, "default", method)
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", null=never)
    (by_itself,) = am.synthesize(tiny, tiny_clip, "relu0", seed=2**32)  # the same noise and steps, where relu0 itself is wanted
    tried = metamer.evidence.tries[1]
    assert (tried.attempt, tried.start_seed) == ("before", 2**32)
    assert tried.snr_db == pytest.approx(by_itself.evidence.similarity["relu1"]["snr_db"], abs=0.01)
    assert tried.losses == pytest.approx(by_itself.evidence.tries[0].losses, rel=1e-4)


def test_the_first_layer_and_given_activations_have_no_layer_before(tiny, tiny_clip, null):
    strict = {m: replace(v, maximum=2.0) for m, v in null.layers["relu1"].items()}
    never = replace(null, layers={"cochleagram": strict, "relu1": strict})
    (earliest,) = am.synthesize(tiny, tiny_clip, "cochleagram", null=never, steps=20)
    given = GivenTarget("given", {"relu1": am.record(tiny, tiny_clip.samples[None], ["relu1"])["relu1"][0]})
    (target,) = am.synthesize(tiny, given, "relu1", null=never, steps=20)
    for metamer in (earliest, target):
        assert metamer.passed is False
        assert not any("by the layer before" in tried.attempt for tried in metamer.evidence.tries)


def test_a_model_that_cannot_be_copied_is_matched_as_it_is(tiny, tiny_clip):
    tiny.network.lock = threading.Lock()
    try:
        with pytest.warns(am.AudioMetamerWarning, match="cannot be copied"):
            (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", steps=40)
    finally:
        del tiny.network.lock
    assert metamer.evidence.similarity["relu1"]["snr_db"] > 5
    assert tiny.front_end.compression.gradient_clip == am.Cochleagram().compression.gradient_clip


def test_the_published_method_has_one_attempt(tiny, tiny_clip):
    (metamer,) = am.synthesize(tiny, tiny_clip, "relu1", method="feather2023", steps=80)
    assert [t.attempt for t in metamer.evidence.tries] == ["published"]
    assert metamer.evidence.tries[0].steps == 80
    assert metamer.passed is None  # no null distribution comes with the tiny model
    assert metamer.evidence.settings.loss == "relative_l2"


def test_clips_must_fit(tiny, tiny_clip):
    with pytest.raises(am.AudioMetamerError, match="clip 'vowel' has 500 samples at 4000 Hz; tiny takes 1000 at 4000 Hz"):
        am.synthesize(tiny, dataclasses.replace(tiny_clip, samples=tiny_clip.samples[:500]))
    with pytest.raises(am.AudioMetamerError, match="steps is 0"):
        am.synthesize(tiny, tiny_clip, steps=0)
    with pytest.raises(am.AudioMetamerError, match="no layer 'relu7'; the nearest are"):
        am.synthesize(tiny, tiny_clip, "relu7")


def test_progress_is_reported(tiny, tiny_clip):
    seen = []
    am.synthesize(tiny, tiny_clip, "relu1", steps=45, progress=seen.append)
    assert [(p.layer, p.step, p.steps) for p in seen[:3]] == [("relu1", 0, 45), ("relu1", 20, 45), ("relu1", 40, 45)]
    assert seen[2].snr_db > seen[0].snr_db


def test_files_round_trip(tmp_path, metamers, tiny):
    for metamer in metamers:
        path = metamer.save(tmp_path)
        rate, samples = scipy.io.wavfile.read(path)
        assert (rate, samples.dtype) == (4000, np.float32)
        np.testing.assert_array_equal(samples, metamer.samples)
        back = load_metamer(path)
        assert torch.equal(back.samples, metamer.samples)
        assert torch.equal(back.clip.samples, metamer.clip.samples)
        sums = {"signal_sha256": file_sha256(path), "original_sha256": file_sha256(path.with_name("original.wav"))}
        assert back.evidence == replace(metamer.evidence, **sums)
    assert (tmp_path / "vowel" / "tiny" / "original.wav").exists()
    assert (tmp_path / "other" / "tiny" / "relu1_seed1.json").exists()

    lines = write_index(tmp_path).read_text().splitlines()
    assert len(lines) == 1 + len(metamers)
    columns = dict(zip(lines[0].split("\t"), lines[1].split("\t"), strict=True))
    assert columns["file"] == "other/tiny/cochleagram_seed0.wav"
    assert columns["verdict"] in ("passed", "failed")


def test_a_failed_metamer_is_written_too_and_says_so(tmp_path, metamers):
    verdict = replace(metamers[0].evidence.verdict, passed=False)
    failed = dataclasses.replace(metamers[0], evidence=replace(metamers[0].evidence, verdict=verdict))
    path = failed.save(tmp_path)
    assert path.exists()
    assert "\tfailed\t" in write_index(tmp_path).read_text()


def test_what_find_metamer_is_known_by_its_settings(tmp_path, tiny, metamers):
    metamer = metamers[0]
    settings = metamer.evidence.settings
    assert find_metamer(tmp_path, settings) is None
    path = metamer.save(tmp_path)
    assert torch.equal(find_metamer(tmp_path, settings).samples, metamer.samples)
    assert settings == settings_of(tiny, metamer.clip, settings.layer, settings.seed, method="default", steps=None)
    with pytest.raises(
        am.AudioMetamerError, match=r"exists and was made with different settings \(steps\); choose another --out"
    ):
        find_metamer(tmp_path, replace(settings, steps=3))
    path.with_suffix(".json").unlink()
    assert find_metamer(tmp_path, settings) is None  # a WAV without its record is unfinished


def test_a_damaged_record_is_one_line(tmp_path, metamers):
    path = metamers[0].save(tmp_path)
    path.with_suffix(".json").write_text("{")
    with pytest.raises(am.AudioMetamerError, match="is not the record of a metamer"):
        load_metamer(path)


def test_a_metamer_is_one_line_where_it_is_printed(metamers):
    metamer = metamers[0]
    snr = metamer.evidence.similarity["cochleagram"]["snr_db"]
    judged = "passed" if metamer.passed else "failed"
    assert repr(metamer) == f"<Metamer of 'vowel' at cochleagram of tiny, seed 0: SNR {snr:.1f} dB, {judged}>"


def test_the_figure_is_drawn(tmp_path, tiny, metamers):
    import matplotlib.image

    from audiometamer.metamers.figure import draw_figure

    mine = [m for m in metamers if m.clip.name == "vowel" and m.evidence.settings.seed == 0]
    draw_figure(tiny, mine, tmp_path / "figure.png")
    picture = matplotlib.image.imread(tmp_path / "figure.png")
    assert picture.shape[0] > 800
    assert picture.std() > 0.1
    with pytest.raises(am.AudioMetamerError, match="needs at least one metamer"):
        draw_figure(tiny, [], tmp_path / "none.png")


def test_losses_have_names_in_the_record(tiny, tiny_clip):
    options = {"steps": None, "method": "default"}
    assert settings_of(tiny, tiny_clip, "final", 0, **options).loss == "relative_l2_with_roots"
    assert settings_of(tiny, tiny_clip, "final", 0, loss=relative_l2, **options).loss == "relative_l2"


@pytest.mark.parametrize(
    ("network", "layer"), [(am.networks.CochResNet50(8, width=0.1), "layer2"), (am.networks.CochCNN9(8, width=0.7), "relu1")]
)
def test_a_whole_step_stays_on_its_device_and_does_not_wait(network, layer):
    """From signals through front end and folded network to the next signals, on a device without data."""
    network = network.eval().requires_grad_(False).to("meta")
    model = am.Model(network, front_end=am.Cochleagram(), sample_rate=20_000, duration=2.0, check=False)
    twin = faster_copy(model, layer)
    taps = {layer: twin.tap(layer)}
    target = am.record(model, torch.zeros(2, 40_000, device="meta"), layer)
    signals = torch.zeros(2, 40_000, device="meta", requires_grad=True)
    optimizer = load_method("default").attempts[0].optimizer(10)
    state = optimizer.init(signals.detach())
    record_taps(twin, lambda: twin(signals), taps)  # builds the filters
    with OnlyDevice("meta"):
        found = record_taps(twin, lambda: twin(signals), taps)[layer]
        (gradients,) = torch.autograd.grad(rectified(relative_l2_with_roots, 0.01)(found, target).sum(), signals)
        moved, _ = optimizer.step(5, signals.detach(), gradients, state)
    assert Waveform().project(moved).shape == signals.shape
