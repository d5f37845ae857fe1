"""Make metamers: match a layer of a model for batches of clips and seeds, judge, and try again what did not come out."""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial

import torch
from msgspec.structs import replace
from torch import Tensor

from audiometamer.cochleagram import Cochleagram
from audiometamer.devices import tensor_float32
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.fingerprints import fingerprint_of
from audiometamer.io.hashes import sha256_of
from audiometamer.io.whole_numbers import whole
from audiometamer.matching.complex_values import as_real
from audiometamer.matching.domains import Domain, check_domain
from audiometamer.matching.inference import ordinary, with_gradients
from audiometamer.matching.loop import MatchState, Penalty, losses_and_gradients, match
from audiometamer.matching.losses import Activations, Loss, combined, rectified, relative_l2
from audiometamer.metamers import compiled as compilation
from audiometamer.metamers import hearing
from audiometamer.metamers.batch_size import fitting_batch_size
from audiometamer.metamers.criteria import NullDistribution, judge_all, judge_sha256, similarity, worst
from audiometamer.metamers.evidence import AttemptRecord, Evidence, versions
from audiometamer.metamers.inputs import Source, as_clips, as_layers, as_seeds
from audiometamer.metamers.layout import signal_kind
from audiometamer.metamers.methods import Attempt, Method, load_method, stuck_after
from audiometamer.metamers.readings import reading
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.summaries import kept_attempt
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.unfinished import Checkpoints, Unfinished, select_state, stack_states
from audiometamer.models.adapters.joined import Joined
from audiometamer.models.folding import folded, shallow_copy
from audiometamer.models.model import Model, check_mode, record
from audiometamer.signals.audio import Clip

_REPORT_EVERY = 20
_STREAM = 2**32  # start noise of later attempts is drawn from seed + attempt · this: no user's seed comes near


@dataclass(frozen=True)
class Metamer:
    """A synthesised signal and its evidence.

    Parameters
    ----------
    samples : Tensor [shape=signal_shape]
        float32, on the CPU.
    clip : Clip or GivenTarget
        The natural signal, or the activations given in its place.
    evidence : Evidence
    """

    samples: Tensor
    clip: Clip | GivenTarget
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


@dataclass(frozen=True)
class _Pass:
    """The forward pass that is matched: signals [shape=(batch, *signal_shape)] to activations by place."""

    activations: Callable[[Tensor], dict[str, Tensor]]
    unrectified: list[str]  # the places whose silent units are below zero


@dataclass
class _Job:
    """One metamer in the making."""

    clip: Clip | GivenTarget
    layer: str
    seed: int
    tries: list[AttemptRecord] = field(default_factory=list)
    results: list[tuple[Tensor, Evidence]] = field(default_factory=list)
    seconds: float = 0.0
    halfway: MatchState | None = None

    def wants(self, attempt: Attempt, before: str | None) -> bool:
        """Whether an attempt is worth making: none has passed, and what it needs is there, a signal to go on from or a layer."""
        if not self.tries:
            return True
        if attempt.layer_before and (before is None or not isinstance(self.clip, Clip)):
            return False
        stuck, failed = self.tries[-1].outcome != "finished", self.best[1].verdict.passed is False
        return failed and not stuck if attempt.goes_on else failed or stuck

    @property
    def best(self) -> tuple[Tensor, Evidence]:
        """The result to keep."""
        return max(self.results, key=lambda result: rank_key(result[1]))


