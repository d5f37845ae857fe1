"""The network of texture statistics: what is imposed, what natural sounds are edited to, and the published SNR of each class."""

import math

import pytest
import torch

from audiometamer.errors import AudioMetamerError
from audiometamer.models.adapters.textures import load
from audiometamer.networks.texture_edits import Edits
from audiometamer.networks.texture_network import TextureNetwork
from audiometamer.networks.texture_statistics import TextureStatistics

SECONDS = 1.5


def noise(seed: int = 0) -> torch.Tensor:
    return 0.01 * torch.randn(1, round(20_000 * SECONDS), generator=torch.Generator().manual_seed(seed))


def test_the_imposed_correlations_are_those_at_the_published_offsets() -> None:
    network = TextureNetwork("toolbox")
    assert network.sizes() == {
        "subband_variance": 32, "envelope_mean": 32, "envelope_cv": 32, "envelope_skewness": 32,
        "envelope_correlation": 31 + 30 + 29 + 27 + 24 + 21 + 16 + 11, "modulation_power": 640, "modulation_c1": (31 + 30) * 6,
    }  # fmt: skip
    vector = network(noise())
    assert vector.shape == (1, 1, sum(network.sizes().values()))
    parts = dict(network.split("statistics", vector[0]))
    full = TextureStatistics(["envelope_correlation"], edges="circular")(noise())["envelope_correlation"][0]
    torch.testing.assert_close(parts["envelope_correlation"][0, :31], full.diagonal(1))


def test_noise_is_shaped_to_the_variances_of_the_target() -> None:
    network = TextureNetwork("toolbox")
    tilted = noise(1) + 0.7 * noise(1).roll(1)
    targets = network.targets(tilted)
    start = network.start(noise(2), {"statistics": targets["statistics"]})
    found = network.measure(start)["subband_variance"]
    assert (found / targets["subband_variance"]).log().abs().max() < 0.05


def test_targets_of_a_repeated_sound_are_those_of_the_sound() -> None:
    network = TextureNetwork("toolbox")
    once, twice = network.targets(noise()), network.targets(noise().repeat(1, 2))
    torch.testing.assert_close(twice["statistics"], once["statistics"])


def test_bands_that_hardly_vary_are_edited() -> None:
    tone = 0.01 * torch.sin(2 * torch.pi * 1000 * torch.arange(round(20_000 * SECONDS)) / 20_000)[None]
    network = TextureNetwork("mcdermott2011")
    cv = network.targets(tone)["envelope_cv"][0]
    band = int(cv.argmin())
    assert cv[band] < 0.02
    assert 2 < float(network.targets(tone)["envelope_kurtosis"][0, band]) < 4  # as that of noise


def test_classes_of_pink_noise_and_flipped_signs() -> None:
    plain, pink, flipped = (
        TextureNetwork("toolbox", edits=edits).targets(noise())
        for edits in (Edits(), Edits(pink=("envelope_mean",)), Edits(flip=("envelope_skewness",)))
    )
    torch.testing.assert_close(flipped["envelope_skewness"], -plain["envelope_skewness"])
    torch.testing.assert_close(pink["envelope_cv"], plain["envelope_cv"])
    # White noise is louder than pink in high bands, and fainter in low ones.
    assert pink["envelope_mean"][0, 2] > plain["envelope_mean"][0, 2]
    assert pink["envelope_mean"][0, -2] < plain["envelope_mean"][0, -2]


def test_the_snr_of_a_class_counts_bands_within_30_db_and_both_rows_of_a_pair() -> None:
    network = TextureNetwork("toolbox")
    sizes = network.sizes()
    wanted = {name: torch.ones(size) for name, size in sizes.items()}
    wanted["subband_variance"][0] = 1e-4  # 40 dB below the others
    found = {name: values.clone() for name, values in wanted.items()}
    found["envelope_mean"][0] = 5  # of the faint band: it does not count
    found["envelope_cv"][1] = 1.5
    found["envelope_correlation"][0] = 2  # of bands 0 and 1: it counts for one of them
    matches = network.matches(wanted, found)
    assert matches["envelope_mean"] == (math.inf, 0.0)
    assert matches["envelope_cv"] == pytest.approx((10 * math.log10(31 / 0.25), math.sqrt(0.25 / 31)))
    faint_pairs = 8
    assert matches["envelope_correlation"][0] == pytest.approx(10 * math.log10((189 - faint_pairs / 2) / 0.5))


@pytest.mark.parametrize("options", ["", "/step_at=1"])
def test_shares_of_loud_bands(options: str) -> None:
    """Of each sound and segment by itself: a faint band counts 0, a correlation with it a half."""
    network = load(f"toolbox{options}").network
    segments = 2 if options else 1
    sizes = network.sizes()
    targets = torch.ones(2, sum(sizes.values()))
    targets[1, 32 * (segments - 1)] = 1e-4  # the lowest band of the last segment, 40 dB below the others
    shares = network.loud_shares("statistics", targets)
    assert (shares[0] == 1).all()
    found = {name: part.unflatten(0, (segments, -1)) for name, part in network.split("statistics", shares[1])}
    assert all((part[:-1] == 1).all() for part in found.values())
    assert found["modulation_power"][-1].tolist() == [0.0] * 20 + [1.0] * 620
    assert found["envelope_correlation"][-1].sum() == 189 - 8 / 2
    alone = network.loud_shares("modulation_power", torch.ones(1, 640 * segments))
    assert (alone == 1).all()  # nothing says which bands are faint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"without": ("envelope_kurtosis",)}, "no class 'envelope_kurtosis' to leave out"),
        ({"weights": {"modulation_c2": 2.0}}, "'modulation_c2' has a weight and is not imposed"),
        ({"weights": {"modulation_c1": -1.0}}, "the weight of modulation_c1 is -1.0"),
        ({"scale": "mel"}, "scale is 'mel'"),
    ],
)
def test_wrong_options_are_told(options: dict, message: str) -> None:
    with pytest.raises(AudioMetamerError, match=message):
        TextureNetwork("toolbox", **options)


def test_with_a_clip_dips_of_envelopes_count_less_and_nothing_else_changes() -> None:
    network = TextureNetwork("toolbox")
    sound = 0.01 * torch.randn(1, 30_000, generator=torch.Generator().manual_seed(0))
    found = []
    for clip in (None, 1.1, 1e6):
        if clip is not None:
            network.clip_gradients(clip)
        signal = sound.clone().requires_grad_()
        values = network(signal)
        found.append((values.detach(), *torch.autograd.grad(values[..., 32:64].sum(), signal)))
    (values, true), (same, clipped), (_, hardly) = found
    torch.testing.assert_close(same, values)
    assert clipped.norm() < 0.97 * true.norm()
    assert torch.nn.functional.cosine_similarity(clipped, true) > 0.5
    torch.testing.assert_close(hardly, true, rtol=1e-3, atol=1e-3 * float(true.abs().max()))


def test_a_loop_may_begin_anywhere() -> None:
    network = TextureNetwork("mcdermott2011")
    loop = 0.01 * torch.randn(1, 30_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(network(loop.roll(50 * 123, 1)), network(loop), rtol=1e-9, atol=1e-9)
