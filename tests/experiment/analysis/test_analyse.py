"""The whole analysis: what it counts, tests and writes."""

import msgspec
import numpy as np
import pytest
from tiny_answers import LAYERS, answers, check

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.analyse import analyse
from audiometamer.listening.tables import ListenerRow
from audiometamer.statistics.anova import anova

FAST = {"resamples": 200, "permutations": 50}


def test_only_the_main_trials_of_those_who_are_kept():
    trials = answers(5, 4)
    extra = check("1", "headphones", 2, 6) + check("2", "catch", 16, 16) + check("3", "practice", 0, 9)
    found = analyse(trials + extra, **FAST)
    alone = analyse([trial for trial in trials if trial.listener != "1"], **FAST)
    assert found.exclusions.kept == {"2", "3", "4", "5"}
    assert found.recognition == alone.recognition
    assert found.tests == alone.tests


def test_tests_of_a_single_model_are_those_of_its_proportions():
    trials = answers(6, 5)
    found = analyse(trials, **FAST)
    tables = []
    for judge in ("correct", "network_correct"):
        right = [
            [
                [getattr(t, judge) for t in trials if (t.listener, t.layer) == (str(n + 1), layer)]
                for layer in ("natural", *LAYERS)
            ]
            for n in range(6)
        ]
        tables.append(np.mean(right, axis=-1))
    assert [row.value for row in found.recognition if row.observer == "human"] == pytest.approx(tables[0].mean(0))
    assert [row.value for row in found.recognition if row.observer == "network"] == pytest.approx(tables[1].mean(0))
    assert list(found.tests) == ["listeners, one", "listeners and network, one"]
    assert found.tests["listeners, one"].effects == anova(tables[0], within=["layer"], permutations=50)
    mixed = anova(
        np.concatenate(tables), within=["layer"], between="observer", groups=["human"] * 6 + ["network"] * 6, permutations=50
    )
    assert found.tests["listeners and network, one"].effects == mixed
    assert found.tests["listeners and network, one"].groups == {"human": 6, "network": 6}
    assert [test.listeners for test in found.tests.values()] == [6, 6]


def test_two_models_and_groups_of_listeners():
    listeners = [ListenerRow(listener=str(n + 1), group="young" if n < 4 else "old") for n in range(8)]
    found = analyse(answers(8, 6, models=("one", "two")), listeners, **FAST)
    assert list(found.tests) == [
        "listeners, one", "groups of listeners, one", "listeners and network, one",
        "listeners, two", "groups of listeners, two", "listeners and network, two", "listeners, one and two",
    ]  # fmt: skip
    assert [(e.name, e.df) for e in found.tests["listeners, one and two"].effects] == [
        ("layer", 3),
        ("model", 1),
        ("layer × model", 3),
    ]
    assert [(e.name, e.df) for e in found.tests["groups of listeners, one"].effects] == [
        ("group", 1),
        ("layer", 3),
        ("group × layer", 3),
    ]
    # nothing tells which model recognises the shared natural clips
    assert [(e.name, e.df) for e in found.tests["listeners and network, one"].effects][1] == ("layer", 2)


def test_missing_metamers_are_reported_and_left_out_unless_they_shall_count():
    trials = [msgspec.structs.replace(t, missing=t.layer == "final" and t.trial % 6 == 0) for t in answers(5, 6)]
    found = analyse(trials, **FAST)
    (final,) = (row for row in found.recognition if (row.layer, row.observer) == ("final", "human"))
    assert (final.missing, final.trials) == (5, 25)
    note = "In 5 of 120 trials there was no metamer, and the natural clip was played (5 at one final); they"
    assert found.notes[0] == f"{note} are left out."
    assert not any(trial.missing for trial in found.trials)
    counted = analyse(trials, count_missing=True, **FAST)
    (final,) = (row for row in counted.recognition if (row.layer, row.observer) == ("final", "human"))
    assert (final.missing, final.trials) == (5, 30)
    assert counted.notes[0] == f"{note} count as the metamers that they stand for."


def test_nothing_but_missing_metamers():
    with pytest.raises(
        AudioMetamerError, match="none of 24 trials had a metamer; count_missing counts the natural clips instead"
    ):
        analyse([msgspec.structs.replace(t, missing=True) for t in answers(2, 3)], **FAST)


