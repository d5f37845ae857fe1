"""Exclusion of listeners: rules that are stated before the answers are seen, and how many listeners each of them excludes."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import msgspec

from audiometamer.errors import AudioMetamerError, first_few, listeners_in_words
from audiometamer.listening.tables import ListenerRow
from audiometamer.listening.trials import TrialKind

HeadphoneResult = Literal["passed", "failed", "not completed", "not given", "no criterion"]
_UNANSWERED = "no answers in the main part"
_CHECK = "headphone check "
_CHECKS: tuple[TrialKind, ...] = ("headphones", "demonstration")  # which a listener who leaves may not complete
# Reasons given by the server or an earlier analysis
_BY_RULE = re.compile(r"(headphones|demonstration|catch|reaction time|repeated): (?:[\d.]+ (?:of|ms)|the same)|(not finished)$")


class TrialLike(Protocol):
    """The part of a trial that the rules use, for any task."""

    @property
    def listener(self) -> str: ...
    @property
    def kind(self) -> TrialKind: ...
    @property
    def correct(self) -> bool: ...
    @property
    def reaction_time_ms(self) -> float | None: ...


class ExclusionRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Criteria for including a listener; None switches a rule off, and listeners without such trials pass it.

    Parameters
    ----------
    headphones : int or None
        Minimum of correct trials in the headphone check. Default 5 (of six, Woods et al. 2017).
    demonstration : int or None
        Minimum of correct trials in the demonstration. Default 5 (of twelve, Feather et al. 2023, online).
    catch : float or None
        Minimum proportion of correct catch trials. Default 0.5.
    finished : bool
        Whether the last trial must have been answered. Default False.
    fastest_ms : float or None
        Minimum of the median reaction time in the main part, ms. Default None.
    """

    headphones: int | None = 5
    demonstration: int | None = 5
    catch: float | None = 0.5
    finished: bool = False
    fastest_ms: float | None = None


class Stage(msgspec.Struct, frozen=True):
    """A row of ``sample.tsv``: how many listeners reached a stage.

    Parameters
    ----------
    group : str
        Group of listeners; empty for all.
    stage : str
        ``enrolled``, ``started`` (gave an answer), ``finished``, ``excluded`` and ``excluded: RULE``, ``no answers in the main
        part``, ``analysed``; or ``headphone check RESULT``.
    count : int
    listeners : str
        Their names.
    """

    group: str
    stage: str
    count: int
    listeners: str


@dataclass(frozen=True)
class ListenerOutcome:
    """Outcome of the rules for one listener.

    Parameters
    ----------
    listener : ListenerRow
        The listener, with `excluded` and `reason` filled in.
    started, answered : bool
        Whether there is any answer, and one in the main part.
    failed : dict of str to str
        Findings by the rule that was failed, according to the trials or the table of listeners.
    failed_here : frozenset of str
        Rules among these that the trials fail.
    headphones : str
        Result of the headphone check.
    """

    listener: ListenerRow
    started: bool
    answered: bool
    failed: dict[str, str]
    failed_here: frozenset[str]
    headphones: HeadphoneResult

    @property
    def analysed(self) -> bool:
        """Whether the listener is analysed."""
        return self.answered and not self.failed


