"""The example of texture and exemplar discrimination: its plan and designs fit together, and its commands exist."""

from pathlib import Path

import pytest
from command_line import commands_in, parse

from audiometamer.experiment.design import read_design
from audiometamer.stimuli.plan import read_plan
from audiometamer.stimuli.sources import find_sources

EXAMPLE = Path(__file__).parents[1] / "examples" / "texture_discrimination"


def test_the_plan_makes_exemplars_enough():
    plan = read_plan(EXAMPLE / "plan.toml")
    assert len(find_sources(plan)) * len(plan.content.seeds) == 48


@pytest.mark.parametrize("task", ["texture", "exemplar"])
def test_each_listener_hears_each_duration_equally_often(task):
    design = read_design(EXAMPLE / f"{task}.toml")
    assert design.excerpts.task == f"{task} discrimination"
    assert design.trials % len(design.excerpts.durations) == 0
    assert design.trials + design.practice.trials <= 48


def test_the_page_is_right_about_its_commands():
    commands = commands_in((EXAMPLE / "README.md").read_text(encoding="utf-8"))
    assert len(commands) == 5
    for line in commands:
        parse(line)
