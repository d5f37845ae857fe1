"""Initial weights from another model, and those that stay."""

from types import SimpleNamespace

import pytest
import torch
from tiny_training import RECIPE

import audiometamer as am
from audiometamer.training.starting import draw_weights, start_from, trained_parameters
from audiometamer.training.train import train

SHAPE = (20, 40)


def network(outputs, width=0.02):
    return am.networks.CochCNN9(outputs, width=width, cochleagram_shape=SHAPE)


def test_drawn_weights_keep_the_size_of_signals():
    """Through ten ReLU layers the mean square stays what it is (He et al. 2015); PyTorch's own weights shrink it to nothing."""
    torch.manual_seed(0)
    layers = [
        layer for _ in range(10) for layer in (torch.nn.Conv2d(50, 50, 3, padding=1, padding_mode="circular"), torch.nn.ReLU())
    ]
    network, x = torch.nn.Sequential(*layers), torch.randn(4, 50, 12, 12)
    assert network(x).square().mean() < 1e-3
    draw_weights(network)
    assert 0.5 < network(x).square().mean() / x.square().mean() * 2 < 2.5  # half of each normal output is cut off


def other_model(monkeypatch, network, labels):
    card = None if labels is None else SimpleNamespace(labels=labels)
    monkeypatch.setattr("audiometamer.training.starting.load_model", lambda _: SimpleNamespace(network=network, card=card))


@pytest.mark.parametrize("labels", [None, {"speaker": ["v", "w", "x", "y", "z"]}])
def test_what_fits_is_copied(monkeypatch, labels):
    other, own = network(5), network(3)
    other_model(monkeypatch, other, labels)
    read_out = own.classification.weight.clone()
    assert start_from(own, "other", {"word": ["a", "b", "c"]}) == ["classification.weight", "classification.bias"]
    assert torch.equal(own.conv3.weight, other.conv3.weight)
    assert torch.equal(own.classification.weight, read_out)
    with pytest.raises(am.AudioMetamerError, match="start_from is other, whose network has no weights that fit this one's"):
        start_from(network(4, width=0.03), "other", {"word": ["a", "b", "c", "d"]})


def test_classes_of_both_read_outs_are_copied(monkeypatch):
    """A smaller or another vocabulary, and a further task, keep what the other network knows of their words."""
    other, own = network(4), network({"word": 3, "speaker": 2})
    other_model(monkeypatch, other, {"word": ["up", "down", "left", "right"]})
    weight, bias = own.classification["word"].weight.clone(), own.classification["word"].bias.clone()
    random = start_from(own, "other", {"word": ["left", "new", "down"], "speaker": ["a", "b"]})
    assert random == [
        "classification.word.weight (1 of 3 classes)", "classification.word.bias (1 of 3 classes)",
        "classification.speaker.weight", "classification.speaker.bias",
    ]  # fmt: skip
    there = other.classification
    assert torch.equal(own.classification["word"].weight, torch.stack([there.weight[2], weight[1], there.weight[1]]))
    assert torch.equal(own.classification["word"].bias, torch.stack([there.bias[2], bias[1], there.bias[1]]))
    fewer = network(2)
    assert start_from(fewer, "other", {"word": ["right", "up"]}) == []
    assert torch.equal(fewer.classification.weight, there.weight[[3, 0]])


def test_a_recipe_that_starts_from_a_trained_model(unbroken, data, tmp_path):
    """With a learning rate of next to nothing the new network is the old one; a resumed run does not start from there again."""
    path = tmp_path / "recipe.toml"
    path.write_text(f'start_from = "{unbroken}"\n' + RECIPE + "[optimizer]\nlearning_rate = 1e-12\nweight_decay = 0.0\n")
    model = am.load_model(train(path, [str(data)], tmp_path / "model", workers=0))
    for key, tensor in am.load_model(unbroken).network.named_parameters():
        torch.testing.assert_close(model.network.get_parameter(key), tensor, rtol=1e-6, atol=1e-7)
    assert model.card.training["started_from"] == unbroken.name  # not where it was on this machine


def test_frozen_modules_keep_their_initial_values(unbroken, data, tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(f'start_from = "{unbroken}"\nfrozen = ["batchnorm0", "conv1"]\n' + RECIPE)
    model = am.load_model(train(path, [str(data)], tmp_path / "model", workers=0))
    before = dict(am.load_model(unbroken).network.named_parameters())
    unchanged = {key for key, tensor in model.network.named_parameters() if torch.equal(tensor, before[key])}
    assert unchanged == {"batchnorm0.weight", "batchnorm0.bias", "conv1.weight"}


def test_frozen_modules_that_do_not_exist():
    with pytest.raises(am.AudioMetamerError, match="frozen is conv9, relu0, not a module with parameters; those are b"):
        trained_parameters(network(3), ["conv9", "conv1", "relu0"])
    with pytest.raises(am.AudioMetamerError, match="nothing is left to train"):
        trained_parameters(torch.nn.Sequential(torch.nn.Linear(1, 1)), ["0"])
