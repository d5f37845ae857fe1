"""What is selected, against every selection there is."""

import csv
import json
from collections import Counter
from itertools import product

import numpy as np
import pytest
import tiny_stimuli as tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli import select as selecting
from audiometamer.stimuli.index import IndexRow
from audiometamer.stimuli.select import select, select_rows, write_selection
from audiometamer.stimuli.selection_rules import SelectionRules
from audiometamer.stimuli.set import write_set


def row(
    clip, layer="a", *, attempt="first", path="", seed=0, verdict="passed", rms=0.1, duration=2.0, model="m", steps=1, exact=""
):
    return IndexRow(
        file=f"items/{clip}/{model}/{layer}_seed{seed}-{steps}/metamer.wav", key="", clip=clip, model=model, layer=layer,
        seed=seed, verdict=verdict, snr_db=None, spearman_rho=None, pearson_r2=None, label_clip="", label_metamer="",
        method="", loss="", exact=exact, initial="", stop="", attempt=attempt, path=path, steps=steps,
        seconds=0.0, sample_rate=4000, duration=duration, rms=rms,
        peak=1.0, attempts=1, original="", clip_sha256="", weights_sha256="",
    )  # fmt: skip


def chosen(*args, **rules):
    return [(r.clip, r.layer) for r in select_rows(*args, SelectionRules(**rules)).rows]


def test_ways_of_making_can_be_left_out_and_their_condition_stays():
    rows = [
        row("x"),
        row("x", "b"),
        row("y", attempt="layer before"),
        row("y", "b"),
        row("z", attempt="continued"),
        row("z", "b"),
    ]
    assert len(chosen(rows, {})) == 6
    assert {clip for clip, _ in chosen(rows, {}, without_attempts=("layer before",))} == {"x", "z"}
    assert {clip for clip, _ in chosen(rows, {}, without_attempts=("layer before", "continued"))} == {"x"}
    with pytest.raises(AudioMetamerError, match="no clip passed at all 2 conditions"):
        chosen(rows[2:4], {}, without_attempts=("layer before",))
    with pytest.raises(AudioMetamerError, match="without attempts is again; there are first, new noise, continued, layer before"):
        SelectionRules(without_attempts=("again",))


def test_paths_can_be_left_out_by_patterns():
    short, longer = "growth > going on", "longer: growth > going on (straight-through)"
    rows = [row("x", path=short), row("y", path=longer), row("z", path="growth")]
    assert {clip for clip, _ in chosen(rows, {}, without_paths=("*(straight-through)*",))} == {"x", "z"}
    assert {clip for clip, _ in chosen(rows, {}, without_paths=("longer*", "* > going on"))} == {"z"}
    with pytest.raises(AudioMetamerError, match=r"no path is like '\*Longer\*'; there are growth, growth > going on, longer: "):
        chosen(rows, {}, without_paths=("*Longer*",))
    with pytest.raises(AudioMetamerError, match=r"no item passed its verdict without paths \* \(3 passed\)"):
        chosen(rows, {}, without_paths=("*",))


def level_of(row):
    return 20 * np.log10(row.rms)


def spread(values):
    return max(values) - min(values)


def keeps(part, rows, clips, rules):
    """Whether some of the rows keep to the rules; the rules written out."""
    conditions = {r.layer for r in rows}
    cells = [(r.clip, r.layer) for r in part]
    if any(r.verdict != "passed" for r in part) or len(set(cells)) < len(cells):
        return False
    if rules.among == "complete" and any((clip, c) not in cells for clip, _ in cells for c in conditions):
        return False
    if rules.level_within is not None and spread(list(map(level_of, part))) > rules.level_within + 1e-6:
        return False
    if rules.duration_within is not None and spread([r.duration for r in part]) > rules.duration_within + 1e-6:
        return False
    counts = Counter(layer for _, layer in cells)
    if len({counts[c] for c in conditions}) > 1 or max(counts.values()) > (rules.most_clips or len(rows)):
        return False
    for column in (*rules.balance, *rules.may_drop):
        values = {clips[r.clip][column] for r in rows}
        if column in rules.may_drop:
            values &= {clips[clip][column] for clip, _ in cells}
        of_value = Counter((clips[clip][column], layer) for clip, layer in cells)
        if len({of_value[v, c] for v in values for c in conditions}) > 1:
            return False
    return True


