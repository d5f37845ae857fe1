"""Networks and sounds that papers published: what they are, where they are, and where they lie once they are fetched."""

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec
import platformdirs

from audiometamer.errors import AudioMetamerError
from audiometamer.io.paths import is_safe_relative_path
from audiometamer.io.toml_files import read_toml
from audiometamer.io.toml_problems import Problem

NETWORKS = {"cochcnn9": "CochCNN9", "cochresnet50": "CochResNet50", "spectemp": "SpecTemp"}  # classes
ALIASES = {"kell2018": "cochcnn9", "resnet50": "cochresnet50", "spectemp_filts_time_average_coch1": "spectemp"}  # published

_FILE = Path(__file__).with_name("published.toml")
_NAME = re.compile(r"[a-z0-9]+/[a-z0-9-]+")
_NAMES = re.compile(rf"(?<![\w./-]){_NAME.pattern}(?![\w./-])")  # in what names a model
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PERMUTED = "-permuted"
_BYTES = 4  # of a number, as folders of models hold it
# Numbers in a state dict without its read-outs, and of a read-out for each class; to list sizes without torch.
_NUMBERS = {"cochcnn9": (106_969_671, 4097), "cochresnet50": (23_554_933, 2049), "spectemp": (0, 23_422)}


class _Paper(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    reference: str
    repository: str
    commit: str
    licence: str
    networks: str  # the archive
    layers: dict[str, list[str]]  # by network, without the last


class _Archive(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    address: str
    gigabytes: float


class _ReadOuts(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    labels: list[str]  # names under `data`
    classes: dict[str, int]


class _Network(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    what: str
    member: str
    network: str
    read_outs: str = "word"
    trained: list[str] = []
    permuted_seed: int | None = None
    correct_percent: float | None = None
    sha256: str = ""


class _Data(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    what: str
    file: str = ""
    files: dict[str, str] = {}  # instead of one: their SHA-256 by path after the address
    archive: str = ""
    address: str = ""
    megabytes: float = 0
    sha256: str = ""


class _Registry(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    papers: dict[str, _Paper]
    archives: dict[str, _Archive]
    read_outs: dict[str, _ReadOuts]
    networks: dict[str, _Network]
    data: dict[str, _Data]


class Published(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a paper published.

    Parameters
    ----------
    name : str
        As in ``feather2023/cochresnet50``.
    kind : {"network", "control", "data"}
        A control is made from another network, by permuting its tensors.
    what : str
        What it is, in a few words.
    paper, repository, licence : str
        The paper, the repository that names the files, and its licence.
    address : str
        Address of the archive, or of the file if it is no archive's member, or of the folder of `files`.
    gigabytes : float
        Size of what is at the address, in 10⁹ bytes, as it is published.
    in_archive : bool
        Whether `member` is one of the files of a tar at the address.
    member : str
        The file: its name, or the end of its path where several have the same name. Empty where there are `files`.
    sha256 : str
        SHA-256 of the file, where it is known. Default: unknown.
    files : dict of str to str
        SHA-256 of each file by its path after the address, where there are several. Default: none.
    network : str
        Class of the network, as `import_checkpoint` names it. Default: none, as for sounds.
    labels : tuple of str
        Names of the published files with the names of its classes.
    classes : dict of str to int
        Number of classes of each read-out.
    trained : tuple of str
        The read-outs that were trained.
    layers : tuple of str
        The layers that the paper examines, from input to output.
    correct_percent : float, optional
        Percentage of the metamers of the cochleagrams of the paper's clips that it labels correctly, as the repository says.
    permuted_seed : int, optional
        Seed with which a control's tensors are permuted.
    """

    name: str
    kind: Literal["network", "control", "data"]
    what: str
    paper: str
    repository: str
    licence: str
    address: str
    gigabytes: float
    in_archive: bool
    member: str
    sha256: str = ""
    files: dict[str, str] = {}
    network: str = ""
    labels: tuple[str, ...] = ()
    classes: dict[str, int] = {}
    trained: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    correct_percent: float | None = None
    permuted_seed: int | None = None

    @property
    def original(self) -> str:
        """Name of the network that a control is made from; otherwise its own."""
        return self.name.removesuffix(_PERMUTED) if self.kind == "control" else self.name

    @property
    def folder(self) -> Path:
        """Where it lies once it is fetched."""
        return published_home() / ("data" if self.kind == "data" else "models") / self.original

    @property
    def is_here(self) -> bool:
        """Whether it has been fetched."""
        return self.folder.is_dir()

    def kept_gigabytes(self) -> float:
        """Size of a network's folder, in 10⁹ bytes; 0 for anything else."""
        if not self.network:
            return 0.0
        body, each_class = _NUMBERS[self.network]
        return (body + each_class * sum(self.classes.values())) * _BYTES / 1e9


def published_home() -> Path:
    """The folder of what has been fetched: the environment's ``AUDIOMETAMER_HOME``, or the platform's folder for caches.

    Examples
    --------
    >>> import os
    >>> os.environ["AUDIOMETAMER_HOME"] = "/data/audiometamer"
    >>> published_home().as_posix()
    '/data/audiometamer'
    >>> del os.environ["AUDIOMETAMER_HOME"]
    """
    moved = os.environ.get("AUDIOMETAMER_HOME")
    return Path(moved).expanduser() if moved else Path(platformdirs.user_cache_dir("audiometamer", appauthor=False))


@cache
def published() -> Mapping[str, Published]:
    """All that is registered, by name.

    Examples
    --------
    >>> published()["feather2023/cochresnet50"].member
    'cochresnet_wsn_word.pt'
    """
    read = read_toml(_FILE, _Registry, _problems)
    found = [each for name, network in read.networks.items() for each in _networks(name, network, read)]
    found += [_data(name, data, read) for name, data in read.data.items()]
    return {each.name: each for each in found}


def published_entry(name: str) -> Published:
    """What is registered under a name.

    Raises
    ------
    AudioMetamerError
        If there is nothing.
    """
    if (found := published().get(name)) is not None:
        return found
    nearest = [known for known in published() if known.endswith(f"/{name}")] or difflib.get_close_matches(
        name, published(), n=1, cutoff=0.75
    )
    hint = f" (did you mean {nearest[0]!r}?)" if nearest else ""
    raise AudioMetamerError(f"no published network or data set is called {name!r}{hint}; `audiometamer published list` lists all")


def is_published(name: str) -> bool:
    """Whether a name begins as those of a registered paper do."""
    return _NAME.fullmatch(name) is not None and any(known.startswith(f"{name.partition('/')[0]}/") for known in published())


def published_folder(name: str) -> Path:
    """The folder of a published network that has been fetched; of a control, that of its original.

    Raises
    ------
    AudioMetamerError
        If there is no such network, or it is not here yet, with the way to fetch it.
    """
    entry = published_entry(name)
    if entry.kind == "data":
        raise AudioMetamerError(f"{name} is not a model ({entry.what}): `audiometamer published get {name}` fetches it")
    if not entry.is_here:
        raise AudioMetamerError(
            f"{name} is not here yet: `audiometamer published get {name}` fetches it (in Python, "
            f"audiometamer.published.get({name!r}))"
        )
    return entry.folder


def missing_models(text: str) -> list[str]:
    """The published networks that the name of a model, a control or several models names, and that are not here yet."""
    found = [name for name in _NAMES.findall(text) if name in published() and published()[name].kind != "data"]
    return [name for name in dict.fromkeys(found) if not published()[name].is_here and not Path(name).is_dir()]


def _networks(name: str, network: _Network, read: _Registry) -> Iterator[Published]:
    """A network, and its permuted control if there is one."""
    paper, read_outs = read.papers[name.partition("/")[0]], read.read_outs[network.read_outs]
    archive, classes = read.archives[paper.networks], read_outs.classes
    trained = tuple(network.trained or classes)
    last = ["final"] if len(classes) == 1 else [f"final/{task}" for task in trained]
    entry = Published(
        name=name,
        kind="network",
        what=network.what,
        paper=paper.reference,
        repository=paper.repository,
        licence=paper.licence,
        address=archive.address,
        gigabytes=archive.gigabytes,
        in_archive=True,
        member=network.member,
        sha256=network.sha256,
        network=network.network,
        labels=tuple(read_outs.labels),
        classes=classes,
        trained=trained,
        layers=(*paper.layers[network.network], *last),
        correct_percent=network.correct_percent,
    )
    yield entry
    if network.permuted_seed is not None:
        yield msgspec.structs.replace(
            entry,
            name=f"{name}{_PERMUTED}",
            kind="control",
            what=f"Control: the tensors of {name}, permuted",
            correct_percent=None,
            permuted_seed=network.permuted_seed,
        )


def _data(name: str, data: _Data, read: _Registry) -> Published:
    paper = read.papers[name.partition("/")[0]]
    archive = read.archives[data.archive] if data.archive else _Archive(data.address, data.megabytes / 1e3)
    return Published(
        name=name,
        kind="data",
        what=data.what,
        paper=paper.reference,
        repository=paper.repository,
        licence=paper.licence,
        address=archive.address,
        gigabytes=archive.gigabytes,
        in_archive=bool(data.archive),
        member=data.file,
        sha256=data.sha256,
        files=data.files,
    )


def _problems(read: _Registry) -> Iterator[Problem]:
    for name, network in read.networks.items():
        yield from _entry_problems(read, f"networks.{name}", name, network.member, network.sha256)
        paper = read.papers.get(name.partition("/")[0])
        if network.network not in NETWORKS or (paper and network.network not in paper.layers):
            yield Problem(f"networks.{name}.network", f"must be one of {', '.join(NETWORKS)} with layers in the paper's table")
        yield from _missing(f"networks.{name}.read_outs", [network.read_outs], read.read_outs)
        if network.read_outs in read.read_outs:
            yield from _missing(f"networks.{name}.trained", network.trained, read.read_outs[network.read_outs].classes)
    for name, data in read.data.items():
        if bool(data.file) == bool(data.files):
            yield Problem(f"data.{name}", "must have a file or files, not both")
        for file, sha256 in ({data.file: data.sha256} if data.file else data.files).items():
            yield from _entry_problems(read, f"data.{name}", name, file, sha256)
        if bool(data.archive) == bool(data.address):
            yield Problem(f"data.{name}", "must have an archive or an address, not both")
        yield from _missing(f"data.{name}.archive", [data.archive] if data.archive else [], read.archives)
    for name, paper in read.papers.items():
        yield from _missing(f"papers.{name}.networks", [paper.networks], read.archives)
    for name, read_outs in read.read_outs.items():
        yield from _missing(f"read_outs.{name}.labels", read_outs.labels, read.data)


def _entry_problems(read: _Registry, place: str, name: str, member: str, sha256: str) -> Iterator[Problem]:
    if not _NAME.fullmatch(name) or name.endswith(_PERMUTED) or name.partition("/")[0] not in read.papers:
        yield Problem(place, "must be named after a paper of the file, as in feather2023/cochresnet50")
    if not is_safe_relative_path(member):
        yield Problem(place, f"must have a member that is a relative path, not {member!r}")
    if sha256 and not _SHA256.fullmatch(sha256):
        yield Problem(f"{place}.sha256", "must be 64 hexadecimal digits")


def _missing(place: str, names: Iterable[str], known: Iterable[str]) -> Iterator[Problem]:
    known = [*known]
    for name in names:
        if name not in known:
            yield Problem(place, f"must be one of {', '.join(known)}, not {name!r}")
