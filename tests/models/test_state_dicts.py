"""State dicts are found in whatever was saved: at any depth, after any prefix, and not their copies."""

import warnings

import pytest
import torch
from checkpoint_files import network

import audiometamer as am
from audiometamer.models.checkpoints import read_checkpoint
from audiometamer.models.state_dicts import network_state

PREFIXES = ("", "module.", "model.", "module.model.", "_orig_mod.", "network.", "encoder.net.0.", "student.backbone.")


def test_a_bare_state_dict(write):
    made = network("cochcnn9")
    state, _ = network_state(read_checkpoint(write(made.state_dict())), made.state_dict())
    assert state.keys() == made.state_dict().keys()


@pytest.mark.parametrize("under", [(), ("state_dict",), ("model",), ("model_state_dict",), ("checkpoint", "net")])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_weights_are_found_in_whatever_was_saved(write, under, prefix):
    state = network("cochresnet50").state_dict()
    content = {prefix + key: tensor for key, tensor in state.items()}
    if prefix:
        content |= {"n_averaged": torch.tensor(3), "normalizer.new_mean": torch.zeros(3, 1, 1), "criterion.weight": torch.ones(3)}
    for key in reversed(under):
        content = {
            key: content,
            "epoch": 90,
            "best_acc1": torch.tensor(70.1),
            "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}},
        }
    found, _ = network_state(read_checkpoint(write(content)), state)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_wrappers_around_single_modules_and_lists(write):
    state = network("cochresnet50").state_dict()
    wrapped = {f"module.{key.replace('layer2.', 'layer2._orig_mod._fsdp_wrapped_module.')}": t for key, t in state.items()}
    for content in (wrapped, [wrapped, {"epoch": 3}], {"models": (wrapped,)}):
        found, _ = network_state(read_checkpoint(write(content)), state.keys())
        assert found.keys() == state.keys()


def test_the_network_itself_is_preferred_to_its_copies(write):
    state = network("cochcnn9").state_dict()
    ema = {key: tensor + 1 for key, tensor in state.items()}
    twins = {f"module.attacker.model.{key}": tensor + 1 for key, tensor in state.items()}
    for content in ({"model_ema": ema, "model": state}, {"teacher": ema, "student": state}, {"model": twins | state}):
        found, _ = network_state(read_checkpoint(write(content)), state.keys())
        assert all(torch.equal(found[key], state[key]) for key in state)
    alone, _ = network_state(read_checkpoint(write({"state_dict_ema": ema, "epoch": 3})), state.keys())
    assert all(torch.equal(alone[key], ema[key]) for key in state)


def test_two_equally_good_networks_are_reported(write):
    state = network("cochcnn9").state_dict()
    content = {"left": state, "right": {key: tensor + 1 for key, tensor in state.items()}}
    with pytest.warns(am.AudioMetamerWarning, match="those under 'left' are taken, not right"):
        assert torch.equal(network_state(read_checkpoint(write(content)), state.keys())[0]["conv0.weight"], state["conv0.weight"])
    content["right"] = dict(state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert network_state(read_checkpoint(write(content)), state.keys())[0].keys() == state.keys()


def test_containers_that_hold_themselves_are_searched_once(write):
    content = {"conv.weight": torch.zeros(3)}
    content["self"] = content
    laughs = [content]
    for _ in range(60):
        laughs = [laughs, laughs]
    deep = []
    for _ in range(5000):
        deep = [deep]
    state, _ = network_state({"a": laughs, "b": deep}, ["conv.weight"])
    assert list(state) == ["conv.weight"]
