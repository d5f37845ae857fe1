"""The sounds of an experiment: the files of the set that each plays, its opaque name, its entry in the key."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from audiometamer.experiment.available import NATURAL_CONDITION, AvailableStimuli, Condition, cell
from audiometamer.experiment.design import Design
from audiometamer.experiment.excerpts import drawn_excerpts
from audiometamer.experiment.lists import PlannedTrial
from audiometamer.io.draws import Draws
from audiometamer.listening import folder as layout
from audiometamer.listening.design import INTERVALS
from audiometamer.listening.headphones import GAP_SECONDS
from audiometamer.listening.trials import ConditionKey, KeyEntry, interval_order
from audiometamer.signals.presentation import NOISE, Sound, Sounds, in_sequence, write_pcm


class Stimulus(NamedTuple):
    """One sound of an experiment; see `audiometamer.experiment.lists.PlannedTrial`.

    Opaque names are drawn from its `repr`: classes and fields keep their names, or experiments built again get other files.
    """

    clip: str
    condition: Condition
    arrangement: int

    @classmethod
    def of(cls, trial: PlannedTrial) -> "Stimulus":
        """The sound that a trial plays."""
        return cls(trial.clip, trial.condition, trial.arrangement)


@dataclass(frozen=True)
class ExperimentSounds:
    """All sounds of an experiment, the headphone check aside.

    Parameters
    ----------
    names : dict of Stimulus to str
        Opaque names.
    available : AvailableStimuli
    design : Design
    """

    names: dict[Stimulus, str]
    available: AvailableStimuli
    design: Design

    @classmethod
    def named(
        cls, planned: Iterable[Iterable[PlannedTrial]], available: AvailableStimuli, design: Design, draws: Draws
    ) -> "ExperimentSounds":
        """The sounds of all trials of all listeners, under names that are drawn."""
        stimuli = sorted({Stimulus.of(trial) for trials in planned for trial in trials})
        return cls({stimulus: draws.name(repr(stimulus)) for stimulus in stimuli}, available, design)

    @property
    def key(self) -> dict[str, KeyEntry]:
        """Contents of the sounds, by name."""
        return {name: self.entry(stimulus) for stimulus, name in self.names.items()}

    def entry(self, stimulus: Stimulus) -> KeyEntry:
        """An entry of the key."""
        clip, condition = stimulus.clip, stimulus.condition
        sound, metadata = self.available.sound(clip, condition), self.available.metadata[clip]
        _, interval = self._played(stimulus)
        return KeyEntry(
            file=sound.file,
            condition="natural" if condition.seed is None else ConditionKey(condition.model, condition.layer, condition.seed),
            clip=clip,
            word=cell(metadata, self.design.clips.word),
            speaker=cell(metadata, self.design.clips.speaker),
            missing=self.available.is_missing(clip, condition),
            recognised_by=sound.recognised_by,
            answer=interval or metadata[self.design.answer_column],
        )

    def write(self, folder: Path, stimulus_set: Path, draws: Draws) -> float:
        """Write every sound in the order of its name, and the noise that sets the level; returns the RMS of the sounds."""
        stimuli = {name: stimulus for stimulus, name in self.names.items()}
        settings = self.design.sounds.settings(self.design.seed)
        files = {file for stimulus in self.names for file in self._played(stimulus)[0]}
        sounds = Sounds(stimulus_set, settings, sorted(files), draws)
        for name in sorted(stimuli):
            whole = in_sequence(self._heard(stimuli[name], sounds, draws, name), GAP_SECONDS, settings)
            write_pcm(folder / f"{name}.wav", whole, settings, name=name, draws=draws)
        write_pcm(folder / f"{layout.CALIBRATION_NOISE}.wav", sounds.noise * sounds.rms, settings, name=NOISE, draws=draws)
        return sounds.rms

    def _heard(self, stimulus: Stimulus, sounds: Sounds, draws: Draws, name: str) -> list[Sound]:
        """The sounds that are played in sequence: files of the set, or excerpts of them."""
        if self.design.excerpts is None:
            return [sounds.read(file) for file in self._played(stimulus)[0]]
        order, _ = interval_order(self.design.answers.kind, stimulus.arrangement)
        generator = draws.generator(int.from_bytes(name.encode()), 1)
        drawn = drawn_excerpts(
            self.available, self.design.excerpts, sounds.stimulus_set, stimulus.clip, stimulus.condition, order, generator
        )
        return [sounds.read_excerpt(excerpt) for excerpt in drawn]

    def _played(self, stimulus: Stimulus) -> tuple[list[str], str]:
        """The files of the set that are played in sequence; the right answer where sounds are compared.

        Of excerpts, it is the file of the exemplar.
        """
        kind = self.design.answers.kind
        metamer = self.available.sound(stimulus.clip, stimulus.condition).file
        if kind not in INTERVALS:
            return [metamer], ""
        order, interval = interval_order(kind, stimulus.arrangement)
        if self.design.excerpts is not None:
            return [metamer], interval
        pair = [self.available.sound(stimulus.clip, NATURAL_CONDITION).file, metamer]
        return [pair[k] for k in order], interval
