"""Excerpts, filters, mixtures and backgrounds, each against what was worked out by hand."""

import numpy as np
import pytest

import audiometamer as am
from audiometamer.training.mixing import (
    Augmentation,
    Backgrounds,
    Pool,
    between,
    between_words,
    excerpt,
    low_pass,
    mix,
    pink,
    shifted,
    speech_shaped,
    stretched,
    word_in_the_middle,
    word_span,
)

RATE = 20_000


def noise(n_samples, seed=0):
    return np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32)


def rms(sound):
    return np.sqrt(np.mean(np.square(sound, dtype=np.float64)))


def word_at(first, stop, n_samples):
    sound = np.zeros(n_samples, dtype=np.float32)
    sound[first:stop] = noise(stop - first)
    return sound


def test_a_number_is_drawn_between_two_and_minus_zero_is_zero():
    drawn = [between((-3.0, 5.0), np.random.default_rng(seed)) for seed in range(200)]
    assert -3 <= min(drawn) < -2.5
    assert 4.5 < max(drawn) <= 5
    assert between((0.0, -0.0), np.random.default_rng(0)) == 0


def test_excerpts_reach_past_both_ends():
    sound = np.arange(1, 6, dtype=np.float32)
    assert excerpt(sound, 4, center=0).tolist() == [0, 0, 1, 2]
    assert excerpt(sound, 4, center=2).tolist() == [1, 2, 3, 4]
    assert excerpt(sound, 3, center=2).tolist() == [2, 3, 4]
    assert excerpt(sound, 4, center=5).tolist() == [4, 5, 0, 0]
    assert excerpt(sound, 9, center=2).tolist() == [0, 0, 1, 2, 3, 4, 5, 0, 0]
    assert excerpt(sound, 4, center=50).tolist() == excerpt(sound, 4, center=-50).tolist() == [0, 0, 0, 0]


def test_the_word_is_found_and_put_in_the_middle():
    sound = word_at(60_000, 70_000, 100_000)
    assert word_span(sound, RATE) == (60_000, 70_000)
    middle = word_in_the_middle(sound, 40_000, RATE)
    assert np.flatnonzero(middle)[[0, -1]].tolist() == [15_000, 24_999]


def test_a_word_is_what_comes_within_30_db_of_the_loudest():
    sound = np.repeat(np.float32([0.03, 0.033, 1, 0.5, 0.033, 0.03]), 1000)  # 30 dB below 1 is 0.0316; frames of 50 ms
    assert word_span(sound, RATE) == (1000, 5000)
    assert word_span(sound[:4500], RATE) == (1000, 4000)  # the last frame is half as long: 3 dB less power


def test_the_span_of_silence_is_all_of_it():
    assert word_span(np.zeros(4321, dtype=np.float32), RATE) == (0, 4321)


@pytest.mark.parametrize(("frequency", "decibels"), [(500, 0), (1000, -10 * np.log10(2)), (2000, -10 * np.log10(1 + 2**16))])
def test_low_pass(frequency, decibels):
    """|H|² = 1 / (1 + (f/fc)^16), at frequencies far below that of sampling, where the bilinear transform changes little."""
    t = np.arange(20_000) / 160_000
    tone = np.sin(2 * np.pi * frequency * t).astype(np.float32)
    filtered = low_pass(tone, 1000, 160_000)
    assert filtered.dtype == np.float32
    assert 20 * np.log10(rms(filtered[-8000:]) / rms(tone[-8000:])) == pytest.approx(decibels, abs=0.1)


def test_low_pass_above_half_the_sample_rate_filters_nothing():
    sound = noise(100)
    for cutoff in (4000, 9000):
        np.testing.assert_array_equal(low_pass(sound, cutoff, 8000), sound)


@pytest.mark.parametrize("snr", [-5.0, 0.0, 20.0])
def test_mixing_sets_the_ratio(snr):
    speech, background = noise(10_000), 7 * noise(10_000, 1)
    added = mix(speech, background, snr) - speech
    assert 20 * np.log10(rms(speech) / rms(added)) == pytest.approx(snr, abs=1e-3)
    np.testing.assert_allclose(added / rms(added), background / rms(background), atol=1e-4)


def test_silence_on_either_side_of_a_mixture_adds_nothing():
    sound, silence = noise(100), np.zeros(100, dtype=np.float32)
    np.testing.assert_array_equal(mix(sound, silence, 3.0), sound)
    np.testing.assert_array_equal(mix(silence, sound, 3.0), sound)
    np.testing.assert_array_equal(mix(silence, silence, 3.0), silence)


