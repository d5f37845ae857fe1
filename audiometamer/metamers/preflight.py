"""Try everything that can fail before the first step: targets, logits, and one step towards every layer."""

import math
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.matching.descent import values_at
from audiometamer.metamers.passes import activations_and_logits, layer_pass
from audiometamer.metamers.scheduling import Job, layer_before
from audiometamer.metamers.settings import places
from audiometamer.metamers.setup import Setup
from audiometamer.metamers.targets import GivenTarget, as_input, as_targets
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

K = TypeVar("K", bound=Hashable)


def preflight(setup: Setup, jobs: Sequence[Job]) -> dict[str, str | None]:
    """Try a synthesis.

    Returns
    -------
    dict of str to str or None
        The preceding layer of each layer of the jobs, if attempts may match that instead.

    Raises
    ------
    AudioMetamerError
        If a clip does not fit the model, or for any of the clips and layers a target cannot be computed, or a step towards it
        cannot be taken.

    Warns
    -----
    AudioMetamerWarning
        If the layer before cannot be matched: nobody has asked for it.
    """
    by_clip = _grouped(jobs, lambda job: id(job.clip))
    for first, *_ in by_clip.values():
        if isinstance(first.clip, Clip):
            check_clip(setup.model, first.clip)
    for own in by_clip.values():
        _check_target(setup, own[0].clip, list(dict.fromkeys(place for job in own for place in places(job.layer))))
    by_layer = _grouped(jobs, lambda job: job.layer)
    for layer, (first, *_) in by_layer.items():
        _try_step(setup, first.clip, layer, first.seed)
    needed = any(attempt.layer_before for attempt in setup.method.attempts)
    return {layer: _usable_layer_before(setup, layer, own) if needed else None for layer, own in by_layer.items()}


def _grouped(jobs: Iterable[Job], key: Callable[[Job], K]) -> dict[K, list[Job]]:
    """Jobs by a key, in their order."""
    groups: dict[K, list[Job]] = {}
    for job in jobs:
        groups.setdefault(key(job), []).append(job)
    return groups


def _check_target(setup: Setup, clip: Clip | GivenTarget, names: Sequence[str]) -> None:
    """Raise if the target of a clip, or its logits, are not finite; the target is kept for the attempts."""
    logits: dict[str, Tensor] = {}
    if isinstance(clip, Clip):
        activations, logits = activations_and_logits(setup.model, as_input(setup.model, clip)[None], names)
        targets = as_targets(setup.model, clip, {place: a[0] for place, a in activations.items()})
        setup.targets.keep(clip, targets)
    else:
        targets = setup.targets.at(clip, names)
    _check_finite(clip, targets)
    for task, values in logits.items():
        if not torch.isfinite(values).all():
            raise AudioMetamerError(f"the logits of {setup.model.name} for {clip.name!r} ({task}) are not all finite numbers")


def _check_finite(clip: Clip | GivenTarget, targets: dict[str, Tensor]) -> None:
    for place, values in targets.items():
        if not torch.isfinite(values).all():
            raise AudioMetamerError(f"the activations of {clip.name!r} at {place} are not all finite numbers")


def _usable_layer_before(setup: Setup, layer: str, jobs: Sequence[Job]) -> str | None:
    """The layer before another, if the clips of its jobs can be matched there."""
    before = layer_before(setup.model, layer)
    clips = {id(job.clip): job.clip for job in jobs if isinstance(job.clip, Clip)}
    if before is None or not clips:
        return None
    try:
        for clip in clips.values():
            _check_finite(clip, setup.targets.at(clip, [before]))
        _try_step(setup, next(iter(clips.values())), before, 0)
    except AudioMetamerError as error:
        reason = f"{layer} is not attempted by the layer before it, which cannot be matched: {error}"
        warnings.warn(reason, AudioMetamerWarning, stacklevel=2)
        return None
    return before


def _try_step(setup: Setup, clip: Clip | GivenTarget, layer: str, seed: int) -> None:
    """Try the first step towards a layer for two signals and for one: a loss may fail for either."""
    target = setup.targets.at(clip, places(layer))
    start = setup.start([clip, clip], [seed, seed + 1], {place: t.expand(2, *t.shape) for place, t in target.items()})
    _check_starts(setup, start)
    if (iteration := setup.method.attempts[0].iteration) is not None:
        _check_iteration(setup, clip, layer, iteration)
        return
    with layer_pass(setup.model, layer, unrectified=bool(setup.method.margin), compiled=False) as matched:
        loss = setup.loss_at(layer, setup.method.attempts[0], matched.unrectified)
        for number in (2, 1):
            several = {place: t.expand(number, *t.shape) for place, t in target.items()}
            try:
                losses, gradients, _ = values_at(
                    matched.activations, start[:number], several, domain=setup.domain, loss=loss, penalty=setup.penalty
                )
            except torch.OutOfMemoryError:  # the batches are halved until they fit
                continue
            except AudioMetamerError as error:
                raise AudioMetamerError(f"layer {layer}: {error}") from error
            _check_step(losses, gradients, f"layer {layer}", f"at the start of {clip.name!r}")


def _check_iteration(
    setup: Setup, clip: Clip | GivenTarget, layer: str, iteration: Callable[[Model, str, Tensor], object]
) -> None:
    """Raise unless a procedure without gradients can be made for a clip and a layer."""
    if not isinstance(clip, Clip):
        raise AudioMetamerError(f"the method {setup.method.name} needs recordings: a target that is given holds activations only")
    if setup.loss is not None or setup.penalty is not None:
        raise AudioMetamerError(f"the method {setup.method.name} minimises nothing: give neither loss nor penalty")
    iteration(setup.model, layer, as_input(setup.model, clip)[None])


def _check_step(losses: Tensor, gradients: Tensor, layer: str, where: str) -> None:
    for what, values in (("loss", losses), ("gradient", gradients)):
        if not torch.isfinite(values).all():
            raise AudioMetamerError(f"{layer}: the {what} is not finite {where}, for {len(losses)} signal(s)")
    if losses.any() and not gradients.any():
        raise AudioMetamerError(f"{layer}: the gradient is zero {where}, so no step would change the signal")


def _check_starts(setup: Setup, start: Tensor) -> None:
    """Raise if the domain gives signals of other shapes than the model takes."""
    domain, name, shape = setup.domain, type(setup.domain).__name__, (2, *setup.model.signal_shape)
    signals = domain.signals(domain.project(start))
    for what, found in (("starts with", start), ("gives", signals)):
        if tuple(found.shape) != shape:
            raise AudioMetamerError(f"the domain {name} {what} shape {tuple(found.shape)} for 2 signals; it must be {shape}")
    if (written := domain.as_written(signals[0].detach())).shape != shape[1:]:
        raise AudioMetamerError(f"the domain {name} writes shape {tuple(written.shape)}, not {shape[1:]}")


def check_clip(model: Model, clip: Clip) -> None:
    """Raise if a clip has another shape, sample rate or range of values than a model takes."""
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
