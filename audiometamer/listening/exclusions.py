"""Who is analysed and who is not: rules that are stated before the answers are seen, and how many listeners each leaves out."""

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import msgspec

from audiometamer.errors import AudioMetamerError, first_few, listeners_in_words
from audiometamer.listening.tables import ListenerRow, TrialKind

HeadphoneResult = Literal["passed", "failed", "not completed", "not given", "no criterion"]
_UNANSWERED = "no answers in the main part"
_CHECK = "headphone check "
_CHECKS: tuple[TrialKind, ...] = ("headphones", "demonstration")  # that a listener who leaves may break off
# Reasons that the server or an earlier analysis gave
_BY_RULE = re.compile(r"(headphones|demonstration|catch|reaction time|repeated): (?:[\d.]+ (?:of|ms)|the same)|(not finished)$")


class TrialLike(Protocol):
    """What rules look at in a trial, whatever it was of."""

    @property
    def listener(self) -> str: ...
    @property
    def kind(self) -> TrialKind: ...
    @property
    def correct(self) -> bool: ...
    @property
    def reaction_time_ms(self) -> float | None: ...


class ExclusionRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a listener must reach; None switches a rule off, and listeners without such trials pass it.

    Parameters
    ----------
    headphones : int or None
        Correct trials of the headphone check; default 5 (of six, Woods et al. 2017).
    demonstration : int or None
        Correct trials of the demonstration; default 5 (of twelve, Feather et al. 2023, online).
    catch : float or None
        Proportion of catch trials correct; default 0.5.
    finished : bool
        Whether the last trial must have been answered; default False.
    fastest_ms : float or None
        Shortest median reaction time in the main part, ms; default None.
    """

    headphones: int | None = 5
    demonstration: int | None = 5
    catch: float | None = 0.5
    finished: bool = False
    fastest_ms: float | None = None


class Stage(msgspec.Struct, frozen=True):
    """A row of ``sample.tsv``: how many listeners came so far.

    Parameters
    ----------
    group : str
        Group of listeners; empty: all.
    stage : str
        ``enrolled``, ``started`` (gave an answer), ``finished``, ``excluded`` and ``excluded: RULE``, ``no answers in the main
        part``, ``analysed``; or ``headphone check RESULT``.
    count : int
    listeners : str
        Who they are.
    """

    group: str
    stage: str
    count: int
    listeners: str


@dataclass(frozen=True)
class ListenerOutcome:
    """What became of a listener.

    Parameters
    ----------
    listener : ListenerRow
        With `excluded` and `reason` filled in.
    started, answered : bool
        Whether there is any answer, and one in the main part.
    failed : dict of str to str
        What was found, by the rule that was not met, here or as the table of listeners has it.
    here : frozenset of str
        Which of these are not met by the trials at hand.
    headphones : str
        How the headphone check went.
    """

    listener: ListenerRow
    started: bool
    answered: bool
    failed: dict[str, str]
    here: frozenset[str]
    headphones: HeadphoneResult

    @property
    def analysed(self) -> bool:
        """Whether the listener's answers count."""
        return self.answered and not self.failed


