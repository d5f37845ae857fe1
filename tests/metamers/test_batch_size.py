"""How many signals go side by side."""

import pytest
import torch
from torch import Tensor, nn

import audiometamer as am
from audiometamer.metamers import batch_size
from audiometamer.metamers.batch_size import bytes_kept, fitting_batch_size


class Squares(nn.Module):
    """Keeps its input once, however often it is squared, and each square that is squared again."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times, self.unused = times, nn.Linear(1000, 1000)
        self.end = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = x * x
        return self.end(x)


def model_of(network: nn.Module, samples: int = 1000) -> am.Model:
    return am.Model(network.eval().requires_grad_(False), signal_shape=(samples,))


def test_what_is_kept_is_counted_once_and_weights_are_not():
    # The clamp to the bounds keeps a byte a sample, where it holds; the k-th square keeps what it squares, 4000 bytes.
    assert [bytes_kept(model_of(Squares(k)), "end") for k in (1, 2, 5)] == [5000, 9000, 21000]
    linear = nn.Sequential(nn.Linear(1000, 10), nn.Linear(10, 1000))
    assert bytes_kept(model_of(linear), "1") == 1000


@pytest.mark.parametrize(("free", "expected"), [(10**9, 8), (200_000, 3), (1, 1)])
def test_the_batch_is_what_fits_in_half_of_the_free_memory(monkeypatch, free, expected):
    monkeypatch.setattr(batch_size, "free_memory", lambda device: free)
    assert fitting_batch_size(model_of(Squares(3)), "end") == expected  # 0.5 · 200,000 / (2.5 · 13,000)


def test_free_memory_is_that_of_this_machine():
    free = batch_size.free_memory(torch.device("cpu"))
    assert 10**6 < free < 10**14


def test_the_default_is_used(tiny, tiny_clip, monkeypatch):
    monkeypatch.setattr("audiometamer.metamers.synthesis.fitting_batch_size", lambda model, layer: 3)
    sizes = []
    am.synthesize(
        tiny, tiny_clip, "relu1", seed=range(5), steps=20, method="feather2023",
        progress=lambda p: sizes.append(p.signals) if p.step == 0 else None,
    )  # fmt: skip
    assert sizes == [3, 2]
