"""Rankings: simulated listeners who hear as one model, for each kind of sounds, and values worked out by hand."""

import numpy as np
import pytest
from command_line import refused
from compared_sets import LAYERS, MODELS, write_compared_set, write_design

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.design import read_comparison_design
from audiometamer.experiment.comparisons.listeners import ModelListener, simulated_answers
from audiometamer.experiment.comparisons.predicting import cross_validated, rating
from audiometamer.experiment.comparisons.ranking import rank_models
from audiometamer.experiment.comparisons.stimuli import read_compared, read_table_of_compared
from audiometamer.experiment.reading import read_experiment
from audiometamer.listening.tables import TrialRow, write_trials
from audiometamer.listening.trials import ConditionKey, KeyEntry
from audiometamer.stimuli.comparisons.plan import Kind

RESAMPLES = 200
KINDS: list[Kind] = ["eigendistortions", "finite", "principal", "mad", "distant", "controversial"]


def answers_to(found, representation, *, listeners=6, noise=0.5, seed=0):
    """Answers of listeners who hear as a model, to both orders of all pairs, or all sounds, without any file."""
    compared = {f"{k}{'ab'[i]}": one for k, both in enumerate(found) for i, one in enumerate(both) if one is not None}
    entry = KeyEntry("", ConditionKey("", "", 0), "", "", "", False, {}, "")
    reply = ModelListener(dict.fromkeys(compared, entry), compared, representation, noise)
    rows = []
    for listener in range(listeners):
        generator = np.random.default_rng([seed, listener])
        for trial, (name, one) in enumerate(compared.items(), start=1):
            answer, _, *confidence = reply(name, [], generator)
            rows.append(
                TrialRow(
                    listener=str(listener), trial=trial, kind="main", stimulus=name, clip=one.clip, answer=answer, correct=False,
                    confidence=next(iter(confidence), None),
                )
            )  # fmt: skip
    return rows, compared


def found_in(folder, kind, **settings):
    stimuli = write_compared_set(folder / "set", kind, **settings)
    design = read_comparison_design(write_design(folder, kind))
    return read_compared(stimuli, folder, design)


@pytest.mark.parametrize("kind", KINDS)
def test_the_model_that_listeners_hear_as_is_ranked_first(tmp_path, kind):
    found = found_in(tmp_path, kind, clips=6)
    for true in MODELS if kind == "controversial" else LAYERS:
        rows, compared = answers_to(found, true)
        (ranking,) = rank_models(rows, compared, resamples=RESAMPLES)
        best, *others = ranking.models
        assert best.name == true
        assert best.best > 0.9
        assert best.score.low > max(one.score.value for one in others)
        assert all(one.behind.low > 0 for one in others)
        lower, upper = ranking.ceiling
        assert lower.value < upper.value
        assert best.score.value < upper.value + 0.02
        assert (ranking.kind, ranking.listeners, ranking.answers) == (kind, 6, len(rows))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return found_in(tmp_path_factory.mktemp("found"), "mad", clips=6)


def test_a_listener_without_noise_is_predicted_whole(found):
    rows, compared = answers_to(found, LAYERS[1], noise=0.0)
    (ranking,) = rank_models(rows, compared, resamples=RESAMPLES)
    assert ranking.models[0].agreement.value == 1.0
    assert ranking.ceiling[1].value == pytest.approx(1.0, abs=1e-9)  # one bit for each answer


def test_a_listener_of_pure_noise_is_predicted_by_none(found):
    rows, compared = answers_to(found, LAYERS[0], noise=1e6, listeners=10)
    (ranking,) = rank_models(rows, compared, resamples=RESAMPLES)
    assert all(abs(one.score.value) < 0.03 for one in ranking.models)
    assert all(one.score.low <= 0.01 for one in ranking.models)


def test_a_model_that_is_wrong_throughout_predicts_nothing():
    differences = np.random.default_rng(0).standard_normal(60)
    item = np.repeat(np.arange(20), 3)
    assert cross_validated(differences, (differences < 0).astype(float), item).tolist() == [0.5] * 60


def test_the_slope_is_that_of_a_logistic_model():
    """Answers drawn from σ(1.5 Δ / rms): the probabilities found are near the true ones."""
    rng = np.random.default_rng(1)
    differences = rng.standard_normal(6000)
    true = 1 / (1 + np.exp(-1.5 * differences / np.sqrt(np.square(differences).mean())))
    found = cross_validated(differences, (rng.random(6000) < true).astype(float), np.arange(6000))
    assert found == pytest.approx(true, abs=0.02)


