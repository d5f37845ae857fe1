"""What is built: sounds that say nothing, a key that says all, and what is missing named as such."""

import csv
import json
import re
import shutil
import stat
from collections import Counter

import numpy as np
import pytest
import soundfile
from tiny_experiment import DESIGN, LAYERS, WORDS, write_design, write_names_key, write_stimuli

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.build import build
from audiometamer.experiment.design import read_design
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.building import _HEADPHONES


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A set that no test changes."""
    return write_stimuli(tmp_path_factory.mktemp("shared") / "set")


@pytest.fixture(scope="module")
def experiment(shared):
    build(shared, write_design(shared.parent), shared.parent / "experiment", key=write_names_key(shared.parent))
    return shared.parent / "experiment"


def with_table(text):
    """A change of the design: some more of it."""
    return "[catch]", f"{text}\n[catch]"


def changed(tmp_path, *changes, stimuli=None, **settings):
    """Built from the usual design with some changes; from a set of its own unless one is given."""
    text = DESIGN
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    stimuli = stimuli or write_stimuli(tmp_path / "set", **settings)
    return build(stimuli, write_design(tmp_path, text), tmp_path / "experiment", key=write_names_key(tmp_path))


def refused(tmp_path, *changes, **settings):
    with pytest.raises(AudioMetamerError) as error:
        changed(tmp_path, *changes, **settings)
    assert not (tmp_path / "experiment").exists()
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{tmp_path}/", "")


def test_everything_is_there_before_the_first_listener(experiment):
    assert {path.name for path in experiment.iterdir()} == {
        "design.toml", "lists.json", "key.json", "names.key", "results.secret", "missing.tsv", "answers.txt", "sounds", "texts",
        "page",
    }  # fmt: skip
    read = read_experiment(experiment)
    assert len(read.lists.listeners) == 6
    assert (read.lists.seed, read.design.trials, read.design.once) == (1, 7, "word")
    assert read.design.conditions.layers == list(LAYERS)
    assert read.answers == sorted(WORDS)
    assert {path.stem for path in (experiment / "sounds").glob("*.wav")} == {*read.key, "calibrationnoise"}
    assert {trial.stimulus for one in read.lists.listeners for trial in one.trials} == set(read.key)


def test_nobody_but_the_owner_reads_the_key(experiment):
    for name in ("key.json", "names.key", "results.secret"):
        assert stat.S_IMODE((experiment / name).stat().st_mode) == 0o600
    assert len((experiment / "results.secret").read_text().strip()) == 32


def test_the_key_says_what_every_sound_is(experiment):
    key = json.loads((experiment / "key.json").read_text())
    kinds = Counter(json.dumps(entry["condition"]) for entry in key.values())
    assert kinds['"headphones"'] == 2
    assert set(kinds) == {'"headphones"', '"natural"'} | {
        json.dumps({"model": "tiny", "layer": layer, "seed": 0}) for layer in LAYERS
    }
    for entry in key.values():
        if entry["condition"] == "headphones":
            assert entry["answer"] in ("1", "2", "3")
            continue
        assert entry["word"] == entry["answer"] == entry["clip"].split("_")[0]
        assert entry["speaker"] == entry["clip"].split("_")[1]
        assert entry["recognised_by"] == {"tiny": "yes"}
        assert not entry["missing"]
        assert (experiment.parent / "set" / entry["file"]).is_file()


def test_the_lists_do_not_name_what_is_heard(experiment):
    text = (experiment / "lists.json").read_text()
    assert not any(word in text for word in (*WORDS, *LAYERS, "tiny", "natural", "slt", "rms"))
    names = [trial["stimulus"] for one in json.loads(text)["listeners"] for trial in one["trials"]]
    assert all(re.fullmatch("[a-z2-9]{10}", name) for name in names)


def test_no_sound_says_what_it_is(experiment):
    for path in (experiment / "sounds").glob("*.wav"):
        content = path.read_bytes()
        content = content[: content.index(b"data")]
        assert not any(word.encode() in content for word in (*WORDS, *LAYERS, "tiny", path.stem))
    key = read_experiment(experiment).key
    sizes = Counter((experiment / "sounds" / f"{name}.wav").stat().st_size for name, e in key.items() if e.file)
    assert len(sizes) == 1, "lengths tell nothing"


def test_every_sound_is_at_the_level_of_the_noise(experiment):
    key = read_experiment(experiment).key
    for path in (experiment / "sounds").glob("*.wav"):
        sound, rate = soundfile.read(path, always_2d=True)
        assert rate == 48_000
        if path.stem in key and not key[path.stem].file:
            assert sound.shape[1] == 2
            sound = sound[:rate]  # the first interval; the rest is silence and its like
        assert 10 * np.log10(np.mean(sound**2)) == pytest.approx(-30, abs=0.05)


def test_the_design_that_is_kept_reads_as_it_was_resolved(experiment):
    read = read_design(experiment / "design.toml")
    assert read.answers.list == "answers.txt"
    assert read.texts.consent == "texts/consent.md"
    assert read.questions[0].name == "age"


def test_the_same_seed_and_key_give_the_same_files(tmp_path, shared, experiment):
    changed(tmp_path, stimuli=shared)
    other = tmp_path / "experiment"
    assert other != experiment
    different = [
        path.relative_to(experiment).as_posix()
        for path in sorted(experiment.rglob("*"))
        if path.is_file() and path.read_bytes() != (other / path.relative_to(experiment)).read_bytes()
    ]
    assert different == ["results.secret"]


def test_another_seed_gives_other_names_and_lists(tmp_path, shared, experiment):
    changed(tmp_path, ("seed = 1", "seed = 2"), stimuli=shared)
    one, other = read_experiment(experiment), read_experiment(tmp_path / "experiment")
    assert not set(one.key) & set(other.key)


def failing(words=("apple", "dog")):
    return {"failed": [(f"{word}_slt", "relu1") for word in words]}


def missing_table(tmp_path):
    with (tmp_path / "experiment" / "missing.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_clip_without_a_metamer_is_left_out_and_named(tmp_path):
    built = changed(tmp_path, **failing())
    assert [(row["clip"], row["layer"], row["reason"], row["instead"]) for row in missing_table(tmp_path)] == [
        ("apple_slt", "relu1", "failed its verdict", "left out"), ("dog_slt", "relu1", "failed its verdict", "left out"),
    ]  # fmt: skip
    assert not {"apple_slt", "dog_slt"} & {trial.clip for trials in built.lists for trial in trials}
    assert len(built.available.words("word")) == 12, "their words have another clip"


def test_a_natural_clip_in_the_place_of_a_metamer_says_so(tmp_path):
    changed(tmp_path, with_table("[conditions]\nmissing = 'natural'"), ("listeners = 6", "listeners = 40"), **failing(WORDS))
    read = read_experiment(tmp_path / "experiment")
    stand_ins = [entry for entry in read.key.values() if entry.missing]
    assert stand_ins
    for entry in stand_ins:
        assert entry.condition.layer == "relu1"
        assert entry.file == f"originals/{entry.clip}@4000.wav"
        assert entry.clip.endswith("_slt")
        assert entry.recognised_by == {"tiny": "yes"}
    assert {row["instead"] for row in missing_table(tmp_path)} == {"natural clip"}
    natural = {e.clip: name for name, e in read.key.items() if e.condition == "natural"}
    both = [(name, natural[e.clip]) for name, e in read.key.items() if e.missing and e.clip in natural]
    sounds = tmp_path / "experiment" / "sounds"
    assert all((sounds / f"{a}.wav").read_bytes() != (sounds / f"{b}.wav").read_bytes() for a, b in both), "dither differs"


def test_a_failed_metamer_is_played_if_the_design_says_so(tmp_path):
    changed(tmp_path, with_table("[conditions]\nfailed = true"), **failing())
    assert missing_table(tmp_path) == []


def test_an_item_that_was_tried_again_counts_as_planned(tmp_path):
    stimuli = write_stimuli(tmp_path / "set")
    for path in stimuli.glob("items/apple_slt/tiny/relu0*/item.json"):
        record = json.loads(path.read_text())
        record["attempts"], record["evidence"]["settings"]["seed"] = [0, 77], 77
        path.write_text(json.dumps(record))
    built = changed(tmp_path, stimuli=stimuli)
    assert [condition.seed for condition in built.available.conditions] == [None, 0, 0]


def test_conditions_are_those_that_were_asked_for_in_their_order(tmp_path, shared):
    built = changed(tmp_path, with_table("[conditions]\nnatural = false\nlayers = ['relu1', 'relu0']"), stimuli=shared)
    assert [str(condition) for condition in built.available.conditions] == ["tiny relu1, seed 0", "tiny relu0, seed 0"]
    mains = Counter(trial.condition for trials in built.lists for trial in trials if trial.kind == "main")
    assert set(mains) == set(built.available.conditions)


def test_a_selection_decides_what_is_played(tmp_path, shared):
    files = [path.relative_to(shared).as_posix() for path in shared.glob("items/*/*/*/metamer.wav")]
    (tmp_path / "selection.tsv").write_text("file\n" + "\n".join(file for file in files if "_slt/" in file) + "\n")
    built = changed(tmp_path, with_table("[conditions]\nselection = 'selection.tsv'"), stimuli=shared)
    assert all(trial.clip.endswith("_slt") for trials in built.lists for trial in trials)
    assert {row["reason"] for row in missing_table(tmp_path)} == {"not selected"}
    assert read_experiment(tmp_path / "experiment").design.conditions.selection == "selection.tsv"


def test_speakers_are_answered_and_words_heard_once(tmp_path, shared):
    built = changed(tmp_path, with_table("[answers]\nkind = 'choice'\nof = 'speaker'"), stimuli=shared)
    read = read_experiment(tmp_path / "experiment")
    assert read.answers == ["rms", "slt"]
    assert all(entry.answer == entry.speaker for entry in read.key.values() if entry.file)
    for trials in built.lists:
        assert len({trial.clip.split("_")[0] for trial in trials}) == len(trials)


@pytest.mark.parametrize(
    ("kind", "more", "output"),
    [
        ("typed", ["Apple"], "'apple' and 'Apple' are the same when typed; keep one of them"),
        ("typed", ["caf\u00e9", "cafe\u0301"], "'caf\u00e9' and 'cafe\u0301' are the same when typed; keep one of them"),
        ("typed", ["don't", "Don\u2019t"], "\"don't\" and 'Don\u2019t' are the same when typed; keep one of them"),
        ("choice", ["Apple"], None),
        ("typed", ["x" * 200], None),
        ("choice", ["x" * 201], "'xxxxxxxxxxxxxxxxxxxx'… has 201 letters; an answer may have 200"),
    ],
)
def test_every_answer_of_a_list_can_be_given(tmp_path, shared, kind, more, output):
    (tmp_path / "words.txt").write_text("\n".join([*WORDS, *more]), encoding="utf-8")
    change = with_table(f"[answers]\nkind = '{kind}'\nlist = 'words.txt'")
    if output is None:
        changed(tmp_path, change, stimuli=shared)
    else:
        assert refused(tmp_path, change, stimuli=shared) == f"design.toml: answers.list: {output} (line 19)"


def test_one_speaker_is_no_choice(tmp_path):
    output = refused(tmp_path, with_table("[answers]\nkind = 'choice'\nof = 'speaker'"), voices=("slt",))
    assert output == "design.toml: answers.list: 'slt' is the only answer; there must be at least two (line 17)"


def test_a_word_with_white_space_around_it_can_be_right(tmp_path, shared):
    stimuli = tmp_path / "set"
    shutil.copytree(shared, stimuli)
    table = stimuli / "clips.tsv"
    table.write_text(table.read_text().replace("\tapple\t", "\t  new\u00a0 york \t"))
    changed(tmp_path, stimuli=stimuli)
    read = read_experiment(tmp_path / "experiment")
    assert "new york" in read.answers
    assert {entry.answer for entry in read.key.values() if entry.file} <= set(read.answers)


def test_a_choice_has_alternatives_of_its_own_and_pictures(tmp_path, shared):
    (tmp_path / "faces").mkdir()
    for word in WORDS:
        (tmp_path / "faces" / f"{word}.png").write_bytes(word.encode())
    changed(tmp_path, with_table("[answers]\nkind = 'choice'\nalternatives = 4\npictures = 'faces'"), stimuli=shared)
    read = read_experiment(tmp_path / "experiment")
    trials = [trial for one in read.lists.listeners for trial in one.trials if trial.kind != "headphones"]
    assert all(len(set(trial.options)) == 4 and read.key[trial.stimulus].answer in trial.options for trial in trials)
    places = Counter(trial.options.index(read.key[trial.stimulus].answer) for trial in trials)
    assert len(places) == 4, "the right one is anywhere"
    pictures = tmp_path / "experiment" / "pictures"
    assert [(pictures / f"{k}.png").read_bytes().decode() for k in range(1, 13)] == sorted(WORDS)


COMPARING = (
    ("listeners = 6", "listeners = 2"),
    ("[catch]\ntrials = 2", "[catch]\ntrials = 0"),
    ("[practice]", "[practice]\nconditions = 'all'"),
    ("[demonstration]", "[demonstration]\nconditions = 'all'"),
)


@pytest.mark.parametrize(("kind", "answers"), [("abx", "12"), ("odd-one-out", "123")])
def test_compared_sounds_are_one_file_each(tmp_path, shared, kind, answers):
    changed(tmp_path, *COMPARING, ("[clips]", f"[answers]\nkind = '{kind}'\n[clips]"), stimuli=shared)
    read = read_experiment(tmp_path / "experiment")
    assert read.answers == list(answers)
    assert {entry.answer for entry in read.key.values() if entry.file} == set(answers)
    for name, entry in read.key.items():
        if not entry.file:
            continue
        sound, rate = soundfile.read(tmp_path / "experiment" / "sounds" / f"{name}.wav")
        interval, step = rate // 4, rate // 4 + rate // 2
        parts = [sound[k * step : k * step + interval] for k in range(3)]
        assert len(sound) == 2 * step + interval
        same = [(a, b) for a in range(3) for b in range(a) if np.abs(parts[a] - parts[b]).max() < 1e-6]
        if kind == "abx":
            assert same == [(2, int(entry.answer) - 1)]
        else:
            assert len(same) == 1
            assert {0, 1, 2} - set(same[0]) == {int(entry.answer) - 1}


@pytest.mark.parametrize(
    ("changes", "output"),
    [
        ([with_table("[conditions]\nlayers = ['relu9']")], "design.toml: conditions.layers[0]: the set has no layer 'relu9'"),
        ([with_table("[conditions]\nmodels = ['big']")], "conditions.models[0]: the set has no model 'big'; the nearest are"),
        ([with_table("[conditions]\nseeds = [3]")], "conditions.seeds[0]: the set has no seed 3; the nearest are 0"),
        ([with_table("[conditions]\nselection = 'no.tsv'")], "conditions.selection: no.tsv cannot be read as a table"),
        ([('speaker = "voice"', 'word = "wrd"')], "clips.once: set/clips.tsv has no column 'wrd'; it has word, voice"),
        ([with_table("[answers]\nof = 'speaker'"), ('"voice"', '"x"')], "clips.speaker: set/clips.tsv has no column 'x'; it has"),
        ([("listeners = 6", "listeners = 6\ntrials = 8")], "trials: there are 12 words that a listener can hear once; wanted"),
        ([with_table("[answers]\nkind = 'choice'\nalternatives = 13")], "answers.alternatives: 13 are wanted of a list of 12"),
        ([with_table("[answers]\nkind = 'choice'\npictures = 'p'")], "answers.pictures: p/apple.png does not exist"),
    ],
)  # fmt: skip
def test_what_the_set_does_not_have_is_reported_in_a_line(tmp_path, shared, changes, output):
    assert output in refused(tmp_path, *changes, stimuli=shared).replace(f"{shared.parent}/", "")


def test_all_that_the_set_does_not_have_is_reported_together(tmp_path, shared):
    """Beside each other: unknown conditions, too few words, a list that lacks answers, and every table of answers."""
    (tmp_path / "words.txt").write_text("\n".join([*WORDS[1:], "Sofa", "couch", "x" * 201, "y" * 202]), encoding="utf-8")
    table = """[conditions]
