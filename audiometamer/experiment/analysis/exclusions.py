"""Who is left out, by rules that are stated before the answers are seen, and how many."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.trials import Kind, Listener


class Judged(Protocol):
    """What rules look at in a trial, whatever it was of."""

    @property
    def listener(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def correct(self) -> bool: ...


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a listener must reach; None switches a rule off, and a rule leaves alone who had no such trial.

    Parameters
    ----------
    headphones : int or None
        Trials of the headphone check, right; default 5 (of six, Woods et al. 2017).
    demonstration : int or None
        Trials of the demonstration, right; default 5 (of twelve, Feather et al. 2023, online).
    catch : float or None
        Share of the catch trials, right; default 0.5.
    finished : bool
        Whether the last trial must have been answered; default False.
    """

    headphones: int | None = 5
    demonstration: int | None = 5
    catch: float | None = 0.5
    finished: bool = False


class Exclusions(NamedTuple):
    """What the rules make of the listeners.

    Parameters
    ----------
    listeners : list of Listener
        All of them, with `excluded` and `reason` filled in.
    statement : str
        Who was left out and why, in a sentence or two with counts.
    """

    listeners: list[Listener]
    statement: str

    @property
    def kept(self) -> frozenset[str]:
        """The names of those who were not excluded."""
        return frozenset(listener.listener for listener in self.listeners if not listener.excluded)


def exclude(trials: Sequence[Judged], listeners: Iterable[Listener] = (), rules: Rules | None = None) -> Exclusions:
    """Apply the rules.

    Parameters
    ----------
    trials : sequence of Judged
        `audiometamer.experiment.analysis.trials.Trial`, or the like.
    listeners : iterable of Listener
        What is known of them beyond their trials: who was excluded by the experimenter, and the headphone check of those whose
        trials do not hold it. Default: nothing.
    rules : Rules, optional

    Returns
    -------
    Exclusions
        A listener is counted once, under the first rule not met: the experimenter's word, headphones, demonstration, catch
        trials, finished; `reason` names all.

    Raises
    ------
    AudioMetamerError
        If nobody is left.
    """
    rules = rules or Rules()
    known = {listener.listener: listener for listener in listeners}
    known |= {name: Listener(listener=name) for name in dict.fromkeys(t.listener for t in trials) if name not in known}
    judged, first = [], Counter[str]()
    for listener in known.values():
        failed = _failed([trial for trial in trials if trial.listener == listener.listener], listener, rules)
        reason = "; ".join(failed.values())
        judged.append(msgspec.structs.replace(listener, excluded=bool(failed), reason=reason))
        first.update(list(failed)[:1])
    statement = _statement(len(judged), first, rules)
    if all(listener.excluded for listener in judged):
        raise AudioMetamerError(f"nobody is left to be analysed: {statement}")
    return Exclusions(judged, statement)


def _failed(trials: Sequence[Judged], listener: Listener, rules: Rules) -> dict[str, str]:
    """What was not met, by rule."""
    failed = {}
    if listener.excluded:
        failed["experimenter"] = listener.reason or "by the experimenter"
    headphones = _count(trials, "headphones")
    if not headphones[1] and listener.headphones_correct is not None:
        headphones = (listener.headphones_correct, listener.headphones_trials or 0)
    demonstration, catch = _count(trials, "demonstration"), _count(trials, "catch")
    catch_least = None if rules.catch is None else rules.catch * catch[1]
    checks = (
        ("headphones", headphones, rules.headphones),
        ("demonstration", demonstration, rules.demonstration),
        ("catch", catch, catch_least),
    )
    for name, (right, of), least in checks:
        if of and least is not None and right < least:
            failed[name] = f"{name}: {right} of {of} right"
    if rules.finished and listener.finished is False:
        failed["finished"] = "not finished"
    return failed


def _count(trials: Iterable[Judged], kind: Kind) -> tuple[int, int]:
    """How many are right, of how many."""
    right = [trial.correct for trial in trials if trial.kind == kind]
    return sum(right), len(right)


def _statement(n_listeners: int, excluded: Counter[str], rules: Rules) -> str:
    why = {
        "experimenter": "by the experimenter",
        "headphones": f"at the headphone check (fewer than {rules.headphones} right)",
        "demonstration": f"at the demonstration (fewer than {rules.demonstration} right)",
        "catch": f"by catch trials (less than {100 * (rules.catch or 0):g} % right)",
        "finished": "because they did not finish",
    }
    counted = "; ".join(f"{excluded[rule]} {words}" for rule, words in why.items() if excluded[rule])
    left = n_listeners - excluded.total()
    told = f"{excluded.total()} excluded: {counted}" if counted else "none excluded"
    return f"{n_listeners} listeners; {told}; {left} analysed."