def test_ceilings_by_hand():
    """Three listeners, two items: to one all say the first, to the other two of three do."""
    from audiometamer.experiment.comparisons.predicting import choices_predicted
    from audiometamer.experiment.comparisons.stimuli import Compared

    compared = {
        name: Compared(name, "mad", "m:l", "c", "", name, (), (), ("m:l",), (2.0,), (1.0,)) for name in ("a", "b")
    }  # fmt: skip
    given = {"a": "111", "b": "112"}
    rows = [
        TrialRow(listener=str(k), trial=t, kind="main", stimulus=name, clip="c", answer=answer, correct=False)
        for t, name in enumerate(given) for k, answer in enumerate(given[name])
    ]  # fmt: skip
    found = choices_predicted(rows, compared, ["0", "1", "2"], ["a", "b"], seed=0)
    upper, lower = 2 ** (found.bits[2] - 1), 2 ** (found.bits[1] - 1)
    assert upper == pytest.approx([1, 1, 1, 2 / 3, 2 / 3, 1 / 3])
    assert lower == pytest.approx([2.5 / 3, 2.5 / 3, 2.5 / 3, 1.5 / 3, 1.5 / 3, 0.5 / 3])
    assert found.right[0].tolist() == [1, 1, 1, 1, 1, 0]


def test_ratings_by_hand():
    rows = [
        TrialRow(listener="1", trial=1, kind="main", answer=a, correct=False, confidence=c)
        for a, c in (("x", 40), ("neither", 100))
    ]
    assert [rating(rows[0], word) for word in "xy"] == pytest.approx([0.6, 0.2])
    assert [rating(rows[1], word) for word in "xy"] == [0.0, 0.0]


def test_several_kinds_are_ranked_together_and_each(tmp_path):
    found = []
    for seed, kind in enumerate(("mad", "finite")):
        (tmp_path / kind).mkdir()
        found += found_in(tmp_path / kind, kind, clips=2, seed=seed)
    rows, compared = answers_to(found, LAYERS[2])
    assert [ranking.kind for ranking in rank_models(rows, compared, resamples=20)] == ["all", "mad", "finite"]


def test_answers_that_rank_nothing_are_refused(found, tmp_path):
    rows, compared = answers_to(found, LAYERS[0])
    for wrong, message in (
        ([], "there are no answers to main trials"),
        ([row for row in rows if row.listener == "0"], "1 listeners and 18 items"),
        ([row for row in rows if row.answer == "1"], "all answers are '1'; no model can predict that"),
        ([TrialRow(listener="1", trial=1, kind="main", stimulus="x", clip="c", answer="1", correct=False)], "'x' is no sound of"),
    ):
        with pytest.raises(AudioMetamerError, match=message):
            rank_models(wrong, compared)
    with pytest.raises(AudioMetamerError, match="there is no 'fourth'; there are first:hidden, second:hidden, third:hidden"):
        answers_to(found, "fourth")


def test_the_whole_experiment_from_answers_to_the_figure(folders, tmp_path, capsys):
    folder, out, true = folders["controversial"] / "experiment", tmp_path / "ranking", "third"
    experiment = read_experiment(folder)
    reply = ModelListener(experiment.key, read_table_of_compared(folder), true, 0.3)
    write_trials(tmp_path / "trials.tsv", simulated_answers(experiment, reply, listeners=8))
    arguments = [str(tmp_path / "trials.tsv"), "--experiment", str(folder), "--out", str(out), "--resamples", "100"]
    assert main(["experiment", "rank", *arguments]) == 0
    assert "noise ceiling" in capsys.readouterr().out
    first = (out / "ranking.tsv").read_text().splitlines()[1].split("\t")
    assert (first[0], *first[2:4]) == ("controversial", "1", true)
    assert f"{true} predicts them best" in (out / "summary.txt").read_text()
    assert (out / "ranking.png").stat().st_size > 5000
    assert "exists" in refused(capsys, "experiment", "rank", *arguments)
    analysed = refused(capsys, "experiment", "analyse", arguments[0], "--experiment", folder, "--out", tmp_path / "no")
    assert "has no right answers; `audiometamer experiment rank` analyses it" in analysed


def test_a_rehearsal_through_the_server_keeps_the_confidence(folders, tmp_path):
    arguments = ["--out", tmp_path / "r", "--listeners", "2", "--model", "second", "--noise", "0.1", "--no-load"]
    assert main(["experiment", "rehearse", *map(str, [folders["controversial"] / "experiment", *arguments])]) == 0
    rows = (tmp_path / "r" / "trials.tsv").read_text().splitlines()
    assert rows[0].split("\t")[-1] == "confidence"
    assert all(0 <= float(row.split("\t")[-1]) <= 100 for row in rows[1:])
