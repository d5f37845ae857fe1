"""Who hears what: balanced within one, no word twice, and seed and key decide everything."""

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.available import NATURAL_CONDITION, Condition
from audiometamer.experiment.design import Catch, Design, Practice
from audiometamer.experiment.lists import Words, draw_alternatives, draw_trials, independent_draws, latin_square, with_numbers
from audiometamer.io.draws import Draws
from audiometamer.listening.design import ResponseFormat
from audiometamer.listening.gates import Demonstration
from audiometamer.listening.trials import ARRANGEMENTS, interval_order

DRAWS = Draws(0, b"lists")

few = settings(max_examples=60, deadline=None)
words_of = st.lists(st.integers(1, 4), min_size=1, max_size=20).map(
    lambda counts: [[f"w{w}_{k}" for k in range(n)] for w, n in enumerate(counts)]
)


def conditions_of(n):
    return [NATURAL_CONDITION, *(Condition("net", f"layer{k}", 0) for k in range(1, n))]


def word(clip):
    return clip.split("_")[0]


def within_one(counts, keys):
    numbers = [counts[key] for key in keys]
    return max(numbers) - min(numbers) <= 1


@few
@given(words=words_of, n_conditions=st.integers(1, 7), listeners=st.integers(1, 40), data=st.data())
def test_a_latin_square_is_balanced_at_every_listener(words, n_conditions, listeners, data):
    trials = data.draw(st.integers(1, len(words)))
    conditions, groups = conditions_of(n_conditions), len(words) // trials
    deal = latin_square(words, conditions, trials=trials, generator=np.random.default_rng(data.draw(st.integers(0, 9))))
    lists = [deal(number) for number in range(listeners)]
    for dealt in lists:
        assert len({word(clip) for clip, _ in dealt}) == len(dealt) == trials
        assert within_one(Counter(condition for _, condition in dealt), conditions)
    heard, cells = Counter(word(clip) for dealt in lists for clip, _ in dealt), Counter(c for dealt in lists for c in dealt)
    assert within_one(heard, [word(clips[0]) for clips in words[: groups * trials]])
    for clips in words[: groups * trials]:
        assert within_one(Counter((word(clip), condition) for dealt in lists for clip, condition in dealt),
                          [(word(clips[0]), condition) for condition in conditions])  # fmt: skip
        assert within_one(Counter(clip for dealt in lists for clip, _ in dealt), clips)
        assert within_one(cells, [(clip, condition) for clip in clips for condition in conditions])


@few
@given(words=words_of, n_conditions=st.integers(1, 7), seed=st.integers(0, 99), data=st.data())
def test_the_draw_of_2023_has_every_condition_equally_often(words, n_conditions, seed, data):
    trials = data.draw(st.integers(1, len(words)))
    deal = independent_draws(words, conditions_of(n_conditions), trials=trials, draws=Draws(seed, b"lists"))
    for number in range(3):
        dealt = deal(number)
        assert len({word(clip) for clip, _ in dealt}) == len(dealt) == trials
        assert within_one(Counter(condition for _, condition in dealt), conditions_of(n_conditions))
    assert deal(0) == deal(0)


def test_the_draw_of_2023_is_another_one_for_each_listener_and_seed():
    words, conditions = [[f"w{w}_0"] for w in range(40)], conditions_of(4)
    lists = [
        independent_draws(words, conditions, trials=40, draws=Draws(seed, b"lists"))(number)
        for seed in (0, 1)
        for number in (0, 1)
    ]
    assert len({tuple(sorted(dealt)) for dealt in lists}) == 4


designs = st.builds(
    Design,
    title=st.just("x"),
    listeners=st.integers(1, 6),
    seed=st.integers(0, 20),
    balance=st.sampled_from(["latin", "feather2023"]),
    practice=st.builds(Practice, trials=st.integers(0, 2), conditions=st.sampled_from(["natural", "all"])),
    demonstration=st.builds(Demonstration, trials=st.integers(0, 2), conditions=st.sampled_from(["natural", "all"])),
    catch=st.builds(Catch, trials=st.integers(0, 3)),
)


