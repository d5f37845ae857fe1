"""A texture model judges the metamers of other models by its statistics, and is no judge of words."""

from pathlib import Path

import pytest
import torch
from tiny_evaluation import echo, write_metamer

import audiometamer as am
from audiometamer.evaluation import evaluate
from audiometamer.evaluation.judging import Judge
from audiometamer.evaluation.labels import classes_of

RATE, LENGTH = 20_000, 28_000


def test_a_metamer_with_the_clip_s_statistics_has_more_of_an_snr(tmp_path: Path) -> None:
    noise = 0.05 * torch.randn(2, LENGTH, generator=torch.Generator().manual_seed(0))
    pulsed = noise[1] * (torch.arange(LENGTH) % 2000 < 200)
    write_metamer(tmp_path, "noise", noise[0], noise[1], layer="out", rate=RATE)
    write_metamer(tmp_path, "noise", noise[0], pulsed, layer="twice", rate=RATE)
    model = am.load_model("texture:toolbox/seconds=1.4")

    rows = evaluate([tmp_path], [model])

    found = {(row.layer, row.measured_layer): row.value for row in rows if (row.judge, row.measure) == (model.name, "snr_db")}
    assert {measured for _, measured in found} == set(model.layers) - {"statistics"}
    for name in ("envelope_mean", "envelope_cv", "modulation_power"):
        assert found["out", name] > 10 + found["twice", name]
    assert not any(row.judge == model.name and row.task for row in rows)


def test_only_a_model_of_statistics_may_have_no_labels() -> None:
    assert classes_of(am.load_model("texture:toolbox/seconds=1.4")) == {}
    with pytest.raises(am.AudioMetamerError, match="has no labels"):
        Judge(echo(labels=None)).check()
