"""A folder of metamers as one HTML page that works offline: players, cochleagrams, verdicts, loss curves, evaluation."""

import base64
import hashlib
import html
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from string import Template
from urllib.parse import quote

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.callbacks import Progress, silent
from audiometamer.io.files import atomic_write
from audiometamer.io.hashes import file_sha256
from audiometamer.io.tables import read_cells
from audiometamer.metamers.evidence import AttemptRecord, Evidence
from audiometamer.metamers.figure import draw_figure
from audiometamer.metamers.files import metamer_from_result
from audiometamer.metamers.integrity import check_original
from audiometamer.metamers.layout import REPORT
from audiometamer.metamers.results import Result, read_results
from audiometamer.metamers.saving import evidence_from_result
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.model import Model
from audiometamer.report.thumbnails import Painter
from audiometamer.signals.audio import read_samples
from audiometamer.version import __version__

_GENERATOR = '<meta name="generator" content="audiometamer report'
_MOST_POINTS = 40  # in a loss curve: as fine as its drawing
_MOST_NAMED = 5
_FAINTEST = 0.1  # of the median RMS: a fainter sound does not lower the level of all others


class _Signal(msgspec.Struct, frozen=True):
    """A file beside the page: its kind (sound, picture, other), name, address, cochleagram and level; None if missing."""

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
    """One metamer, as the page's script takes it; `similarity` maps layers to [SNR in dB, ρ, R²].

    `classes` holds name, SNR and RMS error of each class of statistics.
    """

    original: int
    signal: _Signal
    record: str
    layer: str
    seed: int
    verdict: str
    labels: list[list[str]]
    classes: list[tuple[str, float | None, float]]
    margin: dict[str, float | None]
    similarity: dict[str, list[float | None]]
    method: str
    loss: str
    attempt: str
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
    """Everything that the page shows; `level` is the RMS at which every sound is played."""

    title: str
    version: str
    level: float | None
    originals: list[_Original]
    metamers: list[_Row]
    missing: list[str]
    evaluation: _Evaluation


@dataclass(frozen=True)
class _Places:
    """The folder of metamers, and the page that refers to them."""

    folder: Path
    page: Path

    def url(self, path: Path) -> str:
        """The address of a file relative to the page."""
        return quote(Path(os.path.relpath(path, self.page.parent)).as_posix())

    def picture(self, sound: Path) -> Path:
        """The file of the cochleagram of a sound."""
        return self.page.with_name(f"{self.page.stem}_files") / sound.relative_to(self.folder).with_suffix(".png")

    def signal(self, path: Path, rms: float | None) -> _Signal:
        kind = {".wav": "sound", ".png": "picture"}.get(path.suffix, "other")
        name = path.relative_to(self.folder).as_posix()
        if not path.exists():
            return _Signal(kind, name, None, None, None)
        is_sound = kind == "sound"
        return _Signal(kind, name, self.url(path), self.url(self.picture(path)) if is_sound else None, rms if is_sound else None)


