"""Paths of the zoo and the clips, in the installed package or at the root of a checkout; and the command itself."""

import sys
from pathlib import Path

COMMAND = (sys.executable, "-P", "-m", "audiometamer")  # -P: ./random.py in the current folder must not shadow a module
_PACKAGE = Path(__file__).parents[1]


def _data(name: str) -> Path:
    installed = _PACKAGE / "data" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def zoo_folder() -> Path:
    """The folder of the zoo, with a folder for each model."""
    return _data("models")


def clips_folder() -> Path:
    """The folder of the shipped clips."""
    return _data("stimuli")
