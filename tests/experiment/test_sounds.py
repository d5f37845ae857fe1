"""The sounds of an experiment: their names, the order in which files are played, and the entries of the key."""

import pytest

from audiometamer.experiment.available import NATURAL_CONDITION, AvailableStimuli, Condition, PlayableSound
from audiometamer.experiment.design import Clips, Design
from audiometamer.experiment.lists import PlannedTrial
from audiometamer.experiment.sounds import ExperimentSounds, Stimulus
from audiometamer.io.draws import Draws
from audiometamer.listening.design import ResponseFormat
from audiometamer.listening.trials import ConditionKey, KeyEntry

RELU = Condition("m", "relu0", 3)
STIMULI = AvailableStimuli(
    [NATURAL_CONDITION, RELU],
    ["dog_a"],
    {("dog_a", NATURAL_CONDITION): PlayableSound("n.wav", {"m": "fog"}), ("dog_a", RELU): PlayableSound("r.wav", {"m": "dog"})},
    [],
    {"dog_a": {"word": "dog", "voice": "a"}},
)


TRIAL = PlannedTrial("main", "dog_a", RELU)


def sounds(kind="typed", trials=(TRIAL,)):
    design = Design("x", 1, answers=ResponseFormat(kind=kind), clips=Clips(speaker="voice"))
    return ExperimentSounds.named([trials], STIMULI, design, Draws(1, b"key"))


def test_names_are_drawn_from_a_text_that_stays_the_same():
    """Whoever builds an experiment again with its private key finds the same files: no name of these classes may change."""
    text = "Stimulus(clip='dog_a', condition=Condition(model='m', layer='relu0', seed=3), arrangement=0)"
    stimulus = Stimulus("dog_a", RELU, 0)
    assert repr(stimulus) == text
    assert sounds().names == {stimulus: Draws(1, b"key").name(text)}


def test_a_sound_that_several_listeners_hear_is_there_once():
    trials = [
        PlannedTrial("main", "dog_a", RELU),
        PlannedTrial("practice", "dog_a", RELU),
        PlannedTrial("main", "dog_a", NATURAL_CONDITION),
    ]
    assert sorted(sounds(trials=trials).names) == [Stimulus("dog_a", NATURAL_CONDITION, 0), Stimulus("dog_a", RELU, 0)]


def test_the_key_says_what_a_sound_is():
    (entry,) = sounds().key.values()
    assert entry == KeyEntry(
        file="r.wav", condition=ConditionKey("m", "relu0", 3), clip="dog_a", word="dog", speaker="a", missing=False,
        recognised_by={"m": "dog"}, answer="dog",
    )  # fmt: skip
    (natural,) = sounds(trials=[PlannedTrial("catch", "dog_a", NATURAL_CONDITION)]).key.values()
    assert (natural.condition, natural.file, natural.recognised_by) == ("natural", "n.wav", {"m": "fog"})


@pytest.mark.parametrize(
    ("kind", "arrangement", "answer", "played"),
    [
        ("abx", 0, "1", ["n.wav", "r.wav", "n.wav"]),
        ("abx", 3, "2", ["r.wav", "n.wav", "n.wav"]),
        ("odd-one-out", 1, "2", ["n.wav", "r.wav", "n.wav"]),
        ("odd-one-out", 3, "1", ["n.wav", "r.wav", "r.wav"]),
    ],
)
def test_compared_sounds_are_played_one_after_the_other(kind, arrangement, answer, played):
    own = sounds(kind, [PlannedTrial("main", "dog_a", RELU, arrangement)])
    (stimulus,) = own.names
    assert own.entry(stimulus).answer == answer
    assert own._played(stimulus)[0] == played
