"""Make metamers: match a layer of a model for batches of clips and seeds, judge, and try again what did not come out."""

import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import torch
from msgspec.structs import replace
from torch import Tensor

from audiometamer.activations import Rectifier, Tap, record_taps
from audiometamer.audio import Clip
from audiometamer.cochleagram import Cochleagram
from audiometamer.criteria import MetricNull, NullDistribution, judge, similarity
from audiometamer.devices import tensor_float32
from audiometamer.domains import Domain
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.folding import folded, twin_of
from audiometamer.matching.loop import match
from audiometamer.matching.losses import Loss, rectified, relative_l2
from audiometamer.matching.methods import Attempt, Method, load_method, stuck_after
from audiometamer.metamers import compiled as compilation
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.evidence import Evidence, Settings, Try, sha256_of, versions
from audiometamer.models import Model, record
from audiometamer.straight_through import straight_through_relu

_REPORT_EVERY = 20
_STREAM = 2**32  # start noise of later attempts is drawn from seed + attempt · this: no user's seed comes near


@dataclass(frozen=True)
class Metamer:
    """A synthesised sound and its evidence.

    Parameters
    ----------
    samples : Tensor [shape=signal_shape]
        float32, on the CPU.
    clip : Clip
        The natural sound.
    evidence : Evidence
    """

    samples: Tensor
    clip: Clip
    evidence: Evidence

    @property
    def passed(self) -> bool | None:
        """Whether the verdict was passed; None if there was nothing to judge by."""
        return self.evidence.verdict.passed


@dataclass(frozen=True)
class Progress:
    """Where a synthesis is: told to `progress` every few steps.

    Parameters
    ----------
    layer : str
    signals : int
        In the batch.
    attempt : int
        From 0.
    step, steps : int
    snr_db : float
        Median over the batch's active signals.
    """

    layer: str
    signals: int
    attempt: int
    step: int
    steps: int
    snr_db: float


@dataclass
class _Job:
    """One metamer in the making."""

    clip: Clip
    layer: str
    seed: int
    tries: list[Try] = field(default_factory=list)
    results: list[tuple[Tensor, Evidence]] = field(default_factory=list)
    seconds: float = 0.0

    def wants(self, attempt: Attempt) -> bool:
        """Whether an attempt is worth making: none has passed, and there is something to go on from if it goes on."""
        if not self.tries:
            return True
        stuck, failed = self.tries[-1].outcome != "finished", self.best[1].verdict.passed is False
        return failed and not stuck if attempt.goes_on else failed or stuck

    @property
    def best(self) -> tuple[Tensor, Evidence]:
        """The result to keep: passed before not passed, then by how many metrics are beyond the null, then by SNR."""
        return max(self.results, key=lambda result: _merit(result[1]))