def synthesize(
    model: Model,
    clips: Source | Iterable[Source],
    layers: Iterable[str] | str | None = None,
    *,
    method: str = "default",
    steps: int | None = None,
    seed: int | Iterable[int] = 0,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    null: NullDistribution | None = None,
    domain: Domain | None = None,
    batch_size: int | None = None,
    tf32: bool = False,
    compiled: bool = False,
    progress: Callable[[Progress], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> list["Metamer"]:
    """Make metamers of clips at layers of a model.

    Parameters
    ----------
    model : Model
    clips : Clip, path, tensor or array, or iterable of them
        As the model takes them: `read_clip` with its sample rate, duration and level, or `read_image` with its picture. A path
        is read so; a tensor or an array is a signal [shape=signal_shape] or a batch of them, called ``clip0``, ``clip1``, ….
        Or `GivenTarget`: activations from elsewhere.
    layers : str or iterable of str, optional
        Default: all that the model lists. ``relu1+relu3`` is matched at both at once; ``relu2/channels=0:32`` or
        ``relu2/average=time`` in a part of it (see `Model`).
    method : {"default", "feather2023"}
        See `audiometamer.metamers.methods`. Default "default".
    steps : int, optional
        Of an attempt. Default: the method's own.
    seed : int or iterable of int
        One metamer for each; the same noise starts every layer and clip. Default 0.
    loss : callable
        Activations and target, Tensor [shape=(batch, ...)] each, to Tensor [shape=(batch,)]; complex activations come as pairs
        of real numbers in a last dimension. Default: the method's own.
    penalty : callable, optional
        Signals [shape=(batch, *signal_shape)] to Tensor [shape=(batch,)], added to the loss, such as
        ``lambda x: 0.1 * x.diff().square().sum(1)``, which keeps signals smooth. Default: none.
    null : NullDistribution, optional
        To judge by. Default: the one that comes with the model, if it does.
    domain : Domain, optional
        Default: the model's own.
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
    checkpoints : Checkpoints, optional
        Where to keep what is not finished, and to go on from. Default: nowhere.

    Returns
    -------
    list of Metamer
        For each layer, each clip, each seed, in this order; also those that failed their verdict.

    Raises
    ------
    AudioMetamerError
        If a clip does not fit the model, a layer or method is unknown, or a step cannot be taken: before the first one.

    Warns
    -----
    AudioMetamerWarning
        If attempts by the layer before are left out, because that cannot be matched: a loss may fit the wanted layer alone.
    """
    listed, seeds, wanted = as_clips(model, clips), as_seeds(seed), as_layers(layers, model.layers)
    jobs = [(clip, layer, s) for layer in dict.fromkeys(map(model.canonical, wanted)) for clip in listed for s in seeds]
    place = {(id(clip), layer, s): k for k, (clip, layer, s) in enumerate(jobs)}
    found = iterate_metamers(
        model,
        jobs,
        method=method,
        steps=steps,
        loss=loss,
        penalty=penalty,
        null=null,
        domain=domain,
        batch_size=batch_size,
        tf32=tf32,
        compiled=compiled,
        progress=progress,
        checkpoints=checkpoints,
    )
    return sorted(found, key=lambda m: place[id(m.clip), m.evidence.settings.layer, m.evidence.settings.seed])


@with_gradients
def iterate_metamers(
    model: Model,
    jobs: Sequence[tuple[Clip | GivenTarget, str, int]],
    *,
    method: str = "default",
    steps: int | None = None,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    null: NullDistribution | None = None,
    domain: Domain | None = None,
    batch_size: int | None = None,
    tf32: bool = False,
    compiled: bool = False,
    progress: Callable[[Progress], None] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Iterator["Metamer"]:
    """As `synthesize`, for any list of (clip, layer, seed), giving each metamer as soon as it is done.

    Batches are filled anew after every attempt: a signal that has passed leaves, and those that have to try again wait for each
    other, so that no batch is kept small or waiting by its hardest signals.
    """
    procedure = load_method(method)
    if null is not None and not isinstance(null, NullDistribution):
        raise AudioMetamerError(f"null is {null!r}; it must be a NullDistribution, such as NullDistribution.load(path)")
    if domain is not None:
        check_domain(domain)
    steps = procedure.steps if steps is None else whole(steps, "steps", least=1)
    if batch_size is not None:
        batch_size = whole(batch_size, "batch_size", least=1)
    check_mode(model)
    jobs = [(clip, model.canonical(layer), s) for clip, layer, s in jobs]
    for layer in dict.fromkeys(layer for _, layer, _ in jobs):
        for place in places(layer):
            model.tap(place)
    for clip in {id(clip): clip for clip, _, _ in jobs}.values():
        if isinstance(clip, Clip):
            check_clip(model, clip)
    run = _Run(
        model,
        procedure,
        steps,
        loss,
        penalty,
        null or default_null(model),
        domain or model.domain,
        progress,
        model.weights_sha256(),
        tf32,
        compiled,
        checkpoints,
    )
    run.try_out(jobs)
    for layer in dict.fromkeys(layer for _, layer, _ in jobs):
        yield from run.metamers([_Job(*job) for job in jobs if job[1] == layer], batch_size)


def places(layer: str) -> list[str]:
    """The layers that are matched at once: ``relu1`` and ``relu3`` for ``relu1+relu3``, otherwise one."""
    return list(dict.fromkeys(layer.split("+")))


def layer_before(model: Model, layer: str) -> str | None:
    """The layer that a model lists before another, or None."""
    listed = list(model.layers)
    place = listed.index(layer) if layer in listed else 0
    return listed[place - 1] if place else None


def settings_of(
    model: Model,
    clip: Clip | GivenTarget,
    layer: str,
    seed: int,
    *,
    method: str,
    steps: int | None,
    loss: Loss | None = None,
    penalty: Penalty | None = None,
    domain: Domain | None = None,
    weights_sha256: str | None = None,
) -> Settings:
    """What will determine a metamer; equal settings give the same one. `weights_sha256`: the model's, if known already."""
    procedure = load_method(method)
    return Settings(
        clip=clip.name,
        clip_sha256=sha256_of(*([clip.samples] if isinstance(clip, Clip) else map(clip.at, places(layer)))),
        model=model.name,
        weights_sha256=weights_sha256 or model.weights_sha256(),
        layer=layer,
        seed=seed,
        method=method,
        steps=steps or procedure.steps,
        loss=fingerprint_of(loss or procedure.loss),
        penalty="" if penalty is None else fingerprint_of(penalty),
        domain="" if domain is None or domain == model.domain else fingerprint_of(domain),
    )


def default_null(model: Model) -> NullDistribution | None:
    """The null distribution that comes with a model, or with those that it joins, or None."""
    if isinstance(model.network, Joined):
        return _joined_null(model.network)
    if model.folder is None or not (model.folder / "null.json").exists():
        return None
    return NullDistribution.load(model.folder / "null.json")


def _joined_null(network: Joined) -> NullDistribution | None:
    nulls = {name: null for name, model in network.models.items() if (null := default_null(model)) is not None}
    if not nulls:
        return None
    return NullDistribution(
        min(null.pairs for null in nulls.values()),
        min(null.sounds for null in nulls.values()),
        "; ".join(f"{name}: {null.source}" for name, null in nulls.items()),
        {f"{name}.{layer}": metrics for name, null in nulls.items() for layer, metrics in null.layers.items()},
    )


@dataclass(frozen=True)
class _Run:
    """One call's settings."""

    model: Model
    method: Method
    steps: int
    loss: Loss | None
    penalty: Penalty | None
    null: NullDistribution | None
    domain: Domain
    progress: Callable[[Progress], None] | None
    weights_sha256: str
    tf32: bool
    compiled: bool
    checkpoints: Checkpoints | None
    without_before: set[str] = field(default_factory=set)  # layers that cannot be come to by the layer before

    def try_out(self, jobs: Sequence[tuple[Clip | GivenTarget, str, int]]) -> None:
        """Raise if a target cannot be computed, or a step towards one not be taken, for any of the clips and layers."""
        layers: dict[int, list[str]] = {}
        clips = {id(clip): clip for clip, _, _ in jobs}
        for clip, layer, _ in jobs:
            layers.setdefault(id(clip), []).append(layer)
        for key, clip in clips.items():
            self._check_target(clip, list(dict.fromkeys(place for layer in layers[key] for place in places(layer))))
            if isinstance(clip, Clip):
                self._check_logits(clip)
        for clip, layer, seed in {layer: job for job in reversed(jobs) for layer in [job[1]]}.values():
            self._try_step(clip, layer, seed)
        if any(attempt.layer_before for attempt in self.method.attempts):
            for layer in dict.fromkeys(layer for _, layer, _ in jobs):
                self._try_before(layer, [clip for clip, own, _ in jobs if own == layer and isinstance(clip, Clip)])

    def _check_target(self, clip: Clip | GivenTarget, names: Sequence[str]) -> None:
        for place, values in self._target(clip, names).items():
            if not torch.isfinite(values).all():
                raise AudioMetamerError(f"the activations of {clip.name!r} at {place} are not all finite numbers")

    def _try_before(self, layer: str, clips: Sequence[Clip]) -> None:
        """Leave out the attempts by the layer before, with a warning, if they would fail: nobody has asked for that layer."""
        before = layer_before(self.model, layer)
        if before is None or not clips:
            return
        try:
            for clip in {id(clip): clip for clip in clips}.values():
                self._check_target(clip, [before])
            self._try_step(clips[0], before, 0)
        except AudioMetamerError as error:
            self.without_before.add(layer)
            warnings.warn(
                f"{layer} is not attempted by the layer before it, which cannot be matched: {error}",
                AudioMetamerWarning,
                stacklevel=2,
            )

    def _before(self, layer: str) -> str | None:
        return None if layer in self.without_before else layer_before(self.model, layer)

    def _check_logits(self, clip: Clip) -> None:
        with torch.no_grad():
            logits = self.model.logits(self.model(self._natural(clip)[None]))
        for task, values in logits.items():
            if not torch.isfinite(values).all():
                raise AudioMetamerError(f"the logits of {self.model.name} for {clip.name!r} ({task}) are not all finite numbers")

    def _try_step(self, clip: Clip | GivenTarget, layer: str, seed: int) -> None:
        """The first step towards a layer, for two signals and for one: a loss may fail for either."""
        model, shape = self.model, (2, *self.model.signal_shape)
        start = self.domain.start(model.signal_shape, seeds=[seed, seed + 1], dtype=model.dtype, device=model.device)
        signals = self.domain.signals(self.domain.project(start))
        for what, found in (("starts with", start), ("gives", signals)):
            if tuple(found.shape) != shape:
                name = type(self.domain).__name__
                raise AudioMetamerError(f"the domain {name} {what} shape {tuple(found.shape)} for 2 signals; it must be {shape}")
        if (written := self.domain.as_written(signals[0].detach())).shape != shape[1:]:
            raise AudioMetamerError(
                f"the domain {type(self.domain).__name__} writes shape {tuple(written.shape)}, not {shape[1:]}"
            )
        target = self._target(clip, places(layer))
        with self._pass(model, layer, compiled=False) as matched:
            loss = self._loss(self.method.attempts[0], layer, matched.unrectified)
            for number in (2, 1):
                several = {place: t.expand(number, *t.shape) for place, t in target.items()}
                try:
                    losses, gradients = losses_and_gradients(
                        matched.activations, several, start[:number], domain=self.domain, loss=loss, penalty=self.penalty
                    )
                except torch.OutOfMemoryError:  # the batches are cut until they fit
                    continue
                except AudioMetamerError as error:
                    raise AudioMetamerError(f"layer {layer}: {error}") from error
                where = f"at the start of {clip.name!r}"
                for what, values in (("loss", losses), ("gradient", gradients)):
                    if not torch.isfinite(values).all():
                        raise AudioMetamerError(f"layer {layer}: the {what} is not finite {where}, for {number} signal(s)")
                if losses.any() and not gradients.any():
                    raise AudioMetamerError(f"layer {layer}: the gradient is zero {where}, so no step would change the signal")

    def metamers(self, jobs: Sequence[_Job], batch_size: int | None) -> Iterator[Metamer]:
        """Metamers of jobs at one layer, in the order in which they are done."""
        twin = cache(lambda layer: folded(self.model, places(layer)))
        batch_size = batch_size or fitting_batch_size(twin(jobs[0].layer), places(jobs[0].layer))
        with ExitStack() as stack:

            @cache
            def forward(layer: str, gradient_clip: float) -> _Pass:
                clipped = self._clipped(twin(layer), gradient_clip)
                return stack.enter_context(self._pass(clipped, layer, compiled=self.compiled))

            yield from self._batches(jobs, batch_size, forward)

    def _clipped(self, twin: Model, gradient_clip: float) -> Model:
        """A twin of the model whose cochleagram's compression has a smaller derivative, if it can be had."""
        ears = self.model.front_end
        if gradient_clip == 1 or not isinstance(ears, Cochleagram):
            return twin
        another = shallow_copy(twin)
        if another is not twin:
            another.front_end = ears.with_gradient_clip(gradient_clip)
        return another

    @contextmanager
    def _pass(self, twin: Model, layer: str, *, compiled: bool) -> Iterator[_Pass]:
        if compiled and twin is self.model:
            twin = shallow_copy(twin)
        readings = {place: reading(twin, place, unrectified=bool(self.method.margin)) for place in places(layer)}
        taps = {name: tap for each in readings.values() for name, tap in each.taps.items()}
        with ExitStack() as stack:
            forward: Callable[[Tensor], dict[str, Tensor]] = partial(twin.activations, taps=taps)
            if compiled and all(tap.path.startswith("network.") for tap in taps.values()):
                forward = stack.enter_context(compilation.compiled(twin, taps))

            def activations(signals: Tensor) -> dict[str, Tensor]:
                found = forward(signals)
                return {place: each.read(found) for place, each in readings.items()}

            yield _Pass(activations, [place for place, each in readings.items() if each.unrectified])

    def _batches(self, jobs: Sequence[_Job], batch_size: int, forward: Callable[[str, float], _Pass]) -> Iterator[Metamer]:
        """The attempts at jobs of one layer; `forward` gives the pass to a layer by its gradient clip."""
        attempts, before = self.method.attempts, self._before(jobs[0].layer)
        waiting: dict[tuple[int, int], list[_Job]] = {}  # by the number of their attempt and its next step
        for job in jobs:
            waiting.setdefault(self._resumed(job), []).append(job)
        while waiting:
            full = [place for place, here in waiting.items() if len(here) >= batch_size]
            place = max(full, default=min(waiting))  # what is not full may be filled by earlier attempts
            number, _ = place
            batch, rest = waiting[place][:batch_size], waiting.pop(place)[batch_size:]
            if rest:
                waiting[place] = rest
            try:
                with tensor_float32(False):
                    self._attempt(batch, number, forward, waiting)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise AudioMetamerError(f"{self.model.device} has no memory for one signal at {batch[0].layer}") from error
                batch_size = len(batch) // 2
                warnings.warn(
                    f"no memory for {len(batch)} signals; continuing with {batch_size}", AudioMetamerWarning, stacklevel=2
                )
                waiting[place] = batch + rest
                continue
            for job in batch:
                following = next((k for k in range(number + 1, len(attempts)) if job.wants(attempts[k], before)), None)
                if following is None:
                    samples, evidence = job.best
                    yield Metamer(samples, job.clip, replace(evidence, tries=job.tries, seconds=job.seconds))
                else:
                    waiting.setdefault((following, 0), []).append(job)

    def _resumed(self, job: _Job) -> tuple[int, int]:
        """Take up what was kept of a job; the attempt and step where it goes on."""
        if self.checkpoints is None or (found := self.checkpoints.load(self._settings(job), self.method.fingerprint())) is None:
            return 0, 0
        job.tries, job.seconds, job.halfway = found.tries, found.seconds, found.halfway
        job.results = [] if found.best is None else [found.best]
        return found.attempt, 0 if found.halfway is None else found.halfway.step

    def _unfinished(self, job: _Job, attempt: int, halfway: MatchState | None, seconds: float = 0.0) -> Unfinished:
        return Unfinished(
            self._settings(job),
            self.method.fingerprint(),
            attempt,
            job.tries,
            job.best if job.results else None,
            halfway,
            job.seconds + seconds,
        )

    def _attempt(
        self,
        jobs: list[_Job],
        number: int,
        pass_to: Callable[[str, float], _Pass],
        waiting: Mapping[tuple[int, int], Sequence[_Job]],
    ) -> None:
        began = time.monotonic()
        model, layer = self.model, jobs[0].layer
        attempt = self.method.attempts[number]
        steps = self.steps * attempt.stretch
        matched_layer = self._before(layer) if attempt.layer_before else layer
        assert matched_layer is not None  # or no job would want this attempt
        matched_pass = pass_to(matched_layer, attempt.gradient_clip)
        target = self._targets(jobs, matched_layer)
        seeds = [job.seed + number * _STREAM for job in jobs]
        if attempt.goes_on:
            start = torch.stack([job.best[0] for job in jobs]).to(dtype=model.dtype, device=model.device)
        else:
            start = self.domain.start(model.signal_shape, seeds=seeds, dtype=model.dtype, device=model.device)

        loss = self._loss(attempt, matched_layer, matched_pass.unrectified)
        latest: Activations = target

        def forward(signals: Tensor) -> Activations:
            nonlocal latest
            found = matched_pass.activations(signals)
            latest = {place: a.detach().relu() if place in matched_pass.unrectified else a.detach() for place, a in found.items()}
            return found

        def report(step: int, active: Tensor, _: Tensor) -> None:
            if self.progress is not None:
                wanted = {place: tensor[active] for place, tensor in target.items()}
                ratio = float(combined(dict.fromkeys(target, relative_l2))(latest, wanted).median())
                self.progress(Progress(layer, len(active), number, step, steps, -20 * math.log10(max(ratio, 1e-30))))

        def save(checkpoints: Checkpoints, active: Tensor, state: Callable[[], MatchState]) -> None:
            def snapshot() -> list[Unfinished]:
                seconds, batch = (time.monotonic() - began) / len(jobs), state()
                own = [self._unfinished(jobs[i], number, select_state(batch, k), seconds) for k, i in enumerate(active.tolist())]
                others = [(job, at) for (at, _), here in waiting.items() for job in here if job.tries or job.halfway]
                return own + [self._unfinished(job, at, job.halfway) for job, at in others]

            checkpoints.offer(snapshot)

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
                penalty=self.penalty,
                stop=stuck_after(stuck_step) if len(self.method.attempts) > 1 and not attempt.goes_on else None,
                report=report,
                report_every=_REPORT_EVERY,
                halfway=None
                if jobs[0].halfway is None
                else stack_states([job.halfway for job in jobs if job.halfway], model.device),
                save=None if self.checkpoints is None else partial(save, self.checkpoints),
            )
        seconds = (time.monotonic() - began) / len(jobs)
        outcomes = []
        for i, job in enumerate(jobs):
            took = int(matched.steps[i])
            outcome = "finished" if took == steps else f"stuck after {took} steps"
            curve = [float(x) for x in matched.losses[i] if not math.isnan(x)]
            signal = self.domain.as_written(matched.signals[i])
            evidence = self._evidence(job, signal)
            tried = AttemptRecord(
                attempt.name,
                None if attempt.goes_on else seeds[i],
                took,
                outcome,
                evidence.similarity[layer]["snr_db"],
                matched.loss_steps[: len(curve)],
                curve,
                continues=job.best[1].kept if attempt.goes_on else None,
                layer=matched_layer if attempt.layer_before else None,
            )
            outcomes.append((job, tried, (signal.cpu(), replace(evidence, kept=len(job.tries)))))
        for job, tried, result in outcomes:
            job.tries.append(tried)
            job.results.append(result)
            job.seconds += seconds
            job.halfway = None

    def _targets(self, jobs: Sequence[_Job], layer: str) -> dict[str, Tensor]:
        """The targets of jobs at a layer, [shape=(jobs, ...)] at each of its places."""
        names = places(layer)
        rows = [self._target(job.clip, names) for job in jobs]
        return {place: torch.stack([row[place] for row in rows]) for place in names}

    def _target(self, clip: Clip | GivenTarget, names: Sequence[str]) -> dict[str, Tensor]:
        """What one signal's activations should be, [shape=(...)] at each place."""
        model = self.model
        if isinstance(clip, Clip):
            with torch.no_grad():
                return {place: a[0] for place, a in record(model, self._natural(clip)[None], names).items()}
        given = {place: ordinary(as_real(clip.at(place)).to(dtype=model.dtype, device=model.device)) for place in names}
        silence = torch.zeros(1, *model.signal_shape, dtype=model.dtype, device=model.device)
        with torch.no_grad():
            own = record(model, silence, names)
        for place in names:
            if given[place].shape != own[place].shape[1:]:
                raise AudioMetamerError(
                    f"target {clip.name!r} has shape {tuple(given[place].shape)} at {place}; {model.name} gives "
                    f"{tuple(own[place].shape[1:])} there"
                )
        return given

    def _settings(self, job: _Job) -> Settings:
        return settings_of(
            self.model,
            job.clip,
            job.layer,
            job.seed,
            method=self.method.name,
            steps=self.steps,
            loss=self.loss,
            penalty=self.penalty,
            domain=self.domain,
            weights_sha256=self.weights_sha256,
        )

    def _natural(self, clip: Clip) -> Tensor:
        return ordinary(clip.samples.to(dtype=self.model.dtype, device=self.model.device).view(self.model.signal_shape))

    def _loss(self, attempt: Attempt, layer: str, unrectified: Sequence[str]) -> Loss:
        """What is minimised: the mean over the layers that are matched at once."""
        loss = self.loss or attempt.loss or self.method.loss
        of_rectified = rectified(loss, self.method.margin, straight_through=attempt.straight_through)
        return combined({place: of_rectified if place in unrectified else loss for place in places(layer)})

    def _everywhere(self, signals: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Activations at the layers that the model lists, as far as these signals have any there, and at those in `names`."""
        listed = self.model.layers
        taps = {layer: self.model.tap(layer) for layer in dict.fromkeys([*listed, *names])}
        found = self.model.activations(signals, taps, optional=set(listed) - set(names))
        return {layer: a for layer, a in found.items() if layer in names or bool(torch.isfinite(a).all())}

    def _evidence(self, job: _Job, signal: Tensor) -> Evidence:
        """What is known of a signal [shape=signal_shape] as the metamer of a job."""
        model, names = self.model, places(job.layer)
        labels: dict[str, tuple[str, str]] = {}
        probable: dict[str, tuple[float, float]] = {}
        doubts: list[str] = []
        if isinstance(job.clip, Clip):
            natural = self._natural(job.clip)
            pair = torch.stack([natural, signal.to(natural)])
            with torch.no_grad():
                activations = self._everywhere(pair, names)
                logits = model.logits(model(pair))
            measured = {layer: similarity(a[0], a[1]) for layer, a in activations.items()}
            labels = labels_heard(model, logits, names)
            probable, doubts = hearing.compared(model, job.clip, {task: logits[task] for task in labels})
        else:
            with torch.no_grad():
                found = record(model, signal.to(dtype=model.dtype, device=model.device)[None], names)
            target = self._target(job.clip, names)
            measured = {place: similarity(target[place], found[place][0]) for place in names}
        verdict = judge_all({place: measured[place] for place in names}, self.null.layers if self.null else {}, labels)
        if len(names) > 1:
            measured[job.layer] = worst([measured[place] for place in names])
        return Evidence(
            settings=self._settings(job),
            verdict=verdict,
            similarity={layer: {k: v if math.isfinite(v) else None for k, v in m.items()} for layer, m in measured.items()},
            tries=[],
            kept=0,
            seconds=0.0,
            rms=float(signal.square().mean().sqrt()),
            peak=float(signal.abs().max()),
            sample_rate=model.sample_rate,
            clip_notices=[*job.clip.notices, *doubts],
            device=str(model.device),
            dtype=str(model.dtype).removeprefix("torch."),
            versions=versions(),
            tf32=self.tf32,
            compiled=self.compiled,
            domain=signal_kind(self.domain),
            probabilities=probable,
            classes={task: len(names) for task, names in hearing.vocabulary(model).items() if task in probable},
            limits=[] if model.card is None else model.card.limits,
            source=job.clip.source if isinstance(job.clip, Clip) else None,
            judged_by=judge_sha256(model, self.null),
        )


def labels_heard(model: Model, logits: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """The labels of a clip and its metamer by task, for the tasks whose labels follow from the matched layers.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(2, classes)]
        Logits of clip and metamer, by task.
    names : sequence of str
        The layers that are matched at once.
    """
    told = {task for place in names for task in model.tasks_determined_by(place, logits)}
    labels = {}
    for task in (task for task in logits if task in told):
        clip_label, metamer_label = (model.heard(task, values) for values in logits[task])
        labels[task] = (clip_label, metamer_label)
    return labels


def resumption(model: Model, metamer: Metamer, settings: Settings) -> Unfinished | None:
    """Where the synthesis of a metamer resumes after it has failed a new judge.

    Its attempts so far count, and it continues from its best signal so far.

    Parameters
    ----------
    model : Model
    metamer : Metamer
        With its new verdict.
    settings : Settings
        Its own, as they are computed now.

    Returns
    -------
    Unfinished or None
        None if it has not failed, or its method has no other attempt for it.
    """
    evidence, method = metamer.evidence, load_method(settings.method)
    tries = evidence.tries
    kept = kept_attempt([tried.snr_db for tried in tries], evidence.kept, evidence.similarity[settings.layer]["snr_db"])
    best = metamer.samples, replace(evidence, kept=kept)
    job = _Job(metamer.clip, settings.layer, settings.seed, tries, [best])
    number, before = -1, layer_before(model, settings.layer)
    for tried in tries:
        number = next((k for k in range(number + 1, len(method.attempts)) if method.attempts[k].name == tried.attempt), number)
    following = next((k for k in range(number + 1, len(method.attempts)) if job.wants(method.attempts[k], before)), None)
    if following is None:
        return None
    return Unfinished(settings, method.fingerprint(), following, tries, best, None, evidence.seconds)


def rank_key(evidence: Evidence) -> tuple[bool, int, float]:
    """What the better of two results has more of: passed before not passed, then metrics beyond the null, then SNR."""
    verdict, snr = evidence.verdict, evidence.similarity[evidence.settings.layer]["snr_db"]
    return verdict.passed is not False, sum(verdict.beyond_null.values()), math.inf if snr is None else snr


def check_clip(model: Model, clip: Clip) -> None:
    """Raise unless a clip has the shape, the sample rate and the range of values that a model takes."""
    low, high = model.bounds
    if clip.sample_rate is not None and (broken := int((~torch.isfinite(clip.samples)).sum())):
        raise AudioMetamerError(f"clip {clip.name!r} holds {broken} NaN or infinite samples")
    fits = clip.samples.numel() == math.prod(model.signal_shape)
    if model.sample_rate is not None:  # twice the samples of one channel are not two channels
        fits &= clip.samples.shape[-1:] == model.signal_shape[-1:]
    if fits and clip.sample_rate == model.sample_rate:
        if clip.sample_rate is None and not bool(((clip.samples >= low) & (clip.samples <= high)).all()):
            found = f"from {float(clip.samples.min()):.4g} to {float(clip.samples.max()):.4g}"
            raise AudioMetamerError(f"clip {clip.name!r} has values {found}; {model.name} takes {low:g} to {high:g}")
        return
    shape = " × ".join(map(str, clip.samples.shape))
    if model.sample_rate is None:
        raise AudioMetamerError(
            f"clip {clip.name!r} has shape {shape}" + (f" at {clip.sample_rate} Hz" if clip.sample_rate else "")
            + f"; {model.name} takes signals of shape {' × '.join(map(str, model.signal_shape))} and no sample rate"
        )  # fmt: skip
    both = f", channels={model.channels}" if model.channels > 1 else ""
    raise AudioMetamerError(
        f"clip {clip.name!r} has {shape} samples at {clip.sample_rate} Hz; {model.name} takes "
        f"{' × '.join(map(str, model.signal_shape))} at {model.sample_rate} Hz: read it with read_clip(path, "
        f"sample_rate={model.sample_rate}, duration={model.duration}{both})"
    )