@dataclass(frozen=True)
class Exclusions:
    """Outcomes of the rules for all listeners.

    Parameters
    ----------
    outcomes : list of ListenerOutcome
        One outcome for each listener.
    rules : ExclusionRules
    enrolled : bool
        Whether a table of listeners names all who were enrolled; otherwise only those who answered are known.
    notes : list of str
        Where the table of listeners and the trials disagree.
    """

    outcomes: list[ListenerOutcome]
    rules: ExclusionRules
    enrolled: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def listeners(self) -> list[ListenerRow]:
        """All listeners, with `excluded` and `reason` filled in."""
        return [outcome.listener for outcome in self.outcomes]

    @property
    def kept(self) -> frozenset[str]:
        """Names of the analysed listeners: those not excluded, with an answer in the main part."""
        return frozenset(outcome.listener.listener for outcome in self.outcomes if outcome.analysed)

    @property
    def stages(self) -> list[Stage]:
        """Numbers of listeners at each stage: all listeners, then each group if there are any."""
        groups = dict.fromkeys(listener.group for listener in self.listeners if listener.group)
        return [
            Stage(group, stage, len(names), ", ".join(names))
            for group in ("", *groups)
            for stage, names in _stages([one for one in self.outcomes if group in ("", one.listener.group)]).items()
        ]

    @property
    def statement(self) -> str:
        """State how many listeners were excluded and why, in one sentence."""
        count = {stage: len(names) for stage, names in _stages(self.outcomes).items()}
        is_known = any(listener.finished is not None for listener in self.listeners)
        reasons = list(self._reasons())
        return "; ".join([
            f"{listeners_in_words(count['enrolled'])} enrolled, {count['started']} started" if self.enrolled
            else f"{listeners_in_words(count['started'])} with answers",
            f"{count['finished']} finished" if is_known else "finished: not recorded",
            f"{count['excluded']} excluded: {'; '.join(reasons)}" if reasons else "none excluded",
            *([f"{count[_UNANSWERED]} gave {_UNANSWERED}"] if count[_UNANSWERED] else []),
            f"{count['analysed']} analysed.",
        ])  # fmt: skip

    def _reasons(self) -> Iterator[str]:
        """Numbers of listeners that each rule excludes; with its criterion where all of them fail it by their trials."""
        for rule, (phrase, criterion) in _phrases(self.rules).items():
            excluded = [one for one in self.outcomes if rule in one.failed]
            if excluded:
                stated = criterion and all(rule in one.failed_here for one in excluded)
                yield f"{len(excluded)} {phrase}" + f" ({criterion})" * bool(stated)
        if several := sum(len(one.failed) > 1 for one in self.outcomes):
            yield f"{several} of these for more than one reason"

    @property
    def details(self) -> list[str]:
        """Further notes on the sample: headphone check, and sizes of groups."""
        checks = {stage: len(names) for stage, names in _stages(self.outcomes).items() if stage.startswith(_CHECK)}
        results = ", ".join(f"{n} {stage.removeprefix(_CHECK)}" for stage, n in checks.items())
        if checks == {f"{_CHECK}not given": len(self.outcomes)}:
            results = "not given"
        lines = [f"Headphone check: {results}."]
        unfinished = [one.listener.listener for one in self.outcomes if one.analysed and one.listener.finished is False]
        if unfinished:
            lines.append(f"Analysed, though not finished: {listeners_in_words(len(unfinished))} ({listener_names(unfinished)}).")
        groups = {group: 0 for listener in self.listeners if (group := listener.group)}
        for outcome in self.outcomes if groups else ():
            groups[outcome.listener.group] = groups.get(outcome.listener.group, 0) + outcome.analysed
        if groups:
            lines.append("Analysed by group: " + group_sizes(groups) + ".")
        return lines


def listener_names(names: Sequence[str]) -> str:
    """The names of some listeners, and how many more there are."""
    return first_few(names, 10)


def group_sizes(groups: Mapping[str, int]) -> str:
    """Groups with their sizes."""
    return ", ".join(f"{group or 'without a group'} {n}" for group, n in groups.items())


def _stages(outcomes: Sequence[ListenerOutcome]) -> dict[str, list[str]]:
    """Names of the listeners who reached each stage; rules and results of the headphone check only where there are any."""
    rules = dict.fromkeys(rule for one in outcomes for rule in one.failed)
    checks = [check for check in get_args(HeadphoneResult) if any(one.headphones == check for one in outcomes)]
    reached = {
        "enrolled": outcomes,
        "started": [one for one in outcomes if one.started],
        "finished": [one for one in outcomes if one.listener.finished],
        "excluded": [one for one in outcomes if one.failed],
        **{f"excluded: {rule}": [one for one in outcomes if rule in one.failed] for rule in rules},
        _UNANSWERED: [one for one in outcomes if not one.failed and not one.answered],
        "analysed": [one for one in outcomes if one.analysed],
        **{f"{_CHECK}{check}": [one for one in outcomes if one.headphones == check] for check in checks},
    }
    return {stage: [one.listener.listener for one in outcomes] for stage, outcomes in reached.items()}


