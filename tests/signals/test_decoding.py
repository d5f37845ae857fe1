"""Decoding: a part equals a slice of the whole, no header is believed that cannot know, and every fault is one line."""

import io
import os
import re
import struct
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

import audiometamer as am
from audiometamer.signals.audio import file_duration, read_samples

RATE = 8000
KINDS = [  # of every way in which libsndfile decodes
    ("WAV", "PCM_U8"), ("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"), ("WAVEX", "PCM_32"), ("RF64", "DOUBLE"), ("W64", "PCM_16"), ("W64", "MS_ADPCM"), ("AIFF", "PCM_24"),
    ("AIFF", "IMA_ADPCM"), ("AU", "ALAW"), ("CAF", "PCM_16"), ("CAF", "ALAC_24"), ("FLAC", "PCM_24"), ("OGG", "VORBIS"),
    ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("NIST", "PCM_16"), ("VOC", "PCM_16"), ("IRCAM", "FLOAT"), ("MAT5", "DOUBLE"),
]  # fmt: skip
MONO = [
    ("WAV", "GSM610"), ("W64", "GSM610"), ("AIFF", "GSM610"), ("WAV", "G721_32"), ("AU", "G721_32"), ("AU", "G723_24"),
    ("AU", "G723_40"), ("WAV", "NMS_ADPCM_16"), ("WAV", "NMS_ADPCM_24"), ("WAV", "NMS_ADPCM_32"), ("AIFF", "DWVW_16"),
]  # fmt: skip


