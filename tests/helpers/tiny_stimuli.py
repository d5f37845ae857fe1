"""Stimulus sets written by hand, as `run` leaves them: a few short sounds with made-up evidence."""

import json
from pathlib import Path

import msgspec
import numpy as np

from audiometamer.metamers.integrity import hash_original
from audiometamer.metamers.settings import Settings
from audiometamer.signals.audio import write_wav
from audiometamer.stimuli.identity import Identity, folder_of_item

RATE = 4000
N = 1000


def noise(seed, n=N, rms=0.1):
    sound = np.random.default_rng(seed).standard_normal(n)
    return (rms * sound / np.sqrt(np.mean(sound**2))).astype(np.float32)


def write_item(folder, *, clip="vowel", model="tiny", layer="relu0", seed=0, passed=True, samples=None, rate=RATE, rms=None):
    """One complete item of the set `folder`, and its clip."""
    samples = noise(hash_of(clip, model, layer, seed)) if samples is None else np.asarray(samples, np.float32)
    original = f"originals/{clip}@{rate}.wav"
    if not (folder / original).exists():
        write_wav(folder / original, noise(hash_of(clip), len(samples)), rate)
    settings = {
        "clip": clip, "clip_sha256": hash_original(folder / original, layer), "model": model, "weights_sha256": "1" * 64,
        "layer": layer, "seed": seed, "method": "default", "steps": 200, "loss": "relative_l2",
    }  # fmt: skip
    identity = Identity(msgspec.convert(settings, Settings), "2" * 64, "3" * 64)
    at = folder / folder_of_item(identity.settings, identity.key)
    write_wav(at / "metamer.wav", samples, rate)
    similar = {"snr_db": 31.5, "spearman_rho": 0.999, "pearson_r2": 0.998}
    evidence = {
        "settings": settings,
        "verdict": {"passed": passed, "beyond_null": {}, "margin": {}, "labels": {"word": ["yes", "yes"]}},
        "similarity": {layer: similar, "other": similar}, "tries": [], "kept": 0, "seconds": 1.5,
        "rms": float(np.sqrt(np.mean(samples**2))) if rms is None else rms, "peak": float(np.abs(samples).max()),
        "sample_rate": rate, "clip_notices": [], "device": "cpu", "dtype": "float32", "versions": {"audiometamer": "0.1.0"},
        "domain": "Waveform",
    }  # fmt: skip
    record = {
        "key": identity.key, "identity": msgspec.to_builtins(identity), "original": original, "attempts": [seed],
        "file": "metamer.wav", "evidence": evidence, "made": "2026-01-01T00:00:00Z", "host": "here",
    }  # fmt: skip
    (at / "item.json").write_text(json.dumps(record))
    return at


def hash_of(*parts) -> int:
    import zlib

    return zlib.crc32("/".join(map(str, parts)).encode())


def write_items(folder, clips=("one_slt", "one_rms", "two_slt"), layers=("relu0", "relu1"), failed=(), **settings):
    for clip in clips:
        for layer in layers:
            write_item(folder, clip=clip, layer=layer, passed=(clip, layer) not in failed, **settings)
    return folder


def write_clips(path: Path, clips=("one_slt", "one_rms", "two_slt")) -> Path:
    lines = [
        f'{clip}.flac,{clip.split("_")[0]},{clip.split("_")[1]},"CC BY 4.0","A. Speaker",https://example.org' for clip in clips
    ]
    path.write_text("\n".join(["path,word,voice,licence,attribution,source", *lines]) + "\n")
    return path