def test_what_cannot_be_tested_is_noted():
    trials = answers(5, 3)
    gap = [trial for trial in trials if (trial.listener, trial.layer) != ("2", "relu1")]
    found = analyse(gap, **FAST)
    assert "listeners, one: 1 of 5 had no trial at some condition (2); left out of the test." in found.notes
    assert found.tests["listeners, one"].effects[0].df_error == 9
    assert found.tests["listeners, one"].listeners == 4
    assert found.tests["listeners and network, one"].groups == {"human": 4, "network": 4}


def test_groups_whose_names_look_alike_or_are_blank():
    """As many listeners, in two groups: one of them has none, one has a blank behind its group."""
    groups = ["old", "old", "old", "young", "young ", " young", "Young", ""]
    listeners = [ListenerRow(listener=str(k), group=group) for k, group in enumerate(groups[:6] + groups[7:], start=1)]
    found = analyse(answers(7, 4), listeners, **FAST)
    test = found.tests["groups of listeners, one"]
    assert (test.listeners, test.groups) == (6, {"old": 3, "young": 3})
    assert test.effects[0][0:4:2] == ("group", 1)
    assert test.effects[0].df_error == 4
    assert "1 listener without a group (7); left out of the tests of groups." in found.notes
    assert found.exclusions.details[1] == "Analysed by group: old 3, young 3, without a group 1."
    case = analyse(answers(8, 4), [ListenerRow(listener=str(k), group=g) for k, g in enumerate(groups, start=1)], **FAST)
    assert "Groups young and Young differ in letter case only; they count as two." in case.notes
    assert case.tests["groups of listeners, one"].groups == {"old": 3, "young": 3, "Young": 1}
    alone = "has a single listener: the test of groups takes its variance to be that of the others."
    assert [note for note in case.notes if alone in note] == [f"Group Young {alone}"]
    assert not [note for note in found.notes if alone in note]


def test_listeners_who_never_came_are_in_no_test():
    listeners = [ListenerRow(listener=str(k), group="old" if k % 2 else "young") for k in range(1, 17)]
    found = analyse(answers(8, 4), listeners, **FAST)
    assert found.exclusions.statement == (
        "16 listeners enrolled, 8 started; finished: not recorded; none excluded; 8 gave no answers in the main part; 8 analysed."
    )
    assert {row.listeners for row in found.recognition} == {8}
    assert [test.listeners for test in found.tests.values()] == [8, 8, 8]
    assert found.tests["groups of listeners, one"].effects[0].df_error == 6


def test_groups_that_are_not_compared():
    """The only old listener fails the headphone check."""
    groups = [ListenerRow(listener=str(k), group="young" if k > 1 else "old", finished=k > 2) for k in range(1, 6)]
    found = analyse(answers(5, 3) + check("1", "headphones", 0, 6), groups, **FAST)
    assert "No test of groups: of those who are analysed, all who have a group are young." in found.notes
    assert found.exclusions.details[1:] == [
        "Analysed, though not finished: 1 listener (2).", "Analysed by group: old 0, young 4.",
    ]  # fmt: skip


def test_nobody_has_all_conditions():
    gaps = {"1": "natural", "2": "relu0", "3": "relu1", "4": "final"}
    found = analyse([trial for trial in answers(4, 3) if gaps[trial.listener] != trial.layer], **FAST)
    assert {test[0::3] for test in found.tests.values()} == {(0, "no listener has trials at every condition")}
    assert [row.listeners for row in found.recognition] == [3] * 8


def test_nothing_depends_on_the_order_of_rows():
    trials = answers(5, 4, models=("one", "two"))
    order = np.random.default_rng(0).permutation(len(trials))
    layers = {"one": list(LAYERS), "two": list(LAYERS)}
    plain = analyse(trials, layers=layers, **FAST)
    shuffled = analyse([trials[k] for k in order], layers=layers, **FAST)
    assert [row.value for row in plain.recognition] == pytest.approx([row.value for row in shuffled.recognition])
    for name, test in plain.tests.items():
        assert [effect.f for effect in test.effects] == pytest.approx([effect.f for effect in shuffled.tests[name].effects])
