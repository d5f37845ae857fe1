"""Measures of recognition, computed from logits and labels: one number for each sound.

=======================  ============================================================================================
``accuracy``             whether the judge's label is the true one (of those that are known, and are one of its classes)
``top5_accuracy``        whether the true label is among its five highest logits
``label_agreement``      whether it gives a metamer the label that it gave the clip
``generator_agreement``  whether its label is the one that the generating model gave the clip
``top5_agreement``       whether the label that it gave the clip is among the five highest logits of the metamer
``top5_overlap``         proportion of the five highest logits of the clip that are among those of the metamer
``logit_correlation``    Pearson correlation of the logits of clip and metamer
=======================  ============================================================================================

Those with five are left out of tasks with five classes or fewer. `accuracy` is what Feather et al. (2023) report;
`generator_agreement` is the same wherever the generating model was right. `label_agreement` needs no labels from outside.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from audiometamer.statistics.arrays import FloatArray

RECOGNITION = ("accuracy", "label_agreement")  # shown in figures: the first if true labels are known
_TOP = 5


def metamer_measures(
    clip: FloatArray, metamer: FloatArray, classes: Sequence[str], truths: Sequence[str | None], generator: Sequence[str | None]
) -> dict[str, FloatArray]:
    """Compute every measure for each metamer, NaN where a label is not known.

    Parameters
    ----------
    clip, metamer : array [shape=(sounds, classes)]
        Logits.
    classes : sequence of str
    truths, generator : sequence of str or None
        True label of each sound's clip, and the label that the generating model gave it.

    Returns
    -------
    dict of str to array [shape=(sounds,)]
    """
    answers = clip.argmax(1)
    found = clip_measures(metamer, classes, truths, generator)
    found["label_agreement"] = (metamer.argmax(1) == answers).astype(float)
    found["logit_correlation"] = _row_correlation(clip, metamer)
    if len(classes) > _TOP:
        top = [_top(logits) for logits in (clip, metamer)]
        found["top5_agreement"] = top[1][np.arange(len(answers)), answers].astype(float)
        found["top5_overlap"] = (top[0] & top[1]).sum(1) / _TOP
    return found


def clip_measures(
    logits: FloatArray, classes: Sequence[str], truths: Sequence[str | None], generator: Sequence[str | None]
) -> dict[str, FloatArray]:
    """Like `metamer_measures`, restricted to measures that compare a sound with a label rather than with a clip."""
    answers, true = logits.argmax(1), _numbers(truths, classes)
    found = {
        "accuracy": _where_known(answers == true, true),
        "generator_agreement": _where_known(answers == _numbers(generator, classes), _numbers(generator, classes)),
    }
    if len(classes) > _TOP:
        found["top5_accuracy"] = _where_known(_top(logits)[np.arange(len(true)), true], true)
    return found


def _numbers(labels: Sequence[str | None], classes: Sequence[str]) -> NDArray[np.int64]:
    """Class number of each label; −1 if it is not among the classes."""
    numbers = {name: i for i, name in enumerate(classes)}
    return np.array([-1 if label is None else numbers.get(label, -1) for label in labels], dtype=np.int64)


def _where_known(correct: NDArray[np.bool_], numbers: NDArray[np.int64]) -> FloatArray:
    return np.where(numbers >= 0, correct, np.nan)


def _top(logits: FloatArray) -> NDArray[np.bool_]:
    """Mark the five highest logits; of equal ones, the first."""
    top = np.zeros(logits.shape, bool)
    np.put_along_axis(top, np.argsort(-logits, axis=1, kind="stable")[:, :_TOP], True, axis=1)
    return top


def _row_correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Pearson correlation of rows; 0 where either is constant."""
    a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
    norms = np.sqrt((a * a).sum(1) * (b * b).sum(1))
    return np.divide((a * b).sum(1), norms, out=np.zeros(len(a)), where=norms > 0).clip(-1, 1)