def make_report(
    folder: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    evaluation: str | os.PathLike[str] | None = None,
    redraw: bool = False,
    progress: Progress = silent,
    open_model: Callable[[str], Model] | None = None,
) -> Path:
    """Write a page for looking at and listening to a folder of metamers.

    The page refers to sounds and images where they are; cochleagrams are drawn into a folder beside the page, named after it
    (``report_files``), and reused by later reports. Sounds are played at equal RMS, that of the faintest sound within 20 dB of
    the median, since a browser can only attenuate; no file is changed.

    Parameters
    ----------
    folder : path
        The --out folder of `audiometamer synth`, or a set that `audiometamer run` made.
    out : path, optional
        File of the page. Default: ``report.html`` in `folder`. An earlier report is replaced, any other file is not.
    evaluation : path, optional
        Folder with ``evaluation.tsv`` and PNGs, as `audiometamer evaluate` writes them. Default: `folder`, if it has any.
    redraw : bool
        Whether to redraw existing cochleagrams. Default False.
    progress : callable
        Called with the fraction done and a description of the current work. Default: not called.
    open_model : callable, optional
        Maps a model's name in the records to the model, to draw missing figures of clips and models beside the cochleagrams;
        each takes about a second. Default: only figures that `synth` has drawn are shown.

    Returns
    -------
    path
        File of the page.

    Raises
    ------
    AudioMetamerError
        If the folder holds no metamers; if a record, a sound or the evaluation cannot be read, or was written by another version;
        if the file at `out` is not such a page.

    Warns
    -----
    AudioMetamerWarning
        If sounds are missing; the page names all of them.
    """
    folder = Path(folder)
    places = _Places(folder, folder / REPORT if out is None else Path(out))
    _check_replaceable(places.page)
    listed = read_results(folder)
    shown = _read_evaluation(places, folder if evaluation is None else Path(evaluation), asked=evaluation is not None)
    figures = None if open_model is None else _Figures(cache(open_model), redraw)
    originals, rows = _read_metamers(places, listed, redraw=redraw, figures=figures, progress=progress)
    signals = [original.signal for original in originals] + [row.signal for row in rows]
    missing = [signal.name for signal in signals if signal.url is None]
    if missing:
        names = ", ".join(missing[:_MOST_NAMED]) + (" and others; the page lists all" if len(missing) > _MOST_NAMED else "")
        warnings.warn(f"{len(missing)} file(s) are missing in {folder}: {names}", AudioMetamerWarning, stacklevel=2)
    level = _common_level([signal.rms for signal in signals if signal.rms])
    page = _html(_Page(folder.resolve().name, __version__, level, originals, rows, missing, shown))
    with atomic_write(places.page) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return places.page


def _check_replaceable(page: Path) -> None:
    if page.is_dir():
        raise AudioMetamerError(f"{page} is a folder; --out takes the name of a file")
    if page.exists():
        with page.open("rb") as file:
            if _GENERATOR.encode() not in file.read(1000):
                raise AudioMetamerError(f"{page} was not made by audiometamer report and is not replaced; choose another --out")


