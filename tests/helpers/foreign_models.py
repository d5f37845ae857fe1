"""Networks of other libraries, small and with random weights, and functions that return what cannot be a model."""

from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn

import audiometamer as am

SAMPLE_RATE = 16_000


def sounds(duration: float) -> dict[str, Tensor]:
    """Sounds at 16 kHz that a feature extractor may find easy or hard, float32 [shape=(samples,)] by name."""
    rng = np.random.default_rng(0)
    n = round(SAMPLE_RATE * duration)
    t = np.arange(n) / SAMPLE_RATE
    voice = sum(np.sin(2 * np.pi * k * (120 * t + 15 * t**2)) / k for k in range(1, 20)) * np.sin(2 * np.pi * 3 * t) ** 2
    noise = rng.standard_normal(n)
    made = {
        "voice": 0.1 * voice + 1e-4 * noise,
        "noise": 0.1 * noise,
        "near silence": 1e-5 * noise,
        "offset": 0.2 + 0.01 * voice,
        "voice after silence": 0.1 * voice * (t > duration / 2),
    }
    return {name: torch.from_numpy(sound.astype(np.float32)) for name, sound in made.items()}


def wav2vec2_config(**options: Any) -> transformers.Wav2Vec2Config:
    return transformers.Wav2Vec2Config(**_SMALL_WAV2VEC2 | options)


def hubert_config(**options: Any) -> transformers.HubertConfig:
    return transformers.HubertConfig(**_SMALL_WAV2VEC2 | options)


def whisper_config(**options: Any) -> transformers.WhisperConfig:
    """For a window of 2 s."""
    return transformers.WhisperConfig(**_SMALL_WHISPER | options)


def ast_config(**options: Any) -> transformers.ASTConfig:
    return transformers.ASTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        max_length=128,
        num_mel_bins=32,
        **options,
    )


_SMALL_WAV2VEC2 = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "conv_dim": [12, 12, 12],
    "conv_kernel": [10, 8, 4], "conv_stride": [8, 5, 4], "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2,
    "vocab_size": 9, "classifier_proj_size": 8,
}  # fmt: skip
_SMALL_WHISPER = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 8, "max_source_positions": 100, "vocab_size": 20, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 1, "decoder_start_token_id": 1, "classifier_proj_size": 8,
}  # fmt: skip


def still(network: nn.Module) -> nn.Module:
    """In eval mode and without trainable parameters."""
    return network.eval().requires_grad_(False)


class WhisperOfNumpy(nn.Module):
    """A Whisper encoder with the feature extractor that comes with it, which computes in numpy."""

    def __init__(self, *, detaches: bool) -> None:
        super().__init__()
        self.extractor = transformers.WhisperFeatureExtractor(chunk_length=2)
        self.encoder = transformers.WhisperModel(whisper_config()).get_encoder()
        self.detaches = detaches

    def forward(self, x: Tensor) -> Tensor:
        sounds = list((x.detach() if self.detaches else x).numpy())
        features = self.extractor(sounds, sampling_rate=SAMPLE_RATE, return_tensors="pt")["input_features"]
        return self.encoder(features).last_hidden_state


def detached_whisper() -> am.Model:
    return am.Model(still(WhisperOfNumpy(detaches=True)), sample_rate=SAMPLE_RATE, duration=2.0)


def numpy_whisper() -> am.Model:
    return am.Model(still(WhisperOfNumpy(detaches=False)), sample_rate=SAMPLE_RATE, duration=2.0)


def scripted_silero_vad() -> am.Model:
    """The network as silero-vad gives it."""
    from silero_vad import load_silero_vad

    return am.Model(load_silero_vad(), sample_rate=SAMPLE_RATE, duration=2.0)
