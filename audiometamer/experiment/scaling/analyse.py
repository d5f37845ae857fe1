"""The analysis of a scaling experiment: scales, models in order, and all of it as a folder."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.experiment.scaling.figures import draw_scaling
from audiometamer.experiment.scaling.fits import (
    ListenerScale,
    PooledScale,
    ScalingSettings,
    fit_all,
    fit_listener,
    pair_answers,
)
from audiometamer.experiment.scaling.path import PathSounds
from audiometamer.experiment.scaling.predicted import PredictedScale, read_predicted
from audiometamer.experiment.scaling.ranking import RankedScale, Ranking, rank_models
from audiometamer.io.files import write_text
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.tables import write_table
from audiometamer.listening.exclusions import ExclusionRules, Exclusions, Stage, exclude
from audiometamer.listening.folder import Experiment
from audiometamer.listening.tables import ListenerRow, TrialRow

SUMMARY = "summary.txt"
SCALE_COLUMNS = (
    "listener",
    "number",
    "file",
    "position",
    "scale",
    "low",
    "high",
    "sigma",
    "sigma_low",
    "sigma_high",
    "answers",
    "note",
)


@dataclass(frozen=True)
class ScalingAnalysis:
    """The results of a scaling experiment.

    Parameters
    ----------
    sounds : PathSounds
    exclusions : Exclusions
    listeners : dict of str to ListenerScale
        By listener.
    pooled : PooledScale
        All listeners together.
    predicted : list of PredictedScale
    ranking : Ranking
    """

    sounds: PathSounds
    exclusions: Exclusions
    listeners: dict[str, ListenerScale]
    pooled: PooledScale
    predicted: list[PredictedScale]
    ranking: Ranking

    @property
    def summary(self) -> str:
        """The results in words."""
        fitted = self.pooled.fitted
        scale = " ".join(f"{value:.3f}" for value in fitted.scale)
        lines = [
            self.exclusions.statement,
            f"Scale of all listeners: {scale}; sigma {fitted.sigma:.3f}{_interval(fitted.sigma_interval)}.",
            *([f"All listeners: {self.pooled.note}."] if self.pooled.note else []),
            *self._notes(),
        ]
        if self.ranking.models:
            ends = [f"{one.bits:.3f} (scale of {one.layer})" for one in self.ranking.ceiling]
            lines += [f"Noise ceiling: {' to '.join(ends)} bits per answer.", *map(_in_words, self.ranking.models)]
        return "\n".join(lines) + "\n"

    def _notes(self) -> Iterator[str]:
        """One line for each kind of note, with the listeners whom it concerns."""
        by_note: dict[str, list[str]] = {}
        for name, scale in self.listeners.items():
            if scale.note:
                by_note.setdefault(scale.note, []).append(name)
        for note, names in by_note.items():
            yield f"Listener{'s' * (len(names) > 1)} {first_few(names, 10)}: {note}."


def analyse_scaling(
    experiment: Experiment,
    trials: Sequence[TrialRow],
    listeners: Sequence[ListenerRow] = (),
    *,
    predicted: Sequence[PredictedScale] = (),
    rules: ExclusionRules | None = None,
    settings: ScalingSettings | None = None,
) -> ScalingAnalysis:
    """Fit the scale of each listener and of all together, and rank models by how well theirs explain the answers.

    Parameters
    ----------
    experiment : Experiment
        A scaling experiment.
    trials : sequence of TrialRow
    listeners : sequence of ListenerRow
        Default: none; listeners are known from their trials only.
    predicted : sequence of PredictedScale
        Scales of models. Default: none.
    rules : ExclusionRules, optional
        Default: the headphone check of the design, and no other rule.
    settings : ScalingSettings, optional

    Returns
    -------
    ScalingAnalysis

    Raises
    ------
    AudioMetamerError
        If the experiment compares no pairs, a trial is none of its trials, no listener is left, or all answers together determine
        no scale.
    """
    settings = settings or ScalingSettings()
    answers, sounds = pair_answers(experiment, trials), path_of(experiment)
    rules = rules or ExclusionRules(headphones=experiment.design.headphones.minimum, demonstration=None, catch=None)
    exclusions = exclude(trials, listeners, rules)
    kept = {name: own for name, own in answers.items() if name in exclusions.kept}
    scales = {
        name: fit_listener(own, len(sounds.files), settings, seed=settings.seed + k) for k, (name, own) in enumerate(kept.items())
    }
    used = {name: own for name, own in kept.items() if not scales[name].note.startswith("left out")}
    if not used:
        raise AudioMetamerError(
            f"no listener is left to analyse: listener {next(iter(scales))}: {next(iter(scales.values())).note}"
        )
    pooled = fit_all(used, settings)
    if len(pooled.fitted.scale) < len(sounds.files):
        raise AudioMetamerError(f"nobody answered a trial with {sounds.files[-1]}; a scale needs answers about all sounds")
    ranking = rank_models(predicted, used, pooled, sounds.places, settings)
    return ScalingAnalysis(sounds, exclusions, scales, pooled, [*predicted], ranking)


def path_of(experiment: Experiment) -> PathSounds:
    """The sounds of a scaling experiment."""
    path: Any = getattr(experiment.design, "path", None)
    if path is None:
        raise AudioMetamerError(f"{experiment.folder} compares no pairs of sounds; `audiometamer experiment analyse` analyses it")
    return PathSounds(path.sounds, path.positions)


def analyse_scaling_into(
    out: Path,
    experiment: Experiment,
    trials: Sequence[TrialRow],
    listeners: Sequence[ListenerRow] = (),
    *,
    predicted: Sequence[Path] = (),
    rules: ExclusionRules | None = None,
    settings: ScalingSettings | None = None,
    overwrite: bool = False,
) -> tuple[ScalingAnalysis, list[Path]]:
    """Analyse a scaling experiment and write the results into a folder.

    Parameters
    ----------
    out : path
        Folder for ``scales.tsv``, ``measured.tsv`` (the scale of all, as `audiometamer distortions score` takes it),
        ``models.tsv``, ``sample.tsv``, ``scales.png``, ``.pdf`` and ``.svg``, and ``summary.txt``.
    experiment : Experiment
        A scaling experiment.
    trials, listeners : sequence of TrialRow, sequence of ListenerRow
    predicted : sequence of path
        See `audiometamer.experiment.scaling.predicted.read_predicted`. Default: none.
    rules, settings
        As in `analyse_scaling`.
    overwrite : bool
        Replace an analysis in `out`. Default False.

    Returns
    -------
    ScalingAnalysis
    list of path
        Files written.

    Raises
    ------
    AudioMetamerError
        As `analyse_scaling`, and if `out` holds an analysis, or a scale cannot be read.
    """
    scales = read_predicted(predicted, path_of(experiment).places)
    with exclusive_folder(out):
        if (out / SUMMARY).exists() and not overwrite:
            raise AudioMetamerError(f"{out} holds an analysis; choose another --out, or --overwrite it")
        analysis = analyse_scaling(experiment, trials, listeners, predicted=scales, rules=rules, settings=settings)
        return analysis, _write(out, analysis)


def _write(out: Path, analysis: ScalingAnalysis) -> list[Path]:
    sounds, pooled, ranking = analysis.sounds, analysis.pooled, analysis.ranking
    resampled = [f"resample{k}" for k in range(len(pooled.resampled))]
    rows = [row for name, scale in analysis.listeners.items() for row in _scale_rows(name, scale, sounds)]
    measured = [
        {"position": x, "scale": f"{fitted:.6f}", **{name: f"{value:.6f}" for name, value in zip(resampled, column, strict=True)}}
        for x, fitted, column in zip(sounds.positions, pooled.fitted.scale, pooled.resampled.T, strict=True)
    ]
    models = [msgspec.structs.asdict(row) for row in (*ranking.models, *ranking.ceiling)]
    tables: dict[str, tuple[Sequence[str], Sequence[dict[str, Any]]]] = {
        "scales.tsv": (SCALE_COLUMNS, [*_scale_rows("all", ListenerScale(0, pooled.fitted, pooled.note), sounds), *rows]),
        "measured.tsv": (("position", "scale", *resampled), measured),
        "models.tsv": (RankedScale.__struct_fields__, models),
        "sample.tsv": (Stage.__struct_fields__, [msgspec.structs.asdict(stage) for stage in analysis.exclusions.stages]),
    }
    for name, (columns, cells) in tables.items():
        write_table(out / name, columns, cells)
    figures = draw_scaling(
        out / "scales.png", sounds.places, analysis.listeners, pooled, analysis.predicted, ranking
    )  # fmt: skip
    write_text(out / SUMMARY, analysis.summary)
    return [*(out / name for name in tables), *figures, out / SUMMARY]


def _scale_rows(name: str, scale: ListenerScale, sounds: PathSounds) -> Iterator[dict[str, Any]]:
    """A row for each sound; one with the note alone if there is no scale."""
    common = {"listener": name, "answers": scale.answers or None, "note": scale.note}
    if scale.fitted is None:
        yield common
        return
    fitted = scale.fitted
    low, high = fitted.intervals if fitted.intervals is not None else np.full((2, len(sounds.files)), np.nan)
    ends = dict(zip(("sigma_low", "sigma_high"), fitted.sigma_interval or (), strict=False))
    for k, (file, position) in enumerate(zip(sounds.files, sounds.positions, strict=True)):
        cells = {"scale": fitted.scale[k], "low": low[k], "high": high[k], "sigma": fitted.sigma, **ends}
        shown = {key: f"{value:.6f}" if np.isfinite(value) else None for key, value in cells.items()}
        yield common | {"number": k, "file": file, "position": position} | shown


def _interval(ends: tuple[float, float] | None) -> str:
    return "" if ends is None else f" ({ends[0]:.3f} to {ends[1]:.3f})"


def _in_words(row: RankedScale) -> str:
    """A line of the summary about a model."""
    bits = f"{row.bits:.3f}{_interval(None if row.low is None or row.high is None else (row.low, row.high))} bits per answer"
    behind = "" if row.behind is None else f", {row.behind:.3f}{_interval(_ends(row))} behind the best"
    score = "" if row.score_low is None or row.score_high is None else _interval((row.score_low, row.score_high))
    return (
        f"{row.rank}. {row.name}: {bits}{behind}; {100 * row.agreement:.0f} % of answers agree; "
        f"area score {row.score:.2f}{score}, area {row.area:.2f}."
    )


def _ends(row: RankedScale) -> tuple[float, float] | None:
    return None if row.behind_low is None or row.behind_high is None else (row.behind_low, row.behind_high)
