"""Networks of torchvision and timm: their own preprocessing, weights of a file, coarser labels, PNGs with evidence."""

import json
import urllib.error

import numpy as np
import pytest
import torch
from command_line import refused
from PIL import Image
from torch import nn
from torchvision import models
from torchvision.transforms.functional import pil_to_tensor

import audiometamer as am
from audiometamer.cli import main
from audiometamer.models.adapters.image_networks import image_model
from audiometamer.signals.images import ImageTransform, read_image


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    """Smooth colours, larger than the networks take."""
    path = tmp_path_factory.mktemp("photographs") / "hill.png"
    rows, columns = torch.meshgrid(torch.linspace(0, 6, 250), torch.linspace(0, 9, 300), indexing="ij")
    values = torch.stack([rows.sin(), (rows + columns).cos(), (rows * columns).sin()], -1)
    Image.fromarray((127.5 + 127 * values).byte().numpy()).save(path)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Of a SqueezeNet with five classes."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "mine.pth"
    torch.save(models.squeezenet1_1(num_classes=5).state_dict(), path)
    return path


def test_torchvision_with_its_preprocessing(photograph, weights):
    model = am.load_model(f"torchvision:squeezenet1_1@{weights}")
    assert (model.name, model.layers) == ("squeezenet1_1-mine", ("front_end", "features", "classifier"))
    assert model.labels is None
    clip = read_image(photograph, model.picture)
    theirs = models.SqueezeNet1_1_Weights.DEFAULT.transforms()(pil_to_tensor(Image.open(photograph))[None] / 255)
    torch.testing.assert_close(model.front_end(clip.samples[None]), theirs)
    assert am.record(model, clip.samples[None], "features.3").shape[1] == 128


def test_timm_with_its_preprocessing(photograph, tmp_path):
    import timm

    torch.manual_seed(0)
    network = timm.create_model("resnet10t", num_classes=4)
    torch.save(network.state_dict(), tmp_path / "w.pth")
    model = am.load_model(f"timm:resnet10t@{tmp_path / 'w.pth'}")
    settings = timm.data.resolve_model_data_config(network)
    theirs = timm.data.create_transform(**settings)(Image.open(photograph))
    ours = model.front_end(read_image(photograph, model.picture).samples[None])[0]
    assert float((theirs - ours).abs().max()) < 0.03  # they resize in 8 bits: a step of 1/255 is 0.017 here
    with torch.no_grad():
        torch.testing.assert_close(model(read_image(photograph, model.picture).samples[None]), network.eval()(ours[None]))


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_no_such_network(library):
    with pytest.raises(am.AudioMetamerError, match=f"{library} has no classifier 'resnot18'"):
        am.load_model(f"{library}:resnot18")


def test_weights_that_cannot_be_had_or_do_not_fit(monkeypatch, weights):
    def refuses(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuses)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuses)
    with pytest.raises(am.AudioMetamerError, match=r"weights of resnet18 cannot be downloaded: .*no route.*resnet18@FILE"):
        am.load_model("torchvision:resnet18")
    with pytest.raises(am.AudioMetamerError, match=r"mine.pth holds no state dict of this network: its tensors are features"):
        am.load_model(f"torchvision:resnet18@{weights}")
    with pytest.raises(am.AudioMetamerError, match="is not a file"):
        am.load_model("torchvision:resnet18@nowhere.pth")


def test_forms_of_checkpoints(tmp_path):
    """DataParallel, the examples of PyTorch, MadryLab's robustness, Lightning, torch.compile: with numbers beside them."""
    torch.manual_seed(0)
    state = models.squeezenet1_1(num_classes=5).state_dict()
    twins = {prefix + key: tensor for key, tensor in state.items() for prefix in ("module.model.", "module.attacker.model.")}
    forms = {
        "parallel": {f"module.{key}": tensor for key, tensor in state.items()},
        "example": {"epoch": 9, "state_dict": {f"module.{k}": t for k, t in state.items()}, "best_acc1": torch.tensor(70.1)},
        "robust": {"model": twins | {"module.normalizer.new_mean": torch.zeros(3, 1, 1)}, "epoch": 3},
        "lightning": {"state_dict": {f"model.{key}": tensor for key, tensor in state.items()}, "best": np.float64(0.7)},
        "compiled": {f"_orig_mod.{key}": tensor.half() for key, tensor in state.items()},
    }
    for name, content in forms.items():
        torch.save(content, tmp_path / f"{name}.pt")
        found = am.load_model(f"torchvision:squeezenet1_1@{tmp_path / name}.pt").network.state_dict()
        assert all(torch.allclose(found[key], state[key], atol=1e-3) for key in state)


def test_weights_that_no_command_could_be_told_to_trust(tmp_path):
    network = models.squeezenet1_1(num_classes=5)
    torch.save(network, tmp_path / "whole.pt")
    with pytest.raises(am.AudioMetamerError, match=r"asks for .* and \d more\. .* save its state dict alone") as reported:
        am.load_model(f"torchvision:squeezenet1_1@{tmp_path / 'whole.pt'}")
    assert "--trust" not in str(reported.value)
    with torch.no_grad():
        network.classifier[1].bias[2] = torch.nan
    torch.save(network.state_dict(), tmp_path / "nan.pt")
    with pytest.raises(am.AudioMetamerError, match=r"nan\.pt has weights that are not finite: classifier\.1\.bias \(1 of 5\)"):
        am.load_model(f"torchvision:squeezenet1_1@{tmp_path / 'nan.pt'}")


