"""The status of a set, from the disk alone."""

from collections import Counter
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError, BrokenError
from audiometamer.jobs.claims import is_running
from audiometamer.metamers.record_files import warn_about_broken
from audiometamer.metamers.results import read_item, read_planned
from audiometamer.stimuli.comparison_records import read_comparison
from audiometamer.stimuli.layout import CLAIMS, COMPARISONS, Failure, read_failure

STATES = ("passed", "failed", "unjudged", "running", "error", "to do")


class ItemError(msgspec.Struct, frozen=True):
    """An item that could not be made."""

    folder: str
    message: str
    type: str
    when: str


class Status(msgspec.Struct, frozen=True):
    """Counts of the items that a set's latest plan asks for, by state.

    An item has ``passed`` or ``failed`` its verdict, or is ``unjudged`` for want of a null distribution; it is ``running``, has
    ended with an ``error``, or is ``to do``.

    Parameters
    ----------
    set : str
    total : int
    counts : dict of str to int
        Number of items by state.
    layers : dict of str to dict of str to dict of str to int
        Number of items by model, layer and state.
    errors : list of Trouble
    """

    set: str
    total: int
    counts: dict[str, int]
    layers: dict[str, dict[str, dict[str, int]]]
    errors: list[ItemError]

    @property
    def made(self) -> int:
        """Number of items that are complete, whatever their verdict."""
        return self.counts["passed"] + self.counts["failed"] + self.counts["unjudged"]


def read_status(folder: Path) -> Status:
    """Read the status of a set from its items' records; an item whose record is broken counts as not made.

    Raises
    ------
    AudioMetamerError
        If the folder is not a set.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    errors: list[ItemError] = []
    broken: list[str] = []
    wanted = read_planned(folder)
    claims = folder / CLAIMS
    claimed = {path.name for path in claims.glob("*")}
    existing = _Folders(folder)
    for item in wanted:
        if item.key not in claimed and item.folder not in existing:
            counts.setdefault((item.model, item.layer), Counter())["to do"] += 1
            continue
        try:
            state, failure = _state(folder, folder / item.folder, claims / item.key if item.key in claimed else None)
        except BrokenError as error:
            state, failure = "to do", None
            broken.append(str(error))
        except AudioMetamerError as error:
            state, failure = "error", Failure(str(error), type(error).__name__, "")
        if failure is not None:
            errors.append(ItemError(item.folder, failure.message, failure.type, failure.when))
        counts.setdefault((item.model, item.layer), Counter())[state] += 1
    warn_about_broken(broken, "counts as not made; `audiometamer run` makes it again")
    layers: dict[str, dict[str, dict[str, int]]] = {}
    for (model, layer), found in counts.items():
        layers.setdefault(model, {})[layer] = _all_states(found)
    return Status(str(folder), len(wanted), _all_states(sum(counts.values(), Counter())), layers, errors)


class _Folders:
    """The folders that exist, by listing each parent once: of a hundred thousand items, most may be to do."""

    def __init__(self, stimulus_set: Path) -> None:
        self._set = stimulus_set
        self._listed: dict[str, set[str]] = {}

    def __contains__(self, folder: str) -> bool:
        around, _, name = folder.rpartition("/")
        if around not in self._listed:
            at = self._set / around
            self._listed[around] = {path.name for path in at.iterdir()} if at.is_dir() else set()
        return name in self._listed[around]


def _all_states(found: "Counter[str]") -> dict[str, int]:
    return {state: found[state] for state in STATES}


def _state(stimulus_set: Path, at: Path, claim: Path | None) -> tuple[str, Failure | None]:
    if claim is not None and is_running(claim):
        return "running", None
    compared = at.is_relative_to(stimulus_set / COMPARISONS)
    item = read_comparison(at) if compared else read_item(stimulus_set, at)
    if item is not None:
        return {True: "passed", False: "failed", None: "unjudged"}[item.passed], None
    failure = read_failure(at)
    return ("to do", None) if failure is None else ("error", failure)
