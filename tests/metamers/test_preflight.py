"""Everything that can fail is tried before the first step, and nothing that was not asked for stops a synthesis."""

import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen
from torch import nn

import audiometamer as am
from audiometamer.matching.domains import Waveform
from audiometamer.matching.losses import relative_l2
from audiometamer.metamers.criteria import MetricNull


class Steps(nn.Module):
    def forward(self, x):
        return x.sign()


class Stepped(Net):
    """Its layer `steps` has a gradient of zero; the signal comes past it to the read-out."""

    def __init__(self):
        super().__init__()
        self.steps = Steps()

    def forward(self, x):
        h = self.heard(x).mean(-1)
        return self.read_out(h + self.steps(h - 0.01))


def model_of(network):
    return am.Model(frozen(network), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE)


@pytest.fixture(scope="module")
def model():
    return model_of(Net())


def noise(seed=0):
    return 0.1 * torch.randn(SAMPLES, generator=torch.Generator().manual_seed(seed))


def refused(model, match, layer="read_out", **options):
    """The error of a synthesis that reported no step."""
    reported = []
    with pytest.raises(am.AudioMetamerError, match=match):
        am.synthesize(model, noise(), layer, steps=2, progress=reported.append, **options)
    assert reported == []


def never_passed(*layers):
    """A null distribution that nothing is beyond: all attempts are made."""
    return am.NullDistribution(1, 2, "", {layer: {"snr_db": MetricNull(1e9, {})} for layer in layers})


def for_pairs_only(a, t):
    return (a - t).view(2, -1).square().sum(1)


def for_several_only(a, t):
    return relative_l2(a, t) / (len(a) - 1)


@pytest.mark.parametrize(
    ("loss", "match"),
    [
        (for_pairs_only, r"layer read_out: the loss fails: RuntimeError: shape '\[2, -1\]' is invalid for input of size 3"),
        (for_several_only, r"layer read_out: the loss is not finite at the start of 'clip0', for 1 signal\(s\)"),
        (lambda a: a, r"layer read_out: the loss fails: TypeError: .* takes 1 positional argument but 2 were given"),
        ("mse", r"layer read_out: the loss fails: TypeError: 'str' object is not callable"),
    ],
)
def test_a_loss_that_fails_for_some_number_of_signals(model, loss, match):
    refused(model, match, loss=loss)


def test_penalties_domains_and_null_distributions_of_other_types(model):
    class Truncating(Waveform):
        def as_written(self, signals):
            return signals[..., :-1]

    refused(model, r"layer read_out: the penalty fails: TypeError: 'int' object is not callable", penalty=5)
    refused(model, r"the domain is 'x'; it must be an instance with the methods start, project, signals, as_written", domain="x")
    refused(model, r"the domain is <class .*Waveform'>; it must be an instance", domain=Waveform)
    refused(model, r"the domain Truncating writes shape \(399,\), not \(400,\)", domain=Truncating())
    refused(model, r"null is 'null.json'; it must be a NullDistribution, such as NullDistribution.load\(path\)", null="null.json")


def test_a_null_distribution_of_other_metrics_is_refused(tmp_path):
    with pytest.raises(am.AudioMetamerError, match="a null distribution holds cosine; the metrics are snr_db, pearson_r2"):
        am.NullDistribution(1, 2, "", {"relu": {"cosine": MetricNull(0.5, {})}})
    (tmp_path / "null.json").write_text(
        '{"pairs": 1, "sounds": 2, "source": "", "layers": {"relu": {"cosine": {"maximum": 0.5, "quantiles": {}}}}}'
    )
    with pytest.raises(am.AudioMetamerError, match=r"null.json is not a null distribution: a null distribution holds cosine"):
        am.NullDistribution.load(tmp_path / "null.json")


def test_a_layer_whose_gradient_is_zero():
    refused(model_of(Stepped()), "layer steps: the gradient is zero at the start of 'clip0', so no step would change", "steps")


def test_a_loss_that_fits_the_wanted_layer_alone_is_not_tried_at_the_layer_before(model):
    weights = torch.tensor([1.0, 2.0, 3.0])  # the read-out has 3 units, the layer before 4 × 49

    def weighted(a, t):
        return ((a - t) * weights).square().sum(1)

    with pytest.warns(am.AudioMetamerWarning, match="read_out is not attempted by the layer before it, .*: layer relu: the loss"):
        (metamer,) = am.synthesize(model, noise(), "read_out", steps=2, loss=weighted, null=never_passed("read_out"))
    assert metamer.passed is False
    assert {tried.layer for tried in metamer.evidence.tries} == {None}
    (other,) = am.synthesize(model, noise(), "read_out", steps=2, null=never_passed("read_out"))
    assert "relu" in {tried.layer for tried in other.evidence.tries}


def test_a_layer_that_is_named_twice_is_one(model):
    (metamer,) = am.synthesize(model, noise(), "conv+conv", steps=2)
    assert metamer.evidence.settings.layer == "conv"
    assert model.canonical("relu+conv/channels=0:2+relu") == "relu+conv/channels=0:2"


def test_a_seed_is_no_text(model):
    refused(model, "seed is '12'; it must be a whole number", seed="12")


def test_a_network_that_was_put_into_train_mode_later(model):
    own = model_of(Net())
    own.train()
    refused(own, r"Net is in train mode \(Net\); call .eval\(\) on it first")
    with pytest.raises(am.AudioMetamerError, match="Net is in train mode"):
        am.NullDistribution.measure(own, [noise(0), noise(1)])
