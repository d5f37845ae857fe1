"""Listeners of published experiments: MATLAB files of the papers to one table, and that table back."""

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, did_you_mean, first_line
from audiometamer.io.files import write_text
from audiometamer.io.tables import TableRow, read_table, table_text
from audiometamer.models.inputs import NATURAL

PAPER = "feather2023"
FEATHER2023 = "Feather et al. 2023"
LISTENERS = "listeners.tsv"
FILES = "AudioExperiment*_network_vs_humans_datamatrix_*_public.mat"
COLUMNS = ("paper", "experiment", "network", "file", "participant", "layer", "observer", "proportion_correct")
_REQUIRED = COLUMNS[4:]
_OBSERVERS = ("human", "network")
_NAME = re.compile(r"AudioExperiment(\d+)_network_vs_humans_datamatrix_(\w+?)_public\.mat")
_VARIABLES = ("participant_data_matrix", "participants", "model_layers", "conditions", "axis_order")
_AXES = ("participants", "model_layers", "conditions")  # of the matrix, as `axis_order` in the files says


@dataclass(frozen=True)
class PublishedListeners:
    """Listeners of one published experiment at the metamers of one network, and that network on the same sounds.

    Parameters
    ----------
    paper, experiment : str
        Experiments have the numbers of the files (the paper calls 6, 7 and 8 its second, fifth and sixth); empty if not known.
    network : str
        The network whose metamers were heard, under the name by which ``audiometamer published`` fetches it.
    file : str
        Name of the file.
    listeners : list of str
    layers : list of str
        Layers under the names of this library; natural clips are ``natural``.
    human, recognised : array [shape=(listeners, layers)]
        Proportion correct of each listener, and of the network on the sounds that this listener heard; NaN: not known.
    """

    paper: str
    experiment: str
    network: str
    file: str
    listeners: list[str]
    layers: list[str]
    human: NDArray[np.float64]
    recognised: NDArray[np.float64]

    @property
    def source(self) -> str:
        """Where they come from: paper and file."""
        return ", ".join(part for part in (self.paper, self.file) if part)


def our_name(layer: str) -> str:
    """The name in this library of a layer that published files name.

    Examples
    --------
    >>> our_name("relu2_fakerelu"), our_name("input_after_preproc"), our_name("natural_audio")
    ('relu2', 'cochleagram', 'natural')
    """
    from audiometamer.networks import CochCNN9, CochResNet50, SpecTemp

    if layer == "natural_audio":
        return NATURAL
    return {**CochCNN9.aliases, **CochResNet50.aliases, **SpecTemp.aliases}.get(layer, layer)


def published_listeners(path: Path, out: Path, *, overwrite: bool = False) -> list[PublishedListeners]:
    """Convert the published matrices of listeners to one table, ``listeners.tsv``.

    Parameters
    ----------
    path : path
        One file of MATLAB, or a folder with any number of them at any depth, such as ``AuditoryBehavioralExperiments`` of the
        repository of Feather et al. (2023).
    out : path
        Folder for the table.
    overwrite : bool
        Replace a table in `out`. Default False.

    Returns
    -------
    list of PublishedListeners
        Sorted by experiment and name of the network.

    Raises
    ------
    AudioMetamerError
        If there is no such file, one of them is not what it should be, or `out` holds a table.
    """
    if (out / LISTENERS).exists() and not overwrite:
        raise AudioMetamerError(f"{out / LISTENERS} exists; overwrite replaces it")
    groups = read_matrices(path)
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / LISTENERS, table_text(COLUMNS, _rows(groups)))
    return groups


def read_matrices(path: Path) -> list[PublishedListeners]:
    """Read one published matrix, or all in a folder at any depth, sorted by experiment and network; see `read_matrix`."""
    files = [path] if path.is_file() else sorted(path.rglob(FILES))
    if not files:
        raise AudioMetamerError(f"{path} holds no {FILES}; it should be a copy of the folder AuditoryBehavioralExperiments")
    return sorted(map(read_matrix, files), key=lambda group: (int(group.experiment or 0), group.network))


