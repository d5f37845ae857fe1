"""Measure a signal as the metamer of a clip: similarity at every layer, labels, verdict."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from audiometamer.metamers import hearing
from audiometamer.metamers.class_matches import class_matches
from audiometamer.metamers.criteria import judge_all, judge_sha256, similarity, worst
from audiometamer.metamers.evidence import Evidence, versions
from audiometamer.metamers.layout import signal_kind
from audiometamer.metamers.passes import activations_and_logits
from audiometamer.metamers.settings import places
from audiometamer.metamers.setup import Setup
from audiometamer.metamers.targets import GivenTarget, as_input, as_targets
from audiometamer.metamers.verdicts import Verdict
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip


def measure(setup: Setup, clip: Clip | GivenTarget, layer: str, seed: int, signal: Tensor) -> Evidence:
    """Evidence of a signal [shape=signal_shape] as a metamer, without the attempts at it."""
    model, names = setup.model, places(layer)
    labels: dict[str, tuple[str, str]] = {}
    probable: dict[str, tuple[float, float]] = {}
    doubts: list[str] = []
    if isinstance(clip, Clip):
        targets, found, logits = _compare(model, clip, signal, names)
        labels = paired_labels(model, logits, names)
        probable, doubts = hearing.compare_labels(model, clip, {task: logits[task] for task in labels})
    else:
        targets, found = _compare_given(setup, clip, signal, names)
    measured = {layer: similarity(targets[layer], found[layer]) for layer in found}
    classes = class_matches(model, *({place: side[place] for place in names} for side in (targets, found)))
    verdict = judge_all({place: measured[place] for place in names}, setup.null.layers if setup.null else {}, labels, classes)
    if len(names) > 1:
        measured[layer] = worst([measured[place] for place in names])
    return Evidence(
        settings=setup.settings(clip, layer, seed),
        verdict=verdict,
        similarity={place: {k: v if math.isfinite(v) else None for k, v in m.items()} for place, m in measured.items()},
        tries=[],
        kept=0,
        seconds=0.0,
        rms=float(signal.square().mean().sqrt()),
        peak=float(signal.abs().max()),
        sample_rate=model.sample_rate,
        clip_notices=[*clip.notices, *doubts],
        device=str(model.device),
        dtype=str(model.dtype).removeprefix("torch."),
        versions=versions(),
        tf32=setup.tf32,
        compiled=setup.compiled,
        captured=setup.captured,
        domain=signal_kind(setup.domain),
        probabilities=probable,
        classes={task: len(labels) for task, labels in hearing.vocabulary(model).items() if task in probable},
        limits=[] if model.card is None else model.card.limits,
        source=clip.source if isinstance(clip, Clip) else None,
        judged_by=judge_sha256(model, setup.null),
    )


def verdict_at(setup: Setup, targets: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Verdict:
    """The verdict on one signal by its activations at the matched layers alone, without labels.

    Parameters
    ----------
    setup : Setup
    targets, found : mapping of str to Tensor
        By layer, without a batch.
    """
    measured = {place: similarity(targets[place], found[place]) for place in targets}
    null = setup.null.layers if setup.null else {}
    return judge_all(measured, null, {}, class_matches(setup.model, targets, found))


def _compare(
    model: Model, clip: Clip, signal: Tensor, names: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Target and activations of a signal by layer, also at those that the model lists, and the logits of both by task."""
    natural = as_input(model, clip)
    activations, logits = activations_and_logits(model, torch.stack([natural, signal.to(natural)]), names, optional=model.layers)
    finite = {layer: a for layer, a in activations.items() if layer in names or bool(torch.isfinite(a).all())}
    targets = as_targets(model, clip, {layer: a[0] for layer, a in finite.items()})
    return targets, {layer: a[1] for layer, a in finite.items()}, logits


def _compare_given(
    setup: Setup, target: GivenTarget, signal: Tensor, names: Sequence[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Given activations and a signal's, at the matched layers only."""
    model = setup.model
    with torch.no_grad():
        found = record(model, signal.to(dtype=model.dtype, device=model.device)[None], names)
    return setup.targets.at(target, names), {place: a[0] for place, a in found.items()}


def paired_labels(model: Model, logits: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Labels of a clip and its metamer by task, for the tasks whose classes have names and follow from the matched layers.

    Without names nobody has said that an output holds the logits of classes: an embedding has a largest value too.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(2, classes)]
        Logits of clip and metamer, by task.
    names : sequence of str
        The layers that are matched at the same time.
    """
    determined = {task for place in names for task in model.tasks_determined_by(place, logits)}
    labels = {}
    for task in (task for task in logits if task in determined and task in model.named_labels()):
        clip_label, metamer_label = (model.predicted_label(task, values) for values in logits[task])
        labels[task] = (clip_label, metamer_label)
    return labels


def rank_key(evidence: Evidence) -> tuple[bool, int, float]:
    """Sort key of results, larger for the better one: not failed, then number of metrics beyond the null, then SNR."""
    verdict, snr = evidence.verdict, evidence.similarity[evidence.settings.layer]["snr_db"]
    return verdict.passed is not False, sum(verdict.beyond_null.values()), math.inf if snr is None else snr