@st.composite
def sets(draw):
    """A few rows, what is known of their clips, and rules."""
    clips = {clip: {"word": draw(st.sampled_from("uv")), "voice": draw(st.sampled_from("st"))} for clip in "wxyz"}
    cells = draw(st.lists(st.tuples(st.sampled_from("wxyz"), st.sampled_from("ab"), st.integers(0, 1)), max_size=9, unique=True))
    rows = [
        row(clip, layer, seed=seed, verdict=draw(st.sampled_from(["passed", "passed", "passed", "failed"])),
            rms=draw(st.sampled_from([0.1, 0.1, 0.13, 0.2])), duration=draw(st.sampled_from([2.0, 2.0, 2.5, 3.0])))
        for clip, layer, seed in cells
    ]  # fmt: skip
    columns = draw(st.sampled_from([(), ("voice",), ("word", "voice")]))
    drop = draw(st.sampled_from([0, 1]))
    return rows, clips, SelectionRules(
        among=draw(st.sampled_from(["complete", "largest"])), balance=columns[drop:], may_drop=columns[:drop],
        most_clips=draw(st.sampled_from([None, None, 2])), level_within=draw(st.sampled_from([None, 3.0])),
        duration_within=draw(st.sampled_from([None, 0.5])), seed=draw(st.integers(0, 3)),
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(sets())
def test_nothing_larger_keeps_to_the_rules(problem):
    rows, clips, rules = problem
    every = ([r for r, taken in zip(rows, bits, strict=True) if taken] for bits in product([False, True], repeat=len(rows)))
    most = max((len(part) for part in every if part and keeps(part, rows, clips, rules)), default=0)
    try:
        found, counts = select_rows(rows, clips, rules)
    except AudioMetamerError:
        found, counts = [], {"at_most": 0}
    assert len(found) == counts["at_most"] == most
    assert not found or keeps(found, rows, clips, rules)


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


def test_the_window_with_most_is_left_for_one_that_can_be_balanced():
    about = {"a": {"voice": "s"}, "b": {"voice": "s"}, "c": {"voice": "s"}, "d": {"voice": "s"}, "e": {"voice": "t"}}
    rows = [row("a", rms=0.1), row("b", rms=0.1), row("c", rms=0.1), row("d", rms=0.2), row("e", rms=0.2)]
    assert chosen(rows, about, balance=("voice",), level_within=1.0) == [("d", "a"), ("e", "a")]


def test_what_was_not_looked_at_is_bounded(monkeypatch):
    reported = [("s", "one"), ("s", "one"), ("t", "one"), ("t", "two")]  # by word 3 can be had, by voice 4, by both 2
    about = {f"{k}{rms}": {"voice": v, "word": w} for rms in (0.1, 0.2) for k, (v, w) in enumerate(reported)}
    rows = [row(clip, rms=float(clip[1:])) for clip in about]
    rules = SelectionRules(balance=("voice",), may_drop=("word",), level_within=1.0)
    counts = select_rows(rows, about, rules).counts
    assert (counts["selected"], counts["at_most"]) == (2, 2)
    monkeypatch.setattr(selecting, "_MOST_UNITS", 3)
    counts = select_rows(rows, about, rules).counts
    assert (counts["selected"], counts["at_most"]) == (2, 3), "the second window was not looked at"


def test_the_seed_that_lies_in_the_window_is_taken():
    rows = [row("x", rms=0.1), row("y", rms=0.2), row("y", seed=1, rms=0.1)]
    found = [select_rows(rows, {}, SelectionRules(level_within=1.0, seed=seed)).rows for seed in range(5)]
    assert [[(r.clip, r.seed) for r in rows] for rows in found] == [[("x", 0), ("y", 1)]] * 5


def test_one_seed_of_each_is_drawn_and_the_seed_decides():
    rows = [row(clip, seed=k, verdict="failed" if k == 0 else "passed") for clip in "abcdef" for k in range(4)]
    found = [[r.seed for r in select_rows(rows, {}, SelectionRules(seed=seed)).rows] for seed in range(5)]
    assert all(len(seeds) == 6 and 0 not in seeds for seeds in found)
    assert len({tuple(seeds) for seeds in found}) > 1
    assert found[0] == [r.seed for r in select_rows(rows[::-1], {}, SelectionRules(seed=0)).rows], (
        "the order of rows does not matter"
    )


def test_what_was_matched_in_another_way_is_another_condition():
    rows = [row("x"), row("x", steps=2), row("y")]
    assert {r.steps for r in select_rows(rows, {}, SelectionRules()).rows} == {1, 2}
    assert [r.clip for r in select_rows(rows, {}, SelectionRules(only={"steps": ("1",)})).rows] == ["x", "y"]
    assert {r.exact for r in select_rows([row("x"), row("x", exact="yes", seed=1)], {}, SelectionRules()).rows} == {"", "yes"}
    for own in ({"initial": "yes"}, {"stop": "passed"}):
        both = [row("x"), replace(row("x", seed=1), **own)]
        assert len(select_rows(both, {}, SelectionRules()).rows) == 2
    about = {"x": {"word": "one"}, "y": {"word": "two"}}
    assert [r.clip for r in select_rows(rows, about, SelectionRules(only={"steps": ("1",), "word": ("two",)})).rows] == ["y"]


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
        ([row("x"), row("new")], {"balance": ("word",)}, "clips.tsv has no word for new"),
        ([row("x", rms=0.0)], {"level_within": 1.0}, "is silent: it has no level to match"),
        ([row("x", rms=0.1), row("x", "b", rms=0.2)], {"level_within": 1.0}, "widen the window"),
        ([row("x", duration=None)], {"duration_within": 1.0}, "is not a sound: it has no duration"),
    ],
)
def test_bad_input_is_reported_in_a_line(rows, rules, message):
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
def test_bad_rules_are_reported_in_a_line(rules, message):
    with pytest.raises(AudioMetamerError, match=message):
        SelectionRules(**rules)