def read_matrix(path: Path) -> PublishedListeners:
    """Read one published matrix: ``participant_data_matrix``, listeners × layers × (human, network).

    Raises
    ------
    AudioMetamerError
        If the file is not of MATLAB before 7.3, or the matrix is missing or of another shape.
    """
    content = _load(path)
    try:
        matrix, *names = (content[name] for name in _VARIABLES)
        values, (listeners, layers, observers, axes) = np.asarray(matrix, np.float64), map(_words, names)
    except (KeyError, ValueError, TypeError) as error:
        raise AudioMetamerError(f"{path} is not a published matrix of listeners: {first_line(error)}") from error
    shape = (len(listeners), len(layers), len(observers))
    if tuple(axes) != _AXES or values.shape != shape or sorted(map(str.casefold, observers)) != sorted(_OBSERVERS):
        raise AudioMetamerError(
            f"{path}: the matrix has shape {values.shape}, axes {', '.join(axes)} and observers {', '.join(observers)}; expected "
            f"{shape}, {', '.join(_AXES)} and human, network"
        )
    human, network = (values[:, :, [each.casefold() for each in observers].index(name)] for name in _OBSERVERS)
    found = _NAME.fullmatch(path.name)
    about = (FEATHER2023, found[1], _registered(found[2])) if found else ("", "", path.stem)
    return _checked(PublishedListeners(*about, path.name, listeners, [*map(our_name, layers)], human, network), path)


def _registered(network: str) -> str:
    """The name under which a network of the paper is fetched."""
    for theirs, ours in {"kell2018": "cochcnn9", "spectemp_filters": "spectemp", "_": "-"}.items():
        network = network.replace(theirs, ours)
    return network


