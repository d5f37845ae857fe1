"""Build an experiment from a stimulus set and a design: lists, key, sounds, texts and page, all before the first listener."""

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from audiometamer.experiment.answer_list import AnswerList, answer_list, answer_problems, write_answers
from audiometamer.experiment.available import NATURAL_CONDITION, AvailableStimuli, read_available_stimuli
from audiometamer.experiment.design import Conditions, Design, read_design
from audiometamer.experiment.excerpts import exemplars_by_duration
from audiometamer.experiment.lists import PlannedTrial, check_words, draw_alternatives, draw_trials, with_numbers, words_of
from audiometamer.experiment.sounds import ExperimentSounds, Stimulus
from audiometamer.io.draws import Draws, equalize_mtimes, keyed_draws
from audiometamer.io.files import atomic_folder, json_text, refuse_existing, write_text
from audiometamer.io.tables import write_table
from audiometamer.io.toml_files import error_context, problems_raised, raise_problems
from audiometamer.io.toml_problems import Problem
from audiometamer.listening import folder as layout
from audiometamer.listening.building import check_names, check_trials, copied_texts, headphone_checks, write_checks, write_parts
from audiometamer.listening.trials import Lists, Trial, TrialList
from audiometamer.stimuli.verify import manifest_sha256
from audiometamer.version import __version__

_SELECTION = "selection.tsv"
_MISSING_COLUMNS = ("clip", "model", "layer", "seed", "reason", "instead")


class BuiltExperiment(NamedTuple):
    """A built experiment.

    Parameters
    ----------
    requested : Design
        Design as read.
    design : Design
        Design with all defaults filled in.
    available : AvailableStimuli
    lists : list of list of PlannedTrial
        The trials of each listener, without the headphone check.
    unheard : int
        Number of words that are not presented to any listener.
    """

    requested: Design
    design: Design
    available: AvailableStimuli
    lists: list[list[PlannedTrial]]
    unheard: int


def build(stimulus_set: Path, design: Path, out: Path, *, key: Path | None = None) -> BuiltExperiment:
    """Build the folder of an experiment; see `audiometamer.listening.folder`.

    The same set, design, seed and private key give the same files, except for the secret that opens the results. Without the
    key, nobody can compute a name, an order or a right answer.

    Parameters
    ----------
    stimulus_set : path
    design : path
        See `audiometamer.experiment.design.Design`.
    out : path
    key : path, optional
        Private key: the ``names.key`` of another experiment. Default: a fresh one.

    Raises
    ------
    AudioMetamerError
        If `out` exists, the private key cannot be read, something is wrong with the design, the set lacks something that the
        design asks for, or a sound cannot be read, is silent or would clip.
    """
    refuse_existing(out)
    requested = read_design(design)
    draws = keyed_draws(requested.seed, key)
    available, problems = read_available_stimuli(stimulus_set, design, requested)
    if requested.excerpts is not None and not problems:
        with error_context(design, "excerpts"):
            available = exemplars_by_duration(available, requested.excerpts, stimulus_set)
    answers = answer_list(design, requested, available)
    problems += [*_word_problems(requested, available), *answer_problems(design, requested, available, answers)]
    raise_problems(design, problems)
    numbered = with_numbers(requested, words_of(available, requested.once))
    planned = draw_trials(words_of(available, requested.once), available.conditions, numbered, draws)
    sounds = ExperimentSounds.named(planned, available, requested, draws)
    checks = headphone_checks(requested, draws)
    check_names(design, sounds.names.values(), checks, requested)
    resolved = _resolved(numbered, available)
    with atomic_folder(out) as folder:
        rms = sounds.write(folder / layout.SOUNDS, stimulus_set, draws)
        write_checks(folder / layout.SOUNDS, checks, resolved, draws, rms=rms)
        equalize_mtimes((folder / layout.SOUNDS).iterdir())
        _copy_parts(folder, design, requested, answers)
        write_parts(folder, design, requested, resolved, sounds.key | checks, draws)
        write_table(folder / layout.MISSING, _MISSING_COLUMNS, _missing_rows(available, requested))
        lists = [_list(k, trials, sounds, [*checks], answers, draws) for k, trials in enumerate(planned, start=1)]
        drawn = Lists(requested.seed, __version__, manifest_sha256(stimulus_set), lists, keyed=True)
        write_text(folder / layout.LISTS, json_text(drawn))
    return BuiltExperiment(requested, resolved, available, planned, _unheard(requested, available, planned))


def _word_problems(design: Design, available: AvailableStimuli) -> Iterator[Problem]:
    """Too few words for the trials of a design."""
    if available.clips and available.has(design.once):
        words = words_of(available, design.once)
        yield from problems_raised("trials", partial(check_words, words, with_numbers(design, words)))


def _unheard(design: Design, available: AvailableStimuli, planned: Sequence[Sequence[PlannedTrial]]) -> int:
    """The number of words that no listener hears."""
    heard = {trial.clip for trials in planned for trial in trials}
    return sum(heard.isdisjoint(clips) for clips in available.words(design.once))


def _resolved(design: Design, available: AvailableStimuli) -> Design:
    """A design whose numbers are given with all other defaults filled in, and its files relative to the experiment's folder."""
    metamers = [condition for condition in available.conditions if condition != NATURAL_CONDITION]
    conditions = Conditions(
        natural=design.natural,
        models=list(dict.fromkeys(condition.model for condition in metamers)) or None,
        layers=list(dict.fromkeys(condition.layer for condition in metamers)) or None,
        seeds=list(dict.fromkeys(condition.seed for condition in metamers if condition.seed is not None)) or None,
        selection=None if design.conditions.selection is None else _SELECTION,
        failed=design.conditions.failed,
        missing=design.conditions.missing,
    )
    answers = msgspec.structs.replace(
        design.answers,
        list=None if design.compares else layout.ANSWERS,
        model=None,
        pictures=None if design.answers.pictures is None else layout.PICTURES,
    )
    return msgspec.structs.replace(
        design,
        conditions=conditions,
        answers=answers,
        clips=msgspec.structs.replace(design.clips, once=design.once),
        texts=copied_texts(design),
    )


def _copy_parts(folder: Path, path: Path, design: Design, answers: AnswerList) -> None:
    """Copy what a design that lies at `path` names: answers, pictures, the selection."""
    write_answers(folder, path, design, answers)
    if design.conditions.selection is not None:
        shutil.copyfile(path.parent / design.conditions.selection, folder / _SELECTION)


def _missing_rows(available: AvailableStimuli, design: Design) -> Iterator[dict[str, object]]:
    instead = "left out" if design.conditions.missing == "leave-out" else "natural clip"
    for one in available.missing:
        yield {"clip": one.clip, **one.condition._asdict(), "reason": one.reason, "instead": instead}


def _list(
    number: int,
    planned: Sequence[PlannedTrial],
    sounds: ExperimentSounds,
    checks: Sequence[str],
    answers: AnswerList,
    draws: Draws,
) -> TrialList:
    """One listener's list, the headphone check first."""
    trials, generator = check_trials(number, checks, draws)
    offered = sounds.design.answers
    for trial in planned:
        stimulus, options = Stimulus.of(trial), list[str]()
        if offered.alternatives is not None:
            correct = sounds.entry(stimulus).answer
            options = draw_alternatives(correct, offered.others(correct, answers.all), offered.alternatives, generator)
        trials.append(Trial(0, trial.kind, sounds.names[stimulus], options))
    return TrialList(number, [msgspec.structs.replace(trial, trial=k) for k, trial in enumerate(trials, start=1)])
