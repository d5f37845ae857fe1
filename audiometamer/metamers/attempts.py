"""Make one attempt at a batch of metamers: match their targets, then measure what came out."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from msgspec.structs import replace
from torch import Tensor

from audiometamer.devices import tensor_float32
from audiometamer.matching.batch import MatchState, select_state, stack_states
from audiometamer.matching.descent import Forward
from audiometamer.matching.iteration import Iteration, iterate
from audiometamer.matching.loop import Match, StopSynthesis, match
from audiometamer.matching.losses import Activations, Loss, combined, relative_l2
from audiometamer.matching.stages import Stages
from audiometamer.matching.stopping import StoppingRule, any_of, outcome_of
from audiometamer.metamers.coarse_to_fine import coarse_to_fine
from audiometamer.metamers.evidence import AttemptRecord
from audiometamer.metamers.measuring import measure, rank_key, verdict_at
from audiometamer.metamers.metamer import Progress
from audiometamer.metamers.methods import FINE_SHARE, Attempt
from audiometamer.metamers.passes import LayerPass, Passes
from audiometamer.metamers.passing import Judge, Passing
from audiometamer.metamers.scheduling import Job
from audiometamer.metamers.settings import places
from audiometamer.metamers.setup import PASSED, Setup
from audiometamer.metamers.targets import as_input
from audiometamer.metamers.unfinished import Unfinished
from audiometamer.metamers.verdicts import Verdict
from audiometamer.signals.audio import Clip

REPORT_EVERY = 20
_SEED_STRIDE = 2**32  # start noise of attempt k is drawn from seed + k · this: no user's seed comes near


def run_attempt(setup: Setup, passes: Passes, jobs: Sequence[Job], others: Sequence[Job], *, before: str | None) -> None:
    """Make the attempt that comes next at some jobs, and add it to their records.

    Parameters
    ----------
    setup : Setup
    passes : Passes
        Forward passes to the layers of the model.
    jobs : sequence of Job
        At one layer, with the same attempt and step.
    others : sequence of Job
        Jobs that have begun and wait; checkpoints hold them too.
    before : str or None
        The layer before, which some attempts match.

    Raises
    ------
    StopSynthesis
        If the caller's callback did; the records are complete.
    """
    run = _Run.of(setup, passes, jobs, others, before)
    if run.attempt.optimizer is None:
        matched = run.iterated()
        run.record(matched, None)
        if matched.interrupted:
            raise StopSynthesis
        return
    rule = setup.method.stopping_rule(run.attempt, run.steps, any_of(run.passing, setup.added_rule))
    start, optimizer = run.start(), run.attempt.optimizer(run.steps)
    kind = run.layer, run.number
    with tensor_float32(setup.tf32), passes.graphs(kind, len(jobs)) if setup.captured else nullcontext(False) as captured:
        matched = match(
            run.forwards(),
            run.target,
            start,
            domain=setup.domain,
            optimizer=optimizer,
            steps=run.steps,
            loss=run.loss(),
            penalty=setup.penalty,
            stop=rule,
            callback=run.report if setup.progress or setup.callback or run.passing else None,
            observe=run.observe if setup.progress or run.passing else None,
            report_every=REPORT_EVERY,
            resume_from=run.state(),
            save=None if setup.checkpoints is None else run.save,
            captured=captured,
        )
    run.record(matched, rule)
    if matched.interrupted:
        raise StopSynthesis


@dataclass
class _Run:
    """One attempt at a batch of jobs, while it is made."""

    setup: Setup
    jobs: Sequence[Job]
    others: Sequence[Job]
    attempt: Attempt
    steps: int
    layer: str
    layer_pass: LayerPass
    coarse_pass: LayerPass
    target: dict[str, Tensor]
    began: float = field(default_factory=time.monotonic)
    latest: dict[str, Tensor] = field(default_factory=dict)
    iteration: Iteration | None = None
    passing: Passing | None = None

    def __post_init__(self) -> None:
        if self.setup.stop == PASSED:
            self.passing = Passing(self.judge(lambda verdict: verdict.passed is True))
        elif self.attempt.halts:
            self.passing = Passing(self.judge(lambda verdict: verdict.reached_halt), "matched")

    @classmethod
    def of(cls, setup: Setup, passes: Passes, jobs: Sequence[Job], others: Sequence[Job], before: str | None) -> "_Run":
        attempt = setup.method.attempts[jobs[0].attempt]
        layer = before if attempt.layer_before else jobs[0].layer
        assert layer is not None  # or no job would need this attempt
        target = setup.targets.stack([job.clip for job in jobs], places(layer))
        steps = setup.steps * attempt.steps_factor
        full = passes.to(layer, attempt.gradient_clip)
        coarse = passes.to(layer, attempt.gradient_clip, early) if (early := setup.method.early_oversampling) else full
        return cls(setup, jobs, others, attempt, steps, layer, full, coarse, target)

    @property
    def number(self) -> int:
        """Number of the attempt."""
        return self.jobs[0].attempt

    @property
    def seeds(self) -> list[int]:
        """Seeds of the start noise."""
        return [job.seed + self.number * _SEED_STRIDE for job in self.jobs]

    @property
    def seconds(self) -> float:
        """Time of each signal so far; the batch's is shared equally."""
        return (time.monotonic() - self.began) / len(self.jobs)

    def start(self) -> Tensor:
        """Starting signals, [shape=(jobs, *signal_shape)]."""
        if not self.attempt.warm_start:
            return self.setup.start([job.clip for job in self.jobs], self.seeds, self.target)
        model = self.setup.model
        return torch.stack([job.best[0] for job in self.jobs if job.best]).to(dtype=model.dtype, device=model.device)

    def state(self) -> MatchState | None:
        """State from which the attempt resumes, if it had begun."""
        states = [job.state for job in self.jobs if job.state is not None]
        return stack_states(states, self.setup.model.device) if states else None

    def iterated(self) -> Match:
        """Repeat the attempt's procedure in place of steps down a gradient."""
        assert self.attempt.iteration is not None
        clips = [as_input(self.setup.model, job.clip) for job in self.jobs if isinstance(job.clip, Clip)]
        self.iteration = self.attempt.iteration(self.setup.model, self.layer, torch.stack(clips))
        return iterate(
            self.iteration,
            self.start(),
            domain=self.setup.domain,
            steps=self.steps,
            callback=self._watch if self.setup.progress or self.setup.callback else None,
            resume_from=self.state(),
            save=None if self.setup.checkpoints is None else self.save,
        )

    def _watch(self, step: int, signals: Tensor, losses: Tensor) -> None:
        """Report an iteration, as `report` does; activations are measured as seldom as in other attempts."""
        if self.setup.progress is not None and (step % REPORT_EVERY == 0 or not self.latest):
            with torch.no_grad():
                self.observe(self.layer_pass.activations(signals))
        self.report(step, signals, losses)

    def _comparisons(self, row: int) -> list[dict[str, dict[str, list[float | None]]]]:
        return [batch[row] for batch in getattr(self.iteration, "comparisons", [])]

    def loss(self) -> Loss | Stages[Loss]:
        """The loss of each step."""
        loss = self.setup.loss_at(self.layer, self.attempt, self.layer_pass.unrectified)
        if self.setup.loss is not None or not self.setup.method.coarse_to_fine:
            return loss
        return coarse_to_fine(self.setup.model, self.layer, loss, self.steps)

    def forwards(self) -> Stages[Forward]:
        """The forward pass of each step: through a coarser front end, if the method has one, until the last of them."""
        fine = self.steps - math.ceil(FINE_SHARE * self.steps)
        return Stages(((0, self.coarse_pass.activations), (fine, self.layer_pass.activations)))

    def observe(self, activations: Activations) -> None:
        """Keep the activations of the signals that are still moved, before the step that is being taken."""
        assert isinstance(activations, Mapping)
        self.latest = self.layer_pass.rectified(activations)

    def judge(self, good_enough: Callable[[Verdict], bool]) -> Judge:
        """Whether a signal of one of the jobs is good enough; only what is so by the step's own activations is measured."""

        def judged(number: int, row: int, signal: Tensor) -> bool:
            job = self.jobs[number]
            if self.layer == job.layer:
                target, found = ({name: t[k] for name, t in a.items()} for a, k in ((self.target, number), (self.latest, row)))
                if not good_enough(verdict_at(self.setup, target, found)):
                    return False
            with tensor_float32(False):
                return good_enough(
                    measure(self.setup, job.clip, job.layer, job.seed, self.setup.domain.as_written(signal)).verdict
                )

        return judged

    def report(self, step: int, signals: Tensor, losses: Tensor) -> None:
        """Report to the caller's progress and callback."""
        if self.passing is not None:
            self.passing.see(signals, losses)
        if self.setup.progress is not None:
            active = ~losses.isnan()
            target = {place: tensor[active] for place, tensor in self.target.items()}
            ratio = float(combined(dict.fromkeys(target, relative_l2))(self.latest, target).median())
            snr_db, layer = -20 * math.log10(max(ratio, 1e-30)), self.jobs[0].layer
            self.setup.progress(Progress(layer, int(active.sum()), self.number, step, self.steps, snr_db))
        if self.setup.callback is not None:
            self.setup.callback(step, signals, losses)

    def save(self, active: Tensor, state: Callable[[], MatchState]) -> None:
        """Offer everything that is unfinished to the checkpoints."""
        assert self.setup.checkpoints is not None
        self.setup.checkpoints.offer(lambda: self._unfinished(active.tolist(), state()))

    def _unfinished(self, active: Sequence[int], batch: MatchState) -> list[Unfinished]:
        seconds = self.seconds
        own = [_unfinished(self.setup, self.jobs[i], select_state(batch, k), seconds) for k, i in enumerate(active)]
        return own + [_unfinished(self.setup, job, job.state) for job in self.others]

    def record(self, matched: Match, rule: StoppingRule | None) -> None:
        """Measure the signals and add the attempt to the records of their jobs; `rule` stopped signals, if some did."""
        seconds, setup, layer = self.seconds, self.setup, self.jobs[0].layer
        results = []
        for i, job in enumerate(self.jobs):
            signal, took = setup.domain.as_written(matched.signals[i]), int(matched.steps[i])
            evidence = measure(setup, job.clip, layer, job.seed, signal)
            curve = [float(loss) for loss in matched.losses[i] if not math.isnan(loss)]
            was_interrupted = matched.interrupted and took == matched.loss_steps[-1]
            reported = matched.loss_steps[: len(curve)]
            word = outcome_of(rule, reported, matched.losses[i, : len(curve)])
            reason = "stopped by the callback" if was_interrupted else word
            tried = AttemptRecord(
                self.attempt.name,
                None if self.attempt.warm_start else self.seeds[i],
                took,
                "finished" if took == self.steps else f"{reason} after {took} steps",
                evidence.similarity[layer]["snr_db"],
                reported,
                curve,
                continues=job.best[1].kept if self.attempt.warm_start and job.best else None,
                layer=self.layer if self.attempt.layer_before else None,
                comparisons=self._comparisons(i),
                gradient_clip=self.attempt.gradient_clip,
                straight_through=self.attempt.straight_through,
            )
            results.append((job, tried, signal.cpu(), replace(evidence, kept=len(job.tries))))
        for job, tried, signal, evidence in results:  # only now: memory may run out while they are measured
            job.tries.append(tried)
            job.seconds, job.state = job.seconds + seconds, None
            if job.best is None or rank_key(evidence) > rank_key(job.best[1]):
                job.best = signal, evidence


def _unfinished(setup: Setup, job: Job, state: MatchState | None, seconds: float = 0.0) -> Unfinished:
    return Unfinished(
        setup.settings(job.clip, job.layer, job.seed),
        setup.method.fingerprint(),
        job.attempt,
        job.tries,
        job.best,
        state,
        job.seconds + seconds,
    )


def resumed(setup: Setup, job: Job) -> Job:
    """A job with what its checkpoint holds, if there is one."""
    if setup.checkpoints is None:
        return job
    found = setup.checkpoints.load(setup.settings(job.clip, job.layer, job.seed), setup.method.fingerprint())
    if found is None:
        return job
    return Job(job.clip, job.layer, job.seed, found.attempt, found.tries, found.best, found.seconds, found.state)
