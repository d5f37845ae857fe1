"""What a plan says, and the place of every mistake in it."""

import os
import pickle

import numpy as np
import pytest
import soundfile
from tiny_plan import PLAN, write_plan

import audiometamer as am
from audiometamer.metamers.methods import load_method
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import ClipSelection, Plan, PlannedModel, read_plan
from audiometamer.stimuli.resolved import write_resolved_plan
from audiometamer.stimuli.sources import find_sources


def mistake(tmp_path, text, *, n_clips=3):
    path = write_plan(tmp_path, text, n_clips=n_clips)
    with pytest.raises(am.AudioMetamerError) as error:
        expand(read_plan(path))
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ") or "not TOML" in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        (("seeds =", "seed ="), "there is no key 'seed'; did you mean 'seeds'?"),
        (("table =", "tabel ="), "clips: there is no key 'tabel'; did you mean 'table'?"),
        (('name = "tiny', 'colour = "red"\nname = "tiny'), "models[0]: there is no key 'colour'"),
        (("steps = 20", 'steps = "many"'), "steps: must be an integer, not a string"),
        (("steps = 20", "steps = 0"), "steps: must be an integer >= 1"),
        (('output = "set"', ""), "the key 'output' is missing"),
        (('output = "set"', 'output = "c0.wav"'), "output: c0.wav is a file; the set needs a folder"),
        (('name = "tiny_models:sound_model"', ""), "models[0]: the key 'name' is missing"),
        (("[[models]]", "[models]"), "models: must be an array, not a table; write [[models]], in two brackets"),
        (('clips.csv"', 'clips.csv"\nlevel = 0.1'), "clips: 'level' is a key of the plan itself; write it before the first line"),
        (('layers = ["relu0"]', "layers = []"), "layers: must be an array of length >= 1"),
        (('clips.csv"', 'clips.csv"\nselect.word = 1'), "clips.select[...]: must be a string or an array, not an integer"),
        (("seeds = [0, 1]", "seeds = [1, 1]"), "seeds: 1 is there twice"),
        (("seeds = [0, 1]", "seeds = [-1]"), "seeds[0]: must be an integer >= 0"),
        (('layers = ["relu0"]', 'layers = ["relu0", "relu9"]'), "layers[1]: tiny has no layer 'relu9'; the nearest are"),
        (("sound_model", "no_model"), "models[0].name: model 'tiny_models:no_model'"),
        (('table = "clips.csv"', 'table = "clips.csv"\nfolder = "."'), "clips: give one of table, folder and files"),
        (('table = "clips.csv"', 'files = ["none.wav"]'), "clips: none.wav does not exist"),
        (('table = "clips.csv"', 'table = "no.csv"'), "clips.table: no.csv cannot be read as a table"),
        (('clips.csv"', 'clips.csv"\nselect.speaker = "x"'), "clips.select: there is no column 'speaker'; there are path, word"),
        (('clips.csv"', 'clips.csv"\nselect.word = "yess"'), "clips.select: no clip has word 'yess'; the nearest are yes"),
        (('clips.csv"', 'clips.csv"\ncount = 9'), "clips.count: 9 are wanted, and 3 are there"),
        (("batch_size = 2", 'method = "best"'), "method: there is no method 'best'"),
        (("batch_size = 2", 'stop = "soon"'), "stop: stop is 'soon'; it must be passed, plateau:STEPS, such as plateau:100, or"),
        (("batch_size = 2", 'stop = "passed"'), "stop: stop is 'passed', and there is no null distribution"),
        (('clips.csv"', 'clips.csv"\ninitial = "no.wav"'), "clips: no.wav does not exist"),
        (("[[models]]", '[[models]]\nnull = "none.json"'), "models[0].null: none.json cannot be read: No such file"),
        (("[[models]]", '[[models]]\nname = "tiny_models:sound_model"\n[[models]]'), "models[1].name: models[0] is called"),
        (("[clips]", "[clips"), "is not TOML"),
    ],
)  # fmt: skip
def test_a_mistake_is_reported_with_its_place(tmp_path, change, reported, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert reported in mistake(tmp_path, PLAN.replace(*change)).replace(f"{tmp_path}/", "")


def test_a_table_of_clips_that_lies_where_the_set_goes_is_left_alone(tmp_path):
    path = write_plan(tmp_path, PLAN.replace('output = "set"', 'output = "."'))
    before = (tmp_path / "clips.csv").read_text()
    plan = read_plan(path)
    found = [write_resolved_plan(plan, find_sources(plan), [["relu0"]]).name for _ in range(2)]
    assert found == ["clips-2.csv", "clips-2.csv"]
    assert (tmp_path / "clips.csv").read_text() == before


def test_a_table_of_published_recordings_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    text = PLAN.replace("clips.csv", "feather2023/stimuli")
    message = "clips.table: feather2023/stimuli is not here yet: `audiometamer published get feather2023/stimuli` fetches it"
    assert mistake(tmp_path, text) == message
    folder = tmp_path / "home" / "data" / "feather2023" / "stimuli"
    folder.mkdir(parents=True)
    write_plan(folder)
    found = find_sources(read_plan(tmp_path / "plan.toml"))
    assert [source.path for source in found] == [folder / f"c{k}.wav" for k in range(3)]
    (tmp_path / "feather2023").mkdir()  # what lies beside the plan goes first
    (tmp_path / "feather2023" / "stimuli").write_text("path\n../c1.wav\n")
    assert [source.name for source in find_sources(read_plan(tmp_path / "plan.toml"))] == ["c1"]


def test_a_selection_by_column_and_a_draw_by_seed(tmp_path):
    path = write_plan(tmp_path, n_clips=8)
    chosen = [source.name for source in find_sources(read_plan(path))]
    assert chosen == [f"c{k}" for k in range(8)]
    path.write_text(PLAN.replace('clips.csv"', 'clips.csv"\nselect.word = "yes"\ncount = 2\nseed = 3'))
    drawn = [source.name for source in find_sources(read_plan(path))]
    assert len(drawn) == 2
    assert set(drawn) < {"c1", "c3", "c5", "c7"}
    assert drawn == [source.name for source in find_sources(read_plan(path))]


def write_long_recording(path, *, rate=4000):
    """Noise from 0 to 0.5 s, from 1 to 2.2 s and from 3 to 3.25 s, with pauses 80 dB below."""
    levels = np.full(4 * rate, 1e-5)
    for start, end in ((0, 0.5), (1, 2.2), (3, 3.25)):
        levels[round(start * rate) : round(end * rate)] = 0.1
    soundfile.write(path, levels * np.random.default_rng(0).standard_normal(4 * rate), rate, subtype="FLOAT")


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", [(0, 0.5), (1, 1.2), (3, 0.25)]),
        ("duration = 0.6", [(0, 0.5), (1, 0.4), (1.4, 0.4), (1.8, 0.4), (3, 0.25)]),
    ],
)
def test_recordings_are_split_at_pauses(tmp_path, keys, expected):
    write_long_recording(tmp_path / "long.wav")
    clips = f'files = ["long.wav"]\nsplit = "pauses"\n{keys}'
    found = find_sources(read_plan(write_plan(tmp_path, PLAN.replace('table = "clips.csv"', clips))))
    np.testing.assert_allclose([(source.start, source.duration) for source in found], expected, atol=0.04)
    assert all(source.name.startswith("long@") for source in found)