def test_the_power_of_pink_noise_falls_as_one_over_f():
    for n_samples in (40_000, 40_001):
        power = np.abs(np.fft.rfft(pink(np.random.default_rng(0), n_samples).astype(np.float64))) ** 2
        assert power.shape == (20_001,)
        products = power[1:20_000] * np.arange(1, 20_000)
        np.testing.assert_allclose(products, products[0], rtol=1e-3)
    assert not np.array_equal(pink(np.random.default_rng(0), 100), pink(np.random.default_rng(1), 100))


def test_speech_shaped_noise_has_the_spectrum_of_speech_and_another_phase():
    speech = np.cumsum(noise(1000)).astype(np.float32)
    shaped = speech_shaped(np.random.default_rng(0), speech)
    spectrum, original = (np.abs(np.fft.rfft(sound)) for sound in (shaped, speech))
    np.testing.assert_allclose(spectrum[1:-1], original[1:-1], rtol=1e-3, atol=1e-3)  # the ends are real: they lose their phase
    assert abs(np.corrcoef(shaped, speech)[0, 1]) < 0.9


def drawn(pool, n_samples, times=200):
    """All (number, samples) that come out of a pool."""
    rng = np.random.default_rng(0)
    results = [pool.draw(rng, n_samples) for _ in range(times)]
    assert all(len(samples) == n_samples for _, samples in results)
    return {(index, *map(float, samples)) for index, samples in results}


def test_a_pool_gives_every_excerpt_of_every_recording():
    recordings = [np.float32([1, 2, 3, 4]), np.float32([5, 6])]
    whole = Pool(recordings)
    assert len(whole) == 2
    assert drawn(whole, 3) == {(0, 1, 2, 3), (0, 2, 3, 4), (1, 5, 6, 5)}  # what is too short is repeated
    member = Pool(recordings, members=range(1, 2))
    assert len(member) == 1
    assert drawn(member, 2) == {(1, 5, 6)}
    assert len(Pool()) == len(Pool(recordings, members=range(2, 2))) == 0


def test_a_part_of_a_pool_meets_no_sample_of_the_rest():
    recordings = [np.arange(10, dtype=np.float32)]
    assert drawn(Pool(recordings, part=(0, 0.8)), 6) == {(0, *range(k, k + 6)) for k in range(3)}
    assert drawn(Pool(recordings, part=(0.8, 1)), 2) == {(0, 8, 9)}
    assert drawn(Pool(recordings, part=(0.8, 1)), 5) == {(0, 8, 9, 8, 9, 8)}
    assert drawn(Pool(recordings, part=(0, 0.8)), 10) == {(0, *range(8), 0, 1)}


SOURCES = {"voices": Pool([noise(3000)]), "noises": Pool([np.full(500, 2.0, np.float32)]), "clips": Pool([np.ones(900)] * 3)}


def test_backgrounds_come_in_proportion_to_their_weights():
    kinds = {"babble": 4, "speech_shaped": 0, "noise": 1, "clips": 2, "pink": 1}
    backgrounds = Backgrounds(**SOURCES, kinds=kinds)
    rng = np.random.default_rng(0)
    found = [backgrounds.draw(rng, 1000) for _ in range(800)]
    counts = {kind: sum(name == kind for name, _, _ in found) for kind in kinds}
    assert counts["speech_shaped"] == 0
    for kind, weight in kinds.items():  # within four standard deviations of a binomial count
        assert counts[kind] == pytest.approx(100 * weight, abs=4 * np.sqrt(100 * weight * (1 - weight / 8)))
    assert all(sound.shape == (1000,) and sound.any() for _, _, sound in found)
    indices = {kind: {index for name, index, _ in found if name == kind} for kind in kinds}
    assert indices == {"babble": {None}, "speech_shaped": set(), "noise": {0}, "clips": {0, 1, 2}, "pink": {None}}


def test_a_kind_without_recordings_is_left_out():
    rng = np.random.default_rng(0)
    only_noise = Backgrounds(noises=SOURCES["noises"], kinds={"babble": 1e9, "speech_shaped": 1e9, "clips": 1e9, "noise": 1e-9})
    assert {only_noise.draw(rng, 10)[0] for _ in range(20)} == {"noise"}
    assert {Backgrounds().draw(rng, 10)[0] for _ in range(20)} == {"pink"}


