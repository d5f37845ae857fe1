"""How models are loaded: folders, functions, controls; what is wrong is one line."""

import hashlib
import shutil
import signal
import sys

import msgspec
import pytest
import tiny_models
import torch

import audiometamer as am
from audiometamer.jobs.workers import interruptible
from audiometamer.models import shipped
from audiometamer.models.cards import Card, FrontEndCard, NetworkCard, WeightsCard, read_card
from audiometamer.models.model_folder import build_model, save_weights


@pytest.fixture
def folder(tmp_path):
    """A model folder with a tiny CochCNN9 of random weights."""
    card = Card(
        "small", 20_000, 2.0, 0.1, NetworkCard("CochCNN9", {"width": 0.02}), FrontEndCard("feather2023"),
        WeightsCard("weights.safetensors", ""), {"word": ["yes", "no"]},
    )  # fmt: skip
    torch.manual_seed(0)
    sha = save_weights(build_model(card).network, tmp_path / "weights.safetensors")
    card = msgspec.structs.replace(card, weights=WeightsCard("weights.safetensors", sha))
    (tmp_path / "model.toml").write_bytes(msgspec.toml.encode(card))
    return tmp_path


def test_a_folder_is_loaded(folder):
    model = am.load_model(folder)
    assert model.name == "small"
    assert model.layers == ("cochleagram", "relu0", "relu1", "relu2", "relu3", "relu4", "avgpool", "relufc", "final")
    assert model.weights_sha256() == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
    assert not any(m.training for m in model.network.modules())


def test_weights_in_half_precision(folder):
    """Half the file; kernels come back rounded to 11 bits, the rest exactly, all of it in float32."""
    card = read_card(folder)
    network, path = am.load_model(folder).network, folder / "weights.safetensors"
    size = path.stat().st_size
    card.weights.sha256 = save_weights(network, path, dtype="float16")
    (folder / "model.toml").write_bytes(msgspec.toml.encode(card))
    assert path.stat().st_size < 0.6 * size
    before, after = network.state_dict(), am.load_model(folder).network.state_dict()
    assert {t.dtype for t in after.values()} == {torch.float32, torch.int64}
    for name, tensor in before.items():
        expected = tensor.numpy().astype("float16").astype("float32") if tensor.ndim > 1 else tensor.numpy()
        assert (after[name].numpy() == expected).all(), name
    assert (after["conv0.weight"] != before["conv0.weight"]).any()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "small"', 'nom = "small"', "model.toml: .*"),
        ("sample_rate = 20000", 'sample_rate = "fast"', r"Expected `int`, got `str` - at `\$.sample_rate`"),
        ('name = "CochCNN9"', 'name = "CochCNN10"', "no network 'CochCNN10'; there are CochCNN9, CochResNet50, SpecTemp"),
        ("width = 0.02", "breadth = 0.02", "unexpected keyword argument 'breadth'"),
        (
            "width = 0.02",
            "width = 0.03",
            r"CochCNN9: of another shape: conv0\.weight, batchnorm1\.weight, batchnorm1\.bias and 13 more$",
        ),
        ('preset = "feather2023"', 'preset = "ear"', "no front end 'ear'; there are feather2023, "),
        ("sample_rate = 20000", "sample_rate = = 20000", "model.toml: .*"),
        (
            'file = "weights.safetensors"',
            'file = "none.safetensors"',
            "none.safetensors does not exist; .* names it as the weights",
        ),
    ],
)
def test_a_wrong_card_is_one_line(folder, old, new, message):
    card = (folder / "model.toml").read_text()
    assert old in card
    (folder / "model.toml").write_text(card.replace(old, new))
    with pytest.raises(am.AudioMetamerError, match=message) as caught:
        am.load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_card_of_version_0_1(folder):
    """Without what later versions know of tests."""
    fields = msgspec.to_builtins(read_card(folder))
    for name in ("accuracy_by_group", "accuracy_by_class", "doubt"):
        del fields[name]
    (folder / "model.toml").write_bytes(msgspec.toml.encode(fields))
    card = am.load_model(folder).card
    assert (card.accuracy_by_group, card.accuracy_by_class, card.doubt) == ({}, {}, {})