@few
@given(design=designs, words=st.lists(st.integers(1, 3), min_size=8, max_size=20).map(
    lambda counts: [[f"w{w}_{k}" for k in range(n)] for w, n in enumerate(counts)]))  # fmt: skip
def test_nobody_hears_a_word_twice_and_gates_come_first(design, words):
    conditions = conditions_of(3)
    lists = draw_trials(Words(words), conditions, design, DRAWS)
    assert lists == draw_trials(Words(words), conditions, design, DRAWS)
    assert len(lists) == design.listeners
    for trials in lists:
        assert len({word(trial.clip) for trial in trials}) == len(trials) == len(words)
        kinds = [trial.kind for trial in trials]
        gates = ["practice"] * design.practice.trials + ["demonstration"] * design.demonstration.trials
        assert kinds[: len(gates)] == gates
        assert set(kinds[len(gates) :]) <= {"main", "catch"}
        assert kinds.count("catch") == design.catch.trials
        assert all(trial.condition == NATURAL_CONDITION for trial in trials if trial.kind == "catch")
        assert within_one(Counter(trial.condition for trial in trials if trial.kind == "main"), conditions)
        for kind in ("practice", "demonstration", "catch"):
            assert {word(t.clip) for t in trials if t.kind == kind} == {word(t.clip) for t in lists[0] if t.kind == kind}


@few
@given(design=designs, more=st.integers(1, 5))
def test_a_list_does_not_depend_on_how_many_there_are(design, more):
    words, conditions = [[f"w{w}_0", f"w{w}_1"] for w in range(12)], conditions_of(3)
    lists = draw_trials(Words(words), conditions, design, DRAWS)
    longer = draw_trials(Words(words), conditions, msgspec.structs.replace(design, listeners=design.listeners + more), DRAWS)
    assert longer[: len(lists)] == lists


def test_another_seed_or_key_gives_other_lists():
    words = [[f"w{w}_0"] for w in range(60)]
    lists = [
        draw_trials(Words(words), conditions_of(4), Design("x", 2, balance=balance), draws)
        for draws in (Draws(0, b"a"), Draws(1, b"a"), Draws(0, b"b"), Draws(0, None), Draws(1, None))
        for balance in ("latin", "feather2023")
    ]
    assert all(a != b for k, a in enumerate(lists) for b in lists[:k])
    assert lists[0][0] != lists[0][1]


