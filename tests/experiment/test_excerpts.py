"""Excerpts of textures: what a trial of texture or exemplar discrimination plays."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_stimuli as tiny

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.available import AvailableStimuli, Condition, PlayableSound
from audiometamer.experiment.build import build
from audiometamer.experiment.design import Excerpts
from audiometamer.experiment.excerpts import drawn_excerpts, exemplars_by_duration
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.trials import interval_order
from audiometamer.stimuli.set import write_set

TEXTURES, SEEDS = ("rain", "fire", "wind"), (0, 1)
SECONDS = tiny.N / tiny.RATE
DESIGN = """
title = "Textures"
listeners = 2
trials = 4
[excerpts]
task = "{task} discrimination"
durations = [0.04, 0.1]
[answers]
kind = "odd-one-out"
[clips]
once = "clip"
[headphones]
test = "none"
[practice]
trials = 1
conditions = "all"
[demonstration]
trials = 0
[catch]
trials = 0
"""


@pytest.fixture(scope="module")
def exemplars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("textures") / "set"
    for clip in TEXTURES:
        for seed in SEEDS:
            tiny.write_item(folder, clip=clip, layer="statistics", seed=seed)
    write_set(folder)
    return folder


@pytest.fixture(scope="module")
def available(exemplars: Path) -> AvailableStimuli:
    conditions = [Condition("tiny", "statistics", seed) for seed in SEEDS]
    sounds = {
        (clip, condition): PlayableSound(
            str(next(exemplars.glob(f"items/{clip}/*/*seed{condition.seed}*/metamer.wav")).relative_to(exemplars)), {}
        )
        for clip in TEXTURES
        for condition in conditions
    }
    return AvailableStimuli(conditions, list(TEXTURES), sounds, [], {clip: {} for clip in TEXTURES})


def excerpts(task: str, longest: float = 0.1) -> Excerpts:
    return Excerpts(task=f"{task} discrimination", durations=[0.04, longest])  # type: ignore[arg-type]


def test_every_exemplar_has_every_duration(available: AvailableStimuli, exemplars: Path) -> None:
    found = exemplars_by_duration(available, excerpts("texture"), exemplars)
    assert len(found.clips) == 6
    assert [condition.layer for condition in found.conditions] == ["0.04 s", "0.1 s"]
    assert found.metadata["rain, tiny statistics, seed 1"]["texture"] == "rain"


@pytest.mark.parametrize("arrangement", range(6))
def test_the_odd_one_is_of_another_texture_or_another_excerpt(
    available: AvailableStimuli, exemplars: Path, arrangement: int
) -> None:
    order, answer = interval_order("odd-one-out", arrangement)
    for task in ("texture", "exemplar"):
        found = exemplars_by_duration(available, excerpts(task), exemplars)
        generator = np.random.default_rng(arrangement)
        condition = found.conditions[1]
        drawn = drawn_excerpts(found, excerpts(task), exemplars, found.clips[0], condition, order, generator)
        odd = drawn.pop(int(answer) - 1)
        assert [excerpt.seconds for excerpt in drawn] == [0.1, 0.1]
        if task == "texture":
            assert drawn[0].file == drawn[1].file
            assert abs(drawn[0].start - drawn[1].start) >= 0.1
            assert odd.file.split("/")[1] != drawn[0].file.split("/")[1]
        else:
            assert drawn[0] == drawn[1]
            assert odd.file == drawn[0].file
            assert abs(odd.start - drawn[0].start) >= 0.1


@pytest.mark.parametrize("task", ["texture", "exemplar"])
def test_an_experiment_is_built(tmp_path: Path, exemplars: Path, task: str) -> None:
    (tmp_path / "design.toml").write_text(DESIGN.format(task=task))
    build(exemplars, tmp_path / "design.toml", tmp_path / "experiment")
    key = read_experiment(tmp_path / "experiment").key
    assert {entry.condition.layer for entry in key.values()} == {"0.04 s", "0.1 s"}
    for name, entry in key.items():
        sound, rate = soundfile.read(tmp_path / "experiment" / "sounds" / f"{name}.wav")
        length = round(float(entry.condition.layer.split()[0]) * rate)
        gap = (len(sound) - 3 * length) // 2
        parts = [sound[k * (length + gap) : k * (length + gap) + length] for k in range(3)]
        apart = [np.abs(parts[a] - parts[b]).max() for a, b in ((1, 2), (0, 2), (0, 1))]
        if task == "exemplar":  # the two that are alike leave out the odd one
            assert int(np.argmin(apart)) == int(entry.answer) - 1
            assert min(apart) < 1e-5
        else:
            assert min(apart) > 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("0.04, 0.1", "0.04, 0.2"), "it must hold two excerpts of 0.2 s"),
        (("0.04, 0.1", "0.04, 0.04"), "durations"),
        (('kind = "odd-one-out"', 'kind = "abx"'), "it is for kind = 'odd-one-out'"),
    ],
)
def test_what_cannot_be_built_is_told(tmp_path: Path, exemplars: Path, change: tuple[str, str], message: str) -> None:
    (tmp_path / "design.toml").write_text(DESIGN.format(task="texture").replace(*change))
    with pytest.raises(AudioMetamerError, match=message):
        build(exemplars, tmp_path / "design.toml", tmp_path / "experiment")


def test_one_texture_and_several_layers_are_told(available: AvailableStimuli, exemplars: Path) -> None:
    one = AvailableStimuli(available.conditions, ["rain"], available.sounds, [], available.metadata)
    with pytest.raises(AudioMetamerError, match="metamers of one clip"):
        exemplars_by_duration(one, excerpts("texture"), exemplars)
    several = AvailableStimuli([*available.conditions, Condition("tiny", "other", 0)], list(TEXTURES), {}, [])
    with pytest.raises(AudioMetamerError, match="there are 2: name one"):
        exemplars_by_duration(several, excerpts("exemplar"), exemplars)