@pytest.mark.parametrize("key", ["weights.file", "accuracy_by_class.word"])
def test_the_files_of_a_card_lie_beside_it(folder, key):
    card = read_card(folder)
    card.accuracy_by_class["word"] = "accuracy-word.tsv"
    old = card.weights.file if key == "weights.file" else "accuracy-word.tsv"
    text = msgspec.toml.encode(card).decode().replace(old, "../outside", 1)
    (folder / "model.toml").write_text(text)
    with pytest.raises(am.AudioMetamerError, match=rf"{key} is '\.\./outside'; it must be the name of a file in"):
        read_card(folder)


def test_weights_of_another_hash(folder):
    state = build_model(msgspec.toml.decode((folder / "model.toml").read_bytes(), type=Card)).network
    save_weights(state, folder / "weights.safetensors")
    with pytest.raises(am.AudioMetamerError, match=r"has SHA-256 .* but its card says .*: a changed file"):
        am.load_model(folder)


def test_a_pickle_is_never_opened(folder):
    class Trap:
        def __reduce__(self):
            return (shutil.rmtree, (str(folder),))

    import pickle

    (folder / "weights.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(am.AudioMetamerError, match=r"is not a safetensors file \(a pickle, perhaps\?\)"):
        am.load_model(folder)
    assert folder.is_dir()


def test_a_folder_without_a_card(tmp_path):
    with pytest.raises(am.AudioMetamerError, match=r"holds no model.toml"):
        am.load_model(tmp_path)


def test_functions():
    assert am.load_model("tiny_models:sound_model").name == "tiny"
    plain = am.load_model("tiny_models:plain_module")
    assert (plain.name, plain.signal_shape, plain.sample_rate) == ("plain_module", (1000,), 4000)
    for name, message in {
        "no_such_package:f": "no_such_package cannot be imported",
        "tiny_models:nothing": r"tiny_models \(.*tiny_models\.py\) has no function nothing",
        "tiny_models:not_a_model": "not_a_model returns 3; it must return an am.Model or a module",
        "tiny_models:shapeless_module": "the Linear says neither sample_rate and duration nor signal_shape",
        "cochcnn-digit": r"no model 'cochcnn-digit' \(did you mean 'cochcnn-digits'\?\): it is not in the zoo \(cochcnn-digits, ",
        "cochcnn-word-hann": "cochcnn-word-hann came with version 0.1; .* with reduced_aliasing = true in .* trains it$",
    }.items():
        with pytest.raises(am.AudioMetamerError, match=message):
            am.load_model(name)


@pytest.mark.parametrize(
    ("source", "reported"),
    [
        ("import sys\n\ndef make():\n    sys.exit()", r"the function failed \(SystemExit, .*ends_here\.py:4\)"),
        ("def make(width):\n    return width", r"the function failed \(TypeError: make\(\) missing 1 required .*'width'\)"),
        ("def make():\n    return {}[7]", r"the function failed \(KeyError: 7, .*ends_here\.py:2\)"),
        ("raise SystemExit(0)", r"ends_here cannot be imported \(SystemExit: 0, .*ends_here\.py:1\)"),
    ],
)
def test_whatever_a_function_of_others_raises_is_one_line(tmp_path, monkeypatch, source, reported):
    (tmp_path / "ends_here.py").write_text(source + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ends_here", raising=False)
    with pytest.raises(am.AudioMetamerError, match=f"^model 'ends_here:make': {reported}$"):
        am.load_model("ends_here:make")


@pytest.mark.parametrize("name", ["", "n" * 300, "sys:" + "f" * 300])
def test_names_that_no_file_has(name):
    with pytest.raises(am.AudioMetamerError, match=f"there is no model {name!r}|has no function"):
        am.load_model(name)


def test_a_name_is_a_string_or_a_path():
    with pytest.raises(am.AudioMetamerError, match="the name of a model is a NoneType; it must be a string or a path"):
        am.load_model(None)


def test_seeds_of_controls_that_torch_does_not_take():
    with pytest.raises(am.AudioMetamerError, match="seed is 9223372036854775808; it must be a whole number from 0 to"):
        am.load_model(f"random:tiny_models:sound_model:{2**63}")


def test_the_tiny_model_is_fine():
    assert tiny_models.sound_model().layers == ("cochleagram", "relu0", "relu1", "final")


def test_permuted_control_has_the_same_values_elsewhere():
    model, control = am.load_model("cochcnn-digits"), am.load_model("permuted:cochcnn-digits:3")
    assert control.name == "permuted-cochcnn-digits-3"
    assert control.folder is None  # no null distribution of the trained network
    own, permuted = model.network.state_dict(), control.network.state_dict()
    assert list(own) == list(permuted)
    for key, tensor in own.items():
        torch.testing.assert_close(tensor.flatten().sort().values, permuted[key].flatten().sort().values, rtol=0, atol=0)
        assert tensor.numel() == 1 or not torch.equal(tensor, permuted[key])
    same, other = am.load_model("permuted:cochcnn-digits:3"), am.load_model("permuted:cochcnn-digits:4")
    assert same.weights_sha256() == control.weights_sha256() != other.weights_sha256() != model.weights_sha256()


def test_random_control_is_initialised_anew():
    before = torch.get_rng_state()
    control = am.load_model("random:cochcnn-digits:3")
    assert torch.equal(torch.get_rng_state(), before)
    weight = control.network.conv1.weight  # torch draws convolutions uniformly within 1 / √(inputs of a unit)
    bound = weight[0].numel() ** -0.5
    assert 0.98 * bound < weight.abs().max() <= bound
    assert control.network.batchnorm1.running_var.eq(1).all()
    assert not any(module.training for module in control.network.modules())
    same, other = am.load_model("random:cochcnn-digits:3"), am.load_model("random:cochcnn-digits:4")
    assert same.weights_sha256() == control.weights_sha256() != other.weights_sha256()


def test_a_network_is_known_by_its_weights():
    digits = am.load_model("cochcnn-digits")
    assert shipped.name_of_weights(digits.weights_sha256()) == "cochcnn-digits"
    assert shipped.name_of_weights("0" * 64) is None


def test_controls_of_what_is_not_there():
    with pytest.raises(am.AudioMetamerError, match="there is no model 'cochcnn-wrd'"):
        am.load_model("random:cochcnn-wrd:0")
    with pytest.raises(am.AudioMetamerError, match="there is no model 'random:cochcnn-digits'"):
        am.load_model("random:cochcnn-digits")


def test_layers_by_their_published_names(folder):
    """Whoever asks by a published name gets our name in results: one layer, one name."""
    model = am.load_model(folder)
    assert model.canonical("relu0_fakerelu+relu1_fakerelu/channels=0:1") == "relu0+relu1/channels=0:1"
    assert model.canonical("relu2_fakerelu@0") == "relu2@0"
    assert model.canonical("conv0") == "conv0"
    assert model.tap("input_after_preproc") == model.tap("cochleagram")
    generator = torch.Generator().manual_seed(0)
    clips = [am.Clip(f"c{k}", 0.1 * torch.randn(40_000, generator=generator), 20_000) for k in range(2)]
    made = am.synthesize(model, clips[0], ["relu0_fakerelu", "relu0"], steps=1)
    assert [m.evidence.settings.layer for m in made] == ["relu0"]
    null = am.NullDistribution.measure(model, [clip.samples for clip in clips], layers=["relu0_fakerelu", "final"])
    assert list(null.layers) == ["relu0", "final"]


def test_a_signal_while_a_model_is_loaded_is_no_fault_of_the_model(tmp_path, monkeypatch):
    (tmp_path / "slow_model.py").write_text("import os, signal\ndef make(): os.kill(os.getpid(), signal.SIGTERM)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with interruptible(), pytest.raises(KeyboardInterrupt):
        am.load_model("slow_model:make")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