layers = ["relu0", "relu7"]
[answers]
kind = "choice"
list = "words.txt"
alternatives = 20
pictures = "p"
[answers.names]
couch = "Sofa"
dogg = "hound"
[answers.equal]
fishh = ["bread"]
goat = ["kid"]"""
    with pytest.raises(AudioMetamerError) as error:
        changed(tmp_path, ("[practice]\ntrials = 1", "[practice]\ntrials = 11"), with_table(table), stimuli=shared)
    assert not (tmp_path / "experiment").exists()
    lines = str(error.value).replace(f"{tmp_path}/", "").splitlines()
    assert lines[0] == "design.toml: 10 things are wrong:"
    assert sorted(re.sub("^  (line [0-9]+: )?", "", line) for line in lines[1:]) == [
        "answers.alternatives: 20 are wanted of a list of 15",
        "answers.equal: 'fishh' is none of the answers; did you mean 'fish'?",
        "answers.equal: 'kid' is not in the list of answers; nobody can choose it",
        "answers.list: 'Sofa' and 'couch' are both shown as 'Sofa'; keep one of them",
        "answers.list: 'xxxxxxxxxxxxxxxxxxxx'… has 201 letters, and 1 more; an answer may have 200",
        "answers.list: it lacks 'apple', the right answer to a clip",
        "answers.names: 'dogg' is none of the answers; did you mean 'dog'?",
        "answers.pictures: p/bread.png does not exist, and 15 more",
        "conditions.layers[1]: the set has no layer 'relu7'; the nearest are relu1, relu0",
        "trials: there are 12 words that a listener can hear once; wanted are 11 for practice, 2 for the demonstration, "
        "2 for catch trials and at least 1 for the trials themselves: lower one of them",
    ]


def test_a_headphone_check_that_would_clip_is_refused(tmp_path, shared, monkeypatch):
    monkeypatch.setitem(_HEADPHONES, "huggins", lambda *_, **__: np.full((100, 2), 2.0))
    output = refused(tmp_path, stimuli=shared)
    assert output == "the headphone check would clip at -30 dB: its peak is 2.00 of full scale; lower sounds.level by 6.1 dB"


def test_a_list_that_lacks_a_right_answer_is_refused(tmp_path, shared):
    (tmp_path / "words.txt").write_text("apple\nbread\n")
    output = "design.toml: answers.list: it lacks 'chair', the right answer to a clip, and 9 more"
    assert output in refused(tmp_path, with_table("[answers]\nlist = 'words.txt'"), stimuli=shared)


def test_no_clip_at_all_conditions_names_the_worst(tmp_path):
    failed = [(f"{word}_{voice}", "relu1") for word in WORDS for voice in ("slt", "rms")]
    output = refused(tmp_path, failed=failed)
    assert output.startswith(
        "no clip has a metamer at all 2 conditions; most are missing at tiny relu1, seed 0 (24 of 24, failed"
    )


def write_twin(at):
    """Another item for the same clip, model, layer and seed, as by another method."""
    key, other = at.name.rpartition("-")[2], "f" * 12
    twin = shutil.copytree(at, at.with_name(at.name.replace(key, other)))
    record = twin / "item.json"
    record.write_text(record.read_text().replace(f'"key": "{key}"', f'"key": "{other}"'))


def test_two_items_for_one_place_are_refused(tmp_path):
    stimuli = write_stimuli(tmp_path / "set")
    write_twin(next(stimuli.glob("items/apple_slt/tiny/relu0*")))
    assert "are both apple_slt at tiny relu0, seed 0; name one of them in a selection" in refused(tmp_path, stimuli=stimuli)


def test_a_selection_says_which_of_two_items_is_meant(tmp_path, shared):
    stimuli = tmp_path / "set"
    shutil.copytree(shared, stimuli)
    at = next(stimuli.glob("items/apple_slt/tiny/relu0*"))
    write_twin(at)
    files = [
        path.relative_to(stimuli).as_posix() for path in stimuli.glob("items/*/*/*/metamer.wav") if "-f" not in path.parent.name
    ]
    (tmp_path / "selection.tsv").write_text("file\n" + "\n".join(files) + "\n")
    built = changed(tmp_path, with_table("[conditions]\nselection = 'selection.tsv'"), stimuli=stimuli)
    assert "apple_slt" in built.available.clips
    (tmp_path / "selection.tsv").write_text("file\nnothing.wav\n")
    shutil.rmtree(tmp_path / "experiment")
    output = refused(tmp_path, with_table("[conditions]\nselection = 'selection.tsv'"), stimuli=stimuli)
    assert "conditions.selection: selection.tsv names nothing of the models" in output


def test_an_empty_set_is_refused(tmp_path):
    (tmp_path / "set" / "items").mkdir(parents=True)
    assert "set holds no finished metamer yet" in refused(tmp_path, stimuli=tmp_path / "set")


def test_pictures_are_no_sounds(tmp_path):
    stimuli = write_stimuli(tmp_path / "set", words=("apple",))
    for path in stimuli.glob("items/*/*/*/item.json"):
        path.write_text(path.read_text().replace('"sample_rate": 4000', '"sample_rate": null'))
    assert "metamer.wav is no sound; an experiment plays sounds" in refused(tmp_path, stimuli=stimuli)


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "experiment").mkdir()
    with pytest.raises(AudioMetamerError, match="exists; nothing is overwritten"):
        changed(tmp_path, stimuli=tmp_path / "none")
    assert list((tmp_path / "experiment").iterdir()) == []


def test_an_unreadable_sound_leaves_nothing_behind(tmp_path):
    stimuli = write_stimuli(tmp_path / "set")
    for path in stimuli.glob("items/*/tiny/relu1*/metamer.wav"):
        path.write_bytes(b"RIFF")
    assert "cannot be read as audio" in refused(tmp_path, stimuli=stimuli)
    assert {path.name for path in tmp_path.iterdir()} == {"set", "clips.csv", "design.toml", "names.key"}


def renumber(path):
    path.write_text(path.read_text().replace('"trial": 2', '"trial": 9'))


@pytest.mark.parametrize(
    ("change", "output"),
    [
        (lambda e: (e / "lists.json").unlink(), "is no experiment: it has no lists.json"),
        (lambda e: (e / "key.json").write_text("{"), "is no experiment that can be read"),
        (lambda e: (e / "key.json").write_text("{}"), "which key.json does not know"),
        (lambda e: renumber(e / "lists.json"), "was changed"),
    ],
)  # fmt: skip
def test_a_folder_that_does_not_fit_together_is_refused(tmp_path, experiment, change, output):
    shutil.copytree(experiment, tmp_path / "experiment", ignore=shutil.ignore_patterns("sounds"))
    change(tmp_path / "experiment")
    with pytest.raises(AudioMetamerError, match=output):
        read_experiment(tmp_path / "experiment")
