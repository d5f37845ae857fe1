"""The analysis in words."""

import math

import msgspec
import pytest
from tiny_answers import answers

from audiometamer.experiment.analysis.analyse import analyse
from audiometamer.experiment.analysis.chance import Chance
from audiometamer.experiment.analysis.recognition import RecognitionRow
from audiometamer.experiment.analysis.summary import apa, summary_text
from audiometamer.experiment.analysis.variance import Anova
from audiometamer.listening.exclusions import exclude
from audiometamer.listening.tables import TrialRow
from audiometamer.statistics.anova import Effect
from audiometamer.statistics.reliability import SplitHalf

FAST = {"resamples": 200, "permutations": 50}


def test_a_single_listener():
    single = analyse(answers(1, 3), **FAST)
    assert single.ceiling is None
    assert single.tests["listeners, one"] == (1, {}, [], "a single listener")
    assert "natural" in single.summary()
    assert "Noise ceiling: not computed: it needs at least 4 listeners and 3 conditions." in single.summary()


EFFECT = Effect("layer", 12.5, 3, 27, 0.00004, 0.61, 0.0004, 0.58, 0.002, 5.0, 3.6)


def test_an_effect_in_the_style_of_the_apa():
    assert apa(EFFECT) == (
        "layer: F(3, 27) = 12.5, p < 0.0001, Greenhouse–Geisser p = 0.0004 (ε = 0.610), partial η² = 0.5800, "
        "permutation p = 0.002"
    )
    assert apa(EFFECT._replace(epsilon=1.0, p_permutation=math.nan)) == "layer: F(3, 27) = 12.5, p < 0.0001, partial η² = 0.5800"
    assert apa(EFFECT._replace(note="no variance", epsilon=math.nan, p_permutation=math.nan)) == (
        "layer: F(3, 27) not computed: no variance"
    )


def test_every_part_of_an_analysis_has_its_line():
    trials = [TrialRow(listener=name, trial=1, kind="main", correct=True) for name in "ab"]
    row = RecognitionRow(
        model="m", layer="relu0", observer="human", value=0.5, low=0.25, high=0.75, listeners=2, trials=8, missing=0
    )
    network = msgspec.structs.replace(row, observer="network", low=None, high=None, note="no interval: all alike")
    words = summary_text(
        exclusions=exclude(trials), notes=["A note."], recognition=[row, network], tests={"t": Anova(2, {"old": 2}, [EFFECT])},
        ceiling=SplitHalf(0.8, 0.889, 0.943, 2), chance=Chance(0.0625, "1 of 16 answers shown"),
    )  # fmt: skip
    assert words.splitlines()[2:7] == [
        "A note.",
        "",
        "Recognised, % (95 % percentile bootstrap interval over listeners; number of listeners, trials):",
        "  m relu0  human 50.0 (25.0–75.0; 2, 8)  network 50.0 (no interval: all alike; 2, 8)",
        "Chance: 6.25 % (1 of 16 answers shown).",
    ]
    assert "Analysis of variance: t (2 listeners: old 2)\n  layer: F(3, 27) = 12.5" in words
    assert words.endswith(
        "Noise ceiling: split halves of 2 listeners agree with r = 0.800; reliability of all 0.889 (Spearman–Brown), highest "
        "correlation to be expected 0.943.\n"
    )


@pytest.mark.parametrize(
    ("ceiling", "words"),
    [
        (SplitHalf(math.nan, math.nan, math.nan, 4), "not computed: no variance between conditions."),
        (SplitHalf(-0.5, -2.0, math.nan, 4), "agree with r = -0.500; not computed: halves do not agree."),
    ],
)
def test_no_noise_ceiling(ceiling, words):
    trials = [TrialRow(listener="a", trial=1, kind="main", correct=True)]
    assert summary_text(exclusions=exclude(trials), notes=[], recognition=[], tests={}, ceiling=ceiling).endswith(f"{words}\n")
