"""Find the state dict of a network in whatever a checkpoint holds."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few

_WRAPPER = re.compile(r"(?<=\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")  # torch's, around a module within
_COPIES = re.compile(r"(^|[._])(attacker|ema|teacher|momentum|swa)", re.IGNORECASE)  # of the network that is meant


class _Candidate(NamedTuple):
    """Tensors whose keys, after a prefix, are those of a network: `matches` of them."""

    path: str
    prefix: str
    matches: int
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        return ".".join(filter(None, (self.path, self.prefix.rstrip("."))))

    @property
    def is_copy(self) -> bool:
        return _COPIES.search(self.name) is not None

    def state(self) -> dict[str, Tensor]:
        """All tensors under the prefix, by the names of the bare network."""
        return {key.removeprefix(self.prefix): t for key, t in self.tensors.items() if key.startswith(self.prefix)}


def network_state(
    content: Any, keys: Collection[str], source: str | os.PathLike[str] = "the checkpoint"
) -> tuple[dict[str, Tensor], str]:
    """The tensors of a network in whatever was saved, by their names in the bare network.

    State dicts are searched for at any depth of dicts, and after any prefix that their keys share (``module.`` of DataParallel,
    ``model.`` of Lightning, ``_orig_mod.`` of compiled networks, …); the one with most of the network's keys is taken, a copy
    (``attacker``, ``ema``, …) only if there is nothing else. Anything next to it (a normalizer, an optimizer, a best accuracy) is
    left out; other tensors under the same prefix are kept.

    Parameters
    ----------
    content : object
        See `read_checkpoint`.
    keys : collection of str
        Keys of the network's state dict.
    source : path
        Name of the file, for messages.

    Returns
    -------
    dict of str to Tensor
    str
        The source, and where in it they were found, for messages.

    Raises
    ------
    AudioMetamerError
        If none of the keys is found.

    Warns
    -----
    AudioMetamerWarning
        If there are several such sets with different values, with the one that is taken.
    """
    found = [each for path, tensors in state_dicts(content) for each in _after_prefixes(path, tensors, set(keys))]
    if not found:
        present = [key for _, tensors in state_dicts(content) for key in tensors]
        what = f"its tensors are {first_few(present)}" if present else "it holds no tensors by name"
        raise AudioMetamerError(
            f"{source} holds no state dict of this network: {what}; the network's are {first_few(list(keys))}"
        )
    most = max(each.matches for each in found)
    best = min((each for each in found if each.matches > most / 2), key=lambda each: (each.is_copy, -each.matches))
    state = best.state()
    rivals = [each for each in found if each.matches == best.matches and each is not best and not each.is_copy]
    if others := [each.name for each in rivals if not _equal(each.state(), state)]:
        warnings.warn(
            f"{source} holds the weights of several such networks; those under {best.name!r} are taken, not {first_few(others)}",
            AudioMetamerWarning,
            stacklevel=2,
        )
    stray = [key for key, t in state.items() if key not in keys and t.ndim == 0 and "." not in key]  # an epoch, an accuracy
    where = f"{source} (under {best.name!r})" if best.name else str(source)
    return {key: t for key, t in state.items() if key not in stray}, where


def state_dicts(content: Any) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """All mappings of names to tensors in nested containers, with the path of the first occurrence; modules as state dicts."""
    waiting: list[tuple[str, Any]] = [("", content)]
    seen: set[int] = set()  # a container can contain itself
    while waiting:
        place, held = waiting.pop()
        if id(held) in seen or not isinstance(held, (nn.Module, list, tuple, Mapping)):
            continue
        seen.add(id(held))
        if isinstance(held, nn.Module):
            held = held.state_dict()
        if isinstance(held, (list, tuple)):
            held = dict(enumerate(held))
        if tensors := {_WRAPPER.sub("", key): t for key, t in held.items() if isinstance(key, str) and isinstance(t, Tensor)}:
            yield place, tensors
        inner = [(str(key if isinstance(key, (str, int)) else type(key).__name__), value) for key, value in held.items()]
        waiting += reversed([(f"{place}.{name}" if place else name, value) for name, value in inner])


def _after_prefixes(place: str, tensors: Mapping[str, Tensor], keys: set[str]) -> list[_Candidate]:
    """All prefixes after which some of the network's keys are found."""
    counts: Counter[str] = Counter()
    for key in tensors:
        parts = key.split(".")
        counts.update(key[: len(key) - len(rest)] for i in range(len(parts)) if (rest := ".".join(parts[i:])) in keys)
    return [_Candidate(place, prefix, n, tensors) for prefix, n in counts.items()]


def _equal(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
