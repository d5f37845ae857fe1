"""``audiometamer explore analyse``: of a folder that listeners answered and of a table alone, and what is refused."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from command_line import refused
from tiny_built import DESIGN, presented, take, write_design
from tiny_listeners import course, ladder, sensitivities

from audiometamer.cli import main
from audiometamer.exploration import build as building
from audiometamer.exploration.analysis.sensitivity import Decision
from audiometamer.exploration.folder import read_exploration
from audiometamer.exploration.simulate import simulate
from audiometamer.exploration.trials import write_answered_trials
from audiometamer.io.tables import read_table
from audiometamer.listening.folder import DATABASE
from audiometamer.listening.messages import AnswerMessage, FormMessage
from audiometamer.listening.store import Store

MOMENT = datetime(2026, 11, 2, 12, tzinfo=UTC)
QUICK = ("--resamples", "10")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = ladder(["relu0/0/+", "relu2/0/-"])
    known = sensitivities(of, {"relu0/0/+": 0.4, "relu2/0/-": 0.8}, Decision().d_prime)
    write_answered_trials(Path("trials.tsv"), simulate(course(of, max_trials=30), 1, known, Decision(), seed=0))


def answer_everything(folder):
    """One listener, who is right where the change is above 0.3 SD, and at the headphone check."""
    read = read_exploration(folder)
    heard = take(read.adaptive)
    store = Store(folder / DATABASE, read)
    listener = store.listener(store.enrol())
    store.keep(listener, FormMessage(key="consent" * 3, form="consent"))

    def give(trial, right, *, correct):
        other = next(option for option in read.options(trial) if option != right)
        store.keep(
            listener,
            AnswerMessage(
                key=f"answer-{trial.trial:016d}", trial=trial.trial, stimulus=trial.stimulus, answer=right if correct else other,
                reaction_time_ms=500.0, plays=1, started=MOMENT, answered=MOMENT,
            ),
        )  # fmt: skip

    for trial in read.trials(1):
        give(trial, read.key[trial.stimulus].answer, correct=True)
    for decided, _, correct in heard:
        store.decide(listener, decided)
        give(decided.trial, decided.answer, correct=correct)
    store.close()
    return heard


def test_of_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())
    assert main(["explore", "build", str(write_design(tmp_path)), "--out", "built"]) == 0
    heard = answer_everything(tmp_path / "built")
    assert main(["explore", "analyse", "built", *QUICK]) == 0
    reported = capsys.readouterr().out
    main_trials = [presented(one.decided) for one in heard if one.decided.trial.kind == "main"]
    assert "1 listener enrolled, 1 started; 1 finished; none excluded; 1 analysed.\nHeadphone check: 1 passed.\n" in reported
    assert f"\n{len(main_trials)} trials of 3 dimensions." in reported
    rows = read_table(Path("analysis/thresholds.tsv"))
    assert [row["dimension"] for row in rows] == ["relu0/0/+", "relu0/0/-", "relu1/2/+"]
    assert all(0.2 < float(row["threshold"]) < 0.4 for row in rows)
    assert all(row["procedure"] for row in rows)  # the design says which procedures there were


def test_of_answers_that_are_elsewhere_at_the_target_of_the_design(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(building, "write_page", lambda folder, _sentences: folder.mkdir())
    two_down = DESIGN.replace("[procedure]", "[procedure]\ndown = 2\nfirst_down = 2")
    assert main(["explore", "build", str(write_design(tmp_path, two_down)), "--out", "built"]) == 0
    answer_everything(tmp_path / "built")
    (tmp_path / "built" / DATABASE).rename("elsewhere.db")
    with_answers = ("explore", "analyse", "built", *QUICK, "--answers", "elsewhere.db")
    assert main([*with_answers]) == 0
    assert "Threshold: the reached change at which 0.707 is correct" in capsys.readouterr().out
    assert main([*with_answers, "--target", "0.75", "--out", "at_0.75"]) == 0
    assert "Threshold: the reached change at which 0.750 is correct" in capsys.readouterr().out


def test_of_a_table(capsys):
    assert main(["explore", "analyse", "trials.tsv", *QUICK, "--d-prime", "1", "--decision", "independent", "--lapse", "0"]) == 0
    reported = capsys.readouterr().out
    assert "d′ = 1.00 (abx-independent, 0 lapses)" in reported
    assert "sensitivity.png, sensitivity.pdf, sensitivity.svg, summary.txt" in reported
    assert Path("analysis/summary.txt").read_text() in reported
    assert [row["procedure"] for row in read_table(Path("analysis/thresholds.tsv"))] == ["", ""]
    assert "analysis/summary.txt exists; choose another --out, or --overwrite it" in refused(
        capsys, "explore", "analyse", "trials.tsv"
    )
    reported = Path("trials.tsv").read_text().replace("\tabx\t", "\todd-one-out\t")
    Path("trials.tsv").write_text(reported)
    assert main(["explore", "analyse", "trials.tsv", *QUICK, "--overwrite"]) == 0
    assert "(oddity-differencing, 0.02 lapses)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.tsv"], "nothing.tsv cannot be read as a table"),
        (["trials.tsv", "--target", "0.4"], "a threshold at 0.4 correct; abx-differencing has one between 0.5 and 0.98"),
        (
            ["trials.tsv", "--target", "0.8", "--d-prime", "1"],
            "the target is 0.8 and d′ is 1; a threshold is defined by one of them",
        ),
        (["trials.tsv", "--listeners", "nobody.tsv"], "nobody.tsv cannot be read as a table"),
        (["trials.tsv", "--answers", "answers.db"], "trials.tsv is no folder of an exploration; answers in answers.db"),
        (["."], "lists.json"),
    ],
)
def test_what_is_refused(capsys, arguments, said):
    assert said in refused(capsys, "explore", "analyse", *arguments)
