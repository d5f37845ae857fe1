"""Recordings in memory whose every sample is known."""

from dataclasses import dataclass, field

import numpy as np

RATE = 1000


@dataclass(frozen=True)
class Constant:
    """A recording whose every sample is the same, unless it is given them."""

    value: float
    split: str = "train"
    labels: dict = field(default_factory=dict)
    background: "Constant | None" = None
    n_samples: int = 300
    samples: tuple = ()
    groups: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"recording {self.value}"

    @property
    def seconds(self):
        return (len(self.samples) or self.n_samples) / RATE

    def read(self):
        return np.array(self.samples or (self.value,) * self.n_samples, dtype=np.float32), RATE


def labelled(value, split="train", **labels):
    return Constant(value, split, {task: (names,) if isinstance(names, str) else names for task, names in labels.items()})