def test_rows_with_an_excerpt_of_their_own_are_not_split_and_names_are_kept(tmp_path):
    path = write_plan(tmp_path, PLAN.replace('table = "clips.csv"', 'table = "clips.csv"\nsplit = "pauses"'))
    write_long_recording(tmp_path / "long.wav")
    (tmp_path / "clips.csv").write_text("path,name,start,word\nlong.wav,talk,,a\nlong.wav,own,0.5,b\n")
    found = find_sources(read_plan(path))
    assert [(source.name.split("@")[0], source.columns["word"]) for source in found] == [("own", "b"), *[("talk", "a")] * 3]
    assert found[0].start == 0.5


def test_a_plan_that_splits_has_no_start(tmp_path):
    keys = 'files = ["c0.wav"]\nsplit = "pauses"\nstart = 1.0'
    assert "clips: split finds where clips start; leave out start" in mistake(tmp_path, PLAN.replace('table = "clips.csv"', keys))


def test_two_clips_of_one_name_are_refused_unless_the_table_names_them(tmp_path):
    path = write_plan(tmp_path)
    (tmp_path / "more").mkdir()
    (tmp_path / "c0.wav").rename(tmp_path / "more" / "c1.wav")
    table = tmp_path / "clips.csv"
    table.write_text(table.read_text().replace("c0.wav", "more/c1.wav"))
    with pytest.raises(am.AudioMetamerError, match="would both be called 'c1'; rename one, or give the table a column name"):
        find_sources(read_plan(path))
    table.write_text("name,path\na b,c1.wav\nü,more/c1.wav\n")
    assert [source.name for source in find_sources(read_plan(path))] == ["a b", "ü"]