def test_a_control_is_made_by_the_library(weights):
    """SqueezeNet draws its last convolution from a normal distribution of standard deviation 0.01, and biases of 0."""
    control = am.load_model(f"random:torchvision:squeezenet1_1@{weights}:0").network
    assert control.classifier[1].weight.std() == pytest.approx(0.01, rel=0.1)
    assert control.classifier[1].bias.eq(0).all()
    assert not torch.equal(control.features[0].weight, torch.load(weights)["features.0.weight"])


def test_a_package_that_is_missing_names_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(am.AudioMetamerError, match=r'needs timm .*pip install "audiometamer\[timm\]"'):
        am.load_model("timm:resnet18")


class Pictures(nn.Module):
    """A small network of images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.relu, self.read_out = nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Linear(8, 4)

    def forward(self, x):
        return self.read_out(self.relu(self.conv(x)).mean((2, 3)))


def pictures():
    return image_model(Pictures(), ImageTransform((3, 16, 16)), labels=["beagle", "pug", "tabby", "siamese"], name="pictures")


def test_a_png_with_its_evidence(photograph, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = ("--model", f"{__name__}:pictures")
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("sys").modules[__name__])
    assert main(["null", str(photograph), str(make_noise(tmp_path)), *model, "--pairs", "1"]) == 0
    assert main(["synth", str(photograph), *model, "--layers", "relu,read_out", "--null", "null.json"]) == 0
    folder = tmp_path / "metamers" / "hill" / "pictures"
    assert {p.name for p in folder.iterdir()} == {
        "figure.png", "original.png", "read_out_seed0.json", "read_out_seed0.png", "relu_seed0.json", "relu_seed0.png",
    }  # fmt: skip
    record = json.loads((folder / "relu_seed0.json").read_text())
    assert record["verdict"]["passed"] is True
    assert record["domain"] == "Image"
    assert record["similarity"]["relu"]["snr_db"] > 20
    # the evidence is that of the file
    network = pictures()
    original, metamer = (read_image(folder / name, network.picture).samples for name in ("original.png", "relu_seed0.png"))
    a, b = am.record(network, torch.stack([original, metamer]), "relu")
    assert am.similarity(a, b)["snr_db"] == pytest.approx(record["similarity"]["relu"]["snr_db"], rel=1e-3)
    assert "hill/pictures/relu_seed0.png" in (tmp_path / "metamers" / "index.tsv").read_text()
    capsys.readouterr()
    assert main(["synth", str(photograph), *model, "--layers", "relu,read_out"]) == 0
    assert "2 of 2 metamers are in metamers already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (255 * torch.rand(3, 16, 16), r"clip 'x' has values from .* to 25\d.*; pictures takes 0 to 1"),
        (torch.full((3, 16, 16), float("nan")), "clip 'x' has values from nan to nan"),
        (torch.rand(3, 8, 8), "has shape 3 × 8 × 8; pictures takes signals of shape 3 × 16 × 16"),
    ],
)
def test_images_of_wrong_range_or_size(image, message):
    with pytest.raises(am.AudioMetamerError, match=message):
        am.synthesize(pictures(), am.Clip("x", image, None), "relu")


def test_a_sound_is_no_image():
    with pytest.raises(am.AudioMetamerError, match="at 16000 Hz; pictures takes signals of shape 3 × 16 × 16 and no sample rate"):
        am.synthesize(pictures(), am.Clip("x", torch.rand(3, 16, 16), 16_000), "relu")


def make_noise(folder):
    Image.fromarray((torch.rand(20, 20, 3) * 255).byte().numpy()).save(folder / "noise.png")
    return folder / "noise.png"


def test_a_verdict_by_groups(photograph, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, __name__, __import__("sys").modules[__name__])
    synth = ["synth", photograph, "--model", f"{__name__}:pictures", "--layers", "relu", "--steps", "5", "--groups"]
    (tmp_path / "groups.toml").write_text('dog = ["beagle", "pug"]\ncat = ["tabby", "siamese"]\n')
    assert main([*map(str, synth), "groups.toml"]) == 0
    labels = json.loads((tmp_path / "metamers/hill/pictures/relu_seed0.json").read_text())["verdict"]["labels"]
    assert set(labels["image"]) <= {"dog", "cat"}
    for text, message in (
        ('dog = ["beagle", "pug"]', "2 of 4 labels of image have no group (first: 'tabby')"),
        ('dog = ["beagle", "pug"]\ncat = ["pug"]', "has 'pug' in two groups, dog and cat"),
        ('dog = ["wolf"]', "the groups hold 'wolf', which is no label of the model"),
        ("dog = 3", "is not a file of groups"),
    ):
        (tmp_path / "groups.toml").write_text(text)
        assert message in refused(capsys, *synth, "groups.toml")


def test_the_former_name_of_the_standard_deviation():
    picture = am.ImageTransform((3, 8, 8))
    with pytest.warns(DeprecationWarning, match="deviation= is now std="):
        model = am.image_model(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), picture, deviation=(0.5, 0.25, 0.125))
    assert model.front_end.std.flatten().tolist() == [0.5, 0.25, 0.125]
