"""The registry of published networks: what the papers' repositories say, and names in load_model."""

import re
from pathlib import Path

import pytest
import torch
from checkpoint_files import WORDS, network
from checkpoint_files import published as published_layout

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.published import NETWORKS, missing_models, published, published_entry, published_home
from audiometamer.models.published_checkpoints import import_checkpoint
from audiometamer.models.shipped import card_folder
from audiometamer.networks.registry import make_network


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUDIOMETAMER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_all_that_the_repositories_name():
    """18 files of the first paper; 24 networks of the second, each with a control; stimuli, listeners, labels."""
    names = list(published())
    assert sum(name.startswith("feather2023/coch") for name in names) == 17
    assert {"feather2023/spectemp", "feather2023/stimuli", "feather2023/labels", "tuckute2023/audioset-labels"} <= set(names)
    second = [name for name in names if name.startswith("tuckute2023/coch")]
    assert len(second) == 48
    assert sum(name.endswith("-permuted") for name in second) == 24
    assert all(
        re.fullmatch(r"https://(mcdermottlab\.mit\.edu|raw\.githubusercontent\.com)/\S+", e.address) for e in published().values()
    )
    assert len({e.member for e in published().values() if e.kind == "network"}) == 42


def test_an_adversarial_network():
    entry = published()["feather2023/cochresnet50-linf-p002-robust-waveform"]
    assert entry.member == "cochresnet_wsn_word_linf_p002_robust_waveform.pt"
    assert entry.what == "CochResNet50, words; adversarial training on the waveform, L∞ norm 0.002, 5 steps of 0.001"
    assert entry.layers == ("cochleagram", "conv1_relu1", "layer1", "layer2", "layer3", "layer4", "avgpool", "final")
    assert entry.correct_percent == 97.5


@pytest.mark.parametrize(
    "name",
    [
        "feather2023/cochcnn9",
        "feather2023/spectemp",
        "tuckute2023/cochcnn9-speaker-clean-seed2",
        "tuckute2023/cochresnet50-word",
        "tuckute2023/cochresnet50-word-speaker-audioset",
    ],
)
def test_layers_are_modules_of_the_network(name):
    entry = published()[name]
    outputs = dict(entry.classes)
    with torch.device("meta"):
        made = make_network(NETWORKS[entry.network], outputs.popitem()[1] if len(outputs) == 1 else outputs)
    modules = dict(made.named_modules())
    assert all(made.layers.get(layer, layer) in modules for layer in entry.layers if layer != "cochleagram")


def test_the_size_of_a_model():
    assert published()["feather2023/cochresnet50"].kept_gigabytes() == pytest.approx(0.1007, abs=1e-3)  # 25,128,666 parameters
    assert published()["feather2023/stimuli"].kept_gigabytes() == 0


@pytest.mark.parametrize("name", ["feather2023/cochcnn9", "tuckute2023/cochresnet50-speaker", "feather2023/spectemp"])
def test_sizes_are_those_of_the_networks(name):
    entry = published()[name]
    outputs = entry.classes if len(entry.classes) > 1 else entry.classes["word"]
    with torch.device("meta"):
        made = make_network(NETWORKS[entry.network], outputs)
    assert entry.kept_gigabytes() == pytest.approx(4e-9 * sum(t.numel() for t in made.state_dict().values()), rel=1e-12)


def test_an_unknown_name():
    with pytest.raises(
        am.AudioMetamerError,
        match=r"^no published network or data set is called 'feather2023/cochresnet51' \(did you mean 'feather",
    ):
        am.load_model("feather2023/cochresnet51")
    with pytest.raises(am.AudioMetamerError, match="there is no model 'nobody2023/cochresnet50'"):
        am.load_model("nobody2023/cochresnet50")


def test_what_is_not_here_says_how_to_get_it():
    message = r"^feather2023/cochcnn9 is not here yet: `audiometamer published get feather2023/cochcnn9` fetches it \(in Python, "
    for name in ("feather2023/cochcnn9", "permuted:feather2023/cochcnn9:3"):
        with pytest.raises(am.AudioMetamerError, match=message):
            am.load_model(name)
    with pytest.raises(am.AudioMetamerError, match=message):
        card_folder("feather2023/cochcnn9")
    with pytest.raises(am.AudioMetamerError, match=r"^feather2023/stimuli is not a model \(The 400 clips"):
        am.load_model("feather2023/stimuli")


def test_names_within_names(tmp_path, monkeypatch):
    assert missing_models("permuted:feather2023/cochcnn9:3") == ["feather2023/cochcnn9"]
    both = "cochcnn-digits+tuckute2023/cochcnn9-word-permuted"
    assert missing_models(both) == ["tuckute2023/cochcnn9-word-permuted"]
    assert missing_models("my/feather2023/cochcnn9") == []
    monkeypatch.chdir(tmp_path)
    Path("feather2023/cochcnn9").mkdir(parents=True)
    assert missing_models("feather2023/cochcnn9") == []  # a folder of one's own


def test_a_network_and_its_control(write, home):
    """As in build_network.py of the control: torch's generator is seeded, and every tensor of the state dict permuted in turn."""
    entry = published_entry("tuckute2023/cochcnn9-word-seed2-permuted")
    made = network("cochcnn9")
    details = {"name": entry.original, "layers": ["cochleagram", "conv0", "relu0", "final"], "paper": entry.paper}
    path = write(published_layout(made))
    import_checkpoint(path, network="cochcnn9", labels={"word": WORDS}, out=entry.folder, details=details)
    assert entry.folder == home / "models" / "tuckute2023" / "cochcnn9-word-seed2"
    original, control = am.load_model(entry.original), am.load_model(entry.name)
    assert (original.name, control.name) == (entry.original, entry.name)
    assert original.layers == ("cochleagram", "conv0", "relu0", "final")
    assert original.card.paper == entry.paper
    torch.manual_seed(1)
    for key, tensor in made.state_dict().items():
        permuted = tensor.view(-1)[torch.randperm(tensor.nelement())].view(tensor.size())
        assert torch.equal(control.network.state_dict()[key], permuted), key


def test_the_home(monkeypatch, home):
    assert published_home() == home
    monkeypatch.delenv("AUDIOMETAMER_HOME")
    assert published_home().name == "audiometamer"


def test_the_commands_name_what_is_missing(capsys):
    assert main(["layers", "feather2023/cochcnn9"]) == 2
    assert capsys.readouterr().err.startswith(
        "audiometamer: error: feather2023/cochcnn9 is not here yet: `audiometamer published get"
    )
