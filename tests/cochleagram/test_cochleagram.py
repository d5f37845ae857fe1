"""The front end against the published one, and its fast path against its exact one."""

import warnings

import numpy as np
import pytest
import torch
from only_device import OnlyDevice

import audiometamer as am
from audiometamer.cochleagram import Cochleagram
from audiometamer.ears import MelSpectrogram, make_front_end

SIGNALS = ("vowel_like", "chirp_60_9000", "white_noise_rng0")
RATE = 20_000
TIME = np.arange(40_000) / RATE


def with_gradient(module, sound):
    sound = torch.as_tensor(sound)[None].clone().requires_grad_()
    out = module(sound)
    (gradient,) = torch.autograd.grad(out.square().sum(), sound)
    return out[0].detach(), gradient[0]


def noise(n_samples, seed=0, dtype=torch.float32):
    return (0.1 * torch.randn(n_samples, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)).to(dtype)


def click_train():
    """Ten clicks a second over a faint floor of noise."""
    samples = 1e-3 * np.random.default_rng(1).standard_normal(40_000)
    samples[1000::2000] += 1
    return (0.1 * samples / samples.std()).astype(np.float32)


def clicks_in_silence(positions):
    samples = np.zeros(40_000, dtype=np.float32)
    samples[positions] = 1
    return 0.1 * samples / samples.std()


def tones():
    return sum(0.05 * np.sin(2 * np.pi * f * TIME) for f in (220.3, 440.7, 1001.1, 3007.9)).astype(np.float32)


@pytest.fixture(scope="module")
def exact():
    return Cochleagram(exact=True)


@pytest.fixture(scope="module")
def fast():
    return Cochleagram()


@pytest.mark.parametrize("name", SIGNALS)
def test_exact_path_is_the_published_one(exact, reference, decibels, name):
    out, gradient = with_gradient(exact, reference[f"{name}/sound"])
    assert np.abs(out.numpy() - reference[f"{name}/cochleagram"]).max() < 1e-4
    assert decibels(torch.from_numpy(reference[f"{name}/gradient_of_sum_of_squares"]), gradient) > 60


@pytest.mark.parametrize("name", SIGNALS)
def test_fast_path_is_the_exact_one(exact, fast, reference, decibels, name):
    expected, expected_gradient = with_gradient(exact, reference[f"{name}/sound"])
    out, gradient = with_gradient(fast, reference[f"{name}/sound"])
    assert decibels(expected, out) > 70
    assert decibels(expected_gradient, gradient) > 50


@pytest.mark.parametrize(
    "sound",
    [
        tones(),
        clicks_in_silence(slice(1000, None, 2000)),
        clicks_in_silence(slice(100, None, 517)),
        clicks_in_silence(slice(100, None, 200)),
        clicks_in_silence([17_003]),
    ],
    ids=["tones", "ten clicks a second", "39 clicks a second", "100 clicks a second", "one click"],
)
def test_fast_path_is_the_exact_one_on_tones_and_on_clicks_in_silence(exact, fast, decibels, sound):
    expected, expected_gradient = with_gradient(exact, sound)
    out, gradient = with_gradient(fast, sound)
    assert decibels(expected, out) > 70
    assert decibels(expected_gradient, gradient) > 50


@pytest.mark.parametrize("level", [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0])
def test_fast_path_is_the_exact_one_at_every_level(exact, fast, reference, decibels, level):
    for sound in (noise(20_000).numpy(), reference["vowel_like/sound"][:20_000]):
        expected, expected_gradient = with_gradient(exact, (level / sound.std() * sound).astype(np.float32))
        out, gradient = with_gradient(fast, (level / sound.std() * sound).astype(np.float32))
        assert decibels(expected, out) > 70
        assert decibels(expected_gradient, gradient) > 50


@pytest.mark.parametrize("n_samples", [4000, 4001])
@pytest.mark.parametrize("compress_first", [True, False])
def test_every_sample_of_a_faint_sound_has_its_root(decibels, n_samples, compress_first):
    exact, fast = (Cochleagram(exact=exact, compress_first=compress_first) for exact in (True, False))
    expected, expected_gradient = with_gradient(exact, 1e-6 * noise(n_samples))
    out, gradient = with_gradient(fast, 1e-6 * noise(n_samples))
    assert decibels(expected, out) > 90
    assert decibels(expected_gradient, gradient) > 75


def test_a_faint_sound_does_not_depend_on_the_loud_ones_beside_it(fast):
    loud, faint = noise(4000, 0), 1e-6 * noise(4000, 1)
    together, silence = fast(torch.stack([faint, loud, faint, 0 * loud])), fast(0 * loud)
    for row, alone in zip(together, (fast(faint), fast(loud), fast(faint), silence), strict=True):
        torch.testing.assert_close(row, alone, rtol=1e-6, atol=1e-9)