def exclude(
    trials: Sequence[TrialLike],
    listeners: Iterable[ListenerRow] = (),
    rules: ExclusionRules | None = None,
    *,
    persons: Mapping[str, str] | None = None,
) -> Exclusions:
    """Apply the rules of exclusion.

    Parameters
    ----------
    trials : sequence of TrialLike
        `audiometamer.listening.tables.TrialRow`, or the like.
    listeners : iterable of ListenerRow
        What is known beyond the trials: listeners whom the experimenter excluded, and headphone checks that the trials lack.
        Default: nothing.
    rules : ExclusionRules, optional
        Default: the defaults of `ExclusionRules`.
    persons : mapping of str to str, optional
        Person of each listener: of several listeners who are the same person, the first with answers in the main part is kept.

    Returns
    -------
    Exclusions
        Outcomes; a listener who fails several rules counts under each of them, and once in the total.

    Raises
    ------
    AudioMetamerError
        If no listener is left.
    """
    rules = rules or ExclusionRules()
    by_listener: dict[str, list[TrialLike]] = defaultdict(list)
    for trial in trials:
        by_listener[trial.listener].append(trial)
    table = list(listeners)
    known, notes = _matched(table, list(by_listener))
    whole = {kind: max((_count(own, kind)[1] for own in by_listener.values()), default=0) for kind in _CHECKS}
    first: dict[str, str] = {}  # by person
    outcomes = []
    for one in known:
        own = by_listener[one.listener]
        same = None
        if (person := (persons or {}).get(one.listener)) and _has_answered(own):
            same = first.setdefault(person, one.listener)
        outcomes.append(_outcome(one, own, rules, whole, same=same))
    found = Exclusions(outcomes, rules, bool(table), notes)
    if not found.kept:
        raise AudioMetamerError(f"no listener is left to analyse: {found.statement}")
    return found


def _matched(table: Sequence[ListenerRow], answered: Sequence[str]) -> tuple[list[ListenerRow], list[str]]:
    """The listeners of the table, named as in their trials, and those who only have trials; and notes about both."""
    names = {listener.listener for listener in table}
    absent: dict[str, list[str]] = defaultdict(list)
    for name in answered:
        if name not in names:
            absent[name.casefold()].append(name)
    known, renamed, notes, present = [], list[str](), list[str](), {*answered}
    for listener in table:
        same = absent.get(listener.listener.casefold(), [])
        if listener.listener not in present and len(same) == 1:
            absent.pop(listener.listener.casefold())
            renamed.append(f"{listener.listener} for {same[0]}")
            known.append(msgspec.structs.replace(listener, listener=same[0]))
        else:
            known.append(listener)
    if renamed:
        notes.append(
            f"Names of the table of listeners taken for names of trials that differ in letter case: {listener_names(renamed)}."
        )
    rest = [name for names in absent.values() for name in names]
    if table and rest:
        notes.append(
            f"Not in the table of listeners, though with trials: {listeners_in_words(len(rest))} ({listener_names(rest)})."
        )
    return known + [ListenerRow(listener=name) for name in rest], notes


def _has_answered(trials: Iterable[TrialLike]) -> bool:
    """Whether there is an answer in the main part."""
    return any(trial.kind == "main" for trial in trials)


