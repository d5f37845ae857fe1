"""torchaudio's networks, with random weights: what is recorded is what torchaudio computes."""

from urllib.error import URLError

import foreign_models
import pytest
import torch
import torchaudio
from torch.nn import functional as F

import audiometamer as am
from audiometamer.models.adapters import torchaudio_models


def small(*, layer_norm_first=False, symbols=None):
    torch.manual_seed(0)
    return torchaudio.models.wav2vec2_model(
        extractor_mode="layer_norm" if layer_norm_first else "group_norm",
        extractor_conv_layer_config=[(12, 10, 8), (12, 8, 5), (12, 4, 4)],
        extractor_conv_bias=False,
        encoder_embed_dim=16,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=2,
        encoder_num_layers=2,
        encoder_num_heads=2,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=24,
        encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1,
        encoder_layer_norm_first=layer_norm_first,
        encoder_layer_drop=0.5,
        aux_num_out=symbols,
    )


@pytest.mark.parametrize("normalized", [False, True])
def test_layers_are_those_of_torchaudio(normalized):
    network = foreign_models.still(small(layer_norm_first=normalized, symbols=5))
    model = torchaudio_models.wrap(network, normalized=normalized, duration=0.5)
    names = ["conv0", "conv1", "conv2", "projection", "embedded", "layer0", "layer1", "logits"]
    assert model.layers == (*(["front_end"] if normalized else []), *names)
    sounds = torch.stack(list(foreign_models.sounds(0.5).values()))
    with torch.no_grad():
        found = am.record(model, sounds, model.layers)
        for i, sound in enumerate(sounds):  # one by one: torchaudio normalises over the batch
            heard = F.layer_norm(sound[None], (1, len(sound))) if normalized else sound[None]
            blocks, _ = network.extract_features(heard)
            for layer, expected in zip(("layer0", "layer1"), blocks, strict=True):
                torch.testing.assert_close(found[layer][i], expected[0], rtol=1e-4, atol=1e-4)
            torch.testing.assert_close(found["logits"][i], network(heard)[0][0], rtol=1e-4, atol=1e-4)


def test_a_bundle_is_loaded(monkeypatch):
    bundle = torchaudio.pipelines.HUBERT_LARGE
    loaded = torchaudio.pipelines._wav2vec2.utils._extend_model(small(layer_norm_first=True), normalize_waveform=True)
    monkeypatch.setattr(type(bundle), "get_model", lambda self: loaded)  # as it is after its download
    model = am.load_model("torchaudio:HUBERT_LARGE")
    assert (model.name, model.signal_shape, model.layers[0]) == ("HUBERT_LARGE", (32_000,), "front_end")
    at_44 = torchaudio_models.load("HUBERT_LARGE", duration=0.5, sample_rate=44_100)
    assert at_44.signal_shape == (22_050,)


def test_no_download(monkeypatch):
    def unreachable(*args, **options):
        raise URLError("Name or service\nnot known")

    monkeypatch.setattr(torchaudio.pipelines._wav2vec2.utils, "load_state_dict_from_url", unreachable)
    monkeypatch.setattr(torchaudio.pipelines._wav2vec2.utils, "_get_model", lambda *_: small())
    with pytest.raises(
        am.AudioMetamerError, match=r"weights of torchaudio's HUBERT_BASE cannot be loaded: .*Name or service not known"
    ) as caught:
        am.load_model("torchaudio:HUBERT_BASE")
    assert "\n" not in str(caught.value)


def test_what_there_is_not():
    with pytest.raises(am.AudioMetamerError, match="torchaudio has no speech model 'HUBERT_TINY'; it has HUBERT_BASE, "):
        am.load_model("torchaudio:HUBERT_TINY")


def test_train_mode_is_reported():
    with pytest.raises(am.AudioMetamerError, match="Wav2Vec2Model is in train mode"):
        torchaudio_models.wrap(small(), normalized=False)
