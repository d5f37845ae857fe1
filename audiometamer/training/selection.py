"""Which recordings of several data sets are trained on, for which task, and how often."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError
from audiometamer.training.recordings import AudioFile, AudioPart, Recording

SOURCE = "source"  # the column of clips.csv
_LEARNED = ("train", "background")  # splits that a network learns from
_FEWEST_NATURAL = 2  # sounds, for a null distribution of pairs


class SourceRecipe(msgspec.Struct, forbid_unknown_fields=True, frozen=True, omit_defaults=True):
    """How the recordings of one source are used; sources are the values of the column ``source``.

    Parameters
    ----------
    tasks : list of str, optional
        Tasks that its labels count for. Default: all.
    weight : float
        Relative frequency of its recordings among those of the same class. Default 1; with 0 none is learned from, backgrounds
        included, but it is tested on.
    at_most : int, optional
        Maximum number of training recordings of each class of the recipe's first task; those without a label of it all
        count. Default: all.
    synthetic : bool
        Whether its voices are synthetic; see `Recipe.synthetic_share`. Default False.
    """

    tasks: list[str] | None = None
    weight: Annotated[float, Meta(ge=0)] = 1.0
    at_most: Annotated[int, Meta(ge=1)] | None = None
    synthetic: bool = False


Sources = Mapping[str, SourceRecipe]


def select(recordings: Sequence[Recording], sources: Sources, *, by: str, seed: int) -> list[Recording]:
    """The recordings with the labels that count, without those to learn from that have weight 0 or are beyond `at_most`.

    Parameters
    ----------
    recordings : sequence of Recording
    sources : mapping of str to SourceRecipe
    by : str
        Task whose classes `SourceRecipe.at_most` counts.
    seed : int
        Random seed of the choice among too many recordings, which depends on their names only.

    Raises
    ------
    AudioMetamerError
        If no recording is of one of the sources, or none has a label of one of the tasks that a source counts for.
    """
    found = {source_of(r) for r in recordings}
    if missing := sorted(sources.keys() - found):
        names = ", ".join(sorted(found - {""})) or "none (there is no column source)"
        raise AudioMetamerError(f"no recording has the source {', '.join(missing)}, which the recipe names; there are {names}")
    _check_tasks(recordings, sources)
    limited = [_with_tasks(r, sources) for r in recordings]
    left_out = _too_many(limited, sources, by, seed)
    return [
        recording
        for number, recording in enumerate(limited)
        if number not in left_out and (recording.split not in _LEARNED or _settings(recording, sources).weight > 0)
    ]


def weights(
    recordings: Sequence[Recording], sources: Sources, *, classes: NDArray[np.int64], synthetic_share: float | None
) -> NDArray[np.float64]:
    """Relative frequency of each recording.

    Within a class the frequencies are the sources' weights; if `synthetic_share` is given, synthetic voices have that share of
    the class, as far as it has both kinds. Labelled classes are equally frequent, and an unlabelled recording (class −1) is as
    frequent as a labelled one on average.

    Parameters
    ----------
    recordings : sequence of Recording
    sources : mapping of str to SourceRecipe
    classes : array of int [shape=(recordings,)]
    synthetic_share : float or None

    Returns
    -------
    array [shape=(recordings,)]
    """
    settings = [_settings(r, sources) for r in recordings]
    found = np.array([s.weight for s in settings])
    synthetic = np.array([s.synthetic for s in settings], dtype=bool)
    labelled = classes >= 0
    each = labelled.sum() / max(len(np.unique(classes[labelled])), 1)
    for number in np.unique(classes[labelled]):
        members = classes == number
        kinds = [(members & ~synthetic, 1 - (synthetic_share or 0)), (members & synthetic, synthetic_share or 0)]
        if synthetic_share is None or not all(kind.any() for kind, _ in kinds):
            kinds = [(members, 1.0)]
        for kind, share in kinds:
            found[kind] *= each * share / found[kind].sum()
    return found


def check_natural(recordings: Sequence[Recording], sources: Sources) -> None:
    """Raise if too few training recordings are natural for a null distribution.

    Raises
    ------
    AudioMetamerError
        If fewer than two are.
    """
    natural = sum(not _settings(r, sources).synthetic for r in recordings)
    if natural < _FEWEST_NATURAL:
        raise AudioMetamerError(
            f"{natural} of {len(recordings)} training recordings are of sources that are not synthetic; the null distribution "
            f"needs {_FEWEST_NATURAL} or more"
        )


def source_of(recording: Recording) -> str:
    """The source of a recording; empty if its data set names none."""
    return recording.groups.get(SOURCE, "")


def _settings(recording: Recording, sources: Sources) -> SourceRecipe:
    return sources.get(source_of(recording), SourceRecipe())


def _check_tasks(recordings: Sequence[Recording], sources: Sources) -> None:
    known = {task for recording in recordings for task in recording.labels}
    for name, source in sources.items():
        if unknown := sorted(set(source.tasks or ()) - known):
            raise AudioMetamerError(
                f"source {name} counts for task {', '.join(unknown)}, of which no recording has a label; the data have labels "
                f"of task {', '.join(sorted(known)) or 'none'}"
            )


def _with_tasks(recording: Recording, sources: Sources) -> Recording:
    tasks = _settings(recording, sources).tasks
    if tasks is None or not isinstance(recording, AudioFile | AudioPart) or recording.split == "background":
        return recording
    return replace(recording, labels={task: names for task, names in recording.labels.items() if task in tasks})


def _too_many(recordings: Sequence[Recording], sources: Sources, by: str, seed: int) -> set[int]:
    """Numbers of the training recordings beyond `at_most` of their source and class."""
    groups: dict[tuple[str, tuple[str, ...]], list[int]] = defaultdict(list)
    for number, recording in enumerate(recordings):
        classes = recording.labels.get(by, ())
        if recording.split == "train" and classes and _settings(recording, sources).at_most is not None:
            groups[source_of(recording), classes].append(number)
    left_out: set[int] = set()
    for (source, _), numbers in groups.items():
        limit = sources[source].at_most
        left_out.update(sorted(numbers, key=lambda n: _drawn(recordings[n].name, seed))[limit:])
    return left_out


def _drawn(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed} {name.rsplit('/', 2)[-2:]}".encode()).digest()