def _outcome(
    listener: ListenerRow, trials: Sequence[TrialLike], rules: ExclusionRules, whole: Mapping[TrialKind, int], *, same: str | None
) -> ListenerOutcome:
    """The outcome for a listener.

    `whole` is the number of trials of each check; one that was not completed is not failed. `same` is the first listener who is
    the same person.
    """
    answered = _has_answered(trials)
    counts = {kind: _count(trials, kind) for kind in (*_CHECKS, "catch")}
    if not counts["headphones"][1] and listener.headphones_correct is not None:
        counts["headphones"] = (listener.headphones_correct, listener.headphones_trials or 0)
    broken_off = {kind for kind in _CHECKS if 0 < counts[kind][1] < whole[kind] and not answered}
    recorded = _recorded(listener) if listener.excluded else {}
    here = {
        rule: finding for rule, finding in _failed(trials, counts, listener, rules) if rule not in broken_off or rule in recorded
    }
    if same not in (None, listener.listener):
        here["repeated"] = f"repeated: the same person as listener {same}"
    failed = here | recorded
    check: HeadphoneResult = "passed"
    if "headphones" in failed:
        check = "failed"
    elif not counts["headphones"][1]:
        check = "not given"
    elif "headphones" in broken_off:
        check = "not completed"
    elif rules.headphones is None:
        check = "no criterion"
    reason = "; ".join(failed.values()) or ("" if answered else _UNANSWERED)
    row = msgspec.structs.replace(listener, excluded=bool(failed), reason=reason)
    return ListenerOutcome(row, bool(trials), answered, failed, frozenset(here), check)


def _recorded(listener: ListenerRow) -> dict[str, str]:
    """Why the table of listeners excludes a listener, by rule; a reason that is none of ours is the experimenter's."""
    found: dict[str, list[str]] = defaultdict(list)
    for part in filter(None, listener.reason.split("; ")):
        match = _BY_RULE.match(part)
        found[(match[1] or "finished") if match else "experimenter"].append(part)
    return {rule: "; ".join(parts) for rule, parts in found.items()} or {"experimenter": "by the experimenter"}


def _failed(
    trials: Sequence[TrialLike], counts: Mapping[TrialKind, tuple[int, int]], listener: ListenerRow, rules: ExclusionRules
) -> Iterator[tuple[str, str]]:
    """Each failed rule, and the finding."""
    catch_least = None if rules.catch is None else rules.catch * counts["catch"][1]
    least: dict[TrialKind, float | None] = {
        "headphones": rules.headphones, "demonstration": rules.demonstration, "catch": catch_least,
    }  # fmt: skip
    for kind, needed in least.items():
        right, total = counts[kind]
        if total and needed is not None and right < needed:
            yield kind, f"{kind}: {right} of {total} right"
    if rules.finished and listener.finished is False:
        yield "finished", "not finished"
    times = [trial.reaction_time_ms for trial in trials if trial.kind == "main" and trial.reaction_time_ms is not None]
    if rules.fastest_ms is not None and times and (median := statistics.median(times)) < rules.fastest_ms:
        yield "reaction time", f"reaction time: {median:g} ms, the median"


def _count(trials: Iterable[TrialLike], kind: TrialKind) -> tuple[int, int]:
    """Number of correct trials of a kind, and of all."""
    right = [trial.correct for trial in trials if trial.kind == kind]
    return sum(right), len(right)


def _phrases(rules: ExclusionRules) -> dict[str, tuple[str, str]]:
    """By rule, the phrase under which excluded listeners are counted, and the criterion; empty if the rule is off."""
    return {
        "experimenter": ("by the experimenter", ""),
        "headphones": ("at the headphone check", "" if rules.headphones is None else f"fewer than {rules.headphones} right"),
        "demonstration": (
            "at the demonstration",
            "" if rules.demonstration is None else f"fewer than {rules.demonstration} right",
        ),
        "catch": ("by catch trials", "" if rules.catch is None else f"less than {100 * rules.catch:g} % right"),
        "finished": ("because they did not finish", ""),
        "repeated": ("for taking part again", ""),
        "reaction time": ("by reaction time", "" if rules.fastest_ms is None else f"median below {rules.fastest_ms:g} ms"),
    }