def test_voices_of_a_babble_are_equally_loud():
    """Of three orthogonal recordings of other levels, and one of silence: as many equal shares as were drawn of each."""
    tones = [np.sin(2 * np.pi * k * np.arange(1000) / 1000).astype(np.float32) for k in (1, 2, 3)]
    voices = Pool([tones[0], 10 * tones[1], 0.01 * tones[2], np.zeros(1000, np.float32)])
    backgrounds = Backgrounds(voices=voices, kinds={"babble": 1}, n_voices=(2, 3))
    numbers = set()
    for seed in range(200):
        kind, _, sound = backgrounds.draw(np.random.default_rng(seed), 1000)
        assert kind == "babble"
        shares = np.array([sound @ tone for tone in tones]) / 500 / (0.1 * np.sqrt(2))
        np.testing.assert_allclose(shares, np.round(shares), atol=1e-4)
        numbers.add(round(shares.sum()))
    assert numbers == {0, 1, 2, 3}


def test_bad_kinds():
    with pytest.raises(am.AudioMetamerError, match="no kind of background hail, rain; there are babble, speech_shaped, noise"):
        Backgrounds(kinds={"rain": 1, "pink": 1, "hail": 1})
    with pytest.raises(am.AudioMetamerError, match="no recordings for background of kind babble, noise"):
        Backgrounds(kinds={"babble": 1, "noise": 1})
    with pytest.raises(am.AudioMetamerError, match=r"no recordings for background of kind \(none named\)"):
        Backgrounds(kinds={})
    with pytest.raises(am.AudioMetamerError, match="no recordings for background of kind pink"):
        Backgrounds(kinds={"pink": 0})


EVERYTHING = Augmentation(
    centered=0.5, low_pass=0.5, noise_floor=0.5, speed=1.2, gain=(-6, 6), cutoff=(500, 2000)
)  # fmt: skip


def finished(augmentation, sound, seed, n_samples=40_000):
    rng = np.random.default_rng(seed)
    sound = augmentation.speech(sound, rng, n_samples=n_samples, sample_rate=RATE)
    return augmentation.finished(sound, rng, level=0.1, sample_rate=RATE)


def test_the_same_generator_gives_the_same_excerpt():
    sound = word_at(10_000, 20_000, 50_000)
    excerpts = [finished(EVERYTHING, sound, seed) for seed in range(10)]
    for seed, one in enumerate(excerpts):
        np.testing.assert_array_equal(one, finished(EVERYTHING, sound, seed))
        assert sum(np.array_equal(one, other) for other in excerpts) == 1


def test_the_level():
    sound = word_at(10_000, 20_000, 50_000) + np.float32(0.3)
    exact = finished(Augmentation(), sound, 0)
    assert rms(exact) == pytest.approx(0.1, rel=1e-5)
    assert exact.mean() == pytest.approx(0, abs=1e-6)
    gains = [20 * np.log10(rms(finished(Augmentation(gain=(-3, 1)), sound, seed)) / 0.1) for seed in range(60)]
    assert -3 <= min(gains) < -2.5
    assert 0.5 < max(gains) <= 1
    assert not finished(Augmentation(), np.zeros(50_000, np.float32), 0).any()


def span(augmentation, sound, seed, n_samples=40_000):
    rng = np.random.default_rng(seed)
    return word_span(augmentation.speech(sound, rng, n_samples=n_samples, sample_rate=RATE), RATE)


def test_where_the_word_lies():
    sound = word_at(10_000, 20_000, 30_000)
    assert {span(Augmentation(centered=1), sound, seed) for seed in range(5)} == {(15_000, 25_000)}
    starts = []
    for seed in range(60):
        first, stop = span(Augmentation(centered=0), sound, seed)
        assert stop - first in (10_000, 11_000)  # all of it, in ten or eleven frames
        starts.append(first)
    assert min(starts) < 3000
    assert max(starts) > 26_000
    share = np.mean([span(Augmentation(centered=0.5), sound, seed) == (15_000, 25_000) for seed in range(200)])
    assert share == pytest.approx(0.5, abs=0.15)


