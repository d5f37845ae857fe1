"""The columns that the documentation of the analysis names are those that are read and written."""

import re
from pathlib import Path

import pytest

from audiometamer.experiment.analysis.folder import ANOVA_COLUMNS
from audiometamer.experiment.analysis.recognition import RecognitionRow
from audiometamer.listening.exclusions import Stage
from audiometamer.listening.tables import LISTENER_COLUMNS, TRIAL_COLUMNS, ListenerRow, TrialRow, required_columns

PAGE = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text(encoding="utf-8")


def table_after(text):
    """The first cells of the rows of the table of columns that follows a text."""
    _, _, after = PAGE.partition(text)
    _, _, table = after.partition("| column | |\n|---|---|\n")
    return [row.split("|")[1] for row in table.partition("\n\n")[0].splitlines()]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("### Trials", TRIAL_COLUMNS),
        ("### Listeners", LISTENER_COLUMNS),
        ("`sample.tsv` has the columns", Stage.__struct_fields__),
        ("## Recognition", RecognitionRow.__struct_fields__),
        ("## Analyses of variance", ANOVA_COLUMNS),
    ],
)
def test_columns(text, columns):
    named = [name for cell in table_after(text) for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(named) == sorted(columns)


@pytest.mark.parametrize(("text", "record"), [("### Trials", TrialRow), ("### Listeners", ListenerRow)])
def test_required_columns_are_bold(text, record):
    bold = [name for cell in table_after(text) for name in re.findall(r"\*\*`(\w+)`\*\*", cell)]
    assert bold == required_columns(record)
