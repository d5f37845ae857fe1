"""A folder of metamers as one HTML page that needs no network: players, cochleagrams, verdicts, loss curves, evaluation."""

import base64
import csv
import hashlib
import html
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

import msgspec
import numpy as np

from audiometamer.audio import read_samples
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.evaluation.thumbnails import Painter
from audiometamer.files import whole_file
from audiometamer.metamers.evidence import Evidence, Try
from audiometamer.metamers.files import read_evidence, read_index, verdict_word
from audiometamer.version import __version__

_GENERATOR = '<meta name="generator" content="audiometamer report'
_MOST_POINTS = 60  # of a loss curve: more than the pixels it is drawn on can show
_MOST_NAMED = 5
_FAINTEST = 0.1  # of the median RMS: a sound fainter than that does not pull the level of all others down

Progress = Callable[[float, str], None]


class _Signal(msgspec.Struct, frozen=True):
    """A file beside the page: what it is (sound, picture, other), where, its cochleagram, its level; None where it is missing."""

    kind: str
    name: str
    url: str | None
    picture: str | None
    rms: float | None


class _Original(msgspec.Struct, frozen=True):
    clip: str
    model: str
    signal: _Signal
    figure: str | None
    notices: list[str]


class _Attempt(msgspec.Struct, frozen=True):
    what: str
    outcome: str
    steps: int
    at: list[int]
    losses: list[float]


class _Row(msgspec.Struct, frozen=True):
    """One metamer, as the page's script takes it; `similarity` is layer to [SNR in dB, ρ, R²]."""

    original: int
    signal: _Signal
    record: str
    layer: str
    seed: int
    verdict: str
    labels: list[list[str]]
    margin: dict[str, float]
    similarity: dict[str, list[float | None]]
    method: str
    loss: str
    attempts: list[_Attempt]
    kept: int
    seconds: float
    peak: float


class _Picture(msgspec.Struct, frozen=True):
    name: str
    url: str
    width: int
    height: int


class _Evaluation(msgspec.Struct, frozen=True):
    pictures: list[_Picture]
    columns: list[str]
    rows: list[list[str]]


class _Page(msgspec.Struct, frozen=True):
    """All that the page shows; `level` is the RMS that every sound is played at."""

    title: str
    version: str
    level: float | None
    originals: list[_Original]
    metamers: list[_Row]
    missing: list[str]
    evaluation: _Evaluation


@dataclass(frozen=True)
class _Folder:
    """The metamers of one clip and model: they share an original, a figure and the scale of their cochleagrams."""

    path: Path
    metamers: list[tuple[Path, Evidence]]


def make_report(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    redraw: bool = False,
    progress: Progress = lambda done, message: None,
) -> Path:
    """Write a page to look and listen through a folder of metamers.

    Sounds and images stay where they are and the page refers to them; cochleagrams are drawn into a folder beside the page, named
    after it (``report_files``), and kept for the next time. Sounds are played at equal RMS, that of the faintest one (of those
    within 20 dB of the median), since a browser can only turn a sound down; no file is changed.

    Parameters
    ----------
    folder : path
        The --out folder of synth, with its ``index.tsv``.
    out : path, optional
        The page. Default: ``report.html`` in `folder`. A page made here before is replaced, any other file is not.
    evaluation : path, optional
        A folder with ``evaluation.tsv`` and PNGs, as `audiometamer evaluate` writes them. Default: `folder`, if it has any.
    redraw : bool
        Whether cochleagrams are drawn again that are there already. Default False.
    progress : callable
        Told the share that is done and what is going on.

    Returns
    -------
    path
        Of the page.

    Raises
    ------
    AudioMetamerError
        If the list, a record, a sound or the evaluation cannot be read, or was written by another version; if there is a file at
        `out` that is not such a page.

    Warns
    -----
    AudioMetamerWarning
        If sounds are missing; the page names all of them.
    """
    folder = Path(folder)
    page = folder / "report.html" if out is None else Path(out)
    _check_replaceable(page)
    listed = read_index(folder)
    if not listed:
        raise AudioMetamerError(f"{folder / 'index.tsv'} lists no metamers; there is nothing to report")
    shown = _read_evaluation(folder if evaluation is None else Path(evaluation), page.parent, asked=evaluation is not None)
    originals, rows, missing = _read_metamers(folder, listed, page, redraw=redraw, progress=progress)
    if missing:
        names = ", ".join(missing[:_MOST_NAMED]) + (" and others; the page names all" if len(missing) > _MOST_NAMED else "")
        warnings.warn(f"{len(missing)} file(s) are missing in {folder}: {names}", AudioMetamerWarning, stacklevel=2)
    signals = [row.signal for row in rows] + [original.signal for original in originals]
    title = folder.resolve().name
    content = _Page(title, __version__, _common_level([s.rms for s in signals if s.rms]), originals, rows, missing, shown)
    with whole_file(page) as temporary:
        temporary.write_text(_html(content), encoding="utf-8", newline="\n")
    return page


def _check_replaceable(page: Path) -> None:
    if page.is_dir():
        raise AudioMetamerError(f"{page} is a folder; --out takes the name of a file")
    if page.exists():
        with page.open("rb") as file:
            if _GENERATOR.encode() not in file.read(1000):
                raise AudioMetamerError(f"{page} was not made by audiometamer report and is not replaced; choose another --out")


