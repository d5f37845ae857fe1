"""The analysis of a recognition experiment: exclusions, proportions correct with intervals, tests, noise ceiling."""

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from audiometamer.errors import AudioMetamerError, listeners_in_words
from audiometamer.experiment.analysis.beside import Beside
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.recognition import (
    CorrectCounts,
    ModelLayer,
    NetworkRecognition,
    ObserverKind,
    RecognitionRow,
    conditions_of,
    listener_counts,
    network_counts,
    recognition_rows,
)
from audiometamer.experiment.analysis.summary import summary_text
from audiometamer.experiment.analysis.variance import Anova, analyse_variance, anova_data
from audiometamer.listening.exclusions import ExclusionRules, Exclusions, exclude, listener_names
from audiometamer.listening.tables import ListenerRow, TrialRow
from audiometamer.models.inputs import NATURAL
from audiometamer.statistics.reliability import SplitHalf, split_half


@dataclass(frozen=True)
class RecognitionAnalysis:
    """The results of `analyse`.

    Parameters
    ----------
    trials : list of Trial
        Trials that are analysed.
    exclusions : Exclusions
    recognition : list of RecognitionRow
    tests : dict of str to Anova
        Tests by what they compare.
    ceiling : SplitHalf or None
        Noise ceiling of the listeners' proportions over all conditions.
    notes : list of str
        Omissions from parts of the analysis, with counts.
    beside : list of Beside
        Listeners of other experiments, see `audiometamer.experiment.analysis.beside.stand_beside`. Default: none.
    """

    trials: list[TrialRow]
    exclusions: Exclusions
    recognition: list[RecognitionRow]
    tests: dict[str, Anova]
    ceiling: SplitHalf | None
    notes: list[str] = field(default_factory=list)
    beside: list[Beside] = field(default_factory=list)

    def summary(self, *, chance: Chance | None = None) -> str:
        """The analysis in words: exclusions, recognition, chance, tests, noise ceiling."""
        return summary_text(
            exclusions=self.exclusions, notes=self.notes, recognition=self.recognition, tests=self.tests, ceiling=self.ceiling,
            chance=chance, beside=self.beside,
        )  # fmt: skip


def analyse(
    trials: Sequence[TrialRow],
    listeners: Iterable[ListenerRow] = (),
    *,
    rules: ExclusionRules | None = None,
    persons: Mapping[str, str] | None = None,
    layers: Mapping[str, Sequence[str]] | None = None,
    recognised: NetworkRecognition | None = None,
    count_missing: bool = False,
    resamples: int = 10_000,
    permutations: int = 10_000,
    seed: int = 0,
) -> RecognitionAnalysis:
    """Analyse a recognition experiment.

    Parameters
    ----------
    trials : sequence of Trial
        All trials; main trials of listeners who are not excluded are analysed.
    listeners : iterable of Listener, optional
        Information about listeners beyond their trials.
    rules : Rules, optional
        Exclusion rules.
    persons : mapping of str to str, optional
        The person behind each listener; see `exclude`.
    layers : mapping of str to sequence of str, optional
        Order of the layers of each model. Default: order of first occurrence.
    recognised : mapping, optional
        What networks recognise beyond `TrialRow.network_correct`; see `network_counts`.
    count_missing : bool
        Whether natural clips that replaced missing metamers count for the condition, as in Feather et al. (2023). Default False.
    resamples, permutations : int
        Bootstrap samples of listeners, and permutations in each test (0: no permutation tests). Default 10000 each.
    seed : int
        Random seed of the bootstrap, the permutations and the split halves. Default 0.

    Returns
    -------
    RecognitionAnalysis

    Raises
    ------
    AudioMetamerError
        If no listener or no trial is left.
    """
    main = _main_trials(trials, count_missing=count_missing)
    judged = [trial for trial in trials if count_missing or trial.kind != "main" or not trial.missing]
    exclusions = exclude(judged, listeners, rules, persons=persons)
    kept = [trial for trial in main if trial.listener in exclusions.kept]
    analysed = kept if count_missing else [trial for trial in kept if not trial.missing]
    counts = _counts(analysed, conditions_of(kept, layers), recognised)
    groups = {one.listener: one.group for one in exclusions.listeners if one.listener in exclusions.kept}
    tests, incomplete = analyse_variance(anova_data(counts, groups), permutations=permutations, seed=seed)
    missing = Counter(ModelLayer(trial.model, trial.layer) for trial in kept if trial.missing)
    notes = [
        *_missing_notes(missing, len(kept), count_missing=count_missing), *exclusions.notes,
        *_group_notes(groups, exclusions), *incomplete,
    ]  # fmt: skip
    rows = recognition_rows(counts, missing, resamples=resamples, seed=seed)
    return RecognitionAnalysis(analysed, exclusions, rows, tests, _noise_ceiling(counts["human"], seed), notes)


def _main_trials(trials: Iterable[TrialRow], *, count_missing: bool) -> list[TrialRow]:
    """The main trials; raises if none of them counts."""
    main = [trial for trial in trials if trial.kind == "main"]
    if main and not count_missing and all(trial.missing for trial in main):
        raise AudioMetamerError(f"none of {len(main)} trials had a metamer; count_missing counts the natural clips instead")
    return main


def _counts(
    trials: Sequence[TrialRow], conditions: Sequence[ModelLayer], recognised: NetworkRecognition | None
) -> dict[ObserverKind, CorrectCounts]:
    """Counts of listeners, and of networks if anything is known of them."""
    counts: dict[ObserverKind, CorrectCounts] = {"human": listener_counts(trials, conditions)}
    networks = network_counts(trials, conditions, recognised)
    if networks.total.any():
        counts["network"] = networks
    return counts


def _missing_notes(missing: Counter[ModelLayer], trials: int, *, count_missing: bool) -> Iterator[str]:
    """State how many trials had no metamer, if any."""
    if missing:
        where = ", ".join(f"{n} at {model} {layer}" for (model, layer), n in missing.items())
        what = "count as the metamers that they stand for" if count_missing else "are left out"
        yield (
            f"In {missing.total()} of {trials} trials there was no metamer, and the natural clip was played ({where}); "
            f"they {what}."
        )


def _group_notes(groups: Mapping[str, str], exclusions: Exclusions) -> Iterator[str]:
    """Possible mistakes in the groups of those who are analysed."""
    sizes = Counter(group for group in groups.values() if group)
    names = list(sizes)
    for first, second in itertools.combinations(names, 2):
        if first.casefold() == second.casefold():
            yield f"Groups {first} and {second} differ in letter case only; they count as two."
    for name, n in sizes.items():
        if n == 1 and len(names) > 1:
            yield f"Group {name} has a single listener: the test of groups takes its variance to be that of the others."
    without = [listener for listener, group in groups.items() if not group]
    if len(names) == 1 and len({one.group for one in exclusions.listeners}) > 1:
        yield f"No test of groups: of those who are analysed, all who have a group are {names[0]}."
    elif names and without:
        yield (
            f"{listeners_in_words(len(without))} without a group ({listener_names(without)}); left out of the tests of groups."
        )


def _noise_ceiling(human: CorrectCounts, seed: int) -> SplitHalf | None:
    """Over all conditions, natural clips once; None if there are too few listeners or conditions."""
    natural = [k for k, condition in enumerate(human.conditions) if condition.layer == NATURAL]
    values = np.delete(human.proportions, natural[1:], axis=1)
    try:
        return split_half(values, seed=seed)
    except AudioMetamerError:
        return None
