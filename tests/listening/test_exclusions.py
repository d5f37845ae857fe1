"""Who is left out, under which rule, and how that is reported."""

import msgspec
import pytest
from tiny_answers import answers, check
from tiny_experiment import answer_message, form_message

from audiometamer.errors import AudioMetamerError
from audiometamer.listening.exclusions import ExclusionRules, exclude
from audiometamer.listening.messages import Message
from audiometamer.listening.reading import read_answers
from audiometamer.listening.tables import ListenerRow


def test_each_rule_with_counts():
    trials = answers(6, 1)
    trials += check("1", "headphones", 4, 6) + check("2", "demonstration", 4, 12) + check("3", "catch", 7, 16)
    trials += check("4", "headphones", 5, 6) + check("4", "demonstration", 5, 12, 2000) + check("4", "catch", 8, 16, 3000)
    listeners = [ListenerRow(listener="5", excluded=True, reason="asked to be")]
    found = exclude(trials, listeners)
    assert found.statement == (
        "6 listeners enrolled, 6 started; finished: not recorded; 4 excluded: 1 by the experimenter; 1 at the headphone check "
        "(fewer than 5 right); 1 at the demonstration (fewer than 5 right); 1 by catch trials (less than 50 % right); 2 analysed."
    )
    assert found.kept == {"4", "6"}
    assert {listener.listener: listener.reason for listener in found.listeners} == {
        "5": "asked to be", "1": "headphones: 4 of 6 right", "2": "demonstration: 4 of 12 right", "3": "catch: 7 of 16 right",
        "4": "", "6": "",
    }  # fmt: skip


def test_a_listener_counts_once_in_the_total_and_under_every_reason():
    found = exclude(
        answers(3, 1) + check("1", "headphones", 0, 6) + check("1", "catch", 0, 16, 2000) + check("2", "catch", 1, 16)
    )
    assert found.statement == (
        "3 listeners with answers; finished: not recorded; 2 excluded: 1 at the headphone check (fewer than 5 right); 2 by catch "
        "trials (less than 50 % right); 1 of these for more than one reason; 1 analysed."
    )
    assert found.listeners[0].reason == "headphones: 0 of 6 right; catch: 0 of 16 right"
    counts = {row.stage: (row.count, row.listeners) for row in found.stages}
    assert counts == {
        "enrolled": (3, "1, 2, 3"), "started": (3, "1, 2, 3"), "finished": (0, ""), "excluded": (2, "1, 2"),
        "excluded: headphones": (1, "1"), "excluded: catch": (2, "1, 2"), "no answers in the main part": (0, ""),
        "analysed": (1, "3"), "headphone check failed": (1, "1"), "headphone check not given": (2, "2, 3"),
    }  # fmt: skip


def test_who_never_came_or_left_before_the_main_part_is_not_analysed():
    known = [
        ListenerRow(listener=name, group=group, finished=name == "1") for name, group in zip("123456", "aaabbb", strict=True)
    ]
    trials = [trial for trial in answers(3, 1) if trial.listener != "3"] + check("4", "practice", 3, 10)
    found = exclude(trials, known)
    assert found.statement == (
        "6 listeners enrolled, 3 started; 1 finished; none excluded; 4 gave no answers in the main part; 2 analysed."
    )
    assert found.kept == {"1", "2"}
    assert [one.reason for one in found.listeners] == ["", ""] + ["no answers in the main part"] * 4
    assert not any(one.excluded for one in found.listeners)
    assert [(row.group, row.count) for row in found.stages if row.stage == "analysed"] == [("", 2), ("a", 2), ("b", 0)]
    assert found.details == [
        "Headphone check: not given.", "Analysed, though not finished: 1 listener (2).", "Analysed by group: a 2, b 0.",
    ]  # fmt: skip


def test_who_was_stopped_at_a_check_was_not_excluded_by_the_experimenter():
    known = [
        ListenerRow(listener="1", excluded=True, reason="headphones: 5 of 6 right, at least 6 needed"),
        ListenerRow(listener="2", excluded=True, reason="headphones: 1 of 6 right; catch: 0 of 16 right"),  # an analysis wrote it
        ListenerRow(listener="3", excluded=True, reason="withdrew; not finished"),
        ListenerRow(listener="4", excluded=True),
    ]
    trials = answers(5, 1) + check("1", "headphones", 5, 6) + check("5", "headphones", 6, 6)
    found = exclude(trials, known)
    assert found.statement.split("; ")[2:] == [
        "4 excluded: 2 by the experimenter", "2 at the headphone check", "1 by catch trials",
        "1 because they did not finish", "2 of these for more than one reason", "1 analysed.",
    ]  # fmt: skip
    assert found.details == ["Headphone check: 1 passed, 2 failed, 2 not given."]
    assert found.listeners[0].reason == "headphones: 5 of 6 right, at least 6 needed"


