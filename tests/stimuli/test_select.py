"""The largest balanced choice, against every choice there is."""

import csv
import json
from itertools import product

import numpy as np
import pytest
import tiny_stimuli as tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli.select import Family, Rules, largest_balanced, select, select_rows, write_selection
from audiometamer.stimuli.set import Row, write_set


def row(clip, layer="a", *, seed=0, verdict="passed", rms=0.1, duration=2.0, model="m", steps=1):
    return Row(
        file=f"items/{clip}/{model}/{layer}_seed{seed}-{steps}/metamer.wav", key="", clip=clip, model=model, layer=layer,
        seed=seed, verdict=verdict, snr_db=None, spearman_rho=None, pearson_r2=None, label_clip="", label_metamer="",
        method="", loss="", steps=steps, seconds=0.0, sample_rate=4000, duration=duration, rms=rms, peak=1.0, attempts=1,
        original="", clip_sha256="", weights_sha256="",
    )  # fmt: skip


def chosen(*args, **rules):
    return [(r.clip, r.layer) for r in select_rows(*args, Rules(**rules)).rows]


def holds(choice, families):
    """Whether a choice, a set of units, is balanced; the definition written out."""
    for family in families:
        counts = [[len(choice & set(group)) for group in groups] for groups in family.values]
        if family.may_drop:
            counts = [of_value for of_value in counts if any(of_value)]
        if len({count for of_value in counts for count in of_value}) > 1:
            return False
    return True


@st.composite
def problems(draw):
    n = draw(st.integers(1, 9))
    families = []
    for _ in range(draw(st.integers(1, 2))):
        values, conditions = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        place = [(draw(st.integers(0, values - 1)), draw(st.integers(0, conditions - 1))) for _ in range(n)]
        groups = [[[k for k in range(n) if place[k] == (v, c)] for c in range(conditions)] for v in range(values)]
        families.append(Family(groups, may_drop=draw(st.booleans())))
    return n, families, draw(st.none() | st.integers(0, n)), draw(st.integers(0, 5))


@settings(max_examples=80, deadline=None)
@given(problems())
def test_no_choice_is_larger(problem):
    n, families, most, seed = problem
    found = set(largest_balanced(n, families, most=most, generator=np.random.default_rng(seed)))
    assert holds(found, families)
    every = ({k for k in range(n) if bits[k]} for bits in product([False, True], repeat=n))
    best = max(len(choice) for choice in every if holds(choice, families) and (most is None or len(choice) <= most))
    assert len(found) == best


def test_complete_clips_are_those_that_passed_everywhere():
    rows = [row("x"), row("x", "b"), row("y"), row("y", "b", verdict="failed"), row("z"), row("z", "b", verdict="no verdict")]
    assert chosen(rows, {}) == [("x", "a"), ("x", "b")]


def test_the_largest_subset_has_as_many_at_each_condition():
    rows = [row("x"), row("y"), row("z"), row("x", "b", verdict="failed"), row("y", "b"), row("z", "b", verdict="failed")]
    found = chosen(rows, {}, among="largest")
    assert len(found) == 2
    assert sorted(layer for _, layer in found) == ["a", "b"]


def test_voices_come_equally_often_and_words_may_be_left_out():
    clips = {"x1": ("one", "slt"), "x2": ("two", "slt"), "x3": ("three", "slt"), "y1": ("one", "rms")}
    about = {name: {"word": word, "voice": voice} for name, (word, voice) in clips.items()}
    rows = [row(name) for name in clips]
    found = [clip for clip, _ in chosen(rows, about, balance=("voice",), may_drop=("word",))]
    assert len(found) == 2
    assert "y1" in found
    both = [clip for clip, _ in chosen(rows[:2] + rows[3:], about, may_drop=("word",))]
    assert both in (["x1", "x2"], ["x2", "y1"], ["x1", "y1"]), "each word once, or one word twice"
    with pytest.raises(AudioMetamerError, match="nothing is balanced among the 4 candidates"):
        chosen(rows, about, balance=("voice", "word"))


def test_a_voice_of_which_nothing_passed_is_named():
    about = {"x": {"voice": "slt"}, "y": {"voice": "rms"}}
    rows = [row("x"), row("y", verdict="failed")]
    with pytest.raises(AudioMetamerError, match="no clip of voice rms is among the 1 candidates"):
        chosen(rows, about, balance=("voice",))
    assert chosen(rows, about, may_drop=("voice",)) == [("x", "a")]


def test_one_seed_of_each_is_drawn_and_the_seed_decides():
    rows = [row(clip, seed=k, verdict="failed" if k == 0 else "passed") for clip in "abcdef" for k in range(4)]
    found = [[r.seed for r in select_rows(rows, {}, Rules(seed=seed)).rows] for seed in range(5)]
    assert all(len(seeds) == 6 and 0 not in seeds for seeds in found)
    assert len({tuple(seeds) for seeds in found}) > 1
    assert found[0] == [r.seed for r in select_rows(rows[::-1], {}, Rules(seed=0)).rows], "the order of rows does not matter"


