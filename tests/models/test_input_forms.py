"""Networks that take something else than (batch, samples): the error says what, and its advice works when it is executed."""

import re

import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen
from torch import nn

import audiometamer as am


class Channels(Net):
    def forward(self, x):
        return self.read_out(self.relu(self.conv(x)).mean(-1))


class Steps(Net):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(1, 4, batch_first=True)

    def forward(self, x):
        return self.read_out(self.rnn(x)[0][:, -1])


class Dict(Net):
    def forward(self, x):
        return super().forward(x["waveform"] * x.get("gain", 1.0))


class Lengths(Net):
    def forward(self, x, lengths):
        assert lengths.dtype == torch.long
        return super().forward(x) * (lengths / SAMPLES)[:, None]


class Mask(Net):
    def forward(self, x, mask):
        assert mask.shape == x.shape
        return super().forward(x * mask)


def build(network):
    return am.Model(network, sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE)


@pytest.mark.parametrize(
    ("network", "what"),
    [
        (Channels(), r"it takes \(batch, 1, samples\)"),
        (Steps(), r"it takes \(batch, samples, 1\)"),
        (Dict(), "it takes a dict with waveform, gain"),
        (Lengths(), "it takes x and lengths"),
        (Mask(), "it takes x and mask"),
    ],
)
def test_the_advice_for_other_forms_of_input_works(network, what):
    frozen(network)
    with pytest.raises(am.AudioMetamerError, match=what) as caught:
        build(network)
    message = str(caught.value)
    assert "\n" not in message
    names = {"network": network, "torch": torch, "nn": nn, "am": am}
    if hook := re.search(r"network\.register_forward_pre_hook\(.*", message):
        exec(hook[0], names)
        model = build(network)
    else:
        code = re.search(r"am\.Model\((.*), …\)", message)[1]
        model = build(eval(code, names).eval())
    assert any(layer.endswith("read_out") for layer in model.layers)
    signals = torch.randn(2, SAMPLES, generator=torch.Generator().manual_seed(0))
    assert model(signals).shape == (2, 3)
    (metamer,) = am.synthesize(model, 0.1 * signals[0], model.layers[-1], steps=2, method="feather2023")
    assert metamer.samples.shape == (SAMPLES,)


def test_arguments_that_nobody_can_guess_are_named():
    class Odd(Net):
        def forward(self, x, speakers, language):
            return super().forward(x) + self.table[language]

    with pytest.raises(am.AudioMetamerError, match=r"it takes x, speakers, language: give it the others by .*pre_hook"):
        build(frozen(Odd()))


def test_a_network_that_fails_for_another_reason_says_its_own():
    with pytest.raises(am.AudioMetamerError, match=r"fails on noise of shape \(2, 400\), torch.float32: .*shapes"):
        build(frozen(nn.Linear(7, 3)))


def test_a_network_of_two_channels():
    class Binaural(Net):
        def forward(self, x):
            left, right = x.unbind(1)
            return super().forward(left - right)

    network = frozen(Binaural())
    with pytest.raises(am.AudioMetamerError, match=r"it takes \(batch, 2, samples\), two channels: give am.Model channels=2"):
        build(network)
    model = am.Model(network, sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, channels=2)
    assert am.record(model, torch.zeros(1, 2, SAMPLES), "conv").shape[0] == 1
