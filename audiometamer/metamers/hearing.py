"""How probable a network finds its label for a sound, and whether the sound can hold anything that the network knows."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.signal import welch
from torch import Tensor

from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip

LOW_PROBABILITY = 0.9
"""A label with a lower probability is doubtful.

Chosen with 40 test words and 40 sentences of running speech in cochcnn-word and cochresnet-word: 39 of 40 words reach it in each,
and 11 and 10 of 40 sentences. So about a quarter of running speech goes unnoticed.
"""

BAND_HZ, EMPTY_DB = 4000.0, -60.0
"""A clip is empty above 4 kHz if at most this share of its power lies there.

Chosen between 120 recordings made at 8 kHz, all below -90 dB, and 120 made at 16 kHz, all above -50 dB.
"""
_LEAST_RATE = 10_000  # Hz; a model of a lower rate hears too little above 4 kHz
_FRAME = 1024


def probabilities(model: Model, logits: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Probability of the most likely label of each signal, by task, for tasks whose labels have names.

    Parameters
    ----------
    model : Model
    logits : mapping of str to Tensor [shape=(batch, classes)]
        Turned into probabilities by the softmax, or by the sigmoid where a sound can have several labels, unless they are
        probabilities already. Classes that share a label, as in a coarser grouping, add up to its probability.

    Returns
    -------
    dict of str to list of float
    """
    several = [] if model.card is None else model.card.multi_label
    named = model.named_labels()
    return {
        task: (x.double().sigmoid().amax(1) if task in several else _likeliest(x.double(), named[task])).tolist()
        for task, x in logits.items()
        if task in named
    }


def _likeliest(logits: Tensor, names: Sequence[str]) -> Tensor:
    """Probability of the label with the largest logit, [shape=(batch,)]."""
    ones = torch.ones(len(logits), dtype=logits.dtype, device=logits.device)
    is_distribution = bool((logits >= 0).all()) and torch.allclose(logits.sum(1), ones, atol=1e-4)
    by_class = logits if is_distribution else logits.softmax(1)
    label = torch.tensor([names.index(name) for name in names], device=logits.device)
    by_label = torch.zeros_like(by_class).index_add_(1, label, by_class)
    return by_label.gather(1, label[logits.argmax(1)][:, None])[:, 0]


def compare_labels(model: Model, clip: Clip, logits: Mapping[str, Tensor]) -> tuple[dict[str, tuple[float, float]], list[str]]:
    """Probabilities of the labels of a clip and its metamer by task, from their logits; and the `notices` about the clip."""
    found = {task: (natural, synthetic) for task, (natural, synthetic) in probabilities(model, logits).items()}
    return found, notices(model, clip, {task: natural for task, (natural, _) in found.items()})


def vocabulary(model: Model) -> dict[str, list[str]]:
    """Labels that a network chooses from, by task, each once."""
    return {task: list(dict.fromkeys(names)) for task, names in model.named_labels().items()}


def notices(model: Model, clip: Clip, found: Mapping[str, float]) -> list[str]:
    """Reasons to doubt that a clip holds anything that the network knows.

    Parameters
    ----------
    model : Model
    clip : Clip
    found : mapping of str to float
        Probability of the clip's label by task.

    Returns
    -------
    list of str
        Empty if there are none.
    """
    doubts = []
    for task, probability in found.items():
        if probability < LOW_PROBABILITY:
            doubts.append(
                f"{clip.name}: the {task} that {model.name} finds likeliest has a probability of {probability:.2f}, below "
                f"{LOW_PROBABILITY}; the clip may hold none of the {len(vocabulary(model)[task])} that it knows"
            )
    share = share_above(clip, BAND_HZ) if (model.sample_rate or 0) >= _LEAST_RATE else math.inf
    if share < EMPTY_DB:
        doubts.append(
            f"{clip.name}: no sound above {BAND_HZ / 1000:g} kHz ({share:.0f} dB of its power), though {model.name} takes "
            f"{model.sample_rate} Hz: a telephone, or a recording at 8 kHz?"
        )
    return doubts


def share_above(clip: Clip, frequency: float) -> float:
    """Share of a sound's power above a frequency in Hz, in dB: 10·log10(P_above / P).

    By Welch's method, in Hann windows of 1024 samples, between the first and the last sample that are not zero: the silence that
    pads a short clip, and the edge to it, are not part of the recording.
    """
    samples = clip.samples.double().flatten().numpy()
    sounding = np.flatnonzero(samples)
    if not len(sounding):
        return math.inf
    recording = samples[sounding[0] : sounding[-1] + 1]
    frequencies, power = welch(recording, clip.sample_rate or 1, nperseg=min(_FRAME, len(recording)))
    total = power.sum()
    return 10 * math.log10(max(power[frequencies > frequency].sum(), np.finfo(float).tiny) / total) if total else math.inf


def label_probabilities(model: Model, clip: Clip) -> dict[str, float]:
    """Probability of the label of a clip by task; see `probabilities`."""
    signal = clip.samples.to(dtype=model.dtype, device=model.device).view(1, *model.signal_shape)
    with torch.no_grad():
        found = probabilities(model, model.logits(model(signal)))
    return {task: values[0] for task, values in found.items()}
