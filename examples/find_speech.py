"""Where are the words in a recording? ``python examples/find_speech.py [RECORDING]``.

Each stretch of speech between two pauses is marked in a mel spectrogram and becomes a clip.
"""

import sys
from pathlib import Path

import librosa
import librosa.display
import matplotlib
import numpy as np

import audiometamer as am
from audiometamer.signals import read_samples, write_wav

matplotlib.use("agg")
import matplotlib.pyplot as plt

words = Path(__file__).parents[1] / "stimuli/words"
recording = Path(sys.argv[1] if len(sys.argv) > 1 else "three_words.wav")
if len(sys.argv) == 1:  # three words of the shipped ones, with pauses between
    spoken = [am.read_clip(path, level=0.05).samples.numpy() for path in sorted(words.glob("*_slt.flac"))[:3]]
    write_wav(recording, np.concatenate(spoken), 20_000)

samples, rate = read_samples(recording, mixed=True)
power = librosa.feature.melspectrogram(y=samples[:, 0], sr=rate, n_mels=80, fmax=rate / 2)
figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
librosa.display.specshow(librosa.power_to_db(power, ref=np.max), sr=rate, x_axis="time", y_axis="mel", fmax=rate / 2, ax=axes)
for start, end in am.find_speech(recording):
    axes.axvspan(start, end, color="white", alpha=0.25)
    clip = am.read_clip(recording, start=start, length=end - start, duration=None)
    print(f"{clip.name}: from {start:.2f} to {end:.2f} s")
figure.savefig("find_speech.png")
