"""The evidence of a metamer in brief, as tables of thousands of metamers need it; read without torch."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from audiometamer.metamers.settings import Settings
from audiometamer.metamers.verdicts import Verdict

ATTEMPTS = ("first", "new noise", "continued", "layer before")  # how a metamer came about, the plainest way first


class AttemptSummary(msgspec.Struct, frozen=True):
    """How one attempt at a metamer was made; `audiometamer.metamers.evidence.AttemptRecord` holds the whole of it."""

    attempt: str = ""
    start_seed: int | None = None
    steps: int = 0
    snr_db: float | None = None
    continues: int | None = None
    layer: str | None = None
    gradient_clip: float = 1.0
    straight_through: bool = False


class Tried(Protocol):
    """What an `AttemptSummary` and an `audiometamer.metamers.evidence.AttemptRecord` have in common."""

    @property
    def attempt(self) -> str: ...
    @property
    def start_seed(self) -> int | None: ...
    @property
    def continues(self) -> int | None: ...
    @property
    def gradient_clip(self) -> float: ...
    @property
    def straight_through(self) -> bool: ...


class EvidenceSummary(msgspec.Struct, frozen=True):
    """The part of `audiometamer.metamers.evidence.Evidence` that tables need; loss curves and the like are not decoded."""

    settings: Settings
    verdict: Verdict
    similarity: dict[str, dict[str, float | None]]
    seconds: float
    rms: float
    peak: float
    sample_rate: int | None
    tries: list[AttemptSummary] = []
    kept: int = 0
    domain: str = "Waveform"
    probabilities: dict[str, tuple[float, float]] = {}
    judged_by: str | None = None
    path: str = ""
    signal_sha256: str = ""
    original_sha256: str = ""

    @property
    def attempt(self) -> str:
        """Origin of the signal, one of `ATTEMPTS`; empty if not recorded."""
        return attempt_origin(self.tries, self.kept_attempt)

    @property
    def path_taken(self) -> str:
        """The attempts that led to the signal, see `path_of`; in records that do not state it, by their names alone."""
        return self.path or path_of(self.tries, self.kept_attempt, self.settings)

    @property
    def kept_attempt(self) -> int:
        """Index of the attempt whose signal was kept."""
        snr = self.similarity.get(self.settings.layer, {}).get("snr_db")
        return kept_attempt([tried.snr_db for tried in self.tries], self.kept, snr)


def kept_attempt(snrs: Sequence[float | None], kept: int, snr: float | None) -> int:
    """Index of the attempt whose signal was kept.

    Version 0.1 also counted attempts that its method had skipped; there the SNR identifies the attempt.

    Parameters
    ----------
    snrs : sequence of float or None
        Final SNR of each attempt, in dB.
    kept : int
        The index that the record states.
    snr : float or None
        SNR of the signal itself.
    """
    likely = [k for k in (kept, *range(len(snrs))) if k < len(snrs) and snrs[k] == snr]
    return likely[0] if likely else min(kept, max(len(snrs) - 1, 0))


def attempt_origin(tries: Sequence[AttemptSummary], kept: int) -> str:
    """The origin of the signal of an attempt.

    Parameters
    ----------
    tries : sequence of AttemptSummary
    kept : int
        Index of the attempt.

    Returns
    -------
    str
        ``first``: the first attempt, from noise. ``new noise``: a later attempt, from other noise. ``continued``: started from
        the signal of an earlier attempt. ``layer before``: it, or what it continued, first matched the preceding layer. Empty
        if there are no attempts.
    """
    if not tries:
        return ""
    chain = _chain(tries, kept)
    if any(tries[k].layer is not None or tries[k].attempt.startswith("by the layer before") for k in chain):
        return "layer before"
    if tries[kept].start_seed is None:
        return "continued"
    return "new noise" if kept else "first"


def path_of(tries: Sequence[Tried], kept: int, settings: Settings) -> str:
    """The attempts that led to the signal of an attempt, the earliest first.

    Parameters
    ----------
    tries : sequence of AttemptSummary or AttemptRecord
    kept : int
        Index of the attempt.
    settings : Settings

    Returns
    -------
    str
        Names of the attempts with what sets them apart, joined by ``>``: ``exact`` if their front end was computed as published.
        First ``initial signal`` if they started from one. Empty if there are no attempts.

    Examples
    --------
    >>> first = AttemptSummary("growth, then momentum", start_seed=0, gradient_clip=0.4)
    >>> settings = Settings("clip", "", "model", "", "relu1", 0, "default", 200, "")
    >>> path_of([first, AttemptSummary("going on", continues=0, straight_through=True)], 1, settings)
    'growth, then momentum (gradient clip 0.4) > going on (straight-through)'
    """
    if not tries:
        return ""
    start = ["initial signal"] if settings.initial else []
    return " > ".join([*start, *(_described(tries[k], settings.exact) for k in reversed(_chain(tries, kept)))])


def _described(tried: Tried, exact: bool) -> str:
    clipped = tried.gradient_clip != 1
    words = {"exact": exact, f"gradient clip {tried.gradient_clip:g}": clipped, "straight-through": tried.straight_through}
    details = ", ".join(word for word, holds in words.items() if holds)
    return f"{tried.attempt} ({details})" if details else tried.attempt


def _chain(tries: Sequence[Tried], kept: int) -> list[int]:
    """Indices of an attempt and of those that it continued, the latest first."""
    chain = [kept]
    while tries[chain[-1]].start_seed is None and chain[-1] > 0:
        chain.append(_continued(tries, chain[-1]))
    return chain


def _continued(tries: Sequence[Tried], k: int) -> int:
    """Index of the attempt that attempt `k` continued; version 0.1 did not record it: the latest one started from noise."""
    if (before := tries[k].continues) is not None and 0 <= before < k:
        return before
    return max((j for j in range(k) if tries[j].start_seed is not None), default=0)
