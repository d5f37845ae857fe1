"""The one place that names devices."""

import pytest
import torch

import audiometamer as am
from audiometamer.devices import choose_device, describe, is_accelerator, isolated_rng


@pytest.mark.parametrize(("there", "chosen"), [(None, "cpu"), (torch.device("cuda", 0), "cuda:0"), (torch.device("mps"), "mps")])
def test_auto_is_the_accelerator_that_works_or_the_cpu(monkeypatch, there, chosen):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: there)
    assert choose_device("auto") == torch.device(chosen)


def test_a_device_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    with pytest.raises(am.AudioMetamerError, match="device 'warp' is not available here"):
        choose_device("warp")
    with pytest.raises(am.AudioMetamerError, match=r"device 'meta' is not available here: [^.]{,100}$"):
        choose_device("meta")  # whose tensors hold nothing


def test_the_cpu_is_no_accelerator_and_says_how_many_threads_it_has():
    cpu = choose_device("cpu")
    assert not is_accelerator(cpu)
    assert describe(cpu) == f"CPU, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}"


def test_own_randomness_leaves_no_trace():
    before = torch.random.get_rng_state()
    with isolated_rng(choose_device("auto")):
        torch.manual_seed(5)
        torch.rand(3)
        assert not torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(torch.random.get_rng_state(), before)
