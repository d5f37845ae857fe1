"""The input of an analysis: answers, the table of listeners, and the experiment or its key; each file once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.chance import Chance, chance_level
from audiometamer.experiment.analysis.recognition import NetworkRecognition, read_recognised, recognised_in
from audiometamer.experiment.comparisons.design import ComparisonDesign
from audiometamer.experiment.design import Design
from audiometamer.experiment.reading import read_experiment
from audiometamer.experiment.scaling.design import ScalingDesign
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.listening.tables import ListenerRow, TrialRow, read_listeners, read_persons, read_trials
from audiometamer.published.listeners import PublishedListeners, find_published

_ANALYSED_BY = {ComparisonDesign: "rank", ScalingDesign: "scale"}  # designs without right answers


class AnalysisFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files of an analysis.

    Parameters
    ----------
    trials : Path
        Trial table.
    listeners : Path, optional
        Table of listeners. Default: none; listeners are known from their trials only.
    participants : Path, optional
        Table of participants. Default: none; every listener counts as a different person.
    folder : Path, optional
        Folder of the experiment. Default: none.
    key : Path, optional
        ``key.json`` of the experiment. Default: that in `folder`, if it is given.
    beside : sequence of str
        Listeners of other experiments, see `audiometamer.published.listeners.find_published`. Default: none.
    """

    trials: Path
    listeners: Path | None = None
    participants: Path | None = None
    folder: Path | None = None
    key: Path | None = None
    beside: Sequence[str] = ()

    def read(self) -> "AnalysisSources":
        """Read them all.

        Raises
        ------
        AudioMetamerError
            If one of them cannot be read, or is not what it should be.
        """
        beside = tuple(find_published(name) for name in self.beside)
        trials = read_trials(self.trials)
        listeners = [] if self.listeners is None else read_listeners(self.listeners)
        persons = None if self.participants is None else read_persons(self.participants)
        if self.folder is None:
            recognised = None if self.key is None else read_recognised(self.key)
            return AnalysisSources(trials, listeners, persons, recognised, beside=beside)
        experiment = read_experiment(self.folder)
        if not isinstance(experiment.design, Design):
            command = _ANALYSED_BY[type(experiment.design)]
            raise AudioMetamerError(f"{self.folder} has no right answers; `audiometamer experiment {command}` analyses it")
        same = experiment.design.answers.same
        recognised = recognised_in(experiment.key, same=same) if self.key is None else read_recognised(self.key, same=same)
        return AnalysisSources(trials, listeners, persons, recognised, experiment.design, chance_level(experiment), beside)


class RequestedRules(msgspec.Struct, frozen=True, kw_only=True):
    """Exclusion rules as a user asks for them.

    Parameters
    ----------
    headphones, demonstration : int, optional
        Minimum of correct trials. Default: those of the design, or without a design those of `ExclusionRules`.
    catch, finished, fastest_ms
        As in `ExclusionRules`.
    """

    headphones: int | None = None
    demonstration: int | None = None
    catch: float | None = 0.5
    finished: bool = False
    fastest_ms: float | None = None


@dataclass(frozen=True)
class AnalysisSources:
    """The input of an analysis.

    Parameters
    ----------
    trials : list of Trial
    listeners : list of Listener
    persons : dict of str to str or None
        The person behind each listener.
    recognised : mapping or None
        What networks recognise; see `audiometamer.experiment.analysis.recognition.network_counts`.
    design : Design, optional
        Default: not known.
    chance : Chance, optional
        Chance level of the design. Default: not known.
    beside : sequence of list of PublishedListeners
        Listeners of other experiments to choose from; see `audiometamer.experiment.analysis.beside.stand_beside`. Default: none.
    """

    trials: list[TrialRow]
    listeners: list[ListenerRow]
    persons: dict[str, str] | None = None
    recognised: NetworkRecognition | None = None
    design: Design | None = None
    chance: Chance | None = None
    beside: Sequence[list[PublishedListeners]] = ()

    def rules(self, requested: RequestedRules) -> ExclusionRules:
        """The rules to apply: those requested, then those of the design, then the defaults."""
        minimums = ExclusionRules()
        if self.design is not None:
            gates = self.design.gates
            minimums = ExclusionRules(headphones=gates["headphones"].minimum, demonstration=gates["demonstration"].minimum)
        return ExclusionRules(
            headphones=minimums.headphones if requested.headphones is None else requested.headphones,
            demonstration=minimums.demonstration if requested.demonstration is None else requested.demonstration,
            catch=requested.catch,
            finished=requested.finished,
            fastest_ms=requested.fastest_ms,
        )


def layer_orders(trials: Iterable[TrialRow], requested: Sequence[str] = ()) -> Mapping[str, Sequence[str]]:
    """The order of the layers of each model in trials.

    Parameters
    ----------
    trials : iterable of Trial
    requested : sequence of str
        Order for all models. Default: for models of the zoo, that of their networks, and for published ones that of the paper;
        others are left out.
    """
    models = dict.fromkeys(trial.model for trial in trials if trial.model)
    if requested:
        return dict.fromkeys(models, requested)
    from audiometamer.models.loading import load_model
    from audiometamer.models.published import published
    from audiometamer.models.shipped import zoo

    ours = {name: list(load_model(name).layers) for name in models if name in zoo()}
    return ours | {name: published()[name].layers for name in models if name in published()}