def sound(n_frames, channels=1, seed=0):
    """Noise that is never silent for long, and different in every channel."""
    rng = np.random.default_rng(seed)
    return 0.3 * rng.uniform(-1, 1, (n_frames, channels))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files of 1.3 s by kind and number of channels."""
    folder = tmp_path_factory.mktemp("kinds")
    paths = {}
    for channels, kinds in ((1, KINDS + MONO), (2, KINDS)):
        for kind in kinds:
            paths[kind, channels] = path = folder / f"{'_'.join(kind)}_{channels}"
            soundfile.write(path, sound(10_400, channels), RATE, format=kind[0], subtype=kind[1])
    return paths


def read_by_soundfile(path):
    with soundfile.SoundFile(path) as file:
        return file.read(file.frames, dtype="float64", always_2d=True)


@pytest.mark.parametrize("kind", KINDS, ids="_".join)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_whole_is_what_libsndfile_reads(written, kind, channels):
    path = written[kind, channels]
    samples, rate = read_samples(path)
    assert rate == RATE
    assert samples.shape[1] == channels
    np.testing.assert_array_equal(samples, read_by_soundfile(path))
    assert file_duration(path) == len(samples) / RATE


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_part_equals_a_slice_of_the_whole(written, data):
    path = written[data.draw(st.sampled_from(sorted(written)))]
    first, count = data.draw(st.integers(0, 10_000)), data.draw(st.integers(1, 12_000))
    whole, _ = read_samples(path)
    part, _ = read_samples(path, start=first / RATE, length=count / RATE)
    np.testing.assert_array_equal(part, whole[first : first + count])


@pytest.mark.parametrize("kind", MONO, ids="_".join)
def test_codecs_that_libsndfile_cannot_seek_are_clips(written, kind):
    with pytest.warns(am.AudioMetamerWarning, match="were padded"):
        clip = am.read_clip(written[kind, 1], sample_rate=RATE, duration=2.0, start=0)
    assert np.count_nonzero(clip.samples) > 9000


def patched(path, old, new, *, at=None):
    """Replaces bytes of a file that must hold them."""
    content = bytearray(path.read_bytes())
    where = content.index(old) if at is None else at
    assert content[where : where + len(old)] == old
    content[where : where + len(new)] = new
    path.write_bytes(content)


def unknown_lengths(path, sizes):
    """A file with sizes at places after names: (name, distance, bytes)."""
    content = bytearray(path.read_bytes())
    for name, distance, value in sizes:
        at = content.index(name) + len(name) + distance
        content[at : at + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "sizes"),
    [
        ("WAV", [(b"RIFF", 0, b"\xff" * 4), (b"data", 0, b"\xff" * 4)]),  # ffmpeg
        ("WAV", [(b"RIFF", 0, bytes(4)), (b"data", 0, bytes(4))]),
        ("WAV", [(b"RIFF", 0, struct.pack("<I", 36)), (b"data", 0, bytes(4))]),  # a recorder that was switched off
        ("WAV", [(b"RIFF", 0, struct.pack("<I", 0x7FFFF024)), (b"data", 0, struct.pack("<I", 0x7FFFF000))]),  # sox
        ("WAV", [(b"RIFF", 0, struct.pack("<I", 0x80000024)), (b"data", 0, struct.pack("<I", 0x80000000))]),  # arecord
        ("RF64", [(b"ds64", 4, b"\xff" * 24), (b"data", 0, b"\xff" * 4)]),
        ("RF64", [(b"ds64", 4, bytes(24)), (b"data", 0, b"\xff" * 4)]),
        ("W64", [(b"riff", 12, b"\xff" * 8), (b"data", 12, b"\xff" * 8)]),
        ("AU", [(b".snd", 4, b"\xff" * 4)]),
        ("AIFF", [(b"FORM", 0, bytes(4)), (b"COMM", 6, bytes(4)), (b"SSND", 0, bytes(4))]),
        ("FLAC", [(b"fLaC", 18, bytes(4))]),
    ],
)
def test_lengths_that_were_unknown_are_read_to_the_end(tmp_path, kind, sizes):
    path = tmp_path / "x"
    expected = np.round(sound(4000, 2) * 2**15) / 2**15
    soundfile.write(path, expected, RATE, format=kind, subtype="PCM_16")
    unknown_lengths(path, sizes)
    samples, _ = read_samples(path)
    np.testing.assert_array_equal(samples, expected)
    assert file_duration(path) == 0.5
    np.testing.assert_array_equal(read_samples(path, start=0.3, length=0.1)[0], expected[2400:3200])


def test_a_caf_whose_length_was_unknown(tmp_path):
    path = tmp_path / "x.caf"
    expected = np.round(sound(4000) * 2**15) / 2**15
    soundfile.write(path, expected, RATE, subtype="PCM_16")
    content = path.read_bytes()
    at = content.index(b"data") + 4
    path.write_bytes(content[:at] + b"\xff" * 8 + content[at + 8 : at + 12 + 8000])
    np.testing.assert_array_equal(read_samples(path)[0], expected)


def test_a_wav_that_is_empty_and_has_a_chunk_behind_is_empty(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(0), RATE)
    content = path.read_bytes()
    assert content[-8:] == b"data" + bytes(4)
    path.write_bytes(
        content[:4]
        + struct.pack("<I", len(content) + 12)
        + content[8:]
        + b"LIST"
        + struct.pack("<I", 12)
        + b"INFOISFT"
        + bytes(4)
    )
    with pytest.raises(am.AudioMetamerError, match=r"x\.wav holds no samples"):
        read_samples(path)


SHORT = [kind for kind in KINDS if kind[0] not in ("VOC", "IRCAM", "MAT5")]  # whose lengths nobody reads, or that have none


@pytest.mark.parametrize("kind", [*SHORT, *MONO], ids="_".join)
@pytest.mark.parametrize("share", [0.4, 0.9])
def test_a_truncated_file_of_any_format_is_refused(written, tmp_path, kind, share):
    path = tmp_path / "cut"
    content = written[kind, 1].read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(am.AudioMetamerError, match=f"^{path} (is truncated|cannot be read as audio)"):
        read_samples(path)


def id3(n_bytes):
    return b"ID3\x04\0\0" + bytes([0, 0, n_bytes >> 7, n_bytes & 127]) + bytes(n_bytes)


@pytest.fixture(params=[(16_000, 1, "CONSTANT"), (16_000, 2, "VARIABLE"), (44_100, 1, "VARIABLE"), (44_100, 2, "CONSTANT")])
def mp3(tmp_path, request):
    """An MP3 of loud and soft second thirds, its bytes, and where its second frame begins."""
    rate, channels, mode = request.param
    path = tmp_path / "x.mp3"
    samples = sound(rate * 3, channels) * np.repeat([0.001, 1, 0.01], rate)[:, None]
    soundfile.write(path, samples, rate, bitrate_mode=mode, compression_level=0.5)
    content = path.read_bytes()
    tag = next(content.index(name) for name in (b"Xing", b"Info") if name in content[:200])
    begin = content.index(content[:2], tag)
    return path, content, begin


@pytest.mark.parametrize("front", [b"", id3(300)])
def test_an_mp3_without_a_count_of_its_frames_is_read_whole(mp3, front):
    path, content, begin = mp3
    whole, rate = read_samples(path)
    assert len(whole) == rate * 3
    path.write_bytes(front + content[begin:])
    bare, _ = read_samples(path)
    spf, delay = (1152 if rate > 24_000 else 576), 1105  # of LAME's encoder and decoders; the tag has it cut off
    assert len(bare) % spf == 0
    np.testing.assert_allclose(bare[delay : delay + len(whole)], whole, atol=1e-5)
    assert file_duration(path) == len(bare) / rate
    np.testing.assert_array_equal(read_samples(path, start=1.5, length=0.2)[0], bare[round(1.5 * rate) : round(1.7 * rate)])


def test_mp3s_that_follow_each_other_are_read_whole(mp3):
    path, content, _ = mp3
    whole, _ = read_samples(path)
    path.write_bytes(content + id3(130) + content)
    np.testing.assert_allclose(read_samples(path)[0], np.concatenate([whole, whole]), atol=1e-5)
    path.write_bytes(content + content[: len(content) // 2])
    with pytest.raises(am.AudioMetamerError, match=r"x\.mp3 is truncated: its header announces \d+ frames and it holds \d+$"):
        read_samples(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_streams_that_follow_each_other_are_read_whole(tmp_path, subtype):
    pieces = []
    for k, seconds in enumerate((1, 2, 1)):
        path = tmp_path / f"{k}.ogg"
        soundfile.write(path, sound(RATE * seconds, 2, seed=k), RATE, subtype=subtype)
        pieces.append(read_samples(path)[0])
    chain = tmp_path / "chain.ogg"
    chain.write_bytes(b"".join((tmp_path / f"{k}.ogg").read_bytes() for k in range(3)))
    np.testing.assert_array_equal(read_samples(chain)[0], np.concatenate(pieces))
    np.testing.assert_array_equal(read_samples(chain, start=0.9, length=0.2)[0], np.concatenate(pieces)[7200:8800])
    assert file_duration(chain) == 4
    chain.write_bytes(chain.read_bytes()[:-10])
    with pytest.raises(am.AudioMetamerError, match="its last Ogg page is incomplete"):
        read_samples(chain)


def test_an_ogg_that_changes_its_rate_is_refused(tmp_path):
    for rate in (8000, 16_000):
        soundfile.write(tmp_path / f"{rate}.ogg", sound(rate), rate)
    chain = tmp_path / "chain.ogg"
    chain.write_bytes((tmp_path / "8000.ogg").read_bytes() + (tmp_path / "16000.ogg").read_bytes())
    with pytest.raises(am.AudioMetamerError, match=r"chain\.ogg changes its sample rate or its number of channels in the middle"):
        read_samples(chain)


def read_with_peak(path, **part):
    """Samples, and the most bytes that were held at once to read them."""
    read_samples(path, length=0.01)  # imports what it needs
    tracemalloc.start()
    samples, _ = read_samples(path, **part)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return samples, peak


def test_two_seconds_of_a_long_file_take_the_memory_of_two_seconds(tmp_path):
    path, n_bytes = tmp_path / "long.wav", 6 * 48_000 * 60 * 45  # 45 minutes of 24-bit stereo; most of it is a hole
    soundfile.write(path, sound(0, 2), 48_000, subtype="PCM_24")
    unknown_lengths(path, [(b"RIFF", 0, struct.pack("<I", n_bytes + 36)), (b"data", 0, struct.pack("<I", n_bytes))])
    begin = path.stat().st_size
    os.truncate(path, begin + n_bytes)
    expected = np.round(sound(96_000, 2) * 2**23) / 2**23
    with path.open("r+b") as file:
        file.seek(begin + 6 * 48_000 * 2000)
        file.write(b"".join(int(v).to_bytes(3, "little", signed=True) for v in (expected * 2**23).ravel()))
    samples, peak = read_with_peak(path, start=2000, length=2)
    np.testing.assert_array_equal(samples, expected)
    assert peak < 10e6
    assert file_duration(path) == 2700


def test_what_lies_before_the_part_that_is_wanted_is_not_kept(tmp_path):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 48_000, 2) as file:  # 100 s of silence, 0.1 s of noise
        file.write(np.zeros((4_800_000, 2)))
        file.write(sound(4800, 2))
    content = bytearray(path.read_bytes())
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])  # unknown, so that all must be decoded
    path.write_bytes(content)
    expected = np.round(sound(4800, 2) * 2**15) / 2**15
    samples, peak = read_with_peak(path, start=100, length=2)
    np.testing.assert_array_equal(samples, expected)
    assert peak < 5e6


def test_a_whole_recording_takes_little_more_memory_than_its_samples(tmp_path):
    soundfile.write(tmp_path / "x.flac", sound(960_000, 2), 48_000)
    samples, peak = read_with_peak(tmp_path / "x.flac")
    assert peak < 1.3 * samples.nbytes + 2e6
    mixed, peak = read_with_peak(tmp_path / "x.flac", mixed=True)
    assert peak < 1.3 * mixed.nbytes + 2e6
    np.testing.assert_array_equal(mixed[:, 0], samples.mean(axis=1))


def test_more_samples_than_are_held_at_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.signals.decoding.MAX_VALUES", 10_000)
    soundfile.write(tmp_path / "x.wav", sound(RATE, 2), RATE)
    with pytest.raises(am.AudioMetamerError, match=r"x\.wav holds more than 10000 samples, .* cut it, or take a part$"):
        read_samples(tmp_path / "x.wav")
    assert len(read_samples(tmp_path / "x.wav", length=0.5)[0]) == RATE // 2


def test_a_length_that_no_file_of_so_few_bytes_can_have_is_not_believed(tmp_path):
    soundfile.write(tmp_path / "x.flac", sound(100), RATE)
    content = bytearray((tmp_path / "x.flac").read_bytes())
    content[21:26] = bytes([content[21] | 0x0F, 255, 255, 255, 255])
    (tmp_path / "x.flac").write_bytes(content)
    with pytest.raises(am.AudioMetamerError, match=r"x\.flac is truncated: its header announces 68719476735 samples"):
        file_duration(tmp_path / "x.flac")


def test_silence_of_unknown_length_is_read_at_once(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, np.zeros(RATE * 500), RATE)  # 8 MB of what could be a million empty chunks
    unknown_lengths(path, [(b"data", 0, bytes(4))])
    assert len(read_samples(path)[0]) == RATE * 500


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\nother.ts\n", "ffconcat version 1.0\nfile other.wav\n"])
def test_lists_of_files_are_not_followed(tmp_path, content):
    (tmp_path / "x.wav").write_text(content)
    with pytest.raises(am.AudioMetamerError, match=r"x\.wav cannot be read as audio: it is a playlist"):
        read_samples(tmp_path / "x.wav")


def test_a_decoder_that_gives_nothing_is_not_waited_for_without_end(tmp_path, monkeypatch):
    decoder = tmp_path / "ffmpeg"
    decoder.write_text("#!/bin/sh\nexec sleep 60\n")
    decoder.chmod(0o755)
    (tmp_path / "x.m4a").write_bytes(b"no sound that libsndfile knows")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("audiometamer.signals.decoding._PATIENCE", 0.2)
    with pytest.raises(am.AudioMetamerError, match=r"ffmpeg decodes nothing of it within 0\.2 s"):
        read_samples(tmp_path / "x.m4a")


def test_only_the_part_that_is_wanted_must_be_finite(tmp_path):
    samples = sound(3 * RATE)
    samples[RATE // 2] = np.nan
    soundfile.write(tmp_path / "x.wav", samples, RATE, subtype="FLOAT")
    assert am.read_clip(tmp_path / "x.wav", sample_rate=RATE, duration=1.0, start=1).samples.isfinite().all()
    with pytest.raises(am.AudioMetamerError, match="holds 1 NaN or infinite samples"):
        am.read_clip(tmp_path / "x.wav", sample_rate=RATE, duration=1.0, start=0)


@pytest.mark.parametrize("rate", [0, 1_000_001, 2_000_000_000, 0xFFFFFFFF])
def test_impossible_sample_rates_are_refused_at_once(tmp_path, rate):
    path = tmp_path / "x.wav"
    soundfile.write(path, sound(100), RATE)
    unknown_lengths(path, [(b"fmt ", 8, struct.pack("<I", rate))])
    with pytest.raises(am.AudioMetamerError, match=r"x\.wav (has a sample rate of|cannot be read as audio)"):
        am.read_clip(path)


def test_whatever_a_decoder_raises_is_one_line(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", sound(100), RATE)

    def read(*_args, **_kwargs):
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    with pytest.raises(am.AudioMetamerError, match=r"x\.wav cannot be read as audio: by nothing$"):
        read_samples(tmp_path / "x.wav")


STUMPS = [
    b"\0" * 100, b"RIFF", b"RIFF\0\0\0\0WAVE", b"RF64\0\0\0\0WAVEds64", b"caff\0\1", b"OggS", b"ID3", b"\xff\xfb\x90\x64",
    b"fLaC", b"NIST_1A\n", b"FORM\0\0\0\0AIFF",
]  # fmt: skip


@pytest.mark.parametrize("content", STUMPS)
@pytest.mark.parametrize("length", [0, 100])
def test_stumps_are_refused_in_one_line(tmp_path, content, length):
    path = tmp_path / "x.wav"
    path.write_bytes(content + b"\x55" * length)
    with pytest.raises(am.AudioMetamerError, match=f"^{path} [^\n]*$"):
        read_samples(path)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused_in_one_line(written, tmp_path_factory, data):
    content = bytearray(written[data.draw(st.sampled_from(sorted(written)))].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 200))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "x"
    path.write_bytes(content)
    try:
        found = read_samples(path)[0].ndim
    except am.AudioMetamerError as error:
        found = str(error)
    assert found == 2 or re.fullmatch(f"{path} [^\n]*", found)


def pipe_of(path, fifo):
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: fifo.write_bytes(path.read_bytes()))
    thread.start()
    return thread


def test_a_pipe_is_read_to_its_end_once(written, tmp_path):
    path, fifo = written[("FLAC", "PCM_24"), 1], tmp_path / "fifo"
    thread = pipe_of(path, fifo)
    np.testing.assert_array_equal(read_samples(fifo)[0], read_samples(path)[0])
    thread.join()
    with pytest.raises(am.AudioMetamerError, match="fifo is a pipe, which can be read only once; give a file"):
        file_duration(fifo)


def test_the_standard_input_is_a_clip_called_stdin(written, monkeypatch):
    path = written[("WAV", "PCM_16"), 1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    clip = am.read_clip("-", sample_rate=RATE, duration=1.0, start=0)
    assert clip.name == "stdin"
    assert clip.samples.equal(am.read_clip(path, sample_rate=RATE, duration=1.0, start=0).samples)
    with pytest.raises(am.AudioMetamerError, match=r"^- is empty \(0 bytes\)"):
        read_samples("-")


def test_a_device_is_refused():
    with pytest.raises(am.AudioMetamerError, match="/dev/null is a device; name an audio file or a pipe"):
        read_samples("/dev/null")


def test_headerless_files_are_refused_with_the_command_that_converts_them(tmp_path):
    (tmp_path / "a tone.raw").write_bytes(b"\1\2" * 100)
    with pytest.raises(am.AudioMetamerError, match=r"has no header .*: sox -r RATE -e signed -b 16 -c 1 -t raw '.*/a tone.raw'"):
        read_samples(tmp_path / "a tone.raw")
    soundfile.write(tmp_path / "b.raw", sound(100), RATE, format="WAV")
    assert len(read_samples(tmp_path / "b.raw")[0]) == 100, "a header counts, not a name"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A tone of 440 Hz, 2 s, as telephones and browsers save it and as the sound of a film."""
    folder = tmp_path_factory.mktemp("telephone")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(96_000) / 48_000)
    soundfile.write(folder / "tone.wav", np.stack([tone, tone / 2], axis=1), 48_000)
    for name in ("x.m4a", "x.webm", "x.wma", "x.aac"):
        subprocess.run(["ffmpeg", "-v", "error", "-i", folder / "tone.wav", folder / name], check=True)
    picture = ["-f", "lavfi", "-i", "color=size=32x32:rate=5"]
    film = [*picture, "-i", folder / "tone.wav", "-shortest", folder / "film.mp4"]
    subprocess.run(["ffmpeg", "-v", "error", *film], check=True)
    return folder