def test_silence_has_the_published_value(exact, fast):
    for module in (exact, fast):
        out = module(torch.zeros(1, 40_000))
        torch.testing.assert_close(out, torch.full_like(out, 0.0049019), atol=1e-6, rtol=0)


@pytest.mark.parametrize("options", [{"oversampling": 4.0}, {"oversampling": float("inf")}, {"exact": True}])
def test_a_copy_on_another_grid_is_what_its_option_gives(fast, options):
    copy = fast.with_exact_path() if "exact" in options else fast.with_oversampling(**options)
    assert torch.equal(copy(noise(4000)), Cochleagram(**options)(noise(4000)))


@pytest.mark.parametrize("n_samples", [1001, 1100, 33_333, 39_999, 40_001])
def test_any_number_of_samples(decibels, n_samples):
    sound = noise(n_samples)
    sound[n_samples // 2] += 5  # and a click
    expected, expected_gradient = with_gradient(Cochleagram(exact=True), sound)
    out, gradient = with_gradient(Cochleagram(), sound)
    assert out.shape == expected.shape == (211, (n_samples - 1001) // 100 + 1)
    assert decibels(expected, out) > 70
    assert decibels(expected_gradient, gradient) > 50


def test_gradient_of_the_fast_path_is_its_own_derivative():
    # central differences along random directions, in float64
    module = Cochleagram(n_filters=10, overcompleteness=2, compression=None)  # whose gradient would be clipped
    sound = (tones().astype(np.float64) + noise(40_000, dtype=torch.float64).numpy() * 0.1)[:6000]
    _, gradient = with_gradient(module, sound)
    for seed in range(3):
        direction = noise(6000, seed, torch.float64)
        step = 1e-6
        above, below = (module(torch.from_numpy(sound) + sign * step * direction).square().sum() for sign in (1, -1))
        torch.testing.assert_close((above - below) / (2 * step), gradient @ direction, rtol=1e-4, atol=0)


def test_too_short():
    with pytest.raises(am.AudioMetamerError, match="has 1000 samples; a cochleagram needs 1001"):
        Cochleagram()(torch.zeros(1000))


@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3)])
def test_any_batch_shape(fast, shape):
    sounds = noise(5000 * int(np.prod(shape))).view(*shape, 5000)
    out = fast(sounds)
    assert out.shape == (*shape, 211, 40)
    torch.testing.assert_close(out.reshape(-1, 211, 40)[-1], fast(sounds.reshape(-1, 5000)[-1]), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("exact_path", [True, False])
def test_dtype_follows_the_input_and_float64_agrees_with_float32(decibels, exact_path):
    module = Cochleagram(exact=exact_path)
    double, single = module(noise(8000, dtype=torch.float64)), module(noise(8000))
    assert (double.dtype, single.dtype) == (torch.float64, torch.float32)
    assert decibels(double, single) > 90


def test_integers_are_refused(fast):
    with pytest.raises(am.AudioMetamerError, match=r"torch.int16; a cochleagram takes float32 or float64"):
        fast(torch.zeros(5000, dtype=torch.int16))


def test_filters_are_not_stored(fast):
    fast(noise(5000))
    assert fast.state_dict() == {}


@pytest.mark.parametrize("exact_path", [True, False])
def test_a_step_makes_no_tensor_elsewhere_and_does_not_wait(exact_path):
    module = Cochleagram(exact=exact_path)
    sound = torch.empty(2, 4000, device="meta", requires_grad=True)
    module(sound)  # builds the filters, on the CPU, and moves them
    with OnlyDevice("meta"):
        out = module(sound)
        (gradient,) = torch.autograd.grad(out.sum(), sound)
    assert out.device.type == gradient.device.type == "meta"


@pytest.mark.parametrize("compress_first", [True, False])
@pytest.mark.parametrize("compression", ["power", "db", None])
@pytest.mark.parametrize("envelope", ["hilbert", "rectified"])
def test_fast_path_is_the_exact_one_for_every_option(decibels, compress_first, compression, envelope):
    options = {"compress_first": compress_first, "compression": compression, "envelope": envelope, "n_filters": 20}
    sound = noise(10_000).numpy()
    expected, expected_gradient = with_gradient(Cochleagram(exact=True, **options), sound)
    out, gradient = with_gradient(Cochleagram(**options), sound)
    assert decibels(expected, out) > 50
    assert decibels(expected_gradient, gradient) > 40


def test_gradient_of_the_exact_path_by_finite_differences():
    module = Cochleagram(
        sample_rate=2000,
        n_filters=3,
        low_limit=50,
        high_limit=1000,
        frame_rate=100,
        window_size=41,
        exact=True,
        compression_gradient_clip=None,
    )
    sound = noise(100, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(module, sound)


def test_gradient_of_the_fast_path_by_finite_differences():
    module = Cochleagram(
        sample_rate=2000,
        n_filters=3,
        low_limit=50,
        high_limit=1000,
        frame_rate=100,
        window_size=41,
        compression_gradient_clip=None,
    )
    for n_samples in (100, 101):
        assert torch.autograd.gradcheck(module, noise(n_samples, dtype=torch.float64).requires_grad_())


def test_compression_in_closed_form():
    from audiometamer.cochleagram.compression import DecibelCompression, PowerCompression

    x = torch.tensor([-1.0, 0.0, 1e-6, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    y = PowerCompression()(x)
    torch.testing.assert_close(y.detach(), (x.detach().clamp(min=0) + 1e-8) ** 0.3)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    steep = 0.3 * 0.5**-0.7
    # Below the knee the derivative is clipped at 5; the rectification passes it on as if it were the identity.
    torch.testing.assert_close(gradient, torch.tensor([5, 5, 5, steep, 0.3], dtype=torch.float64), rtol=1e-6, atol=0)

    y = DecibelCompression(offset=1e-10)(x)
    torch.testing.assert_close(y.detach()[3:], torch.tensor([-6.0206, 0.0], dtype=torch.float64), atol=1e-4, rtol=0)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(
        gradient, torch.tensor([5000, 5000, 5000, 17.3718, 8.6859], dtype=torch.float64), rtol=1e-4, atol=0
    )


def test_presets():
    c2019 = Cochleagram.from_preset("feather2019")
    assert (c2019.filterbank.low_limit, c2019.filterbank.high_limit) == (20, 8000)
    # The published factor lies before the compression: 796.87… ** 0.3 after it, far from the floor.
    plain = Cochleagram(low_limit=20, high_limit=8000)
    torch.testing.assert_close(c2019(noise(5000)), plain(noise(5000)) * 796.87416837456942**0.3, rtol=1e-4, atol=1e-3)
    with pytest.raises(am.AudioMetamerError, match="no cochleagram preset 'feather1'; there are feather2023, feather2019"):
        Cochleagram.from_preset("feather1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"high_limit": 11_000.0}, "high_limit is 11000.0 Hz"),
        ({"frame_rate": 300}, "frame_rate is 300 Hz; it must divide"),
        ({"envelope": "absolute"}, "envelope is 'absolute'"),
        ({"compression": "log"}, "compression is 'log'"),
        ({"oversampling": 1.0}, "oversampling is 1.0"),
        ({"compression_power": 2.0}, "compression power is 2.0"),
        ({"compression_offset": 0.0}, "compression offset is 0.0"),
    ],
)
def test_bad_values(options, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        Cochleagram(**options)


def test_inversion_gives_a_sound_with_the_same_cochleagram(decibels):
    module = Cochleagram(sample_rate=4000, n_filters=8, low_limit=50, high_limit=2000, frame_rate=100, window_size=401)
    sounds = torch.stack([noise(2000, seed=s) for s in (1, 2)])
    target = module(sounds)
    found = module.invert(target, steps=300)
    assert found.shape == sounds.shape
    assert min(decibels(t, c) for t, c in zip(target, module(found), strict=True)) > 25
    with pytest.raises(am.AudioMetamerError, match="n_samples is 4000, which gives 90 frames; the cochleagram has 40"):
        module.invert(target, n_samples=4000)


def test_plot_has_the_frequencies_in_hz_where_the_filters_are(fast):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    axes = fast.plot(fast(noise(8000)), plt.figure().gca())
    labels = {label.get_text(): tick for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)}
    centers = fast.center_frequencies()
    assert abs(labels["1000"] - np.abs(centers - 1000).argmin()) < 1
    plt.close()


def test_mel_agrees_with_torchaudio(decibels):
    from torchaudio.transforms import MelSpectrogram as Torchaudios

    theirs = Torchaudios(20_000, n_fft=1200, hop_length=100, f_min=50, f_max=10_000, n_mels=128)
    ours = MelSpectrogram(n_mels=128)
    out = ours(noise(8000)[None])
    assert out.shape == (1, 128, 81)
    assert decibels(theirs(noise(8000)[None]), out) > 90
    torch.testing.assert_close(
        make_front_end("logmel", n_mels=128)(noise(8000)[None]), out.clamp(min=1e-6).log2(), atol=1e-3, rtol=1e-3
    )


def test_mel_bad_values():
    with pytest.raises(am.AudioMetamerError, match="no front end 'mels'; there are feather2023, feather2019, mel, logmel"):
        make_front_end("mels")
    with pytest.raises(am.AudioMetamerError, match=r"mel limits are 50.0 and 10000.0 Hz"):
        MelSpectrogram(sample_rate=8000)
    with pytest.raises(am.AudioMetamerError, match="compression is 'db'"):
        MelSpectrogram(compression="db")


@pytest.mark.parametrize(("compression", "largest"), [("power", 5.0), ("db", 5000.0)])
def test_a_share_of_the_gradient_clip_bounds_the_derivative_and_changes_no_value(compression, largest):
    ears = Cochleagram(compression=compression, n_filters=8)
    gentle = ears.with_gradient_clip(0.4)
    sound = 0.1 * torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(gentle(sound), ears(sound))
    for cochleagram, expected in ((ears, largest), (gentle, 0.4 * largest)):
        envelope = torch.tensor([1e-6], requires_grad=True)
        (derivative,) = torch.autograd.grad(cochleagram.compression(envelope), envelope)
        assert derivative.item() == pytest.approx(expected)
    assert gentle._plans is ears._plans
    assert Cochleagram(compression=None).with_gradient_clip(0.4)(sound).shape == Cochleagram(compression=None)(sound).shape


@pytest.mark.parametrize("with_gradient", [False, True])
@pytest.mark.parametrize(
    ("samples", "options"),
    [
        (1000, {}),
        (1037, {}),  # frames fall between the points of the grids
        (1000, {"exact": True}),
        (1000, {"compression": "db", "compress_first": True}),
        (1000, {"compression": None}),
        (1000, {"envelope": "rectified"}),
    ],
)
def test_forward_mode_derivative(samples, options, with_gradient):
    """J v is the difference quotient, and the backward pass is its adjoint: <J v, u> = <v, Jᵀ u>."""
    ears = am.Cochleagram(
        sample_rate=4000, n_filters=4, low_limit=50, high_limit=2000, overcompleteness=2, frame_rate=100, window_size=161,
        **options,
    ).with_true_derivative()  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    sound, v = 0.1 * torch.randn(2, 3, samples, generator=generator, dtype=torch.float64)
    sound.requires_grad_(with_gradient)
    with warnings.catch_warnings(), torch.autograd.forward_ad.dual_level():
        warnings.filterwarnings("ignore", message="`torch.jit.script`")  # torch's own, at its first forward-mode derivative
        dual = ears(torch.autograd.forward_ad.make_dual(sound, v))
        forth = torch.autograd.forward_ad.unpack_dual(dual).tangent.detach()
    step = 1e-6
    with torch.no_grad():
        quotient = (ears(sound + step * v) - ears(sound - step * v)) / (2 * step)
    torch.testing.assert_close(forth, quotient, rtol=1e-4, atol=1e-5 * float(quotient.abs().max()))
    sound = sound.detach().requires_grad_()
    frames = ears(sound)
    u = torch.randn(frames.shape, generator=generator, dtype=torch.float64)
    (back,) = torch.autograd.grad(frames, sound, u)
    assert float((forth * u).sum()) == pytest.approx(float((v * back).sum()), rel=1e-9)


def test_true_derivative_is_neither_clipped_nor_passed_on_below_zero():
    """0.3 · u^(−0.7) at u = 1e-4 + 1e-8 is far above the clip of 5; below zero the compression is constant."""
    ears = am.Cochleagram()
    x = torch.tensor([1e-4, -1e-4], dtype=torch.float64, requires_grad=True)
    (clipped,) = torch.autograd.grad(ears.compression(x).sum(), x)
    assert clipped.tolist() == [5, 5]
    twin = ears.with_true_derivative()
    torch.testing.assert_close(twin.compression(x), ears.compression(x))
    (true,) = torch.autograd.grad(twin.compression(x).sum(), x)
    assert true.tolist() == pytest.approx([0.3 * (1e-4 + 1e-8) ** -0.7, 0])
    assert ears.compression.gradient_clip == 5


@pytest.mark.parametrize(
    ("rate", "frame_rate", "window"),
    [(20_000, 200, 1001), (16_000, 200, 801), (44_100, 100, 4411), (22_050, 50, 4411), (11_025, 25, 4411)],
)
def test_one_to_look_at_sounds_of_any_rate(rate, frame_rate, window):
    ear = Cochleagram.for_rate(rate)
    assert (ear.sample_rate, ear.frame_rate, ear.lowpass.window_size) == (rate, frame_rate, window)
    assert ear.filterbank.high_limit == min(10_000, rate / 2)
    assert ear(noise(rate)).isfinite().all()
