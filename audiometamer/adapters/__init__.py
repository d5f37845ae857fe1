"""Networks of torchaudio, transformers, torchcrepe and silero-vad as models; and any model at another sample rate."""