@pytest.mark.programs
@pytest.mark.parametrize("name", ["x.m4a", "x.webm", "x.wma", "x.aac", "film.mp4"])
def test_what_ffmpeg_decodes_is_read(recorded, name):
    samples, rate = read_samples(recorded / name)
    assert rate == 48_000
    assert samples.shape[1] == 2
    assert len(samples) == pytest.approx(96_000, abs=4096)  # packets are padded
    middle = slice(20_000, 80_000)
    t = np.arange(len(samples))[middle]
    basis = np.exp(-2j * np.pi * 440 * t / 48_000)
    np.testing.assert_allclose(2 * np.abs(basis @ samples[middle]) / len(t), [0.3, 0.15], rtol=0.05)
    part, _ = read_samples(recorded / name, start=0.5, length=0.25)
    np.testing.assert_array_equal(part, samples[24_000:36_000])
    assert file_duration(recorded / name) == len(samples) / rate


@pytest.mark.programs
def test_without_ffmpeg_the_command_that_converts_is_shown(recorded, monkeypatch):
    monkeypatch.setenv("PATH", "")
    path = recorded / "x.m4a"
    with pytest.raises(am.AudioMetamerError, match=f"^{path} .*; install ffmpeg, or convert it: ffmpeg -i {path} .*wav$"):
        read_samples(path)


