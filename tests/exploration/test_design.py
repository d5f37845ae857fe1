"""The design of an exploration: every key checked, and whatever is wrong reported in one line with its place."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny_built import DESIGN, course_of, write_design
from tiny_ladder import record, write_ladder, write_moved_stimulus

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.exploration.build import build
from audiometamer.exploration.design import ExplorationDesign, read_exploration_design
from audiometamer.exploration.design_tables import LadderSelection, ProcedureSettings
from audiometamer.listening.design import Images, read_text
from audiometamer.psychophysics import QuestPlus, Staircase

PROCEDURE = "reversals = 4\ndiscard = 2\nmax_trials = 12"
ONLINE = '[making]\nway = "online"\n\n[practice]'


def design(**procedure):
    return ExplorationDesign(title="x", listeners=1, ladder=LadderSelection("ladder"), procedure=ProcedureSettings(**procedure))


def test_defaults(tmp_path):
    path = write_design(tmp_path, 'title = "x"\nlisteners = 2\n[ladder]\nfolder = "ladder"\n')
    read = read_exploration_design(path)
    assert (read.procedure.kind, read.task.kind, read.making.way, read.gap, read.answers.kind) == (
        "staircase", "abx", "ladder", 0.5, "abx"
    )  # fmt: skip
    procedure = read.procedure_over((0.1, 0.2, 0.4))
    assert isinstance(procedure, Staircase)
    assert procedure.target == pytest.approx(0.794, abs=1e-3)
    assert (procedure.start, procedure.min_level, procedure.max_level) == (0.4, 0.1, 0.4)
    assert procedure.steps == pytest.approx((4, 2))
    assert (procedure.reversals, procedure.discard, procedure.max_trials, procedure.first_down) == (12, 4, 100, 1)


def test_procedures_take_what_the_design_says():
    one = design(start=0.3, least=0.2, most=0.4, steps=[1.5], down=2, first_down=2).procedure_over((0.1, 0.2, 0.4, 0.8))
    assert isinstance(one, Staircase)
    assert (one.start, one.min_level, one.max_level, one.steps, one.down, one.first_down) == (0.3, 0.2, 0.4, (1.5,), 2, 2)
    one = design(kind="weighted", target=0.75).procedure_over((0.1, 0.2))
    assert isinstance(one, Staircase)
    assert one.target == pytest.approx(0.75)
    one = design(kind="psi", trials=7, slopes=[1.0, 2.0], lapses=[0.05]).procedure_over((0.1, 0.2, 0.4))
    assert isinstance(one, QuestPlus)
    assert (one.levels, one.trials, one.slopes, one.lapses, one.guess) == ((0.1, 0.2, 0.4), 7, (1, 2), (0.05,), 0.5)
    one = design(kind="quest+").procedure_over((0.1, 0.2))
    assert isinstance(one, QuestPlus)
    assert one.lapses == (0.01, 0.03, 0.1)


def test_the_earlier_name_of_max_trials_is_read_with_a_notice(tmp_path):
    design = write_design(tmp_path, DESIGN.replace("max_trials = 12", "most_trials = 7"))
    with pytest.warns(AudioMetamerWarning, match="procedure.most_trials is now called max_trials"):
        settings = read_exploration_design(design).procedure
    assert (settings.max_trials, settings.most_trials) == (7, None)


@pytest.mark.parametrize(
    ("old", "new", "reported"),
    [
        ("seed = 1", "sede = 1", "there is no key 'sede'; did you mean 'seed'?"),
        ('folder = "ladder"', "", "ladder: the key 'folder' is missing"),
        ('folder = "ladder"', 'folder = "ladder"\nchoice = []', "ladder: there is no key 'choice'; did you mean 'choose'?"),
        ('folder = "ladder"', 'folder = "ladder"\neach = 0', "ladder.each: must be an integer >= 1"),
        ('folder = "ladder"', 'folder = "ladder"\neach = 4', "ladder: each listener is to get 4 dimensions of 3"),
        ('folder = "ladder"', 'folder = "ladder"\nchoose = ["relu0"]', "ladder: 'relu0' names no dimension; it would be"),
        ('folder = "ladder"', 'folder = "ladder"\nchoose = ["relu0/7"]', "no dimension 'relu0/7/[+]'; it has relu0/0/[+],"),
        ('folder = "ladder"', 'folder = "ladder"\nchoose = ["relu0/0", "relu0/0/-"]', "ladder: 'relu0/0/-' appears twice"),
        ('folder = "ladder"', 'folder = "steps"', "ladder.folder: .*steps holds no moved signals: make them with explore ladder"),
        (PROCEDURE, 'kind = "coin"', "procedure.kind: "),
        (PROCEDURE, "trials = 9", "procedure.trials: it is for kind = 'psi' or kind = 'quest[+]'"),
        (PROCEDURE, 'kind = "psi"\ndown = 2', "procedure.down: it is for kind = 'staircase'"),
        (PROCEDURE, 'kind = "psi"\nlapses = [0.1, 0.2]', "procedure.lapses: psi takes one; quest[+] takes several"),
        (PROCEDURE, 'kind = "psi"\ntarget = 0.4', "procedure: a target of 0.4; it must be between guess, 0.5"),
        (PROCEDURE, 'kind = "weighted"\ntarget = 1.5', "procedure: a target of 1.5; it must be between 0 and 1"),
        (PROCEDURE, "least = 0.4\nmost = 0.2", "procedure.most: it must be above least, 0.4"),
        (PROCEDURE, "least = 0.01", "procedure: changes from 0.01 to 0.8 are requested; the ladder has relu0/0/[+] from 0.1"),
        (PROCEDURE, "least = 0.3\nmost = 0.5", "procedure: .* two or more changes; relu0/0/[+] has 1 from 0.3 to 0.5"),
        (PROCEDURE, "start = 2.0", "procedure: a staircase that starts at 2 between 0.1 and 0.8"),
        (PROCEDURE, "start = -1.0", "procedure.start: must be a number > 0"),
        (PROCEDURE, "steps = [0.9]", "procedure: steps .0.9,.; there must be one or more, above 1"),
        (PROCEDURE, "reversals = 3\ndiscard = 2", "procedure: 2 of 3 reversals discarded; a threshold needs two or more"),
        (PROCEDURE, "max_trials = 5\nmost_trials = 5", "procedure.most_trials: it is now max_trials; give that alone"),
        (PROCEDURE, 'kind = "psi"\nmost_trials = 5', "procedure.most_trials: it is for kind = 'staircase'"),
        (PROCEDURE, "max_trials = 0", "procedure.max_trials: must be an integer >= 1"),
        ("[practice]", '[task]\nkind = "typed"\n[practice]', "task.kind: "),
        ("[practice]", "[task]\ngap = -1.0\n[practice]", "task.gap: must be a number >= 0"),
        ("[practice]", "[task]\nrove = 30.0\n[practice]", "task.rove: must be a number <= 20"),
        ("[practice]", '[making]\nway = "cloud"\n[practice]', "making.way: "),
        ("[practice]", '[making]\nmodel = "x"\n[practice]', "making.model: it is for way = 'online'"),
        ("[practice]", ONLINE, "making.dimensions: way = 'online' needs the folder of explore dimensions"),
        ("[practice]", ONLINE.replace("\n\n", '\ndimensions = "x"\n'), "making.dimensions: .*x holds no dimensions"),
        ("[practice]", "[making]\nlongest_wait = -2.0\n[practice]", "making.longest_wait: must be a number >= 0"),
        (PROCEDURE, "down = 1", "procedure: the procedure looks for 0.5 correct; of abx, 0.5 is right by guessing"),
        (PROCEDURE, 'kind = "weighted"\ntarget = 0.4', "procedure: the procedure looks for 0.4 correct; of abx, 0.5 is right by"),
        ("every = 5", "every = 1", "catch.every: 1 would leave no trial to the procedures; 0 is for none, 2 or more for some"),
        ("[practice]", "[sounds]\nlevel = -3.0\n[task]\nrove = 6.0\n[practice]", "task.rove: with sounds.level = -3, the"),
        ("every = 5", "every = -1", "catch.every: must be an integer >= 0"),
        ("trials = 3", "trials = -3", "practice.trials: must be an integer >= 0"),
        ("minimum = 1", "minimum = 3", "headphones.minimum: 3 right answers of 2 trials cannot be reached"),
        ("[practice]", "[sounds]\nlevel = 3.0\n[practice]", "sounds: level is 3.0 dB re full scale; it must be from -100 to 0"),
        ("[practice]", '[sounds]\nlevel = -3.0\npeaks = "stop"\n[practice]', "sounds: .* would clip: .*; lower the level by"),
        ("[practice]", '[texts]\nconsent = "none.md"\n[practice]', "texts.consent: .*none.md cannot be read as text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_reported_in_one_line(tmp_path, old, new, reported):
    assert old in DESIGN
    path = write_design(tmp_path, DESIGN.replace(old, new))
    with pytest.raises(AudioMetamerError, match=reported) as found:
        build(path, tmp_path / "out")
    assert str(found.value).startswith(f"{path}: ")
    assert "\n" not in str(found.value)
    assert not (tmp_path / "out").exists()


def test_a_ladder_that_is_being_made(tmp_path):
    write_moved_stimulus(tmp_path / "ladder", record("relu0/0/+", "vowel", 0.1))
    write_moved_stimulus(tmp_path / "ladder", record("relu0/0/+", "noise", 0.2))
    path = write_design(tmp_path)
    with pytest.raises(
        AudioMetamerError,
        match=r"procedure: .* two or more changes; all references of relu0/0/[+] share 0: is the ladder finished",
    ):
        build(path, tmp_path / "out")


def test_what_only_some_references_have_is_not_asked_for(tmp_path):
    write_ladder(tmp_path / "ladder", ["relu0/0/+"], ["vowel", "noise"], [0.1, 0.2, 0.4])
    write_moved_stimulus(tmp_path / "ladder", record("relu0/0/+", "noise", 0.8))
    course = course_of(tmp_path)
    assert course.design.levels(course.ladder, "relu0/0/+") == (0.1, 0.2, 0.4)


def test_a_ladder_of_other_signals_is_refused(tmp_path):
    for stimulus in write_ladder(tmp_path / "ladder"):
        for path in (stimulus.path, stimulus.original):
            path.unlink(missing_ok=True)
            np.save(path.with_suffix(".npy"), np.zeros(3))
    with pytest.raises(
        AudioMetamerError, match=r"ladder.folder: .* holds neither sounds nor images, which listeners could compare"
    ):
        build(write_design(tmp_path), tmp_path / "out")


def test_how_images_are_shown_is_not_for_sounds(tmp_path):
    path = write_design(tmp_path, f"{DESIGN}\n[images]\nseconds = 0.2\n")
    with pytest.raises(AudioMetamerError, match=r"images: .* holds sounds; this is for images"):
        build(path, tmp_path / "out")


def test_the_design_of_the_documentation(tmp_path):
    text = (Path(__file__).parents[2] / "docs" / "exploration.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- test: exploration design -->\n```toml\n(.*?)```", text, re.DOTALL)
    read = read_exploration_design(write_design(tmp_path, shown))
    shortest = read_exploration_design(write_design(tmp_path, 'title = "x"\nlisteners = 2\n[ladder]\nfolder = "ladder"'))
    assert (read.task, read.making, read.practice, read.catch) == (
        shortest.task,
        shortest.making,
        shortest.practice,
        shortest.catch,
    )
    assert read.procedure_over((0.1, 0.2)) == shortest.procedure_over((0.1, 0.2))
    for kind in (*map(type, (read.ladder, read.procedure, read.task, read.making, read.practice, read.catch)), Images):
        assert all(name in shown for name in kind.__struct_fields__ if name != "most_trials"), "every key of today is shown"
        assert all(name in kind.__doc__ for name in kind.__struct_fields__ if name != "most_trials"), "and explained"


@pytest.mark.parametrize("kind", ["abx", "odd-one-out"])
def test_instructions_tell_that_loudness_is_no_difference_where_it_is_roved(tmp_path, kind):
    def instructions(rove):
        path = write_design(tmp_path, DESIGN + f'[task]\nkind = "{kind}"\nrove = {rove}\n')
        return read_text(path, read_exploration_design(path), "instructions")

    assert "louder" not in instructions(0.0)
    reported = "Some sounds are louder than others. That is no difference: pay no attention to it.\n\n"
    assert instructions(3.0).replace(reported, "", 1) == instructions(0.0)