def test_of_long_speech_any_part():
    sound = np.linspace(1, 2, 100_000).astype(np.float32)  # each sample tells its place
    excerpts = [
        Augmentation(centered=0).speech(sound, np.random.default_rng(seed), n_samples=20_000, sample_rate=RATE)
        for seed in range(100)
    ]
    firsts = [round((float(one[0]) - 1) * 99_999) for one in excerpts]
    assert all((one > 0).all() for one in excerpts)
    assert 0 <= min(firsts) < 8000
    assert 72_000 < max(firsts) <= 80_000
    middle = Augmentation(centered=1).speech(sound, np.random.default_rng(0), n_samples=20_000, sample_rate=RATE)
    assert (float(middle[0]) - 1) * 99_999 == pytest.approx(40_000, abs=1)


def test_no_excerpt_is_a_pause():
    sound = word_at(0, 2000, 100_000) + word_at(49_000, 51_000, 100_000) + word_at(98_000, 100_000, 100_000)
    augmentation = Augmentation(centered=0)
    for seed in range(30):
        assert augmentation.speech(sound, np.random.default_rng(seed), n_samples=10_000, sample_rate=RATE).any()


def test_speed_shifts_the_pitch_by_at_most_its_factor():
    tone = np.sin(2 * np.pi * 500 * np.arange(40_000) / RATE).astype(np.float32)
    pitches = []
    for seed in range(40):
        sound = Augmentation(speed=1.1).speech(tone, np.random.default_rng(seed), n_samples=20_000, sample_rate=RATE)
        pitches.append(np.abs(np.fft.rfft(sound * np.hanning(20_000))).argmax())  # in Hz: the excerpt lasts a second
    assert 500 / 1.1 - 1 <= min(pitches) < 465
    assert 535 < max(pitches) <= 550 + 1


def pitch_of(sound):
    """The strongest frequency in Hz."""
    return np.abs(np.fft.rfft(sound * np.hanning(len(sound)))).argmax() * RATE / len(sound)


def test_stretching_leaves_the_pitch_and_shifting_the_duration():
    tone = np.sin(2 * np.pi * 500 * np.arange(40_000) / RATE).astype(np.float32)
    faster, higher = stretched(tone, 1.25), shifted(tone, 3.0, RATE)
    assert len(faster) == 32_000
    assert pitch_of(faster) == pytest.approx(500, abs=1)
    assert len(higher) == 40_000
    assert pitch_of(higher) == pytest.approx(500 * 2**0.25, abs=1)
    assert [sound.dtype for sound in (faster, higher)] == [np.float32] * 2


@pytest.mark.parametrize("n_samples", [0, 1, 31, 32, 500, 3000])
def test_short_recordings_are_stretched_and_shifted_without_a_warning(n_samples):
    sound = noise(n_samples)
    expected = n_samples if n_samples < 32 else round(n_samples / 1.25)
    assert len(stretched(sound, 1.25)) == expected
    assert len(shifted(sound, -2.0, RATE)) == n_samples


def test_stretch_and_pitch_are_drawn_within_their_ranges_and_only_where_they_are_on():
    tone = np.sin(2 * np.pi * 500 * np.arange(30_000) / RATE).astype(np.float32)
    pitches, durations = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pitches.append(pitch_of(Augmentation(pitch=2).speech(tone, rng, n_samples=20_000, sample_rate=RATE)))
        sound = Augmentation(stretch=1.2).speech(tone, np.random.default_rng(seed), n_samples=60_000, sample_rate=RATE)
        durations.append(np.ptp(np.flatnonzero(sound)))
    assert 500 * 2 ** (-2 / 12) - 1 <= min(pitches) < 480
    assert 520 < max(pitches) <= 500 * 2 ** (2 / 12) + 1
    assert 25_000 - 10 <= min(durations) < 28_000
    assert 32_000 < max(durations) <= 36_000
    plain, off = (
        Augmentation(centered=0, noise_floor=1, **keys).speech(
            noise(50_000), np.random.default_rng(7), n_samples=20_000, sample_rate=RATE
        )
        for keys in ({}, {"stretch": 1.0, "pitch": 0.0})
    )
    np.testing.assert_array_equal(plain, off)


def test_the_noise_floor_lies_25_to_60_db_below():
    sound = np.tile(np.float32([1, -1]), 10_000)
    ratios = []
    for seed in range(40):
        heard = Augmentation(noise_floor=1).speech(sound, np.random.default_rng(seed), n_samples=20_000, sample_rate=RATE)
        ratios.append(-20 * np.log10(rms(heard - sound)))
    assert 25 - 0.01 <= min(ratios) < 30
    assert 55 < max(ratios) <= 60.01