@pytest.mark.programs
def test_a_wav_that_holds_an_mp3_is_no_truncated_one(recorded, tmp_path):
    path = tmp_path / "x.wav"
    subprocess.run(["ffmpeg", "-v", "error", "-i", recorded / "tone.wav", "-c:a", "libmp3lame", path], check=True)
    samples, rate = read_samples(path)
    assert rate == 48_000
    assert len(samples) == pytest.approx(96_000, abs=3 * 1152)


@pytest.mark.programs
def test_what_ffmpeg_cannot_decode_is_one_line(recorded, tmp_path):
    (tmp_path / "x.m4a").write_bytes((recorded / "x.m4a").read_bytes()[:2000])
    (tmp_path / "notes.m4a").write_text("#EXTM3U\nhttp://192.0.2.1/never.aac\n")
    (tmp_path / "x.webm").write_bytes((recorded / "x.webm").read_bytes()[:-3000])
    for name in ("x.m4a", "notes.m4a", "x.webm"):
        with pytest.raises(am.AudioMetamerError, match=f"^{tmp_path / name} cannot be read [^\n]*$"):
            read_samples(tmp_path / name)


def wav(folder, name, samples, rate=RATE):
    soundfile.write(folder / name, samples, rate, subtype="FLOAT")
    return (folder / name).read_bytes()


