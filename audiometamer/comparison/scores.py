"""Scores of controversial sounds: how far one model hears one word in them, and another model another.

Golan, Raju & Kriegeskorte 2020, PNAS 117, 29330.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from audiometamer.errors import AudioMetamerError, did_you_mean, first_few
from audiometamer.models.model import Model

ReadOut = Literal["softmax", "sigmoid"]


def smooth_minimum(values: Tensor, alpha: float) -> Tensor:
    """−log Σ exp(−α z) / α over the last dimension: below the minimum of n values by ln(n) / α at most.

    Examples
    --------
    >>> round(float(smooth_minimum(torch.tensor([1.0, 1.0]), 1.0)), 4)  # 1 − ln 2
    0.3069
    """
    return -torch.logsumexp(-alpha * values, -1) / alpha


def controversy_terms(first: Tensor, second: Tensor, read_out: ReadOut) -> Tensor:
    """Terms whose minimum is to be large (Golan et al. 2020, equation 4).

    Parameters
    ----------
    first, second : Tensor [shape=(batch, classes)]
        Logits of the two models, of which the first two classes are those of the first model's word and of the second model's;
        see `with_words_first`.
    read_out : {"softmax", "sigmoid"}

    Returns
    -------
    Tensor [shape=(batch, 2) or (batch, 4)]
        With softmax, the log probability of each model's own word. With sigmoid, the logits of those, and minus the logit of
        each model for the other's word.
    """
    if read_out == "softmax":
        return torch.stack([F.log_softmax(first, -1)[:, 0], F.log_softmax(second, -1)[:, 1]], -1)
    return torch.stack([first[:, 0], -second[:, 0], -first[:, 1], second[:, 1]], -1)


def hard_score(first: Tensor, second: Tensor, read_out: ReadOut) -> Tensor:
    """min{p₁(A), 1 − p₂(A), 1 − p₁(B), p₂(B)} of the logits of `controversy_terms`, from 0 to 1, shape=(batch,).

    With softmax it also shows a sound that only raises a third word, which the terms alone do not.
    """
    p, q = (torch.sigmoid(z) if read_out == "sigmoid" else torch.softmax(z, -1) for z in (first, second))
    return torch.stack([p[:, 0], 1 - q[:, 0], 1 - p[:, 1], q[:, 1]], -1).amin(-1)


def with_words_first(logits: Tensor, words: Tensor) -> Tensor:
    """Logits [shape=(batch, classes)] with two classes of each row first; words [shape=(batch, 2)] holds their numbers."""
    others = torch.ones_like(logits, dtype=torch.bool).scatter(1, words, False)
    rest = logits[others].view(len(logits), -1)
    return torch.cat([logits.gather(1, words), rest], 1)


def task_with(model: Model, words: tuple[str, str], task: str | None) -> tuple[str, tuple[int, int]]:
    """The task of a model that has both words among its classes, and their numbers: classes are mapped by name.

    Raises
    ------
    AudioMetamerError
        If the model has no labels, no such task or word, or the words are the same.
    """
    labels = model.named_labels()
    if not labels:
        raise AudioMetamerError(f"{model.name} has no labels; classes of two models are mapped by their names")
    if task is not None and task not in labels:
        raise AudioMetamerError(f"{model.name} has no task {task!r}; it has {', '.join(labels)}")
    if words[0] == words[1]:
        raise AudioMetamerError(f"both words are {words[0]!r}; models disagree about two different ones")
    tasks = [task] if task is not None else list(labels)
    for name in tasks:
        if set(words) <= set(labels[name]):
            return name, (labels[name].index(words[0]), labels[name].index(words[1]))
    known = [label for name in tasks for label in labels[name]]
    missing = next((word for word in words if word not in known), words[1])
    hint = did_you_mean(missing, known) or f"; it has {first_few(known)}"
    raise AudioMetamerError(
        f"{model.name} has no class {missing!r} {'with ' + repr(words[0]) if missing in known else ''}".rstrip() + hint
    )
