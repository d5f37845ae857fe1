"""What `synthesize` takes: clips in any form, iterables, numpy's numbers; what it refuses, before the first step."""

import numpy as np
import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Keyword, Net, frozen

import audiometamer as am
from audiometamer.matching import Halving, NormalizedDescent, half_squared_error, relative_l2
from audiometamer.matching.domains import Waveform
from audiometamer.metamers.metamer import settings_of

QUICK = {"steps": 3, "method": "feather2023"}


@pytest.fixture(scope="module")
def model():
    return am.Model(frozen(Net()), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, name="net")


def noise(seed=0, n=SAMPLES):
    return 0.1 * torch.randn(n, generator=torch.Generator().manual_seed(seed))


def clip(seed=0):
    return am.Clip(f"c{seed}", noise(seed), SAMPLE_RATE)


def keys(metamers):
    return [(m.evidence.settings.layer, m.clip.name, m.evidence.settings.seed) for m in metamers]


def test_any_iterable_is_listed_once(model):
    wanted = [(layer, name, s) for layer in ("conv", "relu") for name in ("c0", "c1") for s in (0, 1)]
    layers = (layer for layer in ("conv", "relu"))
    found = am.synthesize(model, (clip(i) for i in range(2)), layers, seed=(s for s in range(2)), **QUICK)
    assert keys(found) == wanted


def test_tensors_arrays_and_paths_in_the_place_of_clips(model, tmp_path):
    am.write_wav(tmp_path / "heard.wav", noise(), SAMPLE_RATE)
    batch = torch.stack([noise(0), noise(1)])
    assert keys(am.synthesize(model, noise(), "conv", **QUICK)) == [("conv", "clip0", 0)]
    assert keys(am.synthesize(model, batch.double().numpy(), "conv", **QUICK)) == [("conv", f"clip{i}", 0) for i in range(2)]
    assert keys(am.synthesize(model, [batch[0], clip(1)], "conv", **QUICK)) == [("conv", "clip0", 0), ("conv", "c1", 0)]
    assert keys(am.synthesize(model, tmp_path / "heard.wav", "conv", **QUICK)) == [("conv", "heard", 0)]
    (metamer,) = am.synthesize(model, am.Clip("x", noise().numpy(), SAMPLE_RATE), "conv", seed=np.int64(3), **QUICK)
    assert (metamer.evidence.settings.seed, type(metamer.evidence.settings.seed)) == (3, int)
    (same,) = am.synthesize(model, noise(), "conv", seed=torch.tensor([3]), **QUICK)
    assert torch.equal(metamer.samples, same.samples)


def test_ten_lines_with_clips_from_memory_and_from_a_file(model, tmp_path):
    am.write_wav(tmp_path / "long.wav", noise(n=3 * SAMPLES), SAMPLE_RATE)
    read = model.read_clip(tmp_path / "long.wav", start=0.1)
    built = am.Clip.from_array(read.samples.numpy(), SAMPLE_RATE, name="same")
    assert read.samples.shape == (SAMPLES,)
    assert read.name == "long@0.1s"
    one, two = am.synthesize(model, [read, built], "conv", **QUICK)
    assert torch.equal(one.samples, two.samples)
    path = two.save(tmp_path / "metamers")
    assert torch.equal(am.load_metamer(path).samples, two.samples)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_gradients_are_on_for_the_synthesis_alone(model, context):
    (expected,) = am.synthesize(model, noise(), "conv", **QUICK)
    with context():
        (found,) = am.synthesize(model, noise(), "conv", **QUICK)  # an inference tensor, under inference_mode
        assert not torch.is_grad_enabled()
        am.Model(frozen(Keyword()) if context is torch.no_grad else model.network, sample_rate=SAMPLE_RATE, duration=0.1)
        target = am.record(model, noise()[None], "conv")
        matched = am.match(
            lambda x: am.record(model, x, "conv"), target, noise(1)[None], domain=Waveform(),
            optimizer=NormalizedDescent(Halving(0.1)), steps=2,
        )  # fmt: skip
    assert torch.equal(found.samples, expected.samples)
    assert matched.losses[0, 0] > 0


def test_a_network_of_inference_tensors_is_refused():
    with torch.inference_mode():
        network = frozen(Net())
    with pytest.raises(am.AudioMetamerError, match=r"built under torch.inference_mode"):
        am.Model(network, sample_rate=SAMPLE_RATE, duration=0.1)


