"""A model-matched sound in each of the four conditions of Norman-Haignere & McDermott (2018), and their modulation spectra."""

import matplotlib
import torch

import audiometamer as am
from audiometamer.networks.modulation_spectrum import modulation_spectrum, plot_modulation_spectrum, spectrum_distance

matplotlib.use("agg")
import matplotlib.pyplot as plt

# Short sounds and little padding, so that it takes seconds; leave the options out for the published ones.
model = am.load_model("modulation:normanhaignere2018/seconds=0.2/padding_seconds=0.1/padding_octaves=1/lowest_rate=4")
time = torch.arange(4_000) / 20_000
glides = 0.01 * torch.sin(2 * torch.pi * (400 * time + 3_000 * (time % 0.1) ** 2))
glides *= 1 + torch.sin(2 * torch.pi * 10 * time)

conditions = ("cochlear", "temporal", "spectral", "full")
matched = am.synthesize(model, glides[None], conditions, method="normanhaignere2018", steps=2)
sounds = torch.stack([glides, *(metamer.samples for metamer in matched)])
spectra = modulation_spectrum(model.front_end(sounds), padding_seconds=0.5)

figure, axes = plt.subplots(len(spectra), 1, figsize=(6, 14), layout="constrained")
for ax, spectrum, name in zip(axes, spectra, ("original", *conditions), strict=True):
    distance = spectrum_distance(spectra[:1], spectrum[None]).item()
    print(f"{name:10s} {distance:5.1f} dB from the modulation spectrum of the original")
    plot_modulation_spectrum(spectrum, ax).set_title(name)
figure.savefig("model_matched.png")
for name, metamer in zip(conditions, matched, strict=True):
    am.write_wav(f"model_matched_{name}.wav", metamer.samples, 20_000)
