"""The outputs of a network: logits by task, and the names of their classes."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from audiometamer.errors import AudioMetamerError
from audiometamer.io.label_files import checked_labels

Names = Sequence[str] | Mapping[str, Sequence[str]]
_ONLY_TASK = "word"


def class_names(labels: Names | Mapping[int, str] | None) -> Names | None:
    """Names of all classes, or of those of each task, in the order of the classes.

    Parameters
    ----------
    labels : sequence of str, or mapping of str to sequences of str
        Instead of a sequence, a mapping from numbers to names, such as the `id2label` of a configuration.

    Raises
    ------
    AudioMetamerError
        If the numbers are not 0, 1, 2, …, if the labels have another form, or if a name is blank or occurs twice.
    """
    if labels is None:
        return None
    if isinstance(labels, Mapping) and not _numbered(labels):
        return checked_labels({str(task): _in_order(names, f" of task {task!r}") for task, names in labels.items()}, "labels")
    return checked_labels({_ONLY_TASK: _in_order(labels, "")}, "labels")[_ONLY_TASK]


def _numbered(labels: Mapping[Any, Any]) -> bool:
    """Whether a mapping goes from numbers to names, not from tasks to lists of names."""
    return bool(labels) and all(isinstance(name, str) for name in labels.values())


def _in_order(labels: Any, whose: str) -> list[str]:
    if isinstance(labels, Mapping):
        numbers = {int(key): name for key, name in labels.items() if str(key).isdecimal()}
        if sorted(numbers) != list(range(len(labels))):
            found = ", ".join(map(repr, list(labels)[:5]))
            raise AudioMetamerError(f"the labels{whose} have the keys {found}; they must be the class numbers 0, 1, 2, …")
        labels = [numbers[i] for i in range(len(numbers))]
    if isinstance(labels, str) or not hasattr(labels, "__iter__"):
        raise AudioMetamerError(f"the labels{whose} are {labels!r}; they must be a list of names, one for each class")
    return [str(name) for name in labels]


def extract_logits(output: Any, only_task: str = _ONLY_TASK) -> dict[str, Tensor]:
    """A network's output as logits [shape=(batch, classes)] by task; empty if it is not of that form."""
    outputs = output if isinstance(output, Mapping) else {only_task: output}
    return {str(task): t for task, t in outputs.items() if isinstance(t, Tensor) and t.ndim == 2 and not t.is_complex()}


def check_labels(name: str, labels: Names, output: Any) -> None:
    """Raise unless labels name every class of some tasks of a network, or of the only one.

    An output without labels, such as an embedding beside the logits, is not taken for an answer.

    Parameters
    ----------
    name : str
        Name of the model, for messages.
    labels : sequence of str, or mapping of str to sequences of str
    output : Any
        The network's output for a batch.
    """
    found = extract_logits(output, next(iter(labels)) if isinstance(labels, Mapping) and len(labels) == 1 else _ONLY_TASK)
    if not found:
        raise AudioMetamerError(
            f"labels were given, but {name} returns {_describe(output)} instead of logits (batch, classes); "
            f"{_suggest_fix(output)}"
        )
    answered = ", ".join(f"{task} ({logits.shape[1]} classes)" for task, logits in found.items())
    if not isinstance(labels, Mapping):
        if len(found) > 1:
            raise AudioMetamerError(f"the labels are one list, and {name} has several tasks, {answered}: give a list for each")
        labels = dict.fromkeys(found, labels)
    if not labels.keys() <= found.keys():
        raise AudioMetamerError(f"the labels are for the tasks {', '.join(labels)}; {name} has {answered}: label some of these")
    for task, names in labels.items():
        if len(names) != found[task].shape[1]:
            raise AudioMetamerError(f"{len(names)} labels are given for task {task!r}; {name} has {answered}")


def _describe(output: Any) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of shape {tuple(output.shape)}"
    return f"a {type(output).__name__} of {len(output)}" if hasattr(output, "__len__") else f"a {type(output).__name__}"


def _suggest_fix(output: Any) -> str:
    if isinstance(output, Tensor) and output.ndim == 3 and output.shape[1] == 1:
        return "flatten it: am.Model(nn.Sequential(network, nn.Flatten()), …)"
    if isinstance(getattr(output, "logits", None), Tensor):
        return "keep them: network.register_forward_hook(lambda module, args, output: output.logits)"
    if isinstance(output, (tuple, list)) and output and isinstance(output[0], Tensor) and output[0].ndim == 2:
        return "keep its first item: network.register_forward_hook(lambda module, args, output: output[0])"
    return "let it return these, or leave the labels out"
