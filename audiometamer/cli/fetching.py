"""Published networks and sounds fetched from the command line: the size is asked for first, and progress is shown."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from audiometamer.cli.progress import tracked
from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.models.published import missing_models, published

_HUB = "hub:"
_NOT_FETCHED = "nothing was fetched"
LARGE = 0.05  # 10⁹ bytes; what is smaller is not asked for


def offer(model_name: str) -> None:
    """Ask whether to fetch the networks that a name for --model needs, if there is a terminal to ask at."""
    if not interactive():
        return
    if model_name.startswith(_HUB):
        _ask_for_hub(model_name)
    missing = missing_models(model_name)
    if missing and click.confirm(f"{_listed(missing)} not here yet; fetch {_size(missing)}?", err=True):
        fetch(missing)


def _ask_for_hub(name: str) -> None:
    """Ask before a large network comes from the Hugging Face Hub."""
    from audiometamer.models.adapters.hub_models import bytes_to_fetch

    if (gigabytes := bytes_to_fetch(name.removeprefix(_HUB)) / 1e9) >= LARGE:
        agree(f"fetch {name}, {gigabytes:.2f} GB", _NOT_FETCHED)


def fetch(names: Sequence[str], *, sources: Sequence[Path] = (), trust: bool = False) -> dict[str, Path]:
    """Fetch with progress; the folder of each, by name."""
    from audiometamer.published.fetching import get_all

    with tracked() as tracker:
        return get_all(names, sources=sources, trust=trust, progress=tracker, notify=lambda line: click.echo(line, err=True))


def confirm(names: Sequence[str], *, yes: bool) -> None:
    """Ask before anything large comes from the internet; see `agree`."""
    large = [name for name in names if not published()[name].is_here and published()[name].gigabytes >= LARGE]
    if large and not yes:
        agree(f"fetch {first_few(large)}, {_size(large)}", _NOT_FETCHED)


def agree(what: str, otherwise: str) -> None:
    """Ask whether to do something.

    Raises
    ------
    AudioMetamerError
        If there is no terminal to ask at, or the answer is no: `otherwise` says what that means.
    """
    if not interactive():
        raise AudioMetamerError(f"to {what}, add --yes")
    try:
        agreed = click.confirm(f"{what}?", err=True)
    except click.Abort:  # Ctrl-C, or the end of the input
        agreed = False
    if not agreed:
        raise AudioMetamerError(otherwise)


def interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _listed(names: Sequence[str]) -> str:
    return f"{first_few(names)} {'is' if len(names) == 1 else 'are'}"


def _size(names: Sequence[str]) -> str:
    """What comes and what stays: ``0.1 GB from an archive of 9.4 GB``."""
    entries = {published()[name].original: published()[published()[name].original] for name in names}
    archives = {entry.address: entry.gigabytes for entry in entries.values()}
    kept = sum(entry.kept_gigabytes() for entry in entries.values())
    whence = " and ".join(f"{gigabytes:g} GB" for gigabytes in archives.values())
    an_archive = "an archive" if len(archives) == 1 else "archives"
    return f"{f'about {kept:.1g} GB' if kept else 'it'} from {an_archive} of {whence}"