def test_what_was_matched_in_another_way_is_another_condition():
    rows = [row("x"), row("x", steps=2), row("y")]
    assert {r.steps for r in select_rows(rows, {}, Rules()).rows} == {1, 2}
    assert [r.clip for r in select_rows(rows, {}, Rules(only={"steps": ("1",)})).rows] == ["x", "y"]
    about = {"x": {"word": "one"}, "y": {"word": "two"}}
    assert [r.clip for r in select_rows(rows, about, Rules(only={"steps": ("1",), "word": ("two",)})).rows] == ["y"]


def test_among_equals_the_seed_chooses():
    rows = [row(clip) for clip in "abcdefgh"]
    found = {tuple(clip for clip, _ in chosen(rows, {}, most_clips=3, seed=seed)) for seed in range(12)}
    assert all(len(clips) == 3 for clips in found)
    assert len(found) > 3


def test_levels_and_durations_are_matched():
    rows = [row("quiet", rms=0.01), row("a", rms=0.1), row("b", rms=0.1 * 10**0.1), row("c", rms=0.12), row("long", duration=3)]
    assert [clip for clip, _ in chosen(rows, {}, level_within=2.0, duration_within=0.5)] == ["a", "b", "c"]
    assert [clip for clip, _ in chosen(rows, {}, level_within=1.9)] == ["a", "c", "long"]
    both = [row("a", rms=0.1), row("a", "b", rms=0.2), row("c", rms=0.1), row("c", "b", rms=0.1)]
    assert {clip for clip, _ in chosen(both, {}, level_within=3.0)} == {"c"}, "all metamers of a clip lie in the window"


@pytest.mark.parametrize(
    ("rows", "rules", "message"),
    [
        ([row("x", verdict="failed")], {}, r"no item passed its verdict \(1 failed\)"),
        ([row("x"), row("z"), row("y", "b")], {}, r"no clip passed at all 2 conditions; fewest did at m b \(1\)"),
        ([row("x")], {"only": {"layer": ("b",)}}, "no item has layer 'b'; there are a"),
        ([row("x")], {"only": {"colour": ("b",)}}, "neither the index nor clips.tsv has a column 'colour'"),
        ([row("x")], {"balance": ("colour",)}, "clips.tsv has no column 'colour' to balance; it has word"),
        ([row("x"), row("new")], {"balance": ("word",)}, "does not tell the word of new"),
        ([row("x", rms=0.0)], {"level_within": 1.0}, "is silent: it has no level to match"),
        ([row("x", rms=0.1), row("x", "b", rms=0.2)], {"level_within": 1.0}, "widen the window"),
        ([row("x", duration=None)], {"duration_within": 1.0}, "is no sound: it has no duration"),
    ],
)
def test_bad_input_is_told_in_a_line(rows, rules, message):
    with pytest.raises(AudioMetamerError, match=message):
        chosen(rows, {"x": {"word": "one"}}, **rules)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"among": "some"}, "among is 'some'"),
        ({"most_clips": 0}, "most clips is 0"),
        ({"level_within": -1.0}, "level within is -1.0 dB"),
        ({"duration_within": -1.0}, "duration within is -1.0 s"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_bad_rules_are_told_in_a_line(rules, message):
    with pytest.raises(AudioMetamerError, match=message):
        Rules(**rules)


def test_a_selection_is_written_down(tmp_path):
    stimuli = tiny.write_items(tmp_path / "set", failed=[("two_slt", "relu1")])
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv"))
    rules = Rules(balance=("voice",), seed=3)
    found = write_selection(stimuli, tmp_path / "chosen", rules)
    with (tmp_path / "chosen" / "selection.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(r["clip"], r["layer"], r["voice"]) for r in rows] == [
        ("one_rms", "relu0", "rms"), ("one_rms", "relu1", "rms"), ("one_slt", "relu0", "slt"), ("one_slt", "relu1", "slt"),
    ]  # fmt: skip
    told = json.loads((tmp_path / "chosen" / "selection.json").read_text())
    assert told["rules"]["seed"] == 3
    assert told["rules"]["balance"] == ["voice"]
    assert told["counts"] == found.counts == {
        "items": 6, "passed": 5, "one_seed": 5, "candidates": 4, "matched": 4, "selected": 4, "selected_clips": 2,
        "conditions": 2,
    }  # fmt: skip
    assert select(stimuli, rules).rows == found.rows
    with pytest.raises(AudioMetamerError, match=r"selection\.tsv exists; nothing is overwritten"):
        write_selection(stimuli, tmp_path / "chosen", rules)