@dataclass(frozen=True)
class Exclusions:
    """What the rules make of the listeners.

    Parameters
    ----------
    standings : list of ListenerOutcome
        One for each listener.
    rules : ExclusionRules
    enrolled : bool
        Whether a table of listeners names all who were enrolled; else only those are known who answered.
    notes : list of str
        Where the table of listeners and the trials disagree.
    """

    standings: list[ListenerOutcome]
    rules: ExclusionRules
    enrolled: bool = True
    notes: list[str] = field(default_factory=list)

    @property
    def listeners(self) -> list[ListenerRow]:
        """All of them, with `excluded` and `reason` filled in."""
        return [standing.listener for standing in self.standings]

    @property
    def kept(self) -> frozenset[str]:
        """The names of those who are analysed: not excluded, with an answer in the main part."""
        return frozenset(standing.listener.listener for standing in self.standings if standing.analysed)

    @property
    def stages(self) -> list[Stage]:
        """How many listeners came how far: all, then each group if there are any."""
        groups = dict.fromkeys(listener.group for listener in self.listeners if listener.group)
        return [
            Stage(group, stage, len(names), ", ".join(names))
            for group in ("", *groups)
            for stage, names in _stages([one for one in self.standings if group in ("", one.listener.group)]).items()
        ]

    @property
    def statement(self) -> str:
        """Who was left out and why, in a sentence with counts."""
        count = {stage: len(names) for stage, names in _stages(self.standings).items()}
        is_known = any(listener.finished is not None for listener in self.listeners)
        why = list(self._why())
        return "; ".join([
            f"{listeners_in_words(count['enrolled'])} enrolled, {count['started']} started" if self.enrolled
            else f"{listeners_in_words(count['started'])} with answers",
            f"{count['finished']} finished" if is_known else "finished: not recorded",
            f"{count['excluded']} excluded: {'; '.join(why)}" if why else "none excluded",
            *([f"{count[_UNANSWERED]} gave {_UNANSWERED}"] if count[_UNANSWERED] else []),
            f"{count['analysed']} analysed.",
        ])  # fmt: skip

    def _why(self) -> Iterator[str]:
        """How many listeners each rule excludes; its criterion where all of them miss it by the trials at hand."""
        for rule, (words, criterion) in _words(self.rules).items():
            excluded = [one for one in self.standings if rule in one.failed]
            if excluded:
                stated = criterion and all(rule in one.here for one in excluded)
                yield f"{len(excluded)} {words}" + f" ({criterion})" * bool(stated)
        if several := sum(len(one.failed) > 1 for one in self.standings):
            yield f"{several} of these for more than one reason"

    @property
    def details(self) -> list[str]:
        """What else a reader needs of the sample: headphone check, and sizes of groups."""
        checks = {stage: len(names) for stage, names in _stages(self.standings).items() if stage.startswith(_CHECK)}
        told = ", ".join(f"{n} {stage.removeprefix(_CHECK)}" for stage, n in checks.items())
        if checks == {f"{_CHECK}not given": len(self.standings)}:
            told = "not given"
        lines = [f"Headphone check: {told}."]
        unfinished = [one.listener.listener for one in self.standings if one.analysed and one.listener.finished is False]
        if unfinished:
            lines.append(f"Analysed, though not finished: {listeners_in_words(len(unfinished))} ({listener_names(unfinished)}).")
        groups = {group: 0 for listener in self.listeners if (group := listener.group)}
        for standing in self.standings if groups else ():
            groups[standing.listener.group] = groups.get(standing.listener.group, 0) + standing.analysed
        if groups:
            lines.append("Analysed by group: " + group_sizes(groups) + ".")
        return lines


def listener_names(names: Sequence[str]) -> str:
    """Some listeners' names, and how many more there are."""
    return first_few(names, 10)


def group_sizes(groups: Mapping[str, int]) -> str:
    """Groups with how many are in each."""
    return ", ".join(f"{group or 'without a group'} {n}" for group, n in groups.items())


def _stages(standings: Sequence[ListenerOutcome]) -> dict[str, list[str]]:
    """The names of those who came to each stage; rules and results of the headphone check only where there are any."""
    rules = dict.fromkeys(rule for one in standings for rule in one.failed)
    checks = [check for check in get_args(HeadphoneResult) if any(one.headphones == check for one in standings)]
    reached = {
        "enrolled": standings,
        "started": [one for one in standings if one.started],
        "finished": [one for one in standings if one.listener.finished],
        "excluded": [one for one in standings if one.failed],
        **{f"excluded: {rule}": [one for one in standings if rule in one.failed] for rule in rules},
        _UNANSWERED: [one for one in standings if not one.failed and not one.answered],
        "analysed": [one for one in standings if one.analysed],
        **{f"{_CHECK}{check}": [one for one in standings if one.headphones == check] for check in checks},
    }
    return {stage: [one.listener.listener for one in those] for stage, those in reached.items()}


