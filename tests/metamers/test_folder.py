"""A folder of metamers, filled from Python as `audiometamer synth` fills it."""

import json
import warnings
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest
import scipy.io.wavfile
import soundfile
import torch
from tiny_models import DURATION, SAMPLE_RATE, make_clip, sound_model

import audiometamer as am
from audiometamer.cli import main
from audiometamer.matching.domains import Gaussian, Waveform
from audiometamer.metamers import figure, folder
from audiometamer.metamers.criteria import METRICS, MetricNull, NullDistribution
from audiometamer.metamers.files import load_metamer
from audiometamer.metamers.folder import synthesize_into
from audiometamer.metamers.methods import METHODS
from audiometamer.metamers.results import read_results
from audiometamer.models.cards import WeightsCard

QUICK = {"steps": 20, "method": "feather2023"}
DOUBT = "a: perhaps none of the 3 words that tiny knows; likeliest among them: "
pytestmark = pytest.mark.filterwarnings(
    r"ignore:.*perhaps none of the 3 words that tiny knows:audiometamer.errors.AudioMetamerWarning"
)
CHANGING = ("seconds", "source", "clip_notices")


@pytest.fixture(autouse=True)
def in_a_new_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def record(path):
    return {name: value for name, value in json.loads(path.read_text()).items() if name not in CHANGING}


def test_it_writes_what_the_command_writes(tiny, tmp_path):
    soundfile.write("c.wav", 0.1 * np.random.default_rng(0).standard_normal(1000), 4000, subtype="FLOAT")
    command = ["--layers", "relu0,final", "--steps", "20", "--method", "feather2023", "--seed", "0", "--seed", "4"]
    assert main(["synth", "c.wav", "--model", "tiny_models:sound_model", *command, "--out", "by_command"]) == 0
    metamers = synthesize_into("by_call", tiny, "c.wav", ["relu0", "final"], seed=[0, 4], **QUICK)
    found = [(m.evidence.settings.layer, m.evidence.settings.seed) for m in metamers]
    assert found == [("relu0", 0), ("relu0", 4), ("final", 0), ("final", 4)]
    by_command, files = (
        sorted(path.relative_to(at) for path in at.rglob("*") if path.is_file())
        for at in (tmp_path / "by_command", tmp_path / "by_call")
    )
    assert files == by_command
    for file in files:
        one, two = tmp_path / "by_call" / file, tmp_path / "by_command" / file
        if file.suffix == ".json":
            assert record(one) == record(two)
        elif file.suffix == ".wav":
            assert one.read_bytes() == two.read_bytes()


def test_ten_lines_fill_a_folder_and_resume(tiny, tmp_path):
    reports = []
    metamers = synthesize_into(
        "metamers", tiny, [make_clip("a", 0), make_clip("b", 1)], ["relu0"], progress=reports.append, **QUICK
    )
    assert [m.clip.name for m in metamers] == ["a", "b"]
    assert (reports[0].fraction, reports[0].requested, reports[0].existing) == (0.0, 2, 0)
    assert reports[-1].fraction == 1
    assert "relu0: 2 sound(s), step 0/20, SNR" in reports[1].message
    made = (tmp_path / "metamers/a/tiny/relu0_seed0.wav").stat().st_mtime_ns
    again = synthesize_into(
        "metamers", tiny, [make_clip("a", 0), make_clip("b", 1)], ["relu0", "relu1"], progress=reports.append, **QUICK
    )
    assert [len(again), reports[-1].existing, reports[-1].requested] == [4, 2, 4]
    assert (tmp_path / "metamers/a/tiny/relu0_seed0.wav").stat().st_mtime_ns == made
    assert torch.equal(again[0].samples, metamers[0].samples)
    assert again[0].evidence == metamers[0].evidence  # made in the first call, read in the second
    assert len((tmp_path / "metamers/index.tsv").read_text().splitlines()) == 5


def test_what_was_interrupted_resumes(tiny, tmp_path, monkeypatch):
    class Stopped(folder.Checkpoints):
        def __init__(self, path_of):
            super().__init__(path_of, stop=lambda: True)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "Checkpoints", Stopped)
        with pytest.raises(KeyboardInterrupt):
            synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", **QUICK)
    checkpoint = tmp_path / "metamers/a/tiny/relu0_seed0.unfinished.safetensors"
    assert checkpoint.exists()
    (metamer,) = synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", **QUICK)
    (fresh,) = am.synthesize(tiny, make_clip("a", 0), "relu0", **QUICK)
    assert torch.equal(metamer.samples, fresh.samples)
    assert not checkpoint.exists()


