"""What an analysis reads, and which rules follow from it."""

import msgspec
import pytest
from tiny_answers import answers

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.recognition import recognised_in
from audiometamer.experiment.analysis.sources import AnalysisFiles, AnalysisSources, RequestedRules, layer_orders
from audiometamer.experiment.design import Design
from audiometamer.listening.exclusions import ExclusionRules
from audiometamer.listening.gates import Demonstration, Headphones
from audiometamer.listening.tables import ListenerRow, write_listeners, write_trials


@pytest.fixture
def trials(tmp_path):
    write_trials(tmp_path / "trials.tsv", answers(2, 2))
    return tmp_path / "trials.tsv"


def test_trials_alone(trials):
    sources = AnalysisFiles(trials=trials).read()
    assert sources == AnalysisSources(answers(2, 2), [])


def test_all_files(trials, tmp_path):
    write_listeners(tmp_path / "listeners.tsv", [ListenerRow(listener="1", group="old")])
    (tmp_path / "participants.tsv").write_text("listener\tservice\tparticipant\n1\tprolific\tx\n")
    (tmp_path / "key.json").write_text('{"s1": {"word": "two", "recognised_by": {"one": "two"}}}')
    names = {name: tmp_path / f"{name}.tsv" for name in ("listeners", "participants")}
    sources = AnalysisFiles(trials=trials, key=tmp_path / "key.json", **names).read()
    assert [one.group for one in sources.listeners] == ["old"]
    assert sources.persons == {"1": "prolific x"}
    assert sources.recognised == {("one", "s1"): True}


def test_an_experiment_gives_design_key_and_chance(trials, folder, experiment):
    sources = AnalysisFiles(trials=trials, folder=folder).read()
    assert sources.design == experiment.design
    assert sources.recognised == recognised_in(experiment.key) != {}
    assert sources.chance == Chance(1 / 12, "1 of 12 words that can be typed")


def test_a_folder_that_is_no_experiment(trials, tmp_path):
    with pytest.raises(AudioMetamerError, match="is no experiment"):
        AnalysisFiles(trials=trials, folder=tmp_path).read()


def test_what_is_requested_goes_before_the_design_and_that_before_the_defaults():
    design = Design("x", 1, headphones=Headphones(minimum=3), demonstration=Demonstration(minimum=2))
    requested = RequestedRules(demonstration=7, finished=True, catch=0.75)
    plain, designed = AnalysisSources([], []), AnalysisSources([], [], design=design)
    assert plain.rules(RequestedRules()) == ExclusionRules()
    assert plain.rules(requested) == ExclusionRules(demonstration=7, finished=True, catch=0.75)
    assert designed.rules(requested) == ExclusionRules(headphones=3, demonstration=7, finished=True, catch=0.75)
    assert designed.rules(RequestedRules()) == ExclusionRules(headphones=3, demonstration=2)


def test_order_of_layers():
    trials = [msgspec.structs.replace(trial, model="cochcnn-digits" if trial.model else "") for trial in answers(1, 1)]
    assert layer_orders(trials)["cochcnn-digits"][:2] == ["cochleagram", "relu0"]
    assert layer_orders(answers(1, 1)) == {}
    published = [msgspec.structs.replace(trials[0], model="feather2023/cochresnet50")]
    assert layer_orders(published)["feather2023/cochresnet50"][:3] == ("cochleagram", "conv1_relu1", "layer1")
    assert layer_orders(answers(1, 1), ["final", "relu0"]) == {"one": ["final", "relu0"]}