def test_catch_trials_are_spread_over_the_others():
    words = [[f"w{w}_0"] for w in range(110)]
    (trials,) = draw_trials(
        Words(words),
        conditions_of(2),
        Design("x", 1, practice=Practice(0), demonstration=Demonstration(0), catch=Catch(10)),
        DRAWS,
    )
    places = [k for k, trial in enumerate(trials) if trial.kind == "catch"]
    assert [place // 11 for place in places] == list(range(10))


def test_too_few_words_are_reported_with_what_is_wanted():
    numbers = {"practice": Practice(10), "demonstration": Demonstration(12), "catch": Catch(16)}
    with pytest.raises(AudioMetamerError) as error:
        draw_trials(Words([["a"]] * 38), conditions_of(2), Design("x", 1, **numbers), DRAWS)
    assert str(error.value) == (
        "there are 38 words that a listener can hear once; wanted are 10 for practice, 12 for the demonstration, 16 for catch "
        "trials and at least 1 for the trials themselves: lower one of them"
    )
    with pytest.raises(AudioMetamerError, match="and 3 for the trials themselves"):
        draw_trials(Words([["a"]] * 40), conditions_of(2), Design("x", 1, trials=3, **numbers), DRAWS)
    with pytest.raises(
        AudioMetamerError, match="there are 3 words that a listener can hear once, and 30 further ones as natural"
    ):
        draw_trials(Words([["a"]] * 3, [["b"]] * 30), conditions_of(2), Design("x", 1, **numbers), DRAWS)


@pytest.mark.parametrize(
    ("main", "further", "trials"),
    [
        (4, 0, (0, 0, 0, 4)),
        (16, 0, (1, 1, 1, 13)),  # a quarter of 16 is 4: 10, 12 and 16 thirty-eighths of it, rounded down
        (76, 0, (5, 6, 8, 57)),
        (152, 0, (10, 12, 16, 114)),
        (120, 64, (10, 12, 16, 120)),  # further words are enough
        (120, 20, (9, 11, 14, 106)),  # 34 of 140; 14 of them are taken from the 120
        (438, 0, (10, 12, 16, 400)),  # as published
        (793, 0, (10, 12, 16, 377)),  # half of the 755 that are left
    ],
)
def test_numbers_of_trials_follow_from_the_number_of_words(main, further, trials):
    words = Words([[f"m{k}"] for k in range(main)], [[f"f{k}"] for k in range(further)])
    design = with_numbers(Design("x", 1), words)
    assert (design.practice.trials, design.demonstration.trials, design.catch.trials, design.trials) == trials
    assert design.demonstration.minimum == {0: 0, 1: 1, 6: 3, 11: 5, 12: 5}[trials[1]]
    assert with_numbers(design, Words([["a"]] * 2)) == design  # numbers that are given stay


def test_no_catch_trials_are_natural_clips_where_sounds_are_compared():
    design = with_numbers(Design("x", 1, answers=ResponseFormat(kind="abx")), Words([["a"]] * 200))
    assert design.catch.trials == 0


def test_natural_trials_take_further_words_first():
    words = Words([[f"m{k}_0"] for k in range(10)], [[f"f{k}_0"] for k in range(4)])
    design = Design("x", 1, practice=Practice(3), demonstration=Demonstration(2, conditions="all"), catch=Catch(2))
    (trials,) = draw_trials(words, conditions_of(3), design, DRAWS)
    taken = {kind: sorted(trial.clip[0] for trial in trials if trial.kind == kind) for kind in ("practice", "demonstration")}
    assert taken == {"practice": ["f", "f", "f"], "demonstration": ["m", "m"]}
    assert sorted(trial.clip[0] for trial in trials if trial.kind == "catch") == ["f", "m"]
    assert {trial.clip[0] for trial in trials if trial.kind == "main"} == {"m"}
    assert len({trial.clip for trial in trials}) == len(trials) == 14


@pytest.mark.parametrize(("kind", "n"), [("typed", 1), ("abx", 4), ("odd-one-out", 6)])
def test_the_orders_of_compared_sounds_come_equally_often(kind, n):
    words = [[f"w{w}_0"] for w in range(25)]
    design = Design(
        "x", 2, answers=ResponseFormat(kind=kind), practice=Practice(0), demonstration=Demonstration(0), catch=Catch(0)
    )
    for trials in draw_trials(Words(words), conditions_of(3)[1:], design, DRAWS):
        assert within_one(Counter(trial.arrangement for trial in trials), range(n))


@few
@given(answers=st.lists(st.text(max_size=3), min_size=2, max_size=9, unique=True), data=st.data())
def test_alternatives_hold_the_right_answer_and_others(answers, data):
    answer, n = data.draw(st.sampled_from(answers)), data.draw(st.integers(2, len(answers)))
    others = [other for other in answers if other != answer]
    found = draw_alternatives(answer, others, n, np.random.default_rng(0))
    assert len(set(found)) == n
    assert answer in found
    assert set(found) <= set(answers)


@pytest.mark.parametrize(("kind", "sounds"), [("abx", 2), ("odd-one-out", 1)])
def test_arrangements_are_all_that_there_are_and_each_has_its_right_answer(kind, sounds):
    found = [interval_order(kind, k) for k in range(ARRANGEMENTS[kind])]
    assert len({tuple(order) for order, _ in found}) == len(found)
    for order, right in found:
        assert sorted(set(order)) == [0, 1]
        if kind == "abx":
            assert order[0] != order[1]
            assert order[2] == order[int(right) - 1]
        else:
            assert order.count(order[int(right) - 1]) == sounds
    assert {right for _, right in found} == {"1", "2", "3"} - ({"3"} if kind == "abx" else set())
