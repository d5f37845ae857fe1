"""A package of somebody else's, installed: a module and the metadata of a distribution in a folder of sys.path."""

import sys

SOURCE = """
import torch
from torch import nn

class Log(nn.Module):
    def __init__(self, *, floor=0.01):
        super().__init__()
        self.floor, self.sample_rate = floor, 4000
    def forward(self, sound):
        return torch.log(sound.unflatten(-1, (10, -1)).abs() + self.floor)

class Read(nn.Sequential):
    def __init__(self, outputs, *, width=3):
        super().__init__(nn.Flatten(), nn.Linear(400, width), nn.ReLU(), nn.Linear(width, outputs))

def model(kind="plain"):
    import audiometamer as am
    torch.manual_seed(0)
    network = Read(2).eval().requires_grad_(False)
    return am.Model(network, front_end=Log(), sample_rate=4000, duration=0.1, name=f"mine-{kind}")
"""
ENTRY_POINTS = {
    "audiometamer.front_ends": {"logs": "plugged:Log"},
    "audiometamer.networks": {"Reader": "plugged:Read"},
    "audiometamer.models": {"mine": "plugged:model"},
}


def install(folder, monkeypatch, *, entry_points=ENTRY_POINTS, name="plugged", source=SOURCE):
    """Install the package into a folder that is searched until the test ends."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
