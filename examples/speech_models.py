"""What two networks that others trained leave unsaid: metamers of a word for CREPE (pitch) and Silero VAD (is this speech?).

Needs ``pip install "audiometamer[speech]"``. ``torchaudio:HUBERT_BASE``, ``transformers:openai/whisper-tiny`` load by name.
"""

from pathlib import Path

import audiometamer as am
from audiometamer.models.adapters import silero_vad_model, torchcrepe_model

recording = Path(__file__).parents[1] / "stimuli/words/computer_slt.flac"
for model, layer in (
    (torchcrepe_model.load("tiny", duration=0.25, hop=320), "relu2"),
    (silero_vad_model.load("16k", duration=0.25, sample_rate=20_000), "lstm"),  # hears 16 kHz, takes and gives 20
):
    clip = am.read_clip(recording, sample_rate=model.sample_rate, duration=model.duration, start=0.8)
    (metamer,) = am.synthesize(model, clip, layer, steps=60)
    am.write_wav(f"{clip.name}_{model.name}_{layer}.wav", metamer.samples, clip.sample_rate)
    measured = metamer.evidence.similarity[layer]
    print(f"{model.name}, {layer}: SNR {measured['snr_db']:.1f} dB, ρ {measured['spearman_rho']:.3f}")
    for task, (natural, found) in metamer.evidence.verdict.labels.items():
        print(f"  {task}: {natural} in the word, {found} in its metamer")