def test_it_draws_what_it_has_made_without_reading_it_back(tiny, monkeypatch):
    drawn = []
    monkeypatch.setattr(folder, "draw_figure", lambda model, metamers, path: drawn.append((path.parts[-3:], metamers)))
    monkeypatch.setattr(folder, "find_metamer", lambda out, settings: None)
    clips = [make_clip("a", 0), make_clip("b", 1)]
    metamers = synthesize_into("metamers", tiny, clips, ["relu0", "final"], seed=[3, 5], **QUICK)
    assert [at for at, _ in drawn] == [("a", "tiny", "figure.png"), ("b", "tiny", "figure.png")]
    for clip, (_, shown) in zip(clips, drawn, strict=True):
        expected = [m for m in metamers if m.clip is clip and m.evidence.settings.seed == 3]
        assert len(shown) == len(expected) == 2
        assert all(one is two for one, two in zip(shown, expected, strict=True))


def test_a_new_null_judges_again(tiny):
    easy = {metric: MetricNull(-100.0 if metric == "snr_db" else -2.0, {}) for metric in METRICS}
    null = NullDistribution(1, 2, "made up", {"relu0": easy})
    with pytest.warns(am.AudioMetamerWarning, match=DOUBT):
        (unjudged,) = synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", **QUICK)
    assert unjudged.passed is None
    reports = []
    (metamer,) = synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", null=null, progress=reports.append, **QUICK)
    assert metamer.passed is True
    (report,) = reports
    assert (report.rejudged, report.rejudged_passed, report.reattempted, report.fraction) == (1, 1, 0, 1.0)
    assert load_metamer("metamers/a/tiny/relu0_seed0.json").passed is True


