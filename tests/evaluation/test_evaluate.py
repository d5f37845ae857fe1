"""Whole evaluations of networks whose answers can be read off the samples."""

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from tiny_evaluation import LETTERS, METRICS, changed_record, echo, sound, stranger_model, write_metamer

import audiometamer as am
from audiometamer.evaluation import draw_figures, evaluate, read_table, write_table
from audiometamer.evaluation.table import COLUMNS
from audiometamer.models.cards import DoubtCard
from audiometamer.training.adversaries import Adversary

CLIPS = {name: sound(*[0.1 * (i == k) + 0.01 * (i + 1) for i in range(8)]) for k, name in enumerate("wxyz")}


@pytest.fixture
def folder(tmp_path):
    """Of each clip, at ``twice`` the clip itself, and at ``out`` seed 0 the clip and seed 1 its reverse; of z no seed 1."""
    out = tmp_path / "metamers"
    for k, (name, clip) in enumerate(CLIPS.items()):
        snr = {"twice": {"snr_db": None, "pearson_r2": 1.0, "spearman_rho": 1.0}, "out": dict.fromkeys(METRICS, float(k))}
        write_metamer(out, name, clip, clip, layer="twice", similarity=snr, passed=True)
        write_metamer(out, name, clip, clip, layer="out", similarity=snr, passed=k != 0)
        if name != "z":
            write_metamer(out, name, clip, clip.flip(0), layer="out", seed=1, similarity=snr, passed=None)
    return out


