"""docs/stimulus_sets.md says what is so."""

import re
import shlex
import shutil
from pathlib import Path

import click
import pytest

from audiometamer.cli import audiometamer
from audiometamer.stimuli.exports.sounds import ExportedSound
from audiometamer.stimuli.index import COLUMNS
from audiometamer.stimuli.items import expand
from audiometamer.stimuli.plan import ClipSelection, Plan, PlannedModel, read_plan

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "stimulus_sets.md").read_text()
FIRST_CELLS = [re.findall(r"`([^`]+)`", line.split("|")[1]) for line in PAGE.splitlines() if line.startswith("|")]


def test_every_key_of_a_plan_is_explained():
    explained = [name for cell in FIRST_CELLS for name in cell]
    keys = {*Plan.__struct_fields__, *ClipSelection.__struct_fields__, *PlannedModel.__struct_fields__} - {"clips", "models"}
    assert keys <= set(explained)
    assert {"[clips]", "[[models]]"} <= set(explained)


def test_every_column_is_explained_in_its_order():
    columns = [name for cell in FIRST_CELLS for name in cell if name in COLUMNS]
    assert tuple(columns[-len(COLUMNS) :]) == COLUMNS
    assert all(f"`{name}`" in PAGE for name in ExportedSound.__struct_fields__ if name != "about")


def test_the_plan_on_the_page_is_one(tmp_path):
    (tmp_path / "words.toml").write_text(re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)[0])
    shutil.copytree(ROOT / "stimuli", tmp_path / "stimuli")
    with pytest.warns(match="samples beyond"):
        assert len(expand(read_plan(tmp_path / "words.toml")).items) == 12


@pytest.mark.parametrize("line", [line for line in PAGE.splitlines() if line.startswith("audiometamer ")])
def test_every_command_on_the_page_is_one(line):
    command, words = audiometamer, shlex.split(line, comments=True)[1:]
    context = click.Context(command)
    while isinstance(command, click.Group):
        _, command, words = command.resolve_command(context, words)
    command.make_context("", words)  # parses, and refuses what it does not know


def commands_of(group):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield command
        if isinstance(command, click.Group):
            yield from commands_of(command)


def test_every_option_on_the_page_is_one():
    known = {name for command in commands_of(audiometamer) for option in command.params for name in option.opts}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE)) <= known
