"""What the benchmarks compare with is the published computation."""

import pytest
import tiny_listeners
import tiny_models
import torch

import audiometamer as am
from audiometamer.evaluation import likeness
from audiometamer.evaluation.likeness import LikenessDifference
from audiometamer.exploration.simulate import true_threshold
from audiometamer.matching import Halving, NormalizedDescent
from audiometamer.matching.domains import Waveform
from benchmarks import equivalence, growth, recovery
from benchmarks.measuring import peak_memory, table
from benchmarks.published import RATE, PublishedCochleagram, published_step


@pytest.fixture(scope="module")
def sound():
    return 0.1 * torch.randn(1, 2 * RATE, generator=torch.Generator().manual_seed(0))


def test_the_transcribed_front_end_is_the_exact_one_and_the_reference(sound, reference):
    """Two codes written apart: filters, envelopes, decimation and compression agree, and so do their gradients."""
    found = []
    for module in (PublishedCochleagram(2 * RATE), am.Cochleagram(exact=True)):
        signal = sound.clone().requires_grad_()
        out = module(signal)
        found.append((out, *torch.autograd.grad(out.square().sum(), signal)))
    (out, gradient), (expected, expected_gradient) = found
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-6)
    assert am.similarity(expected_gradient, gradient)["snr_db"] > 60


def test_the_published_step_is_the_method_s(sound):
    """From near silence, one step: the same signal as `feather2023` takes through the exact front end."""
    model = am.load_model("cochcnn-digits")
    model.front_end = am.Cochleagram(exact=True)
    target = am.record(model, sound, "relu2")
    start = 1e-2 * sound.flip(1)
    published = published_step(PublishedCochleagram(2 * RATE), model.network, "relu2", target, start, 1.0)
    (step,) = [published - start]
    assert float(step.norm()) == pytest.approx(1.0, rel=1e-3)
    ours = am.match(
        lambda signals: am.record(model, signals, "relu2"), target, start, domain=Waveform(),
        optimizer=NormalizedDescent(Halving()), steps=1,
    )  # fmt: skip
    assert am.similarity(published, ours.signals)["snr_db"] > 50


def test_the_model_that_growth_is_measured_with_is_as_long_as_asked():
    assert growth.model_of(0.2).signal_shape == (4000,)
    assert peak_memory(growth.prepared, 0.2, 2) > 100_000


def test_a_table_is_markdown():
    assert table(("a", "b"), (1, 2)) == "| a | b |\n|---|---|\n| 1 | 2 |"


def test_peak_memory_counts_what_work_takes():
    assert 70e6 < peak_memory(eighty_megabytes) < 130e6


def eighty_megabytes():
    return lambda: torch.ones(20_000_000)


def test_simulated_observers_have_their_thresholds_in_the_middle_of_the_ladder(tmp_path):
    truths = {f"relu0/{k}/+": 10 * 1.5**k for k in range(7)}
    ladder = tiny_listeners.ladder(truths)
    known = recovery.in_the_middle(ladder, tiny_listeners.sensitivities(ladder, truths, 1.0))
    found = [true_threshold(ladder, known, dimension, recovery.DECISION) for dimension in truths]
    assert found == pytest.approx([(0.1 * 2.7) ** 0.5 * 1.5**k for k in range(-3, 4)], rel=0.01)
    run = recovery.experiment(ladder, known, seed=0, resamples=0)
    recovered = [recovery.Recovered(row, found[row.component]) for row in run.thresholds.rows]
    of_all, of_each = recovery.summarised([recovered])
    assert (of_all[1], of_each[1]) == (1, 1)
    assert float(str(of_all[4]).split()[0]) > 0.85
    recovery.draw({"one": [each for each in recovered if not each.row.listener]}, tmp_path / "recovered.png")
    assert (tmp_path / "recovered.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("measure", "low", "high", "word"),
    [
        ("spearman_rho", -0.05, 0.09, "same"),
        ("spearman_rho", -0.05, 0.2, "open"),
        ("snr_db", -0.05, 0.9, "same"),
        ("snr_db", 0.05, 0.9, "different"),
        ("label_agreement", -0.06, 0.0, "open"),
        ("level_db", float("nan"), float("nan"), "open"),
    ],
)
def test_what_counts_as_the_same(measure, low, high, word):
    assert equivalence.verdict(LikenessDifference("", measure, 0, 0, 0, low, high, 8)) == word


def test_a_study_of_two_procedures_is_resumed(tmp_path, monkeypatch):
    monkeypatch.setattr(likeness, "_SHORTEST", 10.0)  # modulation spectra take longer than all the rest
    sounds = [tmp_path / f"{name}.wav" for name in "ab"]
    for k, path in enumerate(sounds):
        am.write_wav(path, tiny_models.make_clip(path.stem, k).samples, tiny_models.SAMPLE_RATE)
    procedures = [equivalence.Procedure.parse(text) for text in ("feather2023:8:fast", "default:4")]

    def rows():
        model, judge = tiny_models.nameless_model(), tiny_models.bracketed_model()
        study = equivalence.Study(tmp_path / "out", model, sounds, ["relu0"], (0, 1), [judge, model])
        return list(equivalence.compared(study, procedures, lambda *_: None, equivalence.Bootstrap(resamples=100)))

    found = rows()
    assert {(row.procedure, row.reference, row.clips) for row in found} == {("default:4", "feather2023:8:fast", 2)}
    assert {(row.measured, row.measure) for row in found} >= {
        ("cochleagram", "snr_db"), ("relu0", "spearman_rho"), ("relu0", "seeds_snr_db"), ("", "level_db"),
        ("tiny", "label_agreement"),
    }  # fmt: skip
    files = {
        path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.suffix == ".wav" or path.parts[-4] == "measures"
    }
    assert len(files) > 8
    assert [row.difference for row in rows()] == pytest.approx(
        [row.difference for row in found], abs=1e-3
    )  # tables have six digits
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert "| nameless | default:4 | relu0 |" in equivalence.summary(found)


def test_what_is_no_procedure():
    with pytest.raises(am.AudioMetamerError, match="procedure 'default'; it must be METHOD:STEPS"):
        equivalence.Procedure.parse("default")
    assert str(equivalence.Procedure.parse("default:200:exact")) == "default:200:exact"