def test_a_selection_is_written_down(tmp_path):
    stimuli = tiny.write_items(tmp_path / "set", failed=[("two_slt", "relu1")])
    write_set(stimuli, clips=tiny.write_clips(tmp_path / "clips.csv"))
    rules = SelectionRules(balance=("voice",), seed=3)
    found = write_selection(stimuli, tmp_path / "chosen", rules)
    with (tmp_path / "chosen" / "selection.tsv").open(newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert [(r["clip"], r["layer"], r["voice"]) for r in rows] == [
        ("one_rms", "relu0", "rms"), ("one_rms", "relu1", "rms"), ("one_slt", "relu0", "slt"), ("one_slt", "relu1", "slt"),
    ]  # fmt: skip
    reported = json.loads((tmp_path / "chosen" / "selection.json").read_text())
    assert reported["rules"]["seed"] == 3
    assert reported["rules"]["balance"] == ["voice"]
    assert reported["counts"] == found.counts == {
        "items": 6, "passed": 5, "one_seed": 5, "candidates": 4, "matched": 4, "selected": 4, "at_most": 4,
        "selected_clips": 2, "conditions": 2,
    }  # fmt: skip
    assert select(stimuli, rules).rows == found.rows
    with pytest.raises(AudioMetamerError, match=r"selection\.tsv exists; nothing is overwritten"):
        write_selection(stimuli, tmp_path / "chosen", rules)