def _load(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        return dict(loadmat(path, appendmat=False, variable_names=_VARIABLES))
    except NotImplementedError as error:
        raise AudioMetamerError(f"{path} is a file of MATLAB 7.3 (HDF5); save it there with -v7") from error
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read: {first_line(error)}") from error
    # What scipy raises on broken files: its documentation gives no complete list.
    except (MatReadError, zlib.error, ValueError, TypeError, LookupError, EOFError, OverflowError, MemoryError) as error:
        raise AudioMetamerError(f"{path} is not a file of MATLAB: {first_line(error)}") from error


def _words(values: Any) -> list[str]:
    """Texts of an array of characters (padded with blanks), of cells, or of numbers."""
    flat = [np.asarray(value).ravel() for value in np.asarray(values).ravel()]
    return [str(value[0]).strip() if len(value) else "" for value in flat]


def _checked(group: PublishedListeners, path: Path) -> PublishedListeners:
    """The listeners; raises if a proportion is none, or a name repeats."""
    for values in (group.human, group.recognised):
        wrong = values[~np.isnan(values) & ~((values >= 0) & (values <= 1))]
        if wrong.size:
            raise AudioMetamerError(f"{path}: a proportion correct is {wrong[0]:g}; it should be from 0 to 1")
    for names in (group.listeners, group.layers):
        if repeated := [name for name in names if names.count(name) > 1]:
            raise AudioMetamerError(f"{path} has {repeated[0]!r} several times")
    return group


def _rows(groups: Iterable[PublishedListeners]) -> Iterator[dict[str, Any]]:
    for group in groups:
        about = {"paper": group.paper, "experiment": group.experiment, "network": group.network, "file": group.file}
        for k, listener in enumerate(group.listeners):
            for j, layer in enumerate(group.layers):
                for observer, values in zip(_OBSERVERS, (group.human, group.recognised), strict=True):
                    if not np.isnan(values[k, j]):
                        value = float(values[k, j])
                        yield about | {
                            "participant": listener, "layer": layer, "observer": observer, "proportion_correct": value,
                        }  # fmt: skip


def read_published(path: Path) -> list[PublishedListeners]:
    """Read listeners from a table (see `published_listeners`), or from a published file of MATLAB or a folder of these.

    Tables need the columns ``participant``, ``layer``, ``observer`` (``human`` or ``network``) and ``proportion_correct``;
    ``paper``, ``experiment``, ``network`` and ``file`` distinguish several experiments.

    Raises
    ------
    AudioMetamerError
        If the file is not what it should be.
    """
    if path.is_dir() or path.suffix.lower() == ".mat":
        return read_matrices(path)
    groups: dict[tuple[str, ...], list[TableRow]] = {}
    for row in read_table(path, required=_REQUIRED):
        paper, experiment, network, file = (row.get(column, "").strip() for column in COLUMNS[:4])
        groups.setdefault((paper, experiment, network or path.stem, file or path.name), []).append(row)
    return [_checked(_group(key, rows, path), path) for key, rows in groups.items()]


def _group(key: Sequence[str], rows: Sequence[TableRow], path: Path) -> PublishedListeners:
    listeners = list(dict.fromkeys(row["participant"].strip() for row in rows))
    layers = list(dict.fromkeys(our_name(row["layer"].strip()) for row in rows))
    values = np.full((len(_OBSERVERS), len(listeners), len(layers)), np.nan)
    for row in rows:
        observer, layer = row["observer"].strip(), our_name(row["layer"].strip())
        if observer not in _OBSERVERS:
            raise AudioMetamerError(f"{path}, line {row.line}: observer {observer!r} should be human or network")
        place = _OBSERVERS.index(observer), listeners.index(row["participant"].strip()), layers.index(layer)
        if not np.isnan(values[place]):
            raise AudioMetamerError(f"{path}, line {row.line}: participant {row['participant']} has {layer} {observer} twice")
        values[place] = _proportion(row, path)
    paper, experiment, network, file = key
    return PublishedListeners(paper, experiment, network, file, listeners, layers, *values)


def _proportion(row: TableRow, path: Path) -> float:
    try:
        return float(row["proportion_correct"] or "nan")
    except ValueError as error:
        raise AudioMetamerError(
            f"{path}, line {row.line}: proportion_correct {row['proportion_correct']!r} is not a number"
        ) from error


def find_published(name: str) -> list[PublishedListeners]:
    """Find published listeners by name, or read them from a file.

    Parameters
    ----------
    name : str
        A file or folder, see `read_published`; or ``feather2023``, ``feather2023/NETWORK``, ``feather2023/experimentN`` or
        ``feather2023/experimentN/NETWORK``, if ``audiometamer published get feather2023/listeners`` has brought them.

    Raises
    ------
    AudioMetamerError
        If there is no such file, network or experiment, or the listeners of the paper are not on this computer.
    """
    if Path(name).exists():
        return read_published(Path(name))
    from audiometamer.models.published import published_entry

    paper, *parts = name.split("/")
    if paper != PAPER:
        names = f"{PAPER}, {PAPER}/NETWORK or {PAPER}/experimentN"
        raise AudioMetamerError(f"{name} is neither a table of listeners, nor a .mat file or a folder of them, nor {names}")
    entry = published_entry(f"{PAPER}/listeners")
    if not (table := entry.folder / LISTENERS).exists():
        raise AudioMetamerError(
            f"the listeners of {PAPER} are not here yet: `audiometamer published get {entry.name}` fetches them"
        )
    groups = read_published(table)
    for part in parts:
        known = dict.fromkeys(each for group in groups for each in (f"experiment{group.experiment}", group.network))
        if part not in known:
            raise AudioMetamerError(f"{name}: no listeners of {part}{did_you_mean(part, known)}; there are {', '.join(known)}")
        groups = [group for group in groups if part in (f"experiment{group.experiment}", group.network)]
    return groups
