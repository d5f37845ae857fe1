"""Metamers of one recording at two layers: ``python examples/own_clip.py [RECORDING]``."""

import sys
from pathlib import Path

import audiometamer as am

recording = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1] / "stimuli/words/computer_slt.flac")
model = am.load_model("cochcnn-word")
clip = am.read_clip(recording)
for metamer in am.synthesize(model, clip, ["relu0", "relu4"]):
    layer = metamer.evidence.settings.layer
    am.write_wav(f"{clip.name}_{layer}.wav", metamer.samples, clip.sample_rate)
    measured = metamer.evidence.similarity[layer]
    print(f"{layer}: passed {metamer.passed}, SNR {measured['snr_db']:.1f} dB, ρ {measured['spearman_rho']:.3f}")
