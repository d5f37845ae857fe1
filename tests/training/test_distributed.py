"""Two processes with half a batch each against one with all of it; float64, so that only mistakes differ."""

import subprocess
import sys

import torch
from torch import nn

from audiometamer.training.distributed import Processes, SharedBatchNorm2d, is_first_process, processes, share_batch_norm

WORKER = """
import sys
from pathlib import Path
import torch
from audiometamer.training.distributed import processes, share_batch_norm

folder = sys.argv[1]
network, x, weights = torch.load(folder + "/whole.pt", weights_only=False)
with processes(torch.device("cpu")) as group:
    share_batch_norm(network)
    mine = slice(group.rank, None, group.count)
    x = x[mine].requires_grad_()
    for _ in range(2):
        network.zero_grad()
        y = network(x)
        (y * weights[mine]).sum().backward()
        group.add_gradients(network.parameters())
    gradients = {name: p.grad for name, p in network.named_parameters()}
    network.eval()
    alone = network(x) if group.is_first else None  # without the other process
    group.wait()
    assert group.total(torch.tensor([1.0, group.rank])).tolist() == [2.0, 1.0]
    torch.save((y.detach(), x.grad, gradients, dict(network.named_buffers()), alone), f"{folder}/{group.rank}.pt")
assert not any("gloo" in name.read_text() for name in Path("/proc/self/task").glob("*/comm"))  # it could abort at the end
"""


def test_two_processes_normalise_as_one(tmp_path):
    """Outputs, gradients and running statistics after two passes, and what the first of them computes alone in eval mode."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, eps=0.01, momentum=0.3), nn.ReLU(), nn.BatchNorm2d(3))
    x = 3 + torch.randn(4, 1, 6, 7, dtype=torch.float64)
    network.double().train()
    y = network(x)
    weights = torch.randn(y.shape, dtype=torch.float64)
    torch.save((network, x, weights), tmp_path / "whole.pt")
    (tmp_path / "worker.py").write_text(WORKER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*torchrun, str(tmp_path / "worker.py"), str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr

    x.requires_grad_()
    for _ in range(2):
        network.zero_grad()
        y = network(x)
        (y * weights).sum().backward()
    halves = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    close = {"rtol": 1e-8, "atol": 1e-10}
    for rank, (y_half, x_gradient, gradients, buffers, _) in enumerate(halves):
        torch.testing.assert_close(y_half, y[rank::2].detach(), **close)
        torch.testing.assert_close(x_gradient, x.grad[rank::2], **close)
        torch.testing.assert_close(gradients, {key: p.grad for key, p in network.named_parameters()}, **close)
        torch.testing.assert_close(buffers, dict(network.named_buffers()), **close)
    torch.testing.assert_close(halves[0][-1], network.eval()(x[::2]), **close)


def test_what_is_shared_keeps_its_parameters_and_names():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(nn.BatchNorm2d(2, eps=0.5, momentum=0.25)), nn.BatchNorm1d(2))
    before = dict(network.state_dict(keep_vars=True))
    share_batch_norm(network)
    after = network.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before)
    shared = network[1][0]
    assert type(shared) is SharedBatchNorm2d
    assert (shared.eps, shared.momentum, shared.training) == (0.5, 0.25, True)
    assert type(network[2]) is nn.BatchNorm1d


def test_one_process_alone():
    with processes(torch.device("cpu")) as group:
        assert group == Processes(0, 1)
        assert group.is_first
        assert is_first_process()
        value = torch.ones(2)
        assert group.total(value) is value
        group.wait()