def synthesize(
    model: Model,
    clips: Sequence[Clip] | Clip,
    layers: Sequence[str] | str | None = None,
    *,
    method: str = "default",
    steps: int | None = None,
    seed: int | Sequence[int] = 0,
    loss: Loss | None = None,
    null: NullDistribution | None = None,
    domain: Domain | None = None,
    batch_size: int | None = None,
    tf32: bool = False,
    compiled: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> list["Metamer"]:
    """Make metamers of clips at layers of a model.

    Parameters
    ----------
    model : Model
    clips : Clip or sequence of them
        As the model takes them: `read_clip` with its sample rate, duration and level.
    layers : str or sequence of str, optional
        Default: all that the model lists.
    method : {"default", "feather2023"}
        See `audiometamer.matching.methods`. Default "default".
    steps : int, optional
        Of an attempt. Default: the method's own.
    seed : int or sequence of int
        One metamer for each; the same noise starts every layer and clip. Default 0.
    loss : callable
        Activations and target, Tensor [shape=(batch, ...)] each, to Tensor [shape=(batch,)]. Default: the
        method's own.
    null : NullDistribution, optional
        To judge by. Default: the one that comes with the model, if it does.
    domain : Domain, optional
        Default: the model's.
    batch_size : int, optional
        Signals that are synthesised side by side. Default: as many as fit in half of the free memory, at most 8 on a CPU and 128
        elsewhere; in either case halved when memory runs out.
    tf32 : bool
        Whether the steps may multiply float32 with the 10-bit mantissa of an NVIDIA GPU's TF32; targets and evidence never do.
        Default False.
    compiled : bool
        Whether the network is compiled by `torch.compile`, for a layer at a time; not for layers of the front end. Default False.
    progress : callable, optional
        Told a `Progress` every 20 steps.

    Returns
    -------
    list of Metamer
        For each layer, each clip, each seed, in this order; also those that failed their verdict.

    Raises
    ------
    AudioMetamerError
        If a clip does not fit the model, or a layer or method is unknown.
    """
    jobs = [
        (clip, layer, s)
        for layer in _as_list(layers, model.layers)
        for clip in ([clips] if isinstance(clips, Clip) else clips)
        for s in ([seed] if isinstance(seed, int) else seed)
    ]
    place = {(id(clip), layer, s): k for k, (clip, layer, s) in enumerate(jobs)}
    found = iterate_metamers(
        model,
        jobs,
        method=method,
        steps=steps,
        loss=loss,
        null=null,
        domain=domain,
        batch_size=batch_size,
        tf32=tf32,
        compiled=compiled,
        progress=progress,
    )
    return sorted(found, key=lambda m: place[id(m.clip), m.evidence.settings.layer, m.evidence.settings.seed])


def iterate_metamers(
    model: Model,
    jobs: Sequence[tuple[Clip, str, int]],
    *,
    method: str = "default",
    steps: int | None = None,
    loss: Loss | None = None,
    null: NullDistribution | None = None,
    domain: Domain | None = None,
    batch_size: int | None = None,
    tf32: bool = False,
    compiled: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> Iterator["Metamer"]:
    """As `synthesize`, for any list of (clip, layer, seed), giving each metamer as soon as it is done.

    Batches are filled anew after every attempt: a signal that has passed leaves, and those that have to try again wait for each
    other, so that no batch is kept small or waiting by its hardest signals.
    """
    procedure = load_method(method)
    if steps is not None and steps < 1:
        raise AudioMetamerError(f"steps is {steps}; it must be at least 1")
    for layer in dict.fromkeys(layer for _, layer, _ in jobs):
        model.tap(layer)
    for clip in {id(clip): clip for clip, _, _ in jobs}.values():
        _check_clip(model, clip)
    run = _Run(
        model,
        procedure,
        steps or procedure.steps,
        loss,
        null or default_null(model),
        domain or model.domain,
        progress,
        model.weights_sha256(),
        tf32,
        compiled,
    )
    for layer in dict.fromkeys(layer for _, layer, _ in jobs):
        yield from run.metamers([_Job(*job) for job in jobs if job[1] == layer], batch_size)


def settings_of(
    model: Model,
    clip: Clip,
    layer: str,
    seed: int,
    *,
    method: str,
    steps: int | None,
    loss: Loss | None = None,
    weights_sha256: str | None = None,
) -> Settings:
    """What will determine a metamer; equal settings give the same one. `weights_sha256`: the model's, if known already."""
    procedure = load_method(method)
    minimised = loss or procedure.loss
    return Settings(
        clip=clip.name,
        clip_sha256=sha256_of(clip.samples),
        model=model.name,
        weights_sha256=weights_sha256 or model.weights_sha256(),
        layer=layer,
        seed=seed,
        method=method,
        steps=steps or procedure.steps,
        loss=getattr(minimised, "__name__", type(minimised).__name__),
    )


def default_null(model: Model) -> NullDistribution | None:
    """The null distribution that comes with a model, or None."""
    if model.folder is None or not (model.folder / "null.json").exists():
        return None
    return NullDistribution.load(model.folder / "null.json")


@dataclass(frozen=True)
class _Run:
    """One call's settings."""

    model: Model
    method: Method
    steps: int
    loss: Loss | None
    null: NullDistribution | None
    domain: Domain
    progress: Callable[[Progress], None] | None
    weights_sha256: str
    tf32: bool
    compiled: bool

    def metamers(self, jobs: Sequence[_Job], batch_size: int | None) -> Iterator[Metamer]:
        """Metamers of jobs at one layer, in the order in which they are done."""
        twin = self._twin(jobs[0].layer)
        batch_size = batch_size or fitting_batch_size(twin, jobs[0].layer)
        with self._activations(twin, jobs[0].layer) as activations:
            yield from self._batches(jobs, batch_size, activations)

    def _twin(self, layer: str) -> Model:
        """What is matched in the model's place."""
        twin, ears = folded(self.model, layer), self.model.front_end
        if self.method.gradient_clip != 1 and isinstance(ears, Cochleagram):
            twin = twin if twin is not self.model else twin_of(twin)
            if twin is not self.model:
                twin.front_end = ears.with_gradient_clip(self.method.gradient_clip)
        return twin

    @contextmanager
    def _activations(self, twin: Model, layer: str) -> Iterator[Callable[[Tensor], Tensor]]:
        """The forward pass that is matched."""
        tap, relus = twin.tap(layer), self._relus(layer)
        if self.compiled and tap.path.startswith("network."):
            with compilation.compiled(twin if twin is not self.model else twin_of(twin), tap, relus) as forward:
                yield forward
        else:
            yield lambda signals: record_taps(twin, lambda: twin(signals), {layer: tap}, relus=relus)[layer]

    def _batches(self, jobs: Sequence[_Job], batch_size: int, activations: Callable[[Tensor], Tensor]) -> Iterator[Metamer]:
        attempts = self.method.attempts
        waiting = {0: list(jobs)}  # by the number of their next attempt
        while waiting:
            full = [number for number, here in waiting.items() if len(here) >= batch_size]
            number = max(full, default=min(waiting))  # what is not full may be filled by earlier attempts
            batch, rest = waiting[number][:batch_size], waiting.pop(number)[batch_size:]
            if rest:
                waiting[number] = rest
            try:
                with tensor_float32(False):
                    self._attempt(batch, number, activations)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise AudioMetamerError(f"{self.model.device} has no memory for one signal at {batch[0].layer}") from error
                batch_size = len(batch) // 2
                warnings.warn(
                    f"no memory for {len(batch)} signals; going on with {batch_size}", AudioMetamerWarning, stacklevel=2
                )
                waiting[number] = batch + rest
                continue
            for job in batch:
                following = next((k for k in range(number + 1, len(attempts)) if job.wants(attempts[k])), None)
                if following is None:
                    samples, evidence = job.best
                    yield Metamer(samples, job.clip, replace(evidence, tries=job.tries, seconds=job.seconds))
                else:
                    waiting.setdefault(following, []).append(job)

    def _attempt(self, jobs: list[_Job], number: int, activations: Callable[[Tensor], Tensor]) -> None:
        began = time.monotonic()
        model, layer = self.model, jobs[0].layer
        attempt = self.method.attempts[number]
        steps = self.steps * attempt.stretch
        natural = torch.stack([job.clip.samples for job in jobs]).to(dtype=model.dtype, device=model.device)
        natural = natural.view(-1, *model.signal_shape)
        with torch.no_grad():
            target = record(model, natural, layer)[layer]
        seeds = [job.seed + number * _STREAM for job in jobs]
        if attempt.goes_on:
            start = torch.stack([job.best[0] for job in jobs]).to(target)
        else:
            start = self.domain.start(model.signal_shape, seeds=seeds, dtype=model.dtype, device=model.device)

        loss = self.loss or attempt.loss or self.method.loss
        if unrectified := self._unrectified(layer):
            loss = rectified(loss, self.method.margin)
        latest = target

        def forward(signals: Tensor) -> Tensor:
            nonlocal latest
            found = activations(signals)
            latest = found.detach().relu() if unrectified else found.detach()
            return found

        def report(step: int, active: Tensor, _: Tensor) -> None:
            if self.progress is not None:
                ratio = float(relative_l2(latest, target[active]).median())
                self.progress(Progress(layer, len(active), number, step, steps, -20 * math.log10(max(ratio, 1e-30))))

        stuck_step = -(-steps // 2 // _REPORT_EVERY) * _REPORT_EVERY
        with tensor_float32(self.tf32):
            matched = match(
                forward,
                target,
                start,
                domain=self.domain,
                optimizer=attempt.optimizer(steps),
                steps=steps,
                loss=loss,
                stop=stuck_after(stuck_step) if len(self.method.attempts) > 1 and not attempt.goes_on else None,
                report=report,
                report_every=_REPORT_EVERY,
            )
        seconds = (time.monotonic() - began) / len(jobs)
        outcomes = []
        for i, job in enumerate(jobs):
            took = int(matched.steps[i])
            outcome = "finished" if took == steps else f"stuck after {took} steps"
            curve = [float(x) for x in matched.losses[i] if not math.isnan(x)]
            signal = matched.signals[i].to(torch.float32)
            evidence = self._evidence(job, natural[i], signal)
            tried = Try(
                attempt.name,
                None if attempt.goes_on else seeds[i],
                took,
                outcome,
                evidence.similarity[layer]["snr_db"],
                matched.loss_steps[: len(curve)],
                curve,
            )
            outcomes.append((job, tried, (signal.cpu(), replace(evidence, kept=number))))
        for job, tried, result in outcomes:
            job.tries.append(tried)
            job.results.append(result)
            job.seconds += seconds

    def _unrectified(self, layer: str) -> bool:
        """Whether a ReLU is matched by what it was given."""
        return bool(self.method.margin) and self.model.is_relu(layer)

    def _relus(self, layer: str) -> dict[Tap, Rectifier]:
        """What stands for ReLUs while a layer is matched."""
        tap, method = self.model.tap(layer), self.method
        relus: dict[Tap, Rectifier] = {tap: _given if self._unrectified(layer) else straight_through_relu}
        if method.pooled_slope and (pooled := self.model.relu_pooled_by(layer)) is not None:
            relus[pooled] = partial(straight_through_relu, slope=method.pooled_slope)
        return relus

    def _evidence(self, job: _Job, natural: Tensor, signal: Tensor) -> Evidence:
        model = self.model
        layers = list(dict.fromkeys([*model.layers, job.layer]))
        pair = torch.stack([natural, signal.to(natural)])
        with torch.no_grad():
            activations = record(model, pair, layers)
            logits = model.logits(model(pair))
        measured = {layer: similarity(a[0], a[1]) for layer, a in activations.items()}
        labels = {}
        for task in model.tasks_told_by(job.layer, logits):
            clip_label, metamer_label = (model.label(task, int(i)) for i in logits[task].argmax(1))
            labels[task] = (clip_label, metamer_label)
        null: dict[str, MetricNull] | None = self.null.layers.get(job.layer) if self.null is not None else None
        return Evidence(
            settings=settings_of(
                model,
                job.clip,
                job.layer,
                job.seed,
                method=self.method.name,
                steps=self.steps,
                loss=self.loss,
                weights_sha256=self.weights_sha256,
            ),
            verdict=judge(measured[job.layer], null, labels),
            similarity={layer: {k: v if math.isfinite(v) else None for k, v in m.items()} for layer, m in measured.items()},
            tries=[],
            kept=0,
            seconds=0.0,
            rms=float(signal.square().mean().sqrt()),
            peak=float(signal.abs().max()),
            sample_rate=model.sample_rate,
            clip_notices=list(job.clip.notices),
            device=str(model.device),
            dtype=str(model.dtype).removeprefix("torch."),
            versions=versions(),
            tf32=self.tf32,
            compiled=self.compiled,
        )


def _given(x: Tensor) -> Tensor:
    return x


def _merit(evidence: Evidence) -> tuple[bool, int, float]:
    verdict, snr = evidence.verdict, evidence.similarity[evidence.settings.layer]["snr_db"]
    return verdict.passed is not False, sum(verdict.beyond_null.values()), math.inf if snr is None else snr


def _check_clip(model: Model, clip: Clip) -> None:
    expected = math.prod(model.signal_shape)
    if clip.sample_rate != model.sample_rate or clip.samples.numel() != expected:
        raise AudioMetamerError(
            f"clip {clip.name!r} has {clip.samples.numel()} samples at {clip.sample_rate} Hz; {model.name} takes {expected} at "
            f"{model.sample_rate} Hz: read it with read_clip(path, sample_rate={model.sample_rate}, duration={model.duration})"
        )


def _as_list(layers: Sequence[str] | str | None, default: Sequence[str]) -> list[str]:
    if layers is None:
        return list(default)
    return [layers] if isinstance(layers, str) else list(layers)
