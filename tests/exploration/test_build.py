"""The folder of an exploration: all that it needs, nothing that a page may not know, and refused where it was changed."""

import json
import shutil
import stat
from dataclasses import replace

import pytest
import soundfile
from tiny_built import CLIPS, DESIGN, DIMENSIONS, ONLINE, take, write_design
from tiny_ladder import record, write_ladder, write_moved_stimulus

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.experiment.reading import read_experiment
from audiometamer.exploration import build as building
from audiometamer.exploration.build import build
from audiometamer.exploration.folder import read_exploration, served_exploration
from audiometamer.io.draws import Draws, read_key
from audiometamer.listening.reading import read_answers
from audiometamer.listening.store import Store


@pytest.fixture
def without_page(monkeypatch):
    """Putting the page together takes seconds."""
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "results.secret" and path.parts[-2] != "page"
    }


def test_what_lies_in_the_folder(exploration):
    there = {path.name for path in exploration.iterdir()}
    assert there == {
        "design.toml", "key.json", "ladder", "lists.json", "names.key", "page", "results.secret", "sounds", "texts"
    }  # fmt: skip
    lists = json.loads((exploration / "lists.json").read_text())
    assert lists["course"] == "explore"
    assert len(lists["listeners"]) == 4
    assert {trial["kind"] for one in lists["listeners"] for trial in one["trials"]} == {"headphones"}
    assert len(list((exploration / "sounds").iterdir())) == 3
    for name in ("key.json", "names.key", "results.secret"):
        assert stat.S_IMODE((exploration / name).stat().st_mode) == 0o600
    assert "three sounds" in (exploration / "texts" / "instructions.md").read_text()


def test_it_needs_nothing_outside_itself(tmp_path, without_page):
    built = build(write_design(tmp_path), tmp_path / "built")
    heard = take(built.sequence)
    shutil.rmtree(tmp_path / "ladder")
    (tmp_path / "built").rename(tmp_path / "elsewhere")
    read = read_exploration(tmp_path / "elsewhere")
    assert take(read.adaptive) == heard
    assert read.adaptive.stimulus(heard[0].decided)[:4] == b"RIFF"


def test_the_same_design_and_key_give_the_same_files(tmp_path, without_page):
    path = write_design(tmp_path)
    for name in "ab":
        build(path, tmp_path / name, key=tmp_path / "a" / "names.key" if name == "b" else None)
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert (tmp_path / "a" / "results.secret").read_text() != (tmp_path / "b" / "results.secret").read_text()


def test_only_what_is_chosen_is_copied(tmp_path, without_page):
    text = DESIGN.replace('folder = "ladder"', 'folder = "ladder"\nchoose = ["relu1/2/+"]')
    built = build(write_design(tmp_path, text), tmp_path / "built")
    assert built.stimuli == 12
    assert {path.name[:5] for path in (tmp_path / "built" / "ladder").glob("*/*.wav")} == {"relu1", "origi"}
    assert read_exploration(tmp_path / "built").sequence.schedule.dimensions == [DIMENSIONS[2]]


def test_levels_are_lowered_so_that_no_roved_sound_clips(tmp_path, without_page):
    text = DESIGN.replace("[practice]", "[task]\nrove = 6\n\n[sounds]\nlevel = -9\n\n[practice]")
    with pytest.warns(AudioMetamerWarning, match="would clip: the whole set is lowered by"):
        built = build(write_design(tmp_path, text), tmp_path / "built")
    assert built.sequence.design.sounds.level < -9
    noise, _ = soundfile.read(tmp_path / "built" / "sounds" / "calibrationnoise.wav")
    loudest = built.sequence.design.sounds.level + 6
    assert (noise**2).mean() ** 0.5 == pytest.approx(10 ** (loudest / 20), rel=1e-3), "nobody is to be surprised by a louder one"
    for one in take(built.sequence, trials=10):
        built.sequence.stimulus(one.decided)  # would say that it clips


def test_the_noise_is_as_loud_as_the_sounds(exploration):
    noise, rate = soundfile.read(exploration / "sounds" / "calibrationnoise.wav")
    assert rate == 48_000
    assert (noise**2).mean() ** 0.5 == pytest.approx(10 ** (-30 / 20), rel=1e-3)