@pytest.fixture
def labels(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("clip,letter\nw,a\nx,b\ny,c\nz,\n")
    return path


def numbers(rows, **wanted):
    return {
        (row.layer, row.measure): (row.value, row.clips, row.sounds)
        for row in rows
        if all(getattr(row, name) == value for name, value in wanted.items())
    }


def test_recognition(folder, labels):
    """`echo` calls w, x, y, z a, b, c, d, and their reverse h, g, f; `deaf` calls everything h: it hears no other sample."""
    deaf = echo("deaf")
    with torch.no_grad():
        deaf.network.out.weight[:7] = 0
        deaf.network.out.weight[7, 15] += 1  # it has to listen to something
    rows = evaluate([folder], [echo(), deaf], labels=labels)
    own = numbers(rows, judge="echo", measured_layer="", task="letter")
    assert own["natural", "accuracy"] == (1, 3, 3)
    assert own["natural", "generator_agreement"] == (1, 4, 4)
    assert own["twice", "accuracy"] == (1, 3, 3)
    assert own["out", "accuracy"] == (0.5, 3, 6)
    assert own["out", "label_agreement"] == (4 / 7, 4, 7)
    assert own["twice", "top5_overlap"] == (1, 4, 4)
    assert ("natural", "label_agreement") not in own
    other = numbers(rows, judge="deaf", task="letter")
    assert other["out", "label_agreement"] == (1, 4, 7)
    assert other["out", "accuracy"] == (0, 3, 6)
    assert numbers(rows, judge="(others)") == other
    interval = next((r.low, r.high) for r in rows if (r.judge, r.layer, r.measure) == ("echo", "out", "label_agreement"))
    assert interval == pytest.approx((0.5, 0.75), abs=0.1)


def test_matrices_come_from_the_records(folder):
    rows = evaluate([folder], [echo()], resamples=50)
    assert numbers(rows, measure="passed") == {("twice", "passed"): (1, 4, 4), ("out", "passed"): (0.75, 4, 4)}
    measured = numbers(rows, measured_layer="out")
    assert measured["twice", "snr_db"] == (1.5, 4, 4)
    assert measured["out", "spearman_rho"] == (pytest.approx((0 + 0 + 1 + 1 + 2 + 2 + 3) / 7), 4, 7)
    infinite = numbers(rows, measured_layer="twice")
    assert ("twice", "snr_db") not in infinite
    assert infinite["twice", "pearson_r2"] == (1, 4, 4)


def test_dissimilarities(folder, tmp_path):
    rows = evaluate([folder], [echo()], rdms=tmp_path / "rdms", resamples=50)
    with np.load(tmp_path / "rdms" / "echo" / "echo.npz") as file:
        saved = dict(file)
    upper, order = np.triu_indices(4, 1), [list(CLIPS).index(name) for name in saved["clips"]]
    clips = np.stack([CLIPS[name].numpy() for name in saved["clips"]])
    assert sorted(order) == [0, 1, 2, 3]
    natural = (1 - np.corrcoef(clips))[upper]
    np.testing.assert_allclose(saved["natural/out"], natural, atol=1e-5)
    np.testing.assert_allclose(saved["twice/seed0/twice"], natural, atol=1e-5)
    lacking = saved["out/seed1/out"]
    assert np.isnan(lacking).sum() == 3
    flipped = (1 - np.corrcoef(clips[:, ::-1]))[upper]
    np.testing.assert_allclose(lacking[~np.isnan(lacking)], flipped[~np.isnan(lacking)], atol=1e-5)
    found = {(r.layer, r.measured_layer): r for r in rows if r.measure == "rdm_correlation"}
    assert len(found) == 4
    assert found["twice", "out"].value == pytest.approx(1, abs=1e-6)
    assert (found["out", "out"].clips, found["out", "out"].sounds) == (4, 7)


def test_dissimilarities_of_other_sounds_correlate_as_scipy_says(tmp_path):
    rng = np.random.default_rng(0)
    clips, metamers = torch.from_numpy(rng.uniform(-0.5, 0.5, (2, 6, 8)).astype(np.float32))
    for name, clip, metamer in zip("uvwxyz", clips, metamers, strict=True):
        write_metamer(tmp_path / "m", name, clip, metamer)
    rows = evaluate([tmp_path / "m"], [echo()], rdms=tmp_path / "rdms", resamples=50)
    upper = np.triu_indices(6, 1)
    expected = scipy.stats.spearmanr(np.corrcoef(clips)[upper], np.corrcoef(metamers)[upper]).statistic
    assert [r.value for r in rows if r.measure == "rdm_correlation"] == pytest.approx([expected, expected], abs=1e-5)


def test_progress_ends_at_all(folder):
    reported = []
    evaluate(
        [folder], [echo(), echo("rival")], attacks=[Adversary("waveform", "l2", 0.1, steps=1)], resamples=9,
        progress=lambda share, message: reported.append((share, message)),
    )  # fmt: skip
    shares = [share for share, _ in reported]
    assert shares == sorted(shares)
    assert reported[-1] == (1.0, "rival: 19 of 19 sounds")


@pytest.mark.filterwarnings("ignore::audiometamer.AudioMetamerWarning")
def test_models_that_do_not_fit(folder, labels):
    def refused(message, models, **options):
        with pytest.raises(am.AudioMetamerError, match=re.escape(message)) as caught:
            evaluate([folder], models, resamples=9, **options)
        assert "\n" not in str(caught.value)

    refused("several models have the name 'echo'", [echo(), echo()])
    refused("stranger could give; its classes: letter (s, t, u, v, …)", [echo(), stranger_model()], labels=labels)
    refused("echo has no front end, so no cochleagram", [echo()], attacks=[Adversary("cochleagram", "l2", 1.0)])
    refused("nothing is cut", [echo("short", duration=1.0, sample_rate=4, signal_shape=(8,)), half_a_second()])


def half_a_second():
    network = torch.nn.Linear(4, 8).eval().requires_grad_(False)
    return am.Model(network, sample_rate=8, duration=0.5, labels={"letter": LETTERS}, name="half")


def test_warnings(folder, monkeypatch):
    own = echo().weights_sha256()
    monkeypatch.setattr(sys.modules["audiometamer.evaluation.evaluate"], "name_of_weights", {own: "old-echo"}.get)
    changed = echo()
    changed.network.out.weight[0, 0] = 2
    with pytest.warns(am.AudioMetamerWarning) as reported:
        evaluate([folder], [changed, stranger_model()], resamples=9)
    assert sorted(str(w.message) for w in reported) == [
        "echo has other weights than the model of the same name that made metamers, now called old-echo",
        "stranger shares no label with the models that made the metamers: it is only compared with itself",
    ]


def test_clips_that_a_judge_hardly_knows(folder, labels):
    """All but the last are below the limit of its card; where true labels are given, they say more than a doubt."""
    judge = echo("judge")
    chances = [float(torch.softmax(clip, 0).max()) for clip in CLIPS.values()]
    doubt = {"letter": DoubtCard(sum(sorted(chances)[-2:]) / 2)}
    judge.card = SimpleNamespace(doubt=doubt, multi_label=(), weights=SimpleNamespace(sha256="0" * 64))
    said = r"^w, x, y: probably none of the 8 letters that judge knows, though it names one of them \(3 of 4 clips\)$"
    with pytest.warns(am.AudioMetamerWarning, match=said):
        evaluate([folder], [judge], resamples=9)
    evaluate([folder], [judge], labels=labels, resamples=9)


def test_the_table_is_read_back(folder, labels, tmp_path):
    rows = evaluate([folder], [echo("rival")], labels=labels, attacks=[Adversary("waveform", "linf", 0.01, steps=1)], resamples=9)
    write_table(tmp_path / "evaluation.tsv", rows)
    text = (tmp_path / "evaluation.tsv").read_text()
    assert text.splitlines()[0].split("\t") == list(COLUMNS)
    back = read_table(tmp_path / "evaluation.tsv")
    write_table(tmp_path / "again.tsv", back)
    assert (tmp_path / "again.tsv").read_text() == text
    assert len(back) == len(rows)
    assert back[-1].judge == "(others)"
    for damaged, reported in (
        ("judge\tvalue\necho\tmuch\n", " is not the table of an evaluation"),
        ("nothing\n1\n", " is not the table of an evaluation"),
        ("judge\necho\n", " is not the table of an evaluation"),
        ("judge\tvalue\necho\n", ", line 2: 1 cell; there should be 2$"),
    ):
        (tmp_path / "damaged.tsv").write_text(damaged)
        with pytest.raises(am.AudioMetamerError, match=rf"damaged\.tsv{reported}"):
            read_table(tmp_path / "damaged.tsv")


def test_a_single_clip_has_no_interval(tmp_path):
    write_metamer(tmp_path / "m", "x", sound(0.5), sound(0.5))
    rows = evaluate([tmp_path / "m"], [echo("rival")], rdms=tmp_path / "rdms")
    assert all(np.isnan([row.low, row.high]).all() for row in rows)
    write_table(tmp_path / "t.tsv", rows)
    assert np.isnan(read_table(tmp_path / "t.tsv")[0].low)
    assert draw_figures(rows, tmp_path / "pictures")


def test_records_of_other_versions(folder):
    path = next(folder.glob("w/echo/out_seed0.wav"))
    rows = evaluate([folder], [echo()])
    changed_record(path, flavour="new")  # a later version knows more of it
    assert evaluate([folder], [echo()]) == rows
    changed_record(path, verdict="passed")
    with pytest.raises(am.AudioMetamerError, match=r"out_seed0\.json is not the record of a metamer: .*verdict"):
        evaluate([folder], [echo()])
