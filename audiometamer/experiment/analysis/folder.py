"""An analysis as a folder: tables, a figure and a summary in words."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.analyse import RecognitionAnalysis, analyse
from audiometamer.experiment.analysis.beside import distinct_rows, stand_beside
from audiometamer.experiment.analysis.bids import write_beh
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.figures import draw_recognition
from audiometamer.experiment.analysis.logistic import mixed_logistic, write_logistic
from audiometamer.experiment.analysis.recognition import RecognitionRow
from audiometamer.experiment.analysis.settings import RecognitionSettings
from audiometamer.experiment.analysis.sources import AnalysisSources, layer_orders
from audiometamer.experiment.analysis.variance import Anova
from audiometamer.io.files import write_json, write_text
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.tables import write_table
from audiometamer.listening.exclusions import ExclusionRules, Stage, group_sizes
from audiometamer.listening.tables import write_listeners, write_trials
from audiometamer.statistics.anova import Effect

SUMMARY = "summary.txt"
BESIDE = "beside.json"
ANOVA_COLUMNS = ("test", "listeners", "groups", *Effect._fields)


def analyse_into(
    out: Path,
    sources: AnalysisSources,
    *,
    rules: ExclusionRules | None = None,
    settings: RecognitionSettings | None = None,
    chance: Chance | None = None,
    logistic: bool = False,
    bids: bool = False,
    overwrite: bool = False,
) -> tuple[RecognitionAnalysis, list[Path]]:
    """Analyse an experiment and write the results into a folder.

    Parameters
    ----------
    out : path
        See `write_recognition_analysis`.
    sources : AnalysisSources
    rules : Rules, optional
        Exclusion rules.
    settings : AnalysisSettings, optional
    chance : Chance, optional
        Chance level. Default: not known.
    logistic : bool
        Also fit mixed logistic models, into ``logistic.tsv``. Default False.
    bids : bool
        Also write all trials as a BIDS data set, into ``bids``. Default False.
    overwrite : bool
        Replace an analysis in `out`. Default False.

    Returns
    -------
    RecognitionAnalysis
    list of path
        Files written.

    Raises
    ------
    AudioMetamerError
        If `out` holds an analysis, no listener or no trial is left, or statsmodels is needed and not installed.
    """
    settings = settings or RecognitionSettings()
    layers = layer_orders(sources.trials, settings.layers)
    with exclusive_folder(out):
        if (out / SUMMARY).exists() and not overwrite:
            raise AudioMetamerError(f"{out} holds an analysis; choose another --out, or --overwrite it")
        analysis = analyse(
            sources.trials, sources.listeners, rules=rules, persons=sources.persons, layers=layers,
            recognised=sources.recognised, count_missing=settings.count_missing, resamples=settings.resamples,
            permutations=settings.permutations, seed=settings.seed,
        )  # fmt: skip
        beside = stand_beside(analysis.recognition, sources.beside, resamples=settings.resamples, seed=settings.seed)
        analysis = dataclasses.replace(analysis, beside=beside)
        paths = write_recognition_analysis(analysis, out, chance=chance)
        if logistic:
            paths.append(write_logistic(out / "logistic.tsv", mixed_logistic(analysis.trials)))
        if bids:
            paths.append(write_beh(out / "bids", sources.trials, analysis.exclusions.listeners))
    return analysis, paths


def write_recognition_analysis(analysis: RecognitionAnalysis, out: Path, *, chance: Chance | None = None) -> list[Path]:
    """Write an analysis as tables, a figure and words.

    Parameters
    ----------
    analysis : RecognitionAnalysis
    out : path
        Folder for ``trials.tsv``, ``listeners.tsv``, ``sample.tsv``, ``recognition.tsv``, ``anova.tsv``, ``recognition.png``,
        ``.pdf`` and ``.svg``, ``summary.txt``; with listeners of other experiments also ``beside.json``.
    chance : Chance, optional
        Chance level, for the summary and a line in the figure. Default: not known.

    Returns
    -------
    list of path
    """
    recognition = [*analysis.recognition, *distinct_rows(analysis.beside)]
    tables: dict[str, tuple[Sequence[str], Iterable[Mapping[str, Any]]]] = {
        "sample.tsv": (Stage.__struct_fields__, map(msgspec.structs.asdict, analysis.exclusions.stages)),
        "recognition.tsv": (RecognitionRow.__struct_fields__, map(msgspec.structs.asdict, recognition)),
        "anova.tsv": (ANOVA_COLUMNS, _anova_rows(analysis.tests)),
    }
    write_trials(out / "trials.tsv", analysis.trials)
    write_listeners(out / "listeners.tsv", analysis.exclusions.listeners)
    for name, (columns, rows) in tables.items():
        write_table(out / name, columns, rows)
    figures = draw_recognition(
        analysis.recognition, out / "recognition.png", chance=None if chance is None else chance.proportion,
        beside=analysis.beside,
    )  # fmt: skip
    (out / BESIDE).unlink(missing_ok=True)  # of an analysis that is replaced
    if analysis.beside:
        write_json(out / BESIDE, [each.record() for each in analysis.beside])
    write_text(out / SUMMARY, analysis.summary(chance=chance))
    written = [out / name for name in ("trials.tsv", "listeners.tsv", *tables)]
    return [*written, *figures, *[out / BESIDE] * bool(analysis.beside), out / SUMMARY]


def _anova_rows(tests: Mapping[str, Anova]) -> Iterator[dict[str, Any]]:
    """A row for each effect, or one for a test that has none."""
    for name, test in tests.items():
        about = {"test": name, "listeners": test.listeners, "groups": group_sizes(test.groups)}
        for effect in test.effects:
            yield {**about, **effect._asdict()}
        if not test.effects:
            yield {**about, "note": test.note}