def test_answers_are_of_the_ladder_too(tmp_path, without_page):
    """The same design over other signals is another experiment: its levels are not those that were answered."""
    ladders = {"a": (0.1, 0.2, 0.4, 0.8), "b": (0.5, 1.0, 2.0, 3.9)}
    for name, changes in ladders.items():
        write_ladder(tmp_path / name / "ladder", DIMENSIONS, CLIPS, changes)
        build(write_design(tmp_path / name), tmp_path / name / "built")
    first, second = (read_exploration(tmp_path / name / "built") for name in ladders)
    Store(tmp_path / "answers.db", first).close()
    for read in (Store, read_answers):
        with pytest.raises(AudioMetamerError, match=r"answers.db holds the answers of another experiment than .*b/built"):
            read(tmp_path / "answers.db", second)


def test_nothing_is_overwritten(exploration, tmp_path):
    with pytest.raises(AudioMetamerError, match="exists; nothing is overwritten: choose another --out"):
        build(write_design(tmp_path), exploration)


def test_each_kind_is_for_its_own_command(exploration, tmp_path):
    with pytest.raises(AudioMetamerError, match="is for `audiometamer explore`"):
        read_experiment(exploration)
    shutil.copytree(exploration, tmp_path / "e", ignore=shutil.ignore_patterns("page"))
    lists = json.loads((tmp_path / "e" / "lists.json").read_text())
    (tmp_path / "e" / "lists.json").write_text(json.dumps(lists | {"course": ""}))
    with pytest.raises(AudioMetamerError, match="is no exploration; it is for `audiometamer experiment`"):
        read_exploration(tmp_path / "e")
    with pytest.raises(AudioMetamerError, match=r"is no experiment: it has no lists\.json"):
        read_exploration(tmp_path)


def test_a_ladder_that_was_changed_is_found_when_it_is_served(exploration, tmp_path):
    shutil.copytree(exploration, tmp_path / "e", ignore=shutil.ignore_patterns("page"))
    (missing,) = (tmp_path / "e" / "ladder" / "bell").glob("*relu1*0.4.wav")
    missing.unlink()
    with pytest.raises(AudioMetamerError, match=r"the signal of relu1_2_\+0.4.json, is gone"):
        read_exploration(tmp_path / "e")
    for path in (tmp_path / "e" / "ladder").glob("*/relu1*"):
        path.unlink()
    with pytest.raises(AudioMetamerError, match=r"design.toml: ladder: .* has no dimension 'relu1/2/\+'"):
        read_exploration(tmp_path / "e")


def test_a_sound_that_is_gone_is_reported_with_its_name(tmp_path, without_page):
    course = build(write_design(tmp_path), tmp_path / "built").sequence
    decided = take(course, trials=1)[0].decided
    (tmp_path / "built" / decided.about["moved"]).write_bytes(b"nothing")
    with pytest.raises(AudioMetamerError, match=r"0.8.wav"):
        course.stimulus(decided)


def test_a_silent_sound_is_refused(tmp_path, without_page):
    path = write_design(tmp_path)
    silent = write_moved_stimulus(tmp_path / "ladder", record("relu0/0/+", "vowel", 0.1)).path
    soundfile.write(silent, [0.0] * 1000, 4000, subtype="FLOAT")
    with pytest.raises(AudioMetamerError, match="is silent; it cannot be brought to a level"):
        build(path, tmp_path / "built")
    assert not (tmp_path / "built").exists()


def test_what_is_made_online_is_copied_and_checked(online):
    assert {path.name for path in (online / "dimensions").iterdir()} == {"relu0", "relu1"}
    with served_exploration(online, device="cpu") as read:
        assert read.adaptive.render_queue is not None
    assert read_exploration(online).adaptive.render_queue is None


def test_the_same_weights_under_another_name(online_design, tmp_path, without_page):
    design = online_design.with_name("nameless.toml")
    design.write_text(ONLINE.replace("sound_model", "nameless_model"))
    assert build(design, tmp_path / "built").stimuli == 12


