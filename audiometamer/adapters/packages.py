"""Find the packages of an extra; one line says so if they are not there."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from audiometamer.errors import AudioMetamerError


def imported(package: str, *, extra: str) -> ModuleType:
    """A package by name.

    Raises
    ------
    AudioMetamerError
        If it cannot be imported, naming the extra that brings it.
    """
    try:
        return importlib.import_module(package)
    except (ImportError, OSError) as error:
        raise _missing(package, str(error), extra) from error


def folder_of(package: str, *, extra: str) -> Path:
    """Where a package is installed; it is not imported, which can change settings of torch.

    Raises
    ------
    AudioMetamerError
        If it is not installed, naming the extra that brings it.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, "it is not installed", extra)
    return Path(spec.submodule_search_locations[0])


def _missing(package: str, reason: str, extra: str) -> AudioMetamerError:
    return AudioMetamerError(f'this model needs {package} ({" ".join(reason.split())}): pip install "audiometamer[{extra}]"')