def test_how_often_and_where_it_is_low_passed():
    """Half before the background comes in, half after: a quarter of all at neither place, if 1 is asked for, and at both."""
    sound = noise(20_000)
    augmentation = Augmentation(low_pass=1, cutoff=(1000, 2000))

    def bandwidth(filtered):
        power = np.abs(np.fft.rfft(filtered)) ** 2
        return power[2600:].sum() / power.sum() < 0.05  # white noise has 74 % of its power there

    before = after = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        before += bandwidth(augmentation.speech(sound, rng, n_samples=20_000, sample_rate=RATE))
        after += bandwidth(augmentation.finished(sound, rng, level=1, sample_rate=RATE))
    assert before == pytest.approx(100, abs=30)
    assert after == pytest.approx(100, abs=30)


def test_a_word_between_two_others():
    """Each is cut to its own span, the levels of the others are within 6 dB below and 3 dB above the word's."""
    words = [
        np.concatenate([np.zeros(2000), a * np.ones(n), np.zeros(1000)]).astype(np.float32)
        for n, a in ((3000, 5), (4000, 1), (2000, 0.01))
    ]
    for seed in range(20):
        joined, (start, stop) = between_words(words[1], words[0], words[2], np.random.default_rng(seed), 20_000)
        assert stop - start == 4000
        np.testing.assert_array_equal(joined[start:stop], 1)
        assert 3000 <= start <= 3000 + 0.12 * 20_000
        assert 2000 <= len(joined) - stop <= 2000 + 0.12 * 20_000
        for other in (joined[:3000], joined[-2000:]):
            assert 10 ** (-6 / 20) - 1e-6 <= other[0] <= 10 ** (3 / 20) + 1e-6
            assert (other == other[0]).all()


def test_isolated_words_get_neighbours_and_others_do_not():
    word, other = (np.full(n, a, dtype=np.float32) for n, a in ((1000, 1.0), (600, 2.0)))
    room = 2 * round(0.12 * 20_000)  # for pauses
    augmentation = Augmentation(neighbours=1.0)
    settings = {"n_samples": 2200 + 2 * room, "sample_rate": 20_000, "other_word": lambda _: other}
    sound = augmentation.speech(word, np.random.default_rng(0), **settings)
    np.testing.assert_array_equal(sound[room + 600 : room + 1600], 1)  # in the middle
    assert (sound != 0).sum() == 1000 + 2 * 600
    alone = augmentation.speech(word, np.random.default_rng(0), **settings | {"other_word": lambda _: None})
    assert (alone != 0).sum() == 1000
    long = np.arange(1, 20_001, dtype=np.float32)
    assert (augmentation.speech(long, np.random.default_rng(0), **settings) >= 1).all()


def test_jitter_moves_words_that_were_cut_too():
    cut = np.zeros(2000, dtype=np.float32)
    cut[1000] = 1
    places = [
        int(Augmentation(jitter=0.01).speech(cut, np.random.default_rng(k), n_samples=2000, sample_rate=20_000).argmax())
        for k in range(50)
    ]
    assert min(places) >= 800
    assert max(places) <= 1200
    assert len(set(places)) > 30


def test_rooms_and_codecs_in_their_proportion():
    t = np.arange(8000) / 20_000
    sound = (np.sin(2 * np.pi * 500 * t) * np.hanning(8000)).astype(np.float32)
    rng = np.random.default_rng(0)
    settings = {"n_samples": 8000, "sample_rate": 20_000}
    augmentation = Augmentation(room=0.5)
    changed = [not np.array_equal(augmentation.speech(sound, rng, **settings), sound) for _ in range(60)]
    assert 15 <= sum(changed) <= 45
    augmentation, plain = Augmentation(codec=0.5), Augmentation().finished(sound, rng, level=0.1, sample_rate=20_000)
    changed = [not np.array_equal(augmentation.finished(sound, rng, level=0.1, sample_rate=20_000), plain) for _ in range(40)]
    assert 8 <= sum(changed) <= 32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"codecs": {"MP3": 1.0}}, "codecs are"),
        ({"codecs": {"OPUS": 0.0}}, "codecs are"),
        ({"reverberation": (0.5, 0.1)}, r"reverberation is \[0.5, 0.1\]; the smaller number comes first"),
    ],
)
def test_channels_that_do_not_exist(settings, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**settings)
