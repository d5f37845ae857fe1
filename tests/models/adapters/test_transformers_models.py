"""Networks of transformers, with random weights, saved and loaded: what is recorded is what transformers computes."""

import json
import re

import foreign_models
import pytest
import torch
import transformers
from safetensors.torch import save_file

import audiometamer as am
from audiometamer.models.adapters import transformers_models

LABELS = {"id2label": {0: "yes", 1: "no", 2: "perhaps"}, "label2id": {"yes": 0, "no": 1, "perhaps": 2}}
WAV2VEC2_LAYERS = ("conv0", "conv1", "conv2", "projection", "embedded", "layer0", "layer1")
WHISPER_LAYERS = ("front_end", "conv1", "conv2", "layer0", "layer1", "normalized")
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}


def cases():
    """Class, configuration, feature extractor, layers."""
    normalising, plain = (transformers.Wav2Vec2FeatureExtractor(do_normalize=yes) for yes in (True, False))
    whisper = transformers.WhisperFeatureExtractor(chunk_length=2)
    ast = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=128)
    fm = foreign_models
    return {
        "wav2vec2 words": (transformers.Wav2Vec2ForSequenceClassification, fm.wav2vec2_config(**LABELS), normalising,
                           ("front_end", *WAV2VEC2_LAYERS, "projector", "classifier")),
        "wav2vec2": (transformers.Wav2Vec2Model, fm.wav2vec2_config(**STABLE), plain, WAV2VEC2_LAYERS),
        "hubert transcribing": (transformers.HubertForCTC, fm.hubert_config(), plain, (*WAV2VEC2_LAYERS, "lm_head")),
        "whisper": (transformers.WhisperForConditionalGeneration, fm.whisper_config(), whisper, WHISPER_LAYERS),
        "whisper words": (transformers.WhisperForAudioClassification, fm.whisper_config(**LABELS), whisper,
                          (*WHISPER_LAYERS, "projector", "classifier")),
        "ast": (transformers.ASTForAudioClassification, fm.ast_config(**LABELS), ast,
                ("front_end", "embedded", "layer0", "layer1", "normalized", "classifier")),
    }  # fmt: skip


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("name", ["wav2vec2 words", "wav2vec2", "hubert transcribing", "whisper", "whisper words", "ast"])
def test_a_saved_network_hears_what_the_original_hears(tmp_path, name, attention):
    kind, config, extractor, layers = cases()[name]
    config._attn_implementation = attention
    torch.manual_seed(0)
    network = kind(config).eval()
    network.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    model = am.load_model(f"transformers:{tmp_path}") if attention == "sdpa" else transformers_models.load(str(tmp_path))
    assert (model.name, model.signal_shape, model.layers) == (tmp_path.name, (32_000,), layers)
    assert (model.labels is None) == (not kind.__name__.endswith("Classification"))

    sounds = torch.stack(list(foreign_models.sounds(2.0).values()))
    features = extractor([s.numpy() for s in sounds], sampling_rate=16_000, return_tensors="pt")
    body = network.get_encoder() if name == "whisper" else network
    with torch.no_grad():
        output = body(next(iter(features.values())), output_hidden_states=True)
        found = am.record(model, sounds, model.layers)
        answer = model(sounds)
    expected = output["logits"] if "logits" in output else output["last_hidden_state"]
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found["layer0"], output["hidden_states"][1], rtol=1e-4, atol=1e-4)
    if "embedded" in found:
        torch.testing.assert_close(found["embedded"], output["hidden_states"][0], rtol=1e-4, atol=1e-4)

    start = model.domain.start(model.signal_shape, seeds=[0], dtype=torch.float32, device="cpu").requires_grad_()
    loss = (am.record(model, start, "layer1") - found["layer1"][:1]).square().sum()
    (gradient,) = torch.autograd.grad(loss, start)
    assert gradient.any(), "a metamer could not leave the noise that it starts from"