def _read_metamers(
    folder: Path, listed: Sequence[Path], page: Path, *, redraw: bool, progress: Progress
) -> tuple[list[_Original], list[_Row], list[str]]:
    """Originals, metamers and the names of missing files."""
    groups: dict[Path, _Folder] = {}
    for path in listed:
        groups.setdefault(path.parent, _Folder(path.parent, [])).metamers.append((path, read_evidence(path)))
    painter, pictures = Painter(), page.with_name(f"{page.stem}_files")
    originals: list[_Original] = []
    rows: list[_Row] = []
    missing: list[str] = []
    for group in groups.values():
        first = group.metamers[0][0]
        files = [first.with_name(f"original{first.suffix}"), *(path for path, _ in group.metamers)]
        missing += [file.relative_to(folder).as_posix() for file in files if not file.exists()]
        drawn = {f: pictures / f.relative_to(folder).with_suffix(".png") for f in files if f.suffix == ".wav" and f.exists()}
        if drawn:
            painter.draw(list(drawn), list(drawn.values()), anew=redraw)

        def signal(file: Path, rms: float | None, drawn: dict[Path, Path] = drawn) -> _Signal:
            kind = {".wav": "sound", ".png": "picture"}.get(file.suffix, "other")
            picture = _url(drawn[file], page.parent) if file in drawn else None
            url = _url(file, page.parent) if file.exists() else None
            return _Signal(kind, file.relative_to(folder).as_posix(), url, picture, rms)

        originals.append(_original(group, signal(files[0], _rms(files[0])), page.parent))
        for path, evidence in group.metamers:
            own = signal(path, evidence.rms if path in drawn else None)
            rows.append(_row(evidence, own, len(originals) - 1, _url(path.with_suffix(".json"), page.parent)))
        progress(len(rows) / len(listed), f"{len(rows)} of {len(listed)} metamers")
    return originals, rows, missing


def _original(group: _Folder, signal: _Signal, base: Path) -> _Original:
    evidence, figure = group.metamers[0][1], group.path / "figure.png"
    return _Original(
        evidence.settings.clip, evidence.settings.model, signal, _url(figure, base) if figure.exists() else None,
        evidence.clip_notices,
    )  # fmt: skip


def _row(evidence: Evidence, signal: _Signal, original: int, record: str) -> _Row:
    settings, verdict = evidence.settings, evidence.verdict
    similarity = {
        layer: [_rounded(measured[metric]) for metric in ("snr_db", "spearman_rho", "pearson_r2")]
        for layer, measured in evidence.similarity.items()
    }
    return _Row(
        original, signal, record, settings.layer, settings.seed, verdict_word(verdict.passed),
        [[task, *pair] for task, pair in verdict.labels.items()],
        {metric: float(f"{value:.4g}") for metric, value in verdict.margin.items()}, similarity, settings.method, settings.loss,
        [_attempt(t) for t in evidence.tries], evidence.kept, round(evidence.seconds, 1), evidence.peak,
    )  # fmt: skip


def _attempt(tried: Try) -> _Attempt:
    chosen = np.unique(np.linspace(0, len(tried.losses) - 1, min(len(tried.losses), _MOST_POINTS)).round().astype(int))
    losses = [float(f"{tried.losses[i]:.4g}") for i in chosen]
    return _Attempt(tried.attempt, tried.outcome, tried.steps, [tried.loss_steps[i] for i in chosen], losses)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rms(path: Path) -> float | None:
    """Of a sound; None for what is none, or is missing."""
    if path.suffix != ".wav" or not path.exists():
        return None
    return float(np.sqrt(np.mean(np.square(read_samples(path)[0]))))


def _common_level(levels: Sequence[float]) -> float | None:
    """The RMS that all sounds are played at: of the faintest within 20 dB of the median."""
    if not levels:
        return None
    faintest = _FAINTEST * float(np.median(levels))
    return min(level for level in levels if level >= faintest)


def _read_evaluation(folder: Path, base: Path, *, asked: bool) -> _Evaluation:
    """What `audiometamer evaluate` has left in a folder."""
    from PIL import Image, UnidentifiedImageError

    table, pictures = folder / "evaluation.tsv", []
    for path in sorted(folder.glob("*.png")):
        try:
            with Image.open(path) as image:
                pictures.append(_Picture(path.stem.replace("_", " "), _url(path, base), *image.size))
        except (OSError, UnidentifiedImageError) as error:
            raise AudioMetamerError(f"{path} is not a picture: {error}") from error
    if asked and not pictures and not table.exists():
        raise AudioMetamerError(f"{folder} holds no evaluation.tsv and no PNG; give the --out folder of audiometamer evaluate")
    columns, rows = _read_table(table) if table.exists() else ([], [])
    return _Evaluation(pictures, columns, rows)


def _read_table(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            columns, *rows = list(csv.reader(file, delimiter="\t", strict=True)) or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AudioMetamerError(f"{path} cannot be read as a table: {error}") from error
    for line, row in enumerate(rows, start=2):
        if len(row) != len(columns):
            raise AudioMetamerError(f"{path}, line {line}: {len(row)} cells; there should be {len(columns)}")
    return columns, rows


def _url(path: Path, base: Path) -> str:
    """The address of a file for a page in the folder `base`."""
    return quote(Path(os.path.relpath(path, base)).as_posix())


def _html(page: _Page) -> str:
    """The page: template, style, script and data in one. Only this style and this script may run; nothing may be fetched."""
    here = files(__package__)
    template, style, script = (here.joinpath(f"report.{ending}").read_text(encoding="utf-8") for ending in ("html", "css", "js"))
    data = msgspec.json.encode(page).decode()
    for character in "<>&\u2028\u2029":  # nothing in the data can end its block
        data = data.replace(character, f"\\u{ord(character):04x}")
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src 'self' file:; "
        f"media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )
    return Template(template).substitute(
        generator=f'{_GENERATOR} {__version__}">', policy=html.escape(policy), title=html.escape(page.title), style=style,
        data=data, script=script,
    )  # fmt: skip


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
