"""The rebuilt network against the package's own TorchScript module."""

import foreign_models
import pytest
import torch

import audiometamer as am
from audiometamer.io.resources import clips_folder
from audiometamer.models.adapters import silero_vad_model
from audiometamer.models.adapters.packages import file_of

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning", "ignore:`torch.jit:DeprecationWarning")


TORCHSCRIPT = {"stft_conv.weight": "stft.forward_basis_buffer", "lstm_cell": "decoder.rnn", "final_conv": "decoder.decoder.2"} | {
    f"conv{i}": f"encoder.{i - 1}.reparam_conv" for i in range(1, 5)
}  # names of the same parameters there


@pytest.fixture(scope="module")
def original():
    """With the weights of the safetensors file, which are not those that it comes with."""
    from safetensors.torch import load_file

    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # leaves torch with one thread

    loaded = load_silero_vad()
    torch.set_num_threads(threads)
    weights = loaded._model.state_dict()
    for key, value in load_file(file_of("silero_vad", "data/silero_vad_16k.safetensors", extra="speech")).items():
        module, _, kind = key.rpartition(".")
        weights[TORCHSCRIPT.get(key) or f"{TORCHSCRIPT[module]}.{kind}"].copy_(value)
    return loaded


@pytest.fixture(scope="module")
def sounds():
    """Among them real words."""
    words = [
        am.read_clip(path, sample_rate=16_000, duration=2.5, level=None).samples
        for path in sorted((clips_folder() / "words").glob("*.flac"))[::5]
    ]
    return torch.stack([*foreign_models.sounds(2.5).values(), *words])


@pytest.mark.filterwarnings("ignore:.*padded with silence")
def test_probabilities_are_those_of_the_original(original, sounds):
    model = silero_vad_model.load("16k", duration=2.5)
    with torch.no_grad():
        found = am.record(model, sounds, "probability").flatten(1)
        expected = original.audio_forward(sounds, 16_000)
    assert found.shape == expected.shape == (len(sounds), 79)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert expected.min() < 0.1
    assert expected.max() > 0.9  # the words are heard as speech
    with torch.no_grad():
        speech = model(sounds).argmax(1)
    assert speech.tolist() == (expected.amax(1) > 0.5).int().tolist()


def test_gradient_of_its_chunks_and_at_silence(relative_slope_error):
    assert relative_slope_error(silero_vad_model.Chunks(), foreign_models.sounds(0.2)["noise"]) < 1e-4
    model = silero_vad_model.load("16k", duration=0.2)
    silence = torch.zeros(1, 3200, requires_grad=True)
    (gradient,) = torch.autograd.grad(am.record(model, silence, "lstm").sum(), silence)
    assert torch.isfinite(gradient).all()


def test_by_name():
    assert am.load_model("silero-vad:16k").name == "silero-vad"
    with pytest.raises(am.AudioMetamerError, match="silero-vad has no network '8k' as safetensors; it has 16k"):
        am.load_model("silero-vad:8k")


def test_the_original_is_refused():
    with pytest.raises(am.AudioMetamerError, match="TorchScript module, which takes no hooks; give the original"):
        am.load_model("foreign_models:scripted_silero_vad")