def test_the_label_is_the_networks(tmp_path):
    kind, config, extractor, _ = cases()["ast"]
    model = transformers_models.wrap(foreign_models.still(kind(config)), extractor, sample_rate=22_050, duration=1.0)
    assert (model.sample_rate, model.signal_shape, model.name) == (22_050, (22_050,), "ASTForAudioClassification")
    assert [model.label("class", i) for i in range(3)] == ["yes", "no", "perhaps"]


def test_half_precision_is_loaded_as_float32(tmp_path):
    kind, config, extractor, _ = cases()["wav2vec2"]
    kind(config).half().save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    assert transformers_models.load(str(tmp_path)).dtype == torch.float32


def fails(name, message):
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        am.load_model(f"transformers:{name}")
    assert "\n" not in str(caught.value)


def test_no_download(monkeypatch):
    def unreachable(*args, **options):
        raise OSError("We couldn't connect to the hub\nCheck your internet connection")

    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", unreachable)
    fails("facebook/hubert-base-ls960", "cannot load 'facebook/hubert-base-ls960': We couldn't connect to the hub Check your")


def test_a_folder_that_holds_none(tmp_path):
    fails(tmp_path / "none", "transformers cannot load '.*none': .")
    fails(tmp_path, "transformers cannot load '.*': .*config.json")


def test_another_type(tmp_path):
    transformers.BertConfig().save_pretrained(tmp_path)
    fails(tmp_path, "is of type 'bert'; audiometamer supports wav2vec2, hubert, whisper, audio-spectrogram-transformer")
    small = {"hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 4, "vocab_size": 9}
    network = transformers.BertModel(transformers.BertConfig(**small))
    with pytest.raises(am.AudioMetamerError, match="the network is of type 'bert'"):
        transformers_models.wrap(network, None)


def test_a_corrupt_file(tmp_path):
    kind, config, extractor, _ = cases()["wav2vec2"]
    kind(config).save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    fails(tmp_path, "transformers cannot load")


def test_missing_weights(tmp_path):
    kind, config, extractor, _ = cases()["wav2vec2"]
    kind(config).save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"architectures": ["Wav2Vec2ForSequenceClassification"]}))
    fails(tmp_path, r"lacks \d weights of a Wav2Vec2ForSequenceClassification: (projector|classifier)\.")


def test_weights_behind_a_prefix_or_of_another_shape(tmp_path, capfd):
    kind, config, extractor, _ = cases()["hubert transcribing"]
    network = kind(config)
    network.save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    state = {f"module.model.{key}": tensor.contiguous() for key, tensor in network.state_dict().items()}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = am.load_model(f"transformers:{tmp_path}")
    assert all(torch.equal(t, state[f"module.{key}"]) for key, t in model.network.state_dict().items())
    state = {key.removeprefix("module.model."): tensor for key, tensor in state.items()} | {"lm_head.weight": torch.zeros(1, 1)}
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    fails(tmp_path, r"does not fit HubertForCTC: of another shape: lm_head\.weight$")
    state["lm_head.weight"] = torch.full_like(network.lm_head.weight, torch.nan)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    fails(tmp_path, r"has weights that are not finite: model\.lm_head\.weight")
    assert "MISMATCH" not in capfd.readouterr().err


def test_a_control_is_made_by_its_configuration(tmp_path):
    kind, config, extractor, _ = cases()["wav2vec2 words"]
    kind(config).save_pretrained(tmp_path)
    extractor.save_pretrained(tmp_path)
    model, control = (am.load_model(f"{prefix}transformers:{tmp_path}{seed}") for prefix, seed in (("", ""), ("random:", ":0")))
    own, anew = model.network.state_dict(), control.network.state_dict()
    assert [key for key in own if torch.equal(own[key], anew[key]) and own[key].unique().numel() > 1] == []


def test_feature_extractors_of_numpy_are_reported():
    for name, message in (
        ("detached_whisper", "no gradient reaches the input of WhisperOfNumpy: its output is detached"),
        ("numpy_whisper", "WhisperOfNumpy fails on noise of shape .*requires grad"),
    ):
        with pytest.raises(am.AudioMetamerError, match=message) as caught:
            am.load_model(f"foreign_models:{name}")
        assert not re.search(r"\n", str(caught.value))
