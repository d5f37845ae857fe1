"""Labels fit what a network answers, or the model is refused in one line."""

from dataclasses import dataclass

import pytest
import torch
from own_networks import SAMPLE_RATE, SAMPLES, Net, frozen
from torch import nn

import audiometamer as am
from audiometamer.models.answers import class_names


class Two(Net):
    def __init__(self):
        super().__init__()
        self.other = nn.Linear(4, 2)

    def forward(self, x):
        h = self.heard(x).mean(-1)
        return {"word": self.read_out(h), "speaker": self.other(h)}


@dataclass
class Answer:
    logits: torch.Tensor
    hidden: None = None


class As(Net):
    """The logits in another form."""

    def __init__(self, form):
        super().__init__()
        self.form = form

    def forward(self, x):
        return self.form(super().forward(x))


def model_of(network, labels):
    return am.Model(frozen(network), sample_rate=SAMPLE_RATE, duration=SAMPLES / SAMPLE_RATE, labels=labels, name="net")


@pytest.mark.parametrize(
    ("network", "labels", "message"),
    [
        (Net(), ["a", "b"], r"2 labels are given for task 'word'; net has word \(3 classes\)"),
        (Net(), list("abcdefgh"), "8 labels are given for task 'word'"),
        (Two(), list("abc"), r"one list, and net has several tasks, word \(3 classes\), speaker \(2 classes\)"),
        (Two(), {"Word": list("abc"), "speaker": list("ab")}, "labels are for the tasks Word, speaker; net has word"),
        (Two(), {"word": list("abc"), "speaker": list("abc")}, "3 labels are given for task 'speaker'"),
        (Net(), {0: "a", 2: "c", 3: "d"}, "the labels have the keys 0, 2, 3; they must be the class numbers 0, 1, 2"),
        (Net(), ["a", "b", "a"], "labels: classes 0 and 2 of word are both called 'a'; give each a name of its own"),
        (Net(), "abc", "the labels are 'abc'; they must be a list of names"),
        (As(lambda y: y[:, None]), list("abc"), r"net returns a tensor of shape \(2, 1, 3\) instead of logits .* nn.Flatten\(\)"),
        (As(lambda y: (y, y * 2)), list("abc"), "net returns a tuple of 2 instead of logits .* output.0."),
        (As(lambda y: y[:, 0]), ["a"], r"net returns a tensor of shape \(2,\) instead of logits"),
    ],
)
def test_labels_that_do_not_fit_are_refused(network, labels, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        model_of(network, labels)
    assert "\n" not in str(caught.value)


def test_what_the_refusals_advise_works():
    flat = am.Model(
        frozen(nn.Sequential(As(lambda y: y[:, None]), nn.Flatten())), sample_rate=SAMPLE_RATE, duration=0.1, labels=list("abc")
    )
    network = As(lambda y: (y, y * 2))
    network.register_forward_hook(lambda module, args, output: output[0])
    named = As(lambda y: Answer(y))
    with pytest.raises(
        am.AudioMetamerError, match=r"returns a Answer instead of logits \(batch, classes\); keep them: network.register"
    ):
        model_of(named, list("abc"))
    named.register_forward_hook(lambda module, args, output: output.logits)
    for model in (flat, model_of(network, list("abc")), model_of(named, list("abc"))):
        assert [tuple(t.shape) for t in model.logits(model(torch.randn(2, SAMPLES))).values()] == [(2, 3)]


def test_some_tasks_may_have_labels_and_others_none():
    assert model_of(Two(), {"word": list("abc")}).named_labels() == {"word": ["a", "b", "c"]}


def test_a_mapping_of_numbers_to_names_is_a_list_of_names():
    for labels in ({0: "a", 1: "b", 2: "c"}, {"2": "c", "0": "a", "1": "b"}, ("a", "b", "c")):
        assert model_of(Net(), labels).named_labels() == {"word": ["a", "b", "c"]}
    assert class_names({"word": {1: "b", 0: "a"}}) == {"word": ["a", "b"]}
    assert class_names(None) is None


def test_logits_that_are_not_finite_never_give_a_label():
    """The network is finite on the clip and on noise, and NaN as soon as a signal is larger than any of them."""

    class Breaks(Net):
        def forward(self, x):
            y = super().forward(x)
            return torch.where(x.detach().abs().amax(1, keepdim=True) > 0.99, float("nan"), y)

    model = model_of(Breaks(), list("abc"))
    logits = model.logits(model(torch.stack([torch.zeros(SAMPLES), torch.ones(SAMPLES)])))["word"]
    assert model.predicted_label("word", logits[0]) in "abc"
    assert model.predicted_label("word", logits[1]) == "(logits not finite)"
    with pytest.raises(am.AudioMetamerError, match=r"the logits of net for 'clip0' \(word\) are not all finite"):
        am.synthesize(model, torch.ones(SAMPLES), "conv", steps=2)
