"""The chance level, from what the design of an experiment offers."""

import dataclasses

import msgspec
import pytest
from tiny_experiment import WORDS

from audiometamer.experiment.analysis.chance import Chance, chance_level
from audiometamer.listening.design import ResponseFormat


@pytest.mark.parametrize(
    ("answers", "chance"),
    [
        ({}, Chance(1 / len(WORDS), "1 of 12 words that can be typed")),
        ({"kind": "choice"}, Chance(1 / len(WORDS), "1 of 12 answers shown")),
        ({"kind": "choice", "alternatives": 4}, Chance(1 / 4, "1 of 4 answers shown")),
        ({"kind": "abx"}, Chance(1 / 2, "1 of 2 intervals")),
        ({"kind": "odd-one-out"}, Chance(1 / 3, "1 of 3 intervals")),
    ],
)
def test_chance_is_what_the_design_offers(experiment, answers, chance):
    design = msgspec.structs.replace(experiment.design, answers=ResponseFormat(**answers))
    assert chance_level(dataclasses.replace(experiment, design=design)) == chance
