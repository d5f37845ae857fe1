"""Checkpoints of unfinished metamers, so that hours of steps are not lost with the process that takes them."""

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import safetensors
import safetensors.torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_line
from audiometamer.io.files import atomic_write
from audiometamer.matching.batch import MatchState
from audiometamer.metamers.evidence import AttemptRecord, Evidence
from audiometamer.metamers.record_files import CHECKPOINT_KEY
from audiometamer.metamers.settings import Settings

EVERY = 300.0  # seconds between two checkpoints


@dataclass(frozen=True)
class Unfinished:
    """One metamer between two steps.

    Parameters
    ----------
    settings : Settings
    fingerprint : str
        Fingerprint of its method.
    attempt : int
        Index of the current attempt.
    tries : list of AttemptRecord
        The attempts before it.
    best : tuple of Tensor [shape=signal_shape] and Evidence, or None
        The best result so far.
    state : MatchState or None
        State of the current attempt, as a batch of one; None before its first step.
    seconds : float
        Time spent so far.
    """

    settings: Settings
    fingerprint: str
    attempt: int
    tries: list[AttemptRecord]
    best: tuple[Tensor, Evidence] | None
    state: MatchState | None
    seconds: float


class _Header(msgspec.Struct):
    """The parts of an `Unfinished` that are not tensors."""

    settings: Settings
    fingerprint: str
    attempt: int
    tries: list[AttemptRecord]
    evidence: Evidence | None
    step: int | None
    loss_steps: list[int]
    seconds: float


def save_unfinished(path: Path, unfinished: Unfinished) -> None:
    """Write a checkpoint, atomically: a safetensors file whose metadata hold the rest as JSON."""
    tensors: dict[str, Tensor] = {}
    if unfinished.best is not None:
        tensors["best"] = unfinished.best[0]
    if (state := unfinished.state) is not None:
        tensors |= {"parameters": state.parameters, "losses": state.losses}
        tensors |= {f"state.{name}": tensor for name, tensor in state.optimizer_state.items()}
    header = _Header(
        unfinished.settings,
        unfinished.fingerprint,
        unfinished.attempt,
        unfinished.tries,
        None if unfinished.best is None else unfinished.best[1],
        None if state is None else state.step,
        [] if state is None else state.loss_steps,
        unfinished.seconds,
    )
    with atomic_write(path) as temporary:
        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        temporary.write_bytes(safetensors.torch.save(kept, metadata={CHECKPOINT_KEY: msgspec.json.encode(header).decode()}))


def load_unfinished(path: Path) -> Unfinished | None:
    """Read a checkpoint; None if the file does not exist.

    Raises
    ------
    AudioMetamerError
        If the file is no checkpoint.
    """
    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            header = msgspec.json.decode((file.metadata() or {}).get(CHECKPOINT_KEY, ""), type=_Header)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        state = None
        if header.step is not None:
            memory = {name.removeprefix("state."): tensor for name, tensor in tensors.items() if name.startswith("state.")}
            state = MatchState(header.step, tensors["parameters"], memory, header.loss_steps, tensors["losses"])
        best = None if header.evidence is None else (tensors["best"], header.evidence)
    except (OSError, KeyError, safetensors.SafetensorError, msgspec.MsgspecError) as error:
        raise AudioMetamerError(f"{path} is not a checkpoint: {first_line(error)}") from error
    return Unfinished(header.settings, header.fingerprint, header.attempt, header.tries, best, state, header.seconds)


def can_resume(path: Path, *, seed: int, attempts: int) -> bool:
    """Whether a checkpoint continues a finished metamer; one left over from before it was finished has fewer attempts.

    Parameters
    ----------
    path : path
    seed : int
        The metamer's seed.
    attempts : int
        Number of attempts in its record.
    """
    try:
        found = load_unfinished(path)
    except AudioMetamerError:
        return False
    return found is not None and found.settings.seed == seed and len(found.tries) >= attempts


@dataclass
class Checkpoints:
    """Location and interval of checkpoints of unfinished metamers.

    Parameters
    ----------
    path_of : callable
        Returns the path of a checkpoint, given the metamer's settings. Who writes the finished metamer removes the checkpoint.
    every : float
        Seconds between two checkpoints. Default 300.
    stop : callable, optional
        Called before every step; if it returns True, checkpoints are written and a KeyboardInterrupt is raised. Default: never.
    save : callable
        Writes a checkpoint. Default `save_unfinished`.
    """

    path_of: Callable[[Settings], Path]
    every: float = EVERY
    stop: Callable[[], bool] = bool
    save: Callable[[Path, Unfinished], object] = save_unfinished
    _latest: float = field(default_factory=time.monotonic, repr=False)

    def load(self, settings: Settings, fingerprint: str) -> Unfinished | None:
        """The checkpoint of a metamer, if there is one of the same settings and method.

        Warns
        -----
        AudioMetamerWarning
            If it cannot be read: its metamer starts again from the beginning.
        """
        try:
            found = load_unfinished(self.path_of(settings))
        except AudioMetamerError as error:
            warnings.warn(f"{error}; its metamer starts again from the beginning", AudioMetamerWarning, stacklevel=2)
            return None
        return found if found is not None and (found.settings, found.fingerprint) == (settings, fingerprint) else None

    def offer(self, snapshot: Callable[[], Sequence[Unfinished]]) -> None:
        """Write checkpoints if it is time to.

        Parameters
        ----------
        snapshot : callable
            Returns all unfinished metamers.

        Raises
        ------
        KeyboardInterrupt
            If `stop` says so, after the checkpoints have been written.
        """
        stop = self.stop()
        if stop or time.monotonic() - self._latest >= self.every:
            for unfinished in snapshot():
                self.save(self.path_of(unfinished.settings), unfinished)
            self._latest = time.monotonic()
        if stop:
            raise KeyboardInterrupt
