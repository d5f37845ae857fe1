"""What listeners see: the files of the page."""

import shutil
from pathlib import Path

_STATIC = Path(__file__).parent / "static"


def write_page(folder: Path) -> None:
    """Write the page into a new folder; it is the same for every experiment, and all else comes by the server."""
    shutil.copytree(_STATIC, folder)
