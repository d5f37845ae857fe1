"""Plans of sounds that tell models apart: keys of each kind, pairs of layers, and refusals in one line."""

import pytest
from command_line import refused
from tiny_comparisons import HEAD, write_comparison_plan

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.stimuli.comparisons.items import expand_comparisons
from audiometamer.stimuli.comparisons.plan import is_comparison_plan, read_comparison_plan


def expanded(path):
    return expand_comparisons(read_comparison_plan(path)).items


@pytest.mark.parametrize(
    ("kind", "of", "n"),
    [
        ("eigendistortions", "first:hidden", 6), ("finite", "first:hidden", 6), ("distant", "first:hidden", 6),
        ("principal", "first:hidden second:hidden", 6), ("mad", "first:hidden second:hidden", 6),
        ("controversial", "first second", 18),
    ],
)  # fmt: skip
def test_a_kind_is_crossed_with_clips_or_words_and_layers_or_pairs_of_them(tmp_path, kind, of, n):
    """Three models: three layers or three pairs, times two clips, or times six ordered pairs of three words."""
    items = expanded(write_comparison_plan(tmp_path, kind))
    assert len(items) == n == len({item.key for item in items})
    assert " ".join(items[0].of) == of


def test_what_determines_the_sounds_determines_the_key(tmp_path):
    path = write_comparison_plan(tmp_path, "mad", n_clips=1)
    text, keys = path.read_text(), []
    for changed in (text, text.replace("noise = -10", "noise = -15"), text.replace("rate = 1000", "rate = 8000"), text):
        path.write_text(changed)
        keys.append(expanded(path)[0].key)
    assert keys[0] == keys[3]
    assert len(set(keys)) == 3


FAULTS = [
    ('kind = "mad"\nwords = ["yes", "no"]', r"comparisons\[0\]\.words: kind = 'mad' has no words; it has noise, band, steps"),
    ('kind = "mad"\nnoice = -10', r"noice"),
    ('kind = "finite"\nspace = "band"', r"space = \"band\" and band = \[LOW, HIGH\] go together"),
    ('kind = "loud"', "kind"),
    ('kind = "mad"\n[[comparisons]]\nkind = "mad"', r"comparisons\[1\]: it is there twice"),
]


@pytest.mark.parametrize(("table", "message"), FAULTS)
def test_a_fault_is_named_with_its_place(tmp_path, table, message):
    path = write_comparison_plan(tmp_path, n_clips=1)
    path.write_text(f"{HEAD}\n[[comparisons]]\n{table}\n")
    with pytest.raises(AudioMetamerError, match=message):
        read_comparison_plan(path)


def test_sounds_that_tell_models_apart_start_from_no_given_signal(tmp_path):
    path = write_comparison_plan(tmp_path, n_clips=1)
    path.write_text(path.read_text().replace("[clips]", '[clips]\ninitial = "x.wav"'))
    with pytest.raises(AudioMetamerError, match=r"clips.initial: only metamers start from given signals; leave it out"):
        read_comparison_plan(path)


def test_words_that_a_model_does_not_have_and_models_that_do_not_fit_are_refused(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "controversial", n_clips=1)
    text = path.read_text()
    path.write_text(text + 'words = ["yes", "nose"]\n')
    assert "plan.toml: comparisons[0]: first has no class 'nose'" in refused(capsys, "plan", "check", str(path))
    path.write_text(text.replace("tiny_comparisons:third", "tiny_models:sound_model").replace('layers = ["hidden"]', ""))
    assert "the models take different signals: first 0.064 s of sound in 1 channel" in refused(capsys, "run", str(path))


def test_a_plan_without_clips_is_for_controversial_sounds(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "controversial")
    path.write_text(path.read_text().replace('[clips]\ntable = "clips.csv"', ""))
    assert len(expanded(path)) == 18
    path.write_text(path.read_text() + '[[comparisons]]\nkind = "mad"\n')
    assert "give one of table, folder and files; none of them is given" in refused(capsys, "plan", "check", str(path))


def test_one_layer_alone_has_nothing_to_disagree_with(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "mad")
    models = path.read_text().split("[[models]]")
    path.write_text(models[0] + "[[models]]" + models[1] + '[[comparisons]]\nkind = "mad"\n')
    assert "comparisons[0]: there is one layer of one model; two can be compared" in refused(capsys, "plan", "check", str(path))


def test_a_plan_is_known_by_its_table(tmp_path, capsys):
    path = write_comparison_plan(tmp_path, "mad")
    assert is_comparison_plan(path)
    assert not is_comparison_plan(tmp_path / "none.toml")
    main(["plan", "check", str(path)])
    assert "6 items" in capsys.readouterr().out
    assert not (tmp_path / "set").exists()
    assert "--retry is for metamers" in refused(capsys, "run", str(path), "--retry", "failed")
    main(["submit", str(path), "--write-only"])
    assert "audiometamer" in (tmp_path / "plan.sbatch").read_text()
