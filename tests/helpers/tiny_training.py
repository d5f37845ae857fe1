"""A recipe and recordings small enough to train a network in seconds."""

import csv
from pathlib import Path

import numpy as np
import soundfile

RECIPE = """
name = "tones"
epochs = 2
batch_size = 4
null_pairs = 10
groups = ["age"]
balanced = "speaker"
[tasks.word]
labels = ["low", "high"]
[tasks.speaker]
weight = 0.5
[tasks.sounds]
multi = true
weight = 10.0
[network]
name = "CochCNN9"
options = { width = 0.02 }
[front_end]
preset = "feather2023"
[training_front_end]
oversampling = 3.0
[augmentation]
snr = [0.0, 20.0]
quiet = 0.2
low_pass = 0.5
noise_floor = 0.5
speed = 1.1
gain = [-3.0, 3.0]
[data]
tones = "made here"
"""


def write_recordings(folder: Path) -> None:
    """Tones that are words, low ones and high ones, smooth or rough as of two speakers; and noises that have names."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(20):
        word, speaker = ("low", "high")[i % 2], ("smooth", "rough", "")[i % 3]
        t = np.arange(6000) / 8000
        tone = np.sin(2 * np.pi * (300, 2000)[i % 2] * rng.uniform(0.8, 1.2) * t) * np.hanning(6000)
        if speaker == "rough":
            tone = tone * (1 + np.sin(2 * np.pi * 50 * t)) / 2
        soundfile.write(folder / f"{i}.flac", 0.3 * tone, 8000)
        split = "test" if i >= 16 else "valid" if i >= 13 else "train"
        rows.append([f"{i}.flac", word, speaker, "", split, ("here", "there")[i % 2], "old" if i % 4 else ""])
    for i in range(5):
        soundfile.write(folder / f"background{i}.flac", 0.1 * rng.standard_normal(50_000), 20_000)
        rows.append([f"background{i}.flac", "", "", ("hiss;rain", "hiss")[i % 2], "background", "here", ""])
    with (folder / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["path", "word", "speaker", "sounds", "split", "source", "age"], *rows])
