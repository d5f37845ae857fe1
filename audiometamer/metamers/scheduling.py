"""Schedule the attempts at metamers of one layer: who needs another attempt, and who shares a batch."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from msgspec.structs import replace
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.matching.batch import MatchState
from audiometamer.matching.loop import StopSynthesis
from audiometamer.metamers.evidence import AttemptRecord, Evidence
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.methods import Attempt, Method, load_method
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.summaries import kept_attempt, path_of
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.unfinished import Unfinished
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip


@dataclass
class Job:
    """One metamer in the making.

    Parameters
    ----------
    clip : Clip or GivenTarget
    layer : str
    seed : int
    attempt : int
        Number of the attempt that is made now or next. Default 0.
    tries : list of AttemptRecord
        Attempts so far. Default: none.
    best : tuple of Tensor [shape=signal_shape] and Evidence, or None
        The best of their results.
    seconds : float
        Spent so far.
    state : MatchState or None
        State from which the attempt resumes; None: it starts at its first step.
    """

    clip: Clip | GivenTarget
    layer: str
    seed: int
    attempt: int = 0
    tries: list[AttemptRecord] = field(default_factory=list)
    best: tuple[Tensor, Evidence] | None = None
    seconds: float = 0.0
    state: MatchState | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Attempt and step: what signals of one batch have in common."""
        return self.attempt, 0 if self.state is None else self.state.step

    def should_run(self, attempt: Attempt, before: str | None) -> bool:
        """Whether an attempt is worth making: none has passed, and there is a signal to continue or a layer before to match."""
        if not self.tries or attempt.always:
            return True
        assert self.best is not None  # an attempt has a result
        if attempt.layer_before and (before is None or not isinstance(self.clip, Clip)):
            return False
        stuck, failed = self.tries[-1].outcome.startswith("stuck"), self.best[1].verdict.passed is False
        return failed and not stuck if attempt.warm_start else failed or stuck

    def following(self, method: Method, before: str | None) -> int | None:
        """Number of the next attempt that is worth making, if any is."""
        later = range(self.attempt + 1, len(method.attempts))
        return next((k for k in later if self.should_run(method.attempts[k], before)), None)

    def metamer(self) -> Metamer:
        """The best result, with the record of all attempts."""
        assert self.best is not None  # or no attempt has been made
        samples, evidence = self.best
        path = path_of(self.tries, evidence.kept, evidence.settings)
        return Metamer(samples, self.clip, replace(evidence, tries=self.tries, path=path, seconds=self.seconds))


def schedule(
    jobs: Sequence[Job],
    method: Method,
    *,
    batch_size: int,
    before: str | None,
    device: torch.device,
    run: Callable[[list[Job], list[Job]], None],
) -> Iterator[Job]:
    """Make attempts at jobs until none needs another; each job is given as soon as it is done.

    Batches are refilled after every attempt: a job that has passed leaves, and those that need another attempt wait for each
    other, so that no batch is kept small, or waiting, by its hardest signals.

    Parameters
    ----------
    jobs : sequence of Job
        At one layer.
    method : Method
    batch_size : int
        Halved, with a warning, when memory runs out.
    before : str or None
        The layer that attempts by the layer before match.
    device : torch.device
        Named if it has no memory for a single signal.
    run : callable
        Makes one attempt at a batch of jobs with the same place, and adds it to their records; takes these, and all other jobs
        that have begun, for checkpoints.

    Raises
    ------
    StopSynthesis
        If `run` does, after all jobs with a result have been given.
    """
    waiting: dict[tuple[int, int], list[Job]] = {}
    for job in jobs:
        waiting.setdefault(job.place, []).append(job)
    while waiting:
        full = [place for place, here in waiting.items() if len(here) >= batch_size]
        place = max(full, default=min(waiting))  # what is not full may be filled by earlier attempts
        batch, rest = waiting[place][:batch_size], waiting.pop(place)[batch_size:]
        if rest:
            waiting[place] = rest
        others = [job for here in waiting.values() for job in here if job.best is not None or job.state is not None]
        try:
            run(batch, others)
        except torch.OutOfMemoryError as error:
            batch_size = _halved(batch, device, error)
            waiting[place] = batch + rest
            continue
        except StopSynthesis:
            yield from (job for job in [*batch, *others] if job.best is not None)
            raise
        for job in batch:
            if (following := job.following(method, before)) is None:
                yield job
            else:
                job.attempt = following
                waiting.setdefault(job.place, []).append(job)


def _halved(batch: Sequence[Job], device: torch.device, error: torch.OutOfMemoryError) -> int:
    """Half of a batch's size, with a warning; raises if it was one signal."""
    if len(batch) == 1:
        raise AudioMetamerError(f"{device} has no memory for one signal at {batch[0].layer}") from error
    size = len(batch) // 2
    warnings.warn(f"no memory for {len(batch)} signals; continuing with {size}", AudioMetamerWarning, stacklevel=3)
    return size


def layer_before(model: Model, layer: str) -> str | None:
    """The layer that a model lists before another, or None."""
    listed = list(model.layers)
    place = listed.index(layer) if layer in listed else 0
    return listed[place - 1] if place else None


def resumption(model: Model, metamer: Metamer, settings: Settings, method: str | Method | None = None) -> Unfinished | None:
    """Where the synthesis of a metamer resumes after it has failed a new judge.

    Its attempts so far count, and it continues from its best signal so far.

    Parameters
    ----------
    model : Model
    metamer : Metamer
        Metamer with its new verdict.
    settings : Settings
        The metamer's, as they are computed now.
    method : Method or str, optional
        The method that made it. Default: the one that its settings name.

    Returns
    -------
    Unfinished or None
        None if it has not failed, or its method has no other attempt for it.
    """
    evidence, method = metamer.evidence, load_method(settings.method if method is None else method)
    tries = evidence.tries
    kept = kept_attempt([tried.snr_db for tried in tries], evidence.kept, evidence.similarity[settings.layer]["snr_db"])
    best = metamer.samples, replace(evidence, kept=kept)
    number = -1
    for tried in tries:
        number = next((k for k in range(number + 1, len(method.attempts)) if method.attempts[k].name == tried.attempt), number)
    job = Job(metamer.clip, settings.layer, settings.seed, number, tries, best)
    following = job.following(method, layer_before(model, settings.layer))
    if following is None:
        return None
    return Unfinished(settings, method.fingerprint(), following, tries, best, None, evidence.seconds)