class Short(Waveform):
    def start(self, shape, **options):
        return super().start((shape[0] // 2,), **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": lambda a, t: (a - t).square().sum()}, r"layer conv: the loss has shape \(\) for 2 signal"),
        ({"loss": lambda a, t: (a - t).square()}, r"layer conv: the loss has shape \(2, 4, 49\) for 2 signal"),
        ({"loss": lambda a, t: 1.0}, "layer conv: the loss returns a float; it must return a Tensor"),
        ({"loss": lambda a, t: (a - t).flatten(1).sum(1) * 1j}, "layer conv: the loss is torch.complex64; it must be real"),
        ({"loss": lambda a, t: torch.ones(2)}, "layer conv: the activations do not depend on the signal"),
        ({"loss": lambda a, t: (a - t).flatten(1).sum(1) / 0}, "layer conv: the loss is not finite at the start"),
        ({"penalty": lambda x: x.sum()}, r"layer conv: the penalty has shape \(\) for 2 signal"),
        ({"domain": Short()}, r"the domain Short starts with shape \(2, 200\) for 2 signals; it must be \(2, 400\)"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"batch_size": 1.5}, "batch_size is 1.5; it must be a whole number"),
        ({"steps": 0}, "steps is 0; it must be at least 1"),
        ({"seed": []}, "there are no seeds"),
        ({"seed": 0.5}, "seed is 0.5; it must be a whole number"),
        ({"layers": []}, "there are no layers"),
        ({"clips": []}, "there are no clips"),
        ({"clips": 3}, "clips is a int; give one or a list of them"),
        ({"clips": [3]}, "a clip is a int; it must be a Clip"),
        ({"clips": noise(n=300)}, r"clip0 has shape \(300,\); net takes \(400,\)"),
        ({"clips": 20 * noise()}, "clip0 has values from .*; net takes -1 to 1"),
        ({"clips": (1000 * noise()).short()}, "clip 'clip0' holds torch.int16; it must hold floating-point samples"),
        ({"clips": am.Clip("x", noise() / 0, SAMPLE_RATE)}, "clip 'x' holds 400 NaN or infinite samples"),
    ],
)
def test_what_cannot_be_is_refused_before_the_first_step(model, changes, message):
    asked = []
    arguments = {"clips": noise(), "layers": "conv", "progress": asked.append} | QUICK | changes
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        am.synthesize(model, arguments.pop("clips"), arguments.pop("layers"), **arguments)
    assert asked == []
    assert "\n" not in str(caught.value)


def test_what_is_no_model_is_named():
    with pytest.raises(am.AudioMetamerError, match=r"model is a Net; wrap it: am\.Model\(network, sample_rate=…, duration=…\)"):
        am.synthesize(frozen(Net()), noise(), "conv")
    with pytest.raises(am.AudioMetamerError, match=r"model is a str; give an am\.Model"):
        am.synthesize("cochcnn-digits", noise(), "conv")