def test_metamers_of_a_network_that_has_another_name_now(tiny):
    """Its name has gone to other weights: the message says where its own are."""
    old = am.load_model("cochcnn-digits")
    old.name, sound = "cochcnn-word", 0.1 * torch.randn(1, *old.signal_shape, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings(action="ignore", category=am.AudioMetamerWarning):
        synthesize_into("metamers", old, sound, "relu0", steps=1)
        old.card = msgspec.structs.replace(old.card, weights=WeightsCard("", "0" * 64))
        with pytest.raises(am.AudioMetamerError, match=r"\(weights_sha256\) \(the weights are those of cochcnn-digits\); choose"):
            synthesize_into("metamers", old, sound, "relu0", steps=1)


@pytest.mark.parametrize(
    ("clips", "options", "message"),
    [
        ("other", {}, "is another clip called 'a'"),
        ("same", {"steps": 21}, r"was made with different settings \(steps\); choose another --out"),
        (
            "same",
            {"loss": lambda a, t: (a - t).flatten(1).abs().sum(1)},
            r"was made with different settings \(loss\); choose another --out",
        ),
        ("same", {"domain": Waveform(deviation=0.01)}, r"was made with different settings \(domain\); choose another --out"),
        ("same", {"penalty": lambda x: x.square().sum(1)}, r"was made with different settings \(penalty\); choose another --out"),
        (
            "same",
            {"method": replace(METHODS["feather2023"], margin=0.5)},
            r"was made with different settings \(method\); choose another --out",
        ),
        ("both", {}, "two different clips are called 'a'"),
        ("short", {}, "clip 'a' has 500 samples at 4000 Hz; tiny takes 1000"),
    ],
)
def test_what_belongs_to_something_else_is_refused(tiny, tmp_path, clips, options, message):
    synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", **QUICK)
    before = {path: path.read_bytes() for path in (tmp_path / "metamers").rglob("*.*")}
    same, other = make_clip("a", 0), make_clip("a", 1)
    short = am.Clip("a", same.samples[:500], SAMPLE_RATE)
    given = {"same": same, "other": other, "both": [same, other], "short": short}[clips]
    with pytest.raises(am.AudioMetamerError, match=message):
        synthesize_into("metamers", tiny, given, "relu0", **QUICK | options)
    assert {path: path.read_bytes() for path in (tmp_path / "metamers").rglob("*.*")} == before


def test_an_unknown_layer_writes_nothing(tiny, tmp_path):
    with pytest.raises(am.AudioMetamerError, match="no layer 'relu7'"):
        synthesize_into("metamers", tiny, make_clip("a", 0), "relu7", **QUICK)
    assert not (tmp_path / "metamers").exists()


def test_tensors_are_clips(tiny, tmp_path):
    """Plain tensors of the model's shape, in a folder."""
    signals = torch.stack([make_clip("a", 0).samples, make_clip("b", 1).samples])
    metamers = synthesize_into("metamers", tiny, signals, "relu0", **QUICK)
    assert [m.clip.name for m in metamers] == ["clip0", "clip1"]
    rate, samples = scipy.io.wavfile.read(tmp_path / "metamers/clip1/tiny/original.wav")
    assert rate == 4000
    np.testing.assert_array_equal(samples, signals[1])


def test_a_callback_may_end_it_and_what_was_reached_is_kept(tiny, tmp_path):
    def stop(step, signals, losses):
        raise am.StopSynthesis

    clips = [make_clip("a", 0), make_clip("b", 1)]
    metamers = synthesize_into("metamers", tiny, clips, ["relu0", "final"], callback=stop, batch_size=1, **QUICK)
    assert [(m.clip.name, m.evidence.settings.layer) for m in metamers] == [("a", "relu0")]
    assert [result.file for result in read_results(tmp_path / "metamers")] == ["a/tiny/relu0_seed0.wav"]


@dataclass(frozen=True)
class Softer(Waveform):
    """A user's own domain of sounds."""

    deviation: float = 1e-6


@dataclass(frozen=True)
class Plain(Gaussian):
    """A user's own domain that says nothing of files."""


@dataclass(frozen=True)
class Spoken(Plain):
    """One that is no `Waveform`, and has its files written as sounds."""

    suffix = ".wav"


@pytest.mark.parametrize(
    ("domain", "suffix", "kind"), [(Softer(), ".wav", "Waveform"), (Spoken(), ".wav", "Waveform"), (Plain(), ".npy", "Plain")]
)
def test_a_domain_says_its_file_type(tiny, tmp_path, domain, suffix, kind):
    (metamer,) = synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", domain=domain, **QUICK)
    at = tmp_path / "metamers/a/tiny"
    assert {path.suffix for path in at.glob("relu0_seed0.*")} == {".json", suffix}
    assert (at / f"original{suffix}").exists()
    assert metamer.evidence.domain == kind
    assert metamer.evidence.settings.domain.startswith(type(domain).__name__)
    assert torch.equal(load_metamer(at / "relu0_seed0.json").samples, metamer.samples)
    (result,) = read_results(tmp_path / "metamers")
    assert result.file == f"a/tiny/relu0_seed0{suffix}"


def test_saved_one_by_one_is_what_the_folder_has(tiny, tmp_path):
    (made,) = synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", **QUICK)
    (metamer,) = am.synthesize(tiny, make_clip("a", 0), "relu0", **QUICK)
    path = metamer.save(tmp_path / "saved")
    assert path == tmp_path / "saved/a/tiny/relu0_seed0.wav"
    assert path.read_bytes() == (tmp_path / "metamers/a/tiny/relu0_seed0.wav").read_bytes()
    assert record(path.with_suffix(".json")) == record(tmp_path / "metamers/a/tiny/relu0_seed0.json")
    back = load_metamer(path)
    assert torch.equal(back.samples, metamer.samples)
    assert torch.equal(back.clip.samples, metamer.clip.samples)
    assert back.evidence.signal_sha256 == made.evidence.signal_sha256
    with pytest.raises(am.AudioMetamerError, match=f"{path} is a file"):
        metamer.save(path)


@pytest.mark.parametrize(
    ("path", "message"), [(".", r"\. is a folder; name the signal of one metamer"), ("x.wav", "x.wav does not exist")]
)
def test_what_is_no_metamer_is_one_line(path, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        load_metamer(path)


def test_an_unknown_keyword_is_refused(tiny):
    with pytest.raises(TypeError, match=r"synthesize_into\(\) got an unexpected keyword argument 'stepz'"):
        synthesize_into("metamers", tiny, make_clip("a", 0), "relu0", stepz=5)


def test_signals_that_cannot_be_drawn_have_no_figure():
    assert figure.can_draw(sound_model())
    features = am.Model(torch.nn.Identity(), signal_shape=(4, 7), bounds=(-1.0, 1.0), check=False)
    assert not figure.can_draw(features)
    assert DURATION * SAMPLE_RATE == 1000
