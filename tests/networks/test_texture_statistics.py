"""Texture statistics agree with the published implementation, are differentiable, and treat each sound by itself."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.networks.texture_statistics import CLASSES, TextureStatistics

REFERENCE = Path(__file__).parent.parent / "data" / "texture_am_noise.npz"
PUBLISHED = {
    "subband_variance": "subband_var",
    "envelope_mean": "env_mean",
    "envelope_cv": "env_var",
    "envelope_skewness": "env_skew",
    "envelope_kurtosis": "env_kurt",
    "envelope_correlation": "env_C",
    "modulation_power": "mod_power",
    "modulation_c1": "mod_C1",
    "modulation_c2": "mod_C2",
    "envelope_autocorrelation": "env_ac",
}


def noise(batch: int, seconds: float = 1.5, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.01 * torch.randn(batch, round(20_000 * seconds), generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float32, 1e-3)])
@pytest.mark.parametrize(("window", "number"), [("ones", 1), ("ramps", 2)])
def test_every_class_agrees_with_the_published_implementation(
    dtype: torch.dtype, tolerance: float, window: str, number: int
) -> None:
    reference = np.load(REFERENCE)
    sound = torch.from_numpy(reference["x"]).to(dtype)[None]

    found = TextureStatistics(CLASSES, window=window)(sound)

    for name, values in found.items():
        wanted = reference[f"w{1 if name == 'subband_variance' else number}_{PUBLISHED[name]}"]
        error = np.abs(values[0].double().numpy() - wanted).max() / np.abs(wanted).max()
        assert error < tolerance, name


def test_under_a_window_the_diagonal_of_the_correlation_is_not_1() -> None:
    diagonal = TextureStatistics(["envelope_correlation"], window="ramps")(noise(1))["envelope_correlation"][0].diagonal()
    assert (diagonal - 1).abs().max() > 0.01


def test_the_window_of_ramps_is_the_published_one() -> None:
    weights = TextureStatistics(window="ramps").weights(1200)
    np.testing.assert_allclose(weights / weights.max(), np.load(REFERENCE)["window2"], atol=1e-7)


def test_presets_hold_the_published_classes() -> None:
    assert TextureStatistics.from_preset("mcdermott2011").classes == CLASSES[:-1]
    dropped = {"envelope_kurtosis", "modulation_c2", "envelope_autocorrelation"}
    assert set(CLASSES) - set(TextureStatistics.from_preset("toolbox").classes) == dropped


def test_statistics_of_a_batch_are_those_of_its_sounds() -> None:
    sounds, measure = noise(2, dtype=torch.float64), TextureStatistics(CLASSES)
    together = measure(sounds)
    for k, sound in enumerate(sounds):
        for name, values in measure(sound[None]).items():
            torch.testing.assert_close(together[name][k], values[0], rtol=1e-9, atol=1e-12)


def test_a_repeated_sound_has_the_statistics_of_the_sound() -> None:
    """Everything can be circular, so that a loop has no seam, and a sound may be longer than its original."""
    sound, measure = noise(1, dtype=torch.float64), TextureStatistics.from_preset("toolbox", edges="circular")
    once, twice = measure(sound), measure(sound.repeat(1, 2))
    for name in set(measure.classes) - {"subband_variance"}:
        assert (once[name] - twice[name]).norm() < 1e-2 * once[name].norm(), name
    torch.testing.assert_close(once["subband_variance"], twice["subband_variance"], rtol=1e-4, atol=0)


@pytest.mark.parametrize("edges", ["zero", "circular"])
def test_the_gradient_is_that_of_finite_differences(edges: str) -> None:
    sound, measure = noise(1, dtype=torch.float64).requires_grad_(), TextureStatistics(CLASSES, window="ramps", edges=edges)
    generator = torch.Generator().manual_seed(1)
    weights = {name: torch.randn(v.shape, generator=generator).double() for name, v in measure(sound).items()}

    def total(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([(values * weights[name]).sum() for name, values in measure(x).items()]).sum()

    (gradient,) = torch.autograd.grad(total(sound), sound)
    direction = noise(1, seed=2, dtype=torch.float64)
    with torch.no_grad():
        slope = (total(sound + 1e-5 * direction) - total(sound - 1e-5 * direction)) / 2e-5
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-5)


def test_forward_derivatives_of_envelopes_are_those_backward() -> None:
    sound, direction = noise(1, dtype=torch.float64), noise(1, seed=2, dtype=torch.float64)
    measure = TextureStatistics(["envelope_mean"])
    with warnings.catch_warnings(), torch.autograd.forward_ad.dual_level():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, of its first forward derivative
        dual = torch.autograd.forward_ad.make_dual(sound, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(measure(dual)["envelope_mean"]).tangent
    with torch.no_grad():
        ends = [measure(sound + step * direction)["envelope_mean"] for step in (-1e-5, 1e-5)]
    torch.testing.assert_close(tangent, (ends[1] - ends[0]) / 2e-5, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", ["silence", "constant", "tone", "half silent"])
def test_gradients_are_finite_where_statistics_are_undefined(kind: str) -> None:
    time = torch.arange(30_000) / 20_000
    sounds = {
        "silence": torch.zeros_like(time),
        "constant": torch.full_like(time, 0.01),
        "tone": 0.01 * torch.sin(2 * torch.pi * 1000 * time),
        "half silent": torch.where(time < 0.5, noise(1)[0], torch.zeros_like(time)),
    }
    sound = sounds[kind][None].requires_grad_()
    found = TextureStatistics(CLASSES)(sound)
    (gradient,) = torch.autograd.grad(torch.stack([v.sum() for v in found.values()]).sum(), sound)
    assert all(bool(v.isfinite().all()) for v in found.values())
    assert bool(gradient.isfinite().all())


@pytest.mark.parametrize("options", [{"scale": "linear"}, {"modulation_scale": "linear"}, {"compression": "log"},
                                     {"compression": "none"}, {"compress_first": False}, {"overcompleteness": 2}])  # fmt: skip
def test_options_change_the_statistics(options: dict) -> None:
    sound = noise(1)
    plain, changed = (TextureStatistics(["modulation_power"], **o)(sound)["modulation_power"] for o in ({}, options))
    assert changed.shape[1:] == ((65, 20) if "overcompleteness" in options else (32, 20))
    assert bool(changed.isfinite().all())
    assert plain.shape != changed.shape or not torch.allclose(plain, changed, rtol=1e-3)


def test_histograms_hold_all_samples() -> None:
    found = TextureStatistics().histograms(noise(1))
    assert found["subband"][0].shape == (33, 128)
    assert found["envelope"][0].shape == (32, 128)
    torch.testing.assert_close(found["subband"][0].sum(1), torch.ones(33))
    shares, centers = found["subband"]
    assert float((shares[-1] * centers[-1]).sum()) == pytest.approx(float(noise(1).mean()), abs=2e-4)


@pytest.mark.parametrize(
    ("options", "samples", "message"),
    [
        ({"classes": ["variance"]}, 20_000, "no class of texture statistics 'variance'"),
        ({"window": "hann"}, 20_000, "the window is 'hann'"),
        ({"window": [0.0] * 400}, 20_000, "covers nothing"),
        ({"window": [1.0] * 399}, 20_000, r"has shape \(399,\); the sound has 400 frames"),
        ({"scale": "mel"}, 20_000, "scale is 'mel'"),
        ({}, 20_001, "a multiple of 50 samples"),
        ({}, 10_000, r"0\.5 s is too short for the lowest modulation filter.*at least 1\.4 s"),
    ],
)
def test_bad_input_is_told_in_one_line(options: dict, samples: int, message: str) -> None:
    with pytest.raises(AudioMetamerError, match=message) as error:
        TextureStatistics(**options)(torch.ones(1, samples))
    assert "\n" not in str(error.value)