def test_a_name_that_is_no_text_is_reported_in_a_line(tmp_path):
    path = write_plan(tmp_path, PLAN.replace('table = "clips.csv"', 'folder = "."'), n_clips=1)
    os.rename(tmp_path / "c0.wav", os.fsencode(tmp_path) + b"/\xff.wav")  # noqa: PTH104 (no name of a `Path`)
    with pytest.raises(am.AudioMetamerError, match=r"clips: the name of b'.*/\\xff\.wav' is not UTF-8; rename it"):
        find_sources(read_plan(path))


def test_what_decides_the_samples_changes_the_key_and_nothing_else_does(tmp_path):
    def keys(text):
        path = write_plan(tmp_path, text)
        return [item.key for item in expand(read_plan(path)).items]

    first = keys(PLAN)
    assert len(set(first)) == 6
    assert keys(PLAN.replace("batch_size = 2", "")) == first
    assert keys(PLAN.replace("seeds = [0, 1]", "seeds = [0]")) == first[::2]
    assert keys(PLAN.replace('["relu0"]', '["relu1", "relu0"]'))[6:] == first
    assert not set(keys(PLAN.replace("steps = 20", "steps = 21"))) & set(first)
    assert not set(keys(PLAN.replace("steps = 20", "steps = 20\nlevel = 0.05"))) & set(first)
    assert keys(PLAN.replace("batch_size = 2", "captured = true")) == first
    assert not set(keys(PLAN.replace("batch_size = 2", 'stop = "below:0.1"'))) & set(first)
    assert not set(keys(PLAN.replace("[[models]]", 'initial = "c0.wav"\n[[models]]'))) & set(first)
    assert keys(PLAN.replace("steps = 20", "steps = 20\nexact = false")) == first
    assert not set(keys(PLAN.replace("steps = 20", "steps = 20\nexact = true"))) & set(first)


def test_all_mistakes_in_a_plan_are_listed_with_their_lines(tmp_path):
    path = write_plan(tmp_path, PLAN.replace("[0, 1]", "[4, 4]").replace('table = "clips.csv"', 'select.word = "yes"'))
    lines = path.read_text().splitlines()
    seeds, clips = (next(k for k, line in enumerate(lines, 1) if line.startswith(key)) for key in ("seeds", "[clips]"))
    with pytest.raises(am.AudioMetamerError) as error:
        read_plan(path)
    assert set(str(error.value).splitlines()) == {
        f"{path}: 2 things are wrong:",
        f"  line {seeds}: seeds: 4 is there twice",
        f"  line {clips}: clips: give one of table, folder and files; none of them is given",
    }


def test_a_plan_travels_to_other_processes(tmp_path):
    plan = pickle.loads(pickle.dumps(read_plan(write_plan(tmp_path))))
    assert plan.method is load_method("default")
    assert (plan.folder, plan.steps, plan.content.seeds) == (tmp_path / "set", 20, [0, 1])


class Counted(int):
    """A seed that counts how often it is compared."""

    compared = 0

    def __eq__(self, other):
        type(self).compared += 1
        return int(self) == int(other)

    __hash__ = int.__hash__


def test_of_many_seeds_not_every_pair_is_compared():
    def problems(seeds):
        plan = Plan("set", ClipSelection(files=["a.wav"]), [PlannedModel("tiny")], seeds=seeds)
        return list(map(str, plan.problems()))

    n = 2000
    assert problems([Counted(k) for k in range(n)]) == []
    assert Counted.compared < 10 * n
    assert problems([Counted(k % (n // 2)) for k in range(7, n)]) == ["seeds: 7 is there twice"]


def test_natural_clips_are_beside_those_that_are_selected(tmp_path):
    path = write_plan(tmp_path, n_clips=8)
    path.write_text(PLAN.replace('clips.csv"', 'clips.csv"\ncount = 3\nnatural.word = "yes"'))
    found = {source.name: source.natural for source in find_sources(read_plan(path))}
    assert [name for name, natural in found.items() if natural] == ["c1", "c3", "c5", "c7"]
    assert {name for name, natural in found.items() if not natural} < {"c0", "c2", "c4", "c6"}
    assert len(found) == 7


@pytest.mark.parametrize(
    ("keys", "reported"),
    [
        ('folder = "."\nnatural.word = "yes"', "clips: natural needs a table, whose columns it names"),
        ('table = "clips.csv"\nnatural.word = "maybe"', "clips.natural: no clip has word 'maybe'; the nearest are no, yes"),
        ('table = "clips.csv"\nnatural.word = ["yes", "no"]', "clips: no clip is chosen"),
    ],
)
def test_a_mistaken_choice_of_natural_clips_is_reported(tmp_path, keys, reported):
    path = write_plan(tmp_path, PLAN.replace('table = "clips.csv"', keys))
    with pytest.raises(am.AudioMetamerError, match=reported):
        find_sources(read_plan(path))