def exclude(
    trials: Sequence[TrialLike],
    listeners: Iterable[ListenerRow] = (),
    rules: ExclusionRules | None = None,
    *,
    persons: Mapping[str, str] | None = None,
) -> Exclusions:
    """Apply the rules.

    Parameters
    ----------
    trials : sequence of TrialLike
        `audiometamer.listening.tables.TrialRow`, or the like.
    listeners : iterable of ListenerRow
        What is known of them beyond their trials: who was excluded by the experimenter, and the headphone check of those whose
        trials do not hold it. Default: nothing.
    rules : ExclusionRules, optional
    persons : mapping of str to str, optional
        By listener, who they are: of several listeners who are the same person, the first with answers in the main part stays.

    Returns
    -------
    Exclusions
        A listener who fails several rules counts under each of them, and once in the total.

    Raises
    ------
    AudioMetamerError
        If nobody is left.
    """
    rules = rules or ExclusionRules()
    by_listener: dict[str, list[TrialLike]] = defaultdict(list)
    for trial in trials:
        by_listener[trial.listener].append(trial)
    table = list(listeners)
    known, notes = _matched(table, list(by_listener))
    whole = {kind: max((_count(own, kind)[1] for own in by_listener.values()), default=0) for kind in _CHECKS}
    first: dict[str, str] = {}  # by person
    standings = []
    for one in known:
        own = by_listener[one.listener]
        same = None
        if (person := (persons or {}).get(one.listener)) and _has_answered(own):
            same = first.setdefault(person, one.listener)
        standings.append(_standing(one, own, rules, whole, same=same))
    found = Exclusions(standings, rules, bool(table), notes)
    if not found.kept:
        raise AudioMetamerError(f"nobody is left to be analysed: {found.statement}")
    return found


def _matched(table: Sequence[ListenerRow], answered: Sequence[str]) -> tuple[list[ListenerRow], list[str]]:
    """The listeners of the table, under the names that their trials have, and those who only have trials; and notes."""
    names = {listener.listener for listener in table}
    absent: dict[str, list[str]] = defaultdict(list)
    for name in answered:
        if name not in names:
            absent[name.casefold()].append(name)
    known, renamed, notes, there = [], list[str](), list[str](), {*answered}
    for listener in table:
        same = absent.get(listener.listener.casefold(), [])
        if listener.listener not in there and len(same) == 1:
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


def _standing(
    listener: ListenerRow, trials: Sequence[TrialLike], rules: ExclusionRules, whole: Mapping[TrialKind, int], *, same: str | None
) -> ListenerOutcome:
    """What becomes of a listener.

    `whole` is how many trials each check has; one that was broken off is not failed. `same` is the first listener who is the
    same person.
    """
    answered = _has_answered(trials)
    counts = {kind: _count(trials, kind) for kind in (*_CHECKS, "catch")}
    if not counts["headphones"][1] and listener.headphones_correct is not None:
        counts["headphones"] = (listener.headphones_correct, listener.headphones_trials or 0)
    broken_off = {kind for kind in _CHECKS if 0 < counts[kind][1] < whole[kind] and not answered}
    told = _told(listener) if listener.excluded else {}
    here = {rule: words for rule, words in _failed(trials, counts, listener, rules) if rule not in broken_off or rule in told}
    if same not in (None, listener.listener):
        here["repeated"] = f"repeated: the same person as listener {same}"
    failed = here | told
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


def _told(listener: ListenerRow) -> dict[str, str]:
    """Why the table of listeners excludes somebody, by rule; what no check of ours says is the experimenter's."""
    found: dict[str, list[str]] = defaultdict(list)
    for part in filter(None, listener.reason.split("; ")):
        match = _BY_RULE.match(part)
        found[(match[1] or "finished") if match else "experimenter"].append(part)
    return {rule: "; ".join(parts) for rule, parts in found.items()} or {"experimenter": "by the experimenter"}


def _failed(
    trials: Sequence[TrialLike], counts: Mapping[TrialKind, tuple[int, int]], listener: ListenerRow, rules: ExclusionRules
) -> Iterator[tuple[str, str]]:
    """Each rule that is not met, and what was found."""
    catch_least = None if rules.catch is None else rules.catch * counts["catch"][1]
    least: dict[TrialKind, float | None] = {
        "headphones": rules.headphones, "demonstration": rules.demonstration, "catch": catch_least,
    }  # fmt: skip
    for kind, needed in least.items():
        right, of = counts[kind]
        if of and needed is not None and right < needed:
            yield kind, f"{kind}: {right} of {of} right"
    if rules.finished and listener.finished is False:
        yield "finished", "not finished"
    times = [trial.reaction_time_ms for trial in trials if trial.kind == "main" and trial.reaction_time_ms is not None]
    if rules.fastest_ms is not None and times and (median := statistics.median(times)) < rules.fastest_ms:
        yield "reaction time", f"reaction time: {median:g} ms, the median"


def _count(trials: Iterable[TrialLike], kind: TrialKind) -> tuple[int, int]:
    """How many are right, of how many."""
    right = [trial.correct for trial in trials if trial.kind == kind]
    return sum(right), len(right)


def _words(rules: ExclusionRules) -> dict[str, tuple[str, str]]:
    """By rule, the words under which listeners are counted, and the criterion; empty if the rule is off."""
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
