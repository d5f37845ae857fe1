"""Judge metamers again, by a null distribution or labels that did not exist when they were made."""

import shlex
from collections.abc import Sequence
from dataclasses import replace as changed
from pathlib import Path

import torch
from msgspec.structs import replace

from audiometamer.io.files import write_json
from audiometamer.io.names import safe_name
from audiometamer.metamers.class_matches import class_matches
from audiometamer.metamers.criteria import NullDistribution, judge_all, judge_sha256, similarity
from audiometamer.metamers.evidence import EarlierVerdict, Evidence
from audiometamer.metamers.layout import checkpoint_path, record_path
from audiometamer.metamers.measuring import paired_labels
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.methods import Method
from audiometamer.metamers.scheduling import resumption
from audiometamer.metamers.settings import places
from audiometamer.metamers.summaries import EvidenceSummary
from audiometamer.metamers.targets import as_targets
from audiometamer.metamers.unfinished import save_unfinished
from audiometamer.models.model import Model
from audiometamer.models.recording import record
from audiometamer.signals.audio import Clip


def covers(null: NullDistribution | None, layer: str) -> bool:
    """Whether a null distribution holds a layer, or one of those that are matched at the same time."""
    return null is not None and any(place in null.layers for place in places(layer))


def is_out_of_date(evidence: EvidenceSummary | Evidence, judge: str, *, has_null: bool) -> bool:
    """Whether a verdict is out of date.

    A verdict based on a null distribution is kept if there is none now.

    Parameters
    ----------
    evidence : EvidenceSummary or Evidence
    judge : str
        Fingerprint of what verdicts are based on now, from `judge_sha256`.
    has_null : bool
        Whether there is a null distribution for the layer now.
    """
    return evidence.judged_by != judge and (has_null or not evidence.verdict.beyond_null)


def rejudged(model: Model, metamer: Metamer, null: NullDistribution | None) -> Metamer:
    """A metamer with a new verdict; the earlier one, and what it was based on, stay in its evidence.

    Parameters
    ----------
    model : Model
        The model that made it.
    metamer : Metamer
    null : NullDistribution or None
    """
    evidence, clip, names = metamer.evidence, metamer.clip, places(metamer.evidence.settings.layer)
    signals = [clip.samples, metamer.samples] if isinstance(clip, Clip) else [metamer.samples]
    batch = torch.stack([s.to(dtype=model.dtype, device=model.device).view(model.signal_shape) for s in signals])
    with torch.no_grad():
        found = record(model, batch, names)
        labels = paired_labels(model, model.logits(model(batch)), names) if isinstance(clip, Clip) else {}
    if isinstance(clip, Clip):
        targets = as_targets(model, clip, {place: a[0] for place, a in found.items()})
    else:
        targets = {place: clip.at(place).to(a) for place, a in found.items()}
    measured = {place: similarity(targets[place], found[place][-1]) for place in names}
    classes = class_matches(model, targets, {place: found[place][-1] for place in names})
    verdict = judge_all(measured, null.layers if null else {}, labels, classes)
    earlier = [*evidence.earlier_verdicts, EarlierVerdict(evidence.verdict, evidence.judged_by)]
    judged_by = judge_sha256(model, null)
    return changed(metamer, evidence=replace(evidence, verdict=verdict, judged_by=judged_by, earlier_verdicts=earlier))


def rejudge_saved(
    model: Model, out: Path, metamer: Metamer, null: NullDistribution | None, *, method: str | Method
) -> Metamer | None:
    """Judge a metamer of `synth` again if its verdict is out of date; None if it is not.

    If it failed and its method has other attempts for it, a checkpoint is written from which its synthesis resumes.

    Parameters
    ----------
    model : Model
    out : path
    metamer : Metamer
        Metamer as read from `out`.
    null : NullDistribution or None
    method : str or Method
        The method that made it.
    """
    settings = metamer.evidence.settings
    judge, has_null = judge_sha256(model, null), covers(null, settings.layer)
    if not is_out_of_date(metamer.evidence, judge, has_null=has_null):
        return None
    metamer = rejudged(model, metamer, null)
    if (unfinished := resumption(model, metamer, settings, method)) is not None:
        save_unfinished(checkpoint_path(out, settings), unfinished)  # first: what has its new verdict is not judged again
    write_json(record_path(out, settings), metamer.evidence)
    return metamer


def null_notice(model: Model, null: NullDistribution | None, layers: Sequence[str], *, name: str) -> str | None:
    """A notice that metamers will stay unjudged, with the command to prevent that; None if all will be judged.

    Parameters
    ----------
    model : Model
    null : NullDistribution or None
        Null distribution that metamers will be judged by.
    layers : sequence of str
        Layers to be matched.
    name : str
        The model's name as `--model` takes it.
    """
    if hasattr(model.network, "matches"):  # statistics are judged by themselves
        return None
    wanted = list(dict.fromkeys(place for layer in layers for place in places(layer)))
    lacking = [place for place in wanted if null is None or not null.layers.get(place)]
    if not lacking:
        return None
    own = null is None and model.folder is not None
    out = f"{model.folder}/null.json" if own else f"{safe_name(model.name)}-null.json"
    at = "" if set(wanted) <= set(model.layers) and null is None else f" --layers {shlex.quote(','.join(wanted))}"
    what = "no null distribution" if null is None else f"no null distribution at {', '.join(lacking)}"
    then = "" if own else f", then --null {shlex.quote(out)} (in a plan: null)"
    command = f"audiometamer null SOUNDS --model {shlex.quote(name)}{at} --out {shlex.quote(out)}"
    return f"{model.name} has {what}: its metamers stay unjudged. Make one first: {command}{then}"
