"""How far a set is, by what lies on the disk alone."""

from collections import Counter
from pathlib import Path

import msgspec

from audiometamer.stimuli.claims import is_running
from audiometamer.stimuli.items import read_failure, read_item, read_planned

STATES = ("passed", "failed", "unjudged", "running", "error", "to do")


class Trouble(msgspec.Struct, frozen=True):
    """An item that could not be made."""

    folder: str
    message: str
    type: str
    when: str


class Status(msgspec.Struct, frozen=True):
    """How many items are in which state, of those that a set's latest plan asks for.

    ``passed`` and ``failed`` their verdict, or made and ``unjudged`` for want of a null distribution; ``running`` now; with an
    ``error``; ``to do``.

    Parameters
    ----------
    set : str
    total : int
    counts : dict of str to int
        By state.
    layers : dict of str to dict of str to dict of str to int
        By model, layer and state.
    errors : list of Trouble
    """

    set: str
    total: int
    counts: dict[str, int]
    layers: dict[str, dict[str, dict[str, int]]]
    errors: list[Trouble]

    @property
    def made(self) -> int:
        """Items that are complete, whatever their verdict."""
        return self.counts["passed"] + self.counts["failed"] + self.counts["unjudged"]


def read_status(folder: Path) -> Status:
    """The state of a set.

    Raises
    ------
    AudioMetamerError
        If the folder is none.
    """
    counts: dict[tuple[str, str], Counter[str]] = {}
    errors: list[Trouble] = []
    planned = read_planned(folder)
    claimed = {path.name for path in (folder / "claims").glob("*")}
    for key, _, model, layer, _, at in planned:
        state = _state(folder / at, folder / "claims" / key if key in claimed else None)
        if state == "error" and (failure := read_failure(folder / at)) is not None:
            errors.append(Trouble(at.as_posix(), failure.message, failure.type, failure.when))
        counts.setdefault((model, layer), Counter())[state] += 1
    layers: dict[str, dict[str, dict[str, int]]] = {}
    for (model, layer), found in counts.items():
        layers.setdefault(model, {})[layer] = _all_states(found)
    return Status(str(folder), len(planned), _all_states(sum(counts.values(), Counter())), layers, errors)


def _all_states(found: "Counter[str]") -> dict[str, int]:
    return {state: found[state] for state in STATES}


def _state(at: Path, claim: Path | None) -> str:
    running = claim is not None and is_running(claim)
    if running:
        return "running"
    item = read_item(at)
    if item is not None:
        return {True: "passed", False: "failed", None: "unjudged"}[item.passed]
    return "error" if read_failure(at) is not None else "to do"