def test_sample_rates_are_whole():
    assert type(am.Model(frozen(Net()), sample_rate=np.int64(SAMPLE_RATE), duration=0.1).sample_rate) is int
    with pytest.raises(am.AudioMetamerError, match=r"sample_rate is 4000.5; it must be a whole number"):
        am.Model(frozen(Net()), sample_rate=4000.5, duration=0.1)
    with pytest.raises(am.AudioMetamerError, match=r"sample_rate is 0; it must be at least 1"):
        am.read_clip("nothing.wav", sample_rate=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window_size": 0}, "window_size is 0; it must be at least 1"),
        ({"n_filters": 50.5}, "n_filters is 50.5; it must be a whole number"),
        ({"frame_rate": 0}, "frame_rate is 0; it must be at least 1"),
        ({"sample_rate": "fast"}, "sample_rate is 'fast'; it must be a whole number"),
    ],
)
def test_numbers_of_a_cochleagram(options, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.Cochleagram(**options)


def test_a_penalty_on_the_signal_moves_it():
    """Activations 2·x to a target of 2·t, loss ½·‖2x − 2t‖², penalty ½·λ·x²: least at x = 4·t / (4 + λ), here t / 3."""
    target, decay = torch.tensor([[0.9, -0.6]]), 8.0
    options = {"domain": Waveform(), "optimizer": NormalizedDescent(Halving(0.1, 50)), "steps": 800, "loss": half_squared_error}
    for penalty, factor in ((None, 1.0), (lambda x: 0.5 * decay * x.square().sum(1), 4 / (4 + decay))):
        matched = am.match(lambda x: 2 * x, 2 * target, torch.zeros(1, 2) + 0.01, penalty=penalty, **options)
        torch.testing.assert_close(matched.signals, factor * target, atol=1e-3, rtol=0)


def quiet(signals):
    return 10 * signals.square().sum(1)


def test_a_penalty_is_part_of_a_synthesis_and_of_its_record(model):
    free, bound = (am.synthesize(model, noise(), "conv", penalty=p, steps=60, method="feather2023")[0] for p in (None, quiet))
    assert bound.evidence.rms < free.evidence.rms / 2
    assert free.evidence.settings.penalty == ""
    assert bound.evidence.settings.penalty.startswith("quiet ")
    assert bound.evidence.settings != free.evidence.settings


def made(factor):
    def own(activations, target):
        return factor * relative_l2(activations, target)

    return own


def test_settings_tell_losses_and_domains_apart(model):
    def of(**options):
        return settings_of(model, clip(), "conv", 0, method="default", steps=None, weights_sha256="x", **options)

    assert of().loss == "relative_l2_with_roots"
    assert of(loss=relative_l2).loss == "relative_l2"
    assert of(loss=made(1.0)) == of(loss=made(1.0))
    assert len({of(loss=made(1.0)), of(loss=made(2.0)), of(loss=lambda a, t: relative_l2(a, t)), of()}) == 4
    assert of(domain=Waveform()) == of()
    assert len({of(domain=Waveform(deviation=d)) for d in (1e-7, 0.01, 0.02)}) == 3


class Loud(Waveform):
    def project(self, signals):
        return 0.9 * signals


def loud(factor):
    class Loud(Waveform):
        def project(self, signals):
            return factor * signals

    return Loud()


def test_settings_tell_domains_of_the_user_apart_by_what_they_do(model):
    def of(domain):
        return settings_of(model, clip(), "conv", 0, method="default", steps=None, weights_sha256="x", domain=domain).domain

    assert of(loud(0.5)) == of(loud(0.5))
    assert len({of(loud(0.5)), of(loud(0.9)), of(Loud()), of(Waveform(deviation=0.1)), of(None)}) == 5
    assert of(Loud()).startswith("Loud ")
    assert of(Waveform(deviation=0.01)) == "Waveform df86af8b1806"  # as in version 0.1: metamers are found by it


def test_optimisers_of_torch_are_refused():
    for optimizer in (torch.optim.Adam, torch.optim.SGD([torch.zeros(1)], lr=1.0)):
        with pytest.raises(am.AudioMetamerError, match=r"the optimiser is (Adam|SGD), without init.*Adam\(Halving\(0.01\)\)"):
            am.match(lambda x: x, torch.zeros(1, 2), torch.zeros(1, 2), domain=Waveform(), optimizer=optimizer, steps=1)


def test_starts_and_targets_of_other_lengths_are_refused():
    options = {"domain": Waveform(), "optimizer": NormalizedDescent(Halving(0.1)), "steps": 1}
    with pytest.raises(am.AudioMetamerError, match=r"start has shape \(3, 2\) and the target \(2, 2\)"):
        am.match(lambda x: x, torch.zeros(2, 2), torch.zeros(3, 2), **options)


def test_complex_activations_are_matched_in_both_parts():
    """x to x·(1 + 2i), target t·(1 + 2i): only x = t matches, and the loss at x = 0 is ½·5·t²."""
    target = torch.tensor([[0.4 + 0.8j, -0.2 - 0.4j]])
    matched = am.match(
        lambda x: x * (1 + 2j), target, torch.zeros(1, 2), domain=Waveform(), loss=half_squared_error,
        optimizer=NormalizedDescent(Halving(0.1, 30)), steps=500,
    )  # fmt: skip
    assert matched.losses[0, 0] == pytest.approx(0.5 * 5 * (0.4**2 + 0.2**2))
    torch.testing.assert_close(matched.signals, torch.tensor([[0.4, -0.2]]), atol=1e-3, rtol=0)


def test_compiled_networks_are_refused(model):
    in_place = frozen(Net())
    in_place.compile(backend="eager")
    inner = frozen(Net())
    inner.relu = torch.compile(inner.relu, backend="eager")
    for network, what in (
        (
            torch.compile(frozen(Net()), backend="eager"),
            r"the network was compiled by torch.compile.*net._orig_mod\) and compiled",
        ),
        (inner, "its module relu was compiled by torch.compile"),
        (in_place, "the network was compiled in place"),
    ):
        with pytest.raises(am.AudioMetamerError, match=what):
            am.Model(network, sample_rate=SAMPLE_RATE, duration=0.1)


def test_modules_called_by_keyword_are_matched():
    network = frozen(Keyword())
    keyword = am.Model(network, sample_rate=SAMPLE_RATE, duration=0.1)
    by_place = am.Model(frozen(Net()), sample_rate=SAMPLE_RATE, duration=0.1)
    for method in ("default", "feather2023"):
        samples = [am.synthesize(m, noise(), "relu", steps=5, method=method)[0].samples for m in (keyword, by_place)]
        torch.testing.assert_close(*samples)
