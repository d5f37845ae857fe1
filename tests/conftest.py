"""What several tests share: signals by formula and tiny models."""

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import tiny_models
import tiny_training
import torch
from torch import Tensor

import audiometamer as am

DATA = Path(__file__).parent / "data"
THREADS = torch.get_num_threads()
# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One more than cores, for whoever waits for a browser, a server or Slurm leaves a core idle."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs):
    """Share the cores among the workers, and what these start: threads that outnumber them wait for each other."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // len(specs), 1)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """``-m "not browser and not slurm"`` leaves out whatever needs more than Python."""
    for item in items:
        if "browser" in item.fixturenames or item.get_closest_marker("programs"):
            item.add_marker("browser")


@pytest.fixture(autouse=True)
def _threads_are_left_as_they_were():
    """Other threads give other rounding, and whatever compares two runs to the bit fails much later."""
    yield
    assert torch.get_num_threads() == THREADS


def decibels(reference: Tensor, value: Tensor) -> float:
    """10·log10 of the power of the reference over that of the difference."""
    noise = float((reference.double() - value.double()).square().sum())
    return float("inf") if noise == 0 else 10 * np.log10(float(reference.double().square().sum()) / noise)


@pytest.fixture(name="decibels")
def decibels_fixture():
    return decibels


@pytest.fixture(scope="session")
def reference() -> dict[str, np.ndarray]:
    """The published front end's outputs."""
    with np.load(DATA / "cochleagram.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def network_reference() -> dict[str, np.ndarray]:
    """The published networks' outputs."""
    with np.load(DATA / "networks.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def tiny() -> am.Model:
    return tiny_models.sound_model()


@pytest.fixture(scope="session")
def tiny_clip() -> am.Clip:
    """A decaying harmonic sound with a little noise, as the tiny model takes it."""
    return tiny_models.make_clip("vowel", 0)


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Recordings that a tiny network can be trained on."""
    folder = tmp_path_factory.mktemp("data")
    tiny_training.write_recordings(folder)
    return folder


@pytest.fixture
def recipe(tmp_path) -> Path:
    """Of a tiny network, in a folder of its own."""
    path = tmp_path / "recipe.toml"
    path.write_text(tiny_training.RECIPE)
    return path


@pytest.fixture(scope="session")
def unbroken(data, tmp_path_factory) -> Path:
    """The folder of a run of this recipe from the first step to the last, batches made in between."""
    from audiometamer.training.train import train

    folder = tmp_path_factory.mktemp("unbroken")
    (folder / "recipe.toml").write_text(tiny_training.RECIPE)
    return train(folder / "recipe.toml", [str(data)], folder / "model", workers=0)