def _read_metamers(
    places: _Places, listed: Sequence[Result], *, redraw: bool, figures: "_Figures | None", progress: Progress
) -> tuple[list[_Original], list[_Row]]:
    """Read originals and metamers; those of one clip and model share an original and the scale of their cochleagrams."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    file_hash = cache(file_sha256)
    for result in listed:
        settings = result.evidence.settings
        original = places.folder / result.original
        if original.suffix in (".wav", ".png") and original.exists():  # other files are only linked to
            check_original(result, file_hash)
        groups.setdefault((settings.clip, settings.model, result.original), []).append(result)
    painter = Painter()
    originals: list[_Original] = []
    rows: list[_Row] = []
    for metamers in groups.values():
        files = [places.folder / metamers[0].original, *(result.path for result in metamers)]
        sounds = [file for file in files if file.suffix == ".wav" and file.exists()]
        painter.draw(sounds, [places.picture(sound) for sound in sounds], redraw=redraw)
        evidences = [evidence_from_result(result) for result in metamers]
        figure = _figure(places, metamers, figures)
        originals.append(_original(places, files[0], evidences[0], figure))
        for result, evidence in zip(metamers, evidences, strict=True):
            rows.append(_row(places, result, evidence, len(originals) - 1))
        progress(len(rows) / len(listed), f"{len(rows)} of {len(listed)} metamers")
    return originals, rows


@dataclass(frozen=True)
class _Figures:
    """How to draw missing figures."""

    open_model: Callable[[str], Model]
    redraw: bool


def _figure(places: _Places, metamers: Sequence[Result], figures: _Figures | None) -> Path | None:
    """The figure of one clip's metamers of a model, drawn by `synth` or by a report; None if there is none.

    Of several seeds it shows the first.
    """
    drawn = metamers[0].figure
    if drawn.exists():
        return drawn
    drawn = places.picture(drawn)
    if figures is not None and (figures.redraw or not drawn.exists()):
        shown = [metamer_from_result(result) for result in metamers if result.seed == min(each.seed for each in metamers)]
        draw_figure(figures.open_model(metamers[0].evidence.settings.model), shown, drawn)
    return drawn if drawn.exists() else None


def _original(places: _Places, path: Path, evidence: Evidence, figure: Path | None) -> _Original:
    return _Original(
        evidence.settings.clip, evidence.settings.model, places.signal(path, _rms(path)),
        None if figure is None else places.url(figure), _notices(evidence),
    )  # fmt: skip


def _notices(evidence: Evidence) -> list[str]:
    """Notices about the clip, and the limits of the model."""
    return [*evidence.clip_notices, *(f"{evidence.settings.model}: {limit}" for limit in evidence.limits)]


def _labels(evidence: Evidence) -> list[list[str]]:
    """By task: the labels of clip and metamer, their probabilities, and the number of classes; the last two may be empty."""
    rows = []
    for task, pair in evidence.verdict.labels.items():
        probabilities = "; ".join(f"{p:.2f}" for p in evidence.probabilities.get(task, ()))
        rows.append([task, *pair, probabilities, str(evidence.classes.get(task, ""))])
    return rows


def _row(places: _Places, result: Result, evidence: Evidence, original: int) -> _Row:
    path = result.path
    settings, verdict = evidence.settings, evidence.verdict
    similarity = {
        layer: [_rounded(measured[metric]) for metric in ("snr_db", "spearman_rho", "pearson_r2")]
        for layer, measured in evidence.similarity.items()
    }
    return _Row(
        original, places.signal(path, evidence.rms), places.url(result.folder / result.record), settings.layer, settings.seed,
        verdict_word(verdict.passed), _labels(evidence),
        [(name, _rounded(match.snr_db), float(f"{match.rms_error:.3g}")) for name, match in verdict.classes.items()],
        {metric: _rounded(value) for metric, value in verdict.margin.items()}, similarity, settings.method, settings.loss,
        result.evidence.attempt, [_attempt(each) for each in evidence.tries], result.evidence.kept_attempt,
        round(evidence.seconds, 1), evidence.peak,
    )  # fmt: skip


def _attempt(record: AttemptRecord) -> _Attempt:
    chosen = np.unique(np.linspace(0, len(record.losses) - 1, min(len(record.losses), _MOST_POINTS)).round().astype(int))
    losses = [float(f"{record.losses[i]:.3g}") for i in chosen]
    return _Attempt(record.attempt, record.outcome, record.steps, [record.loss_steps[i] for i in chosen], losses)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _rms(path: Path) -> float | None:
    """The RMS of a sound; None if the file is not a sound or is missing."""
    if path.suffix != ".wav" or not path.exists():
        return None
    return float(np.sqrt(np.mean(np.square(read_samples(path)[0]))))


def _common_level(levels: Sequence[float]) -> float | None:
    """The RMS at which all sounds are played: that of the faintest within 20 dB of the median."""
    if not levels:
        return None
    faintest = _FAINTEST * float(np.median(levels))
    return min(level for level in levels if level >= faintest)


def _read_evaluation(places: _Places, folder: Path, *, asked: bool) -> _Evaluation:
    """Read the results of `audiometamer evaluate` in a folder."""
    from PIL import Image, UnidentifiedImageError

    table, pictures = folder / "evaluation.tsv", []
    for path in sorted(folder.glob("*.png")):
        try:
            with Image.open(path) as image:
                pictures.append(_Picture(path.stem.replace("_", " "), places.url(path), *image.size))
        except (OSError, UnidentifiedImageError) as error:
            raise AudioMetamerError(f"{path} is not a picture: {error}") from error
    if asked and not pictures and not table.exists():
        raise AudioMetamerError(f"{folder} holds no evaluation.tsv and no PNG; give the --out folder of audiometamer evaluate")
    columns, rows = read_cells(table) if table.exists() else ([], [])
    return _Evaluation(pictures, columns, rows)


def _html(page: _Page) -> str:
    """The page: template, style, script and data in one. Only this style and this script may run; nothing may be fetched."""
    here = files(__package__)
    template, style, script = (here.joinpath(f"report.{ending}").read_text(encoding="utf-8") for ending in ("html", "css", "js"))
    data = msgspec.json.encode(page).decode()
    for character in "<>&\u2028\u2029":  # so that nothing in the data ends its block
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