def test_wavs_one_after_the_other_are_read_whole(tmp_path):
    first, second = sound(3000, seed=1), sound(501, seed=2)
    both = wav(tmp_path, "a.wav", first) + wav(tmp_path, "b.wav", second)
    (tmp_path / "both.wav").write_bytes(both)
    samples, rate = read_samples(tmp_path / "both.wav")
    assert rate == RATE
    np.testing.assert_array_equal(samples, np.concatenate([first, second]).astype(np.float32))
    (tmp_path / "cut.wav").write_bytes(both[:-600])
    with pytest.raises(am.AudioMetamerError, match="is truncated"):
        read_samples(tmp_path / "cut.wav")
    (tmp_path / "rates.wav").write_bytes(both + wav(tmp_path, "c.wav", second, rate=16_000))
    with pytest.raises(am.AudioMetamerError, match="changes its sample rate"):
        read_samples(tmp_path / "rates.wav")


def test_a_pipe_that_nobody_writes_to_is_not_waited_for_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr("audiometamer.signals.decoding._PATIENCE", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(am.AudioMetamerError, match=r"is a pipe into which nothing was written for 0\.2 s"):
        read_samples(tmp_path / "pipe")


def test_a_standard_input_into_which_nothing_is_piped(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(am.AudioMetamerError, match=r"^- is the standard input, into which nothing is piped; give a file$"):
        read_samples("-")


def test_a_truncated_flac_is_called_so(tmp_path):
    soundfile.write(tmp_path / "x.flac", sound(RATE), RATE)
    whole = (tmp_path / "x.flac").read_bytes()
    (tmp_path / "x.flac").write_bytes(whole[:-2000])
    with pytest.raises(am.AudioMetamerError, match="truncated"):
        read_samples(tmp_path / "x.flac")
