"""Metamers in the making, kept on disk, so that hours of steps are not lost with the process that takes them."""

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
        Of its method.
    attempt : int
        The one that is being made, or comes next.
    tries : list of Try
        The attempts before it.
    best : tuple of Tensor [shape=signal_shape] and Evidence, or None
        The best of their results.
    state : MatchState or None
        Where the attempt is, as a batch of one; None before its first step.
    seconds : float
        Spent so far.
    """

    settings: Settings
    fingerprint: str
    attempt: int
    tries: list[AttemptRecord]
    best: tuple[Tensor, Evidence] | None
    state: MatchState | None
    seconds: float


class _Header(msgspec.Struct):
    """What of an `Unfinished` is no tensor."""

    settings: Settings
    fingerprint: str
    attempt: int
    tries: list[AttemptRecord]
    evidence: Evidence | None
    step: int | None
    loss_steps: list[int]
    seconds: float


def save_unfinished(path: Path, unfinished: Unfinished) -> None:
    """Write a checkpoint: a safetensors file with a header of JSON, whole or not at all."""
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
    """Read a checkpoint; None if there is none.

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
    """Whether a checkpoint continues a finished metamer; one that was left as the metamer was finished knows fewer attempts.

    Parameters
    ----------
    path : path
    seed, attempts : int
        The metamer's seed, and the number of attempts in its record.
    """
    try:
        found = load_unfinished(path)
    except AudioMetamerError:
        return False
    return found is not None and found.settings.seed == seed and len(found.tries) >= attempts


@dataclass
class Checkpoints:
    """Where and when unfinished metamers are kept.

    Parameters
    ----------
    path_of : callable
        Settings of a metamer to the file of its checkpoint. Whoever writes the finished metamer removes it.
    every : float
        Seconds between two checkpoints. Default 300.
    stop : callable, optional
        Asked before every step: whether to keep everything now and end by a KeyboardInterrupt. Default: never.
    save : callable
        Writes a checkpoint. Default `save_unfinished`.
    """

    path_of: Callable[[Settings], Path]
    every: float = EVERY
    stop: Callable[[], bool] = bool
    save: Callable[[Path, Unfinished], object] = save_unfinished
    _latest: float = field(default_factory=time.monotonic, repr=False)

    def load(self, settings: Settings, fingerprint: str) -> Unfinished | None:
        """The checkpoint of a metamer, if there is one and it was made in the same way.

        Warns
        -----
        AudioMetamerWarning
            If it cannot be read: its metamer is begun again.
        """
        try:
            found = load_unfinished(self.path_of(settings))
        except AudioMetamerError as error:
            warnings.warn(f"{error}; its metamer is begun again", AudioMetamerWarning, stacklevel=2)
            return None
        return found if found is not None and (found.settings, found.fingerprint) == (settings, fingerprint) else None

    def offer(self, snapshot: Callable[[], Sequence[Unfinished]]) -> None:
        """Keep what is unfinished if it is time to.

        Raises
        ------
        KeyboardInterrupt
            If it was time to stop; everything is kept.
        """
        stop = self.stop()
        if stop or time.monotonic() - self._latest >= self.every:
            for unfinished in snapshot():
                self.save(self.path_of(unfinished.settings), unfinished)
            self._latest = time.monotonic()
        if stop:
            raise KeyboardInterrupt
