"""Import the packages of an extra; if one is missing, a line says what to install."""

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from audiometamer.errors import AudioMetamerError, one_line


def imported(package: str, *, extra: str) -> ModuleType:
    """A package by name.

    Raises
    ------
    AudioMetamerError
        If it cannot be imported, with the extra that installs it.
    """
    try:
        return importlib.import_module(package)
    except (ImportError, OSError) as error:
        raise _missing(package, one_line(error), extra) from error


def file_of(package: str, path: str, *, extra: str) -> Path:
    """A file that comes with a package; the package is not imported, as that can change settings of torch.

    Raises
    ------
    AudioMetamerError
        If the package is not installed, or has no such file, with the extra that installs it.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise _missing(package, "it is not installed", extra)
    if not (file := Path(spec.submodule_search_locations[0]) / path).is_file():
        raise _missing(package, f"what is installed has no {path}", extra)
    return file


def _missing(package: str, reason: str, extra: str) -> AudioMetamerError:
    return AudioMetamerError(f'this model needs {package} ({reason}): pip install "audiometamer[{extra}]"')
