"""The rules by which items of a set are selected."""

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.metamers.summaries import ATTEMPTS


class SelectionRules(msgspec.Struct, frozen=True, kw_only=True):
    """The selection.

    Only items that passed their verdict are selected, and one seed of each clip at each condition, drawn at random. A condition
    is a layer of a model, matched in one way: other weights, another method, loss, front end or number of steps,
    another stopping rule, or given signals to start from make another condition.

    Parameters
    ----------
    among : {"complete", "largest"}
        ``complete``: clips that passed at all conditions, each with all of them. ``largest``: as many items as possible with
        equally many at each condition; a clip may be selected at some conditions only. Default "complete".
    balance : tuple of str
        Columns of ``clips.tsv`` (word, voice, …) whose values are equally frequent at every condition. Default: none.
    may_drop : tuple of str
        Columns whose values may be left out altogether; those that remain are equally frequent. Default: none.
    most_clips : int or None
        Maximum number of clips at each condition. Default: as many as there are.
    level_within : float or None
        Width of the window, in dB, in which all RMS levels lie. Default: any levels.
    duration_within : float or None
        Width of the window, in seconds, in which all durations lie. Default: any durations.
    only : dict of str to tuple of str
        Values to select from, by column of ``index.tsv`` or ``clips.tsv``. Default: all.
    without_attempts : tuple of str
        Ways of making metamers (``first``, ``new noise``, ``continued``, ``layer before``) left out, as if they had failed;
        see `audiometamer.metamers.summaries.attempt_origin`. Default: none.
    without_paths : tuple of str
        Patterns, such as ``*longer*``, of paths (see `audiometamer.metamers.summaries.path_of`) that are left out, as if they had
        failed. Default: none.
    seed : int
        Random seed of every draw. Default 0.
    """

    among: Literal["complete", "largest"] = "complete"
    balance: tuple[str, ...] = ()
    may_drop: tuple[str, ...] = ()
    most_clips: int | None = None
    level_within: float | None = None
    duration_within: float | None = None
    only: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    without_attempts: tuple[str, ...] = ()
    without_paths: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (self.among in ("complete", "largest"), f"among is {self.among!r}; it must be complete or largest"),
            (self.most_clips is None or self.most_clips > 0, f"most clips is {self.most_clips}; it must be above 0"),
            (
                self.level_within is None or self.level_within >= 0,
                f"level within is {self.level_within} dB; it must be 0 or more",
            ),
            (
                self.duration_within is None or self.duration_within >= 0,
                f"duration within is {self.duration_within} s; it must be 0 or more",
            ),
            (
                set(self.without_attempts) <= set(ATTEMPTS),
                f"without attempts is {', '.join(self.without_attempts)}; there are {', '.join(ATTEMPTS)}",
            ),
            (self.seed >= 0, f"seed is {self.seed}; it must be 0 or more"),
        )
        for good, message in checks:
            if not good:
                raise AudioMetamerError(message)

    def paths_left_out(self, paths: Collection[str]) -> set[str]:
        """Those paths that one of the patterns in `without_paths` describes.

        Raises
        ------
        AudioMetamerError
            If a pattern describes none of them.
        """
        found: set[str] = set()
        for pattern in self.without_paths:
            if not (like := {path for path in paths if fnmatchcase(path, pattern)}):
                raise AudioMetamerError(f"no path is like {pattern!r}; there are {first_few(sorted(paths))}")
            found |= like
        return found

    def described_without(self) -> str:
        """What is left out, for messages; empty if nothing is."""
        left_out = {"attempts": self.without_attempts, "paths": self.without_paths}
        return "".join(f" without {what} {', '.join(names)}" for what, names in left_out.items() if names)