@pytest.mark.parametrize(
    ("model", "reported"),
    [
        ("", "making.model: there is no model 'tiny'"),
        ('model = "tiny_models:none"', "making.model: .*none"),
        ('model = "tiny_built:other_model"', "making.model: the dimensions of relu0 are of tiny with weights .*find its own"),
    ],
)
def test_models_that_are_not_that_of_the_ladder(online_design, tmp_path, model, reported):
    design = online_design.with_name("other.toml")
    design.write_text(ONLINE.replace('model = "tiny_models:sound_model"', model))
    with pytest.raises(AudioMetamerError, match=reported):
        build(design, tmp_path / "built")


def test_dimensions_that_are_not_those_of_the_ladder(online_design, tmp_path):
    shutil.copytree(online_design.parent / "dimensions" / "relu0", online_design.parent / "fewer" / "relu0")
    design = online_design.with_name("fewer.toml")
    design.write_text(ONLINE.replace('dimensions = "dimensions"', 'dimensions = "fewer"'))
    with pytest.raises(AudioMetamerError, match=r"making.dimensions: .* has signals moved at relu1; the dimensions are of relu0"):
        build(design, tmp_path / "built")


def test_a_model_whose_weights_changed_is_refused_when_it_is_served(online, tmp_path):
    shutil.copytree(online, tmp_path / "e", ignore=shutil.ignore_patterns("page"))
    design = tmp_path / "e" / "design.toml"
    design.write_text(design.read_text().replace("tiny_models:sound_model", "tiny_built:other_model"))
    reported = "design.toml: making: the dimensions of relu0 are of tiny with weights"
    with pytest.raises(AudioMetamerError, match=reported), served_exploration(tmp_path / "e", device="cpu"):
        pass


def without_key(built, out):
    """As an exploration was built before there were keys."""
    shutil.copytree(built, out, ignore=shutil.ignore_patterns("page", "names.key"))
    lists = json.loads((out / "lists.json").read_text())
    del lists["keyed"]
    (out / "lists.json").write_text(json.dumps(lists))
    return out


def test_no_trial_can_be_computed_from_design_and_seed(exploration, tmp_path):
    """Names never, arrangements as often as by chance, by who guesses at the key; who has it finds all."""
    course = read_exploration(exploration).adaptive
    heard = [one for number in range(1, 5) for one in take(course, number)]
    right = [one.decided.about["arrangement"] for one in heard]
    names = [one.decided.trial.stimulus for one in heard]
    known = replace(course, draws=Draws(1, read_key(exploration / "names.key")))
    assert [one.decided.trial.stimulus for number in range(1, 5) for one in take(known, number)] == names
    for key in (None, b"", b"1"):
        guess = replace(course, draws=Draws(1, key))
        foreseen = [one for number in range(1, 5) for one in take(guess, number)]
        assert not {one.decided.trial.stimulus for one in foreseen} & set(names)
        hits = sum(a == one.decided.about["arrangement"] for a, one in zip(right, foreseen, strict=False))
        assert hits < 0.5 * len(right), "a sixth of them, by chance"


def test_an_exploration_that_was_built_before_there_were_keys_goes_on_as_it_did(exploration, tmp_path):
    read = read_exploration(without_key(exploration, tmp_path / "old"))
    assert read.adaptive.draws == Draws(1, None)
    (one,) = take(read.adaptive, trials=1)
    # As the version before wrote it.
    assert one.decided.trial.stimulus == "c7m8h5wpcs"
    assert read.adaptive.stimulus(one.decided)[:4] == b"RIFF"


def test_answers_belong_to_the_key_that_their_trials_were_drawn_by(exploration, tmp_path):
    Store(tmp_path / "answers.db", read_exploration(exploration)).close()
    shutil.copytree(exploration, tmp_path / "e", ignore=shutil.ignore_patterns("page"))
    Store(tmp_path / "answers.db", read_exploration(tmp_path / "e")).close()
    (tmp_path / "e" / "names.key").write_text("0" * 64)
    with pytest.raises(AudioMetamerError, match="holds the answers of another experiment"):
        Store(tmp_path / "answers.db", read_exploration(tmp_path / "e"))


def test_a_key_that_is_lost_is_not_done_without(exploration, tmp_path):
    shutil.copytree(exploration, tmp_path / "e", ignore=shutil.ignore_patterns("page", "names.key"))
    with pytest.raises(AudioMetamerError, match=r"names\.key cannot be read as a key: No such file"):
        read_exploration(tmp_path / "e")