def test_a_check_that_was_broken_off_is_not_failed():
    trials = answers(1, 1) + check("1", "headphones", 6, 6) + check("1", "demonstration", 12, 12, 2000)
    trials += check("2", "headphones", 1, 2) + check("3", "headphones", 6, 6) + check("3", "demonstration", 2, 3, 2000)
    found = exclude(trials)
    assert "none excluded; 2 gave no answers in the main part; 1 analysed." in found.statement
    assert found.details == ["Headphone check: 2 passed, 1 not completed."]


def test_too_fast():
    slow = [msgspec.structs.replace(trial, reaction_time_ms=2000.0) for trial in answers(2, 1) if trial.listener == "2"]
    fast = exclude(answers(1, 1) + slow, rules=ExclusionRules(fastest_ms=950))  # of four trials, 901 to 904 ms
    assert fast.kept == {"2"}
    assert fast.listeners[0].reason == "reaction time: 902.5 ms, the median"
    assert "1 by reaction time (median below 950 ms)" in fast.statement


@pytest.mark.parametrize("name", ["l1", " L1 ", "L1\N{NO-BREAK SPACE}"])
def test_names_that_differ_in_blanks_or_letter_case_only(name):
    trials = [msgspec.structs.replace(trial, listener=f"L{trial.listener}") for trial in answers(2, 1)]
    found = exclude(trials, [ListenerRow(listener=name, group="old"), ListenerRow(listener="L2", group="young")])
    assert {one.listener: one.group for one in found.listeners} == {"L1": "old", "L2": "young"}
    noted = (
        ["Names of the table of listeners taken for names of trials that differ in letter case: l1 for L1."]
        if name == "l1"
        else []
    )
    assert found.notes == noted


def test_who_is_not_in_the_table_of_listeners_is_named():
    assert exclude(answers(3, 1), [ListenerRow(listener="2")]).notes == [
        "Not in the table of listeners, though with trials: 2 listeners (1, 3)."
    ]
    assert exclude(answers(3, 1)).notes == []


def test_headphone_checks_that_are_in_the_listeners_table_only():
    known = [ListenerRow(listener="1", headphones_correct=0, headphones_trials=6)]
    assert exclude(answers(2, 1), known).kept == {"2"}
    assert exclude(answers(2, 1) + check("1", "headphones", 6, 6), known).kept == {"1", "2"}  # the trials themselves count


def test_rules_can_be_changed_and_switched_off():
    trials = answers(2, 1) + check("1", "headphones", 5, 6) + check("1", "catch", 12, 16, 2000)
    known = [ListenerRow(listener="2", finished=False)]
    assert exclude(trials, known).statement == "2 listeners enrolled, 2 started; 0 finished; none excluded; 2 analysed."
    assert exclude(trials, known, ExclusionRules(headphones=6)).kept == {"2"}
    assert exclude(trials, known, ExclusionRules(catch=0.8)).kept == {"2"}
    assert exclude(trials, known, ExclusionRules(finished=True)).kept == {"1"}
    assert exclude(trials, known, ExclusionRules(headphones=None, catch=None)).kept == {"1", "2"}


def test_nobody_is_left():
    with pytest.raises(
        AudioMetamerError,
        match="no listener is left to analyse: 1 listener with answers; finished: not recorded; 1 excluded: 1 at the headphone",
    ):
        exclude(answers(1, 1) + check("1", "headphones", 1, 6))


def test_the_same_person_counts_once():
    """Listener 1 left before the main part, 2 and 4 are that person again; nobody knows who 3 and 5 are."""
    trials = [trial for trial in answers(5, 1) if trial.listener != "1"] + check("1", "practice", 3, 3)
    found = exclude(trials, persons={"1": "prolific a", "2": "prolific a", "4": "prolific a"})
    assert found.kept == {"2", "3", "5"}
    assert {one.listener: one.reason for one in found.listeners}["4"] == "repeated: the same person as listener 2"
    assert "1 excluded: 1 for taking part again; 1 gave no answers in the main part; 3 analysed." in found.statement
    again = exclude(trials, found.listeners)  # what an analysis wrote
    assert again.statement.endswith(found.statement.partition("; ")[2].partition("; ")[2])


def test_who_fails_the_headphone_check_of_an_experiment_is_reported_by_it(store):
    """The server stops the listener, the export says why, and the analysis has it under the check."""
    for right in (0, 2):
        listener = store.listener(store.enrol())
        store.keep(listener, msgspec.convert(form_message("consent"), Message))
        for trial in store.experiment.trials(store.state(listener).number):
            entry = store.experiment.key[trial.stimulus]
            wrong = next(option for option in store.experiment.options(trial) if option != entry.answer)
            answer = wrong if trial.kind == "headphones" and not right else entry.answer
            store.keep(listener, msgspec.convert(answer_message(trial, answer), Message))
            if store.state(listener).excluded:
                break
    store.enrol()
    exported = read_answers(store.path, store.experiment)
    found = exclude(exported.trials, exported.listeners, ExclusionRules(headphones=1, demonstration=1))
    assert found.statement == (
        "3 listeners enrolled, 2 started; 1 finished; 1 excluded: 1 at the headphone check (fewer than 1 right); 1 gave no "
        "answers in the main part; 1 analysed."
    )
    assert found.details == ["Headphone check: 1 passed, 1 failed, 1 not given."]
