"""A network and a front end of another package are trained by a recipe that names them."""

import torch
from plugin import install

import audiometamer as am
from audiometamer.training.train import train

RECIPE = """
name = "tones"
epochs = 1
batch_size = 4
null_pairs = 10
sample_rate = 4000
duration = 0.1
[tasks.word]
labels = ["low", "high"]
[network]
name = "Reader"
options = { width = 5 }
[front_end]
preset = "logs"
options = { floor = 0.02 }
"""


def test_a_recipe_names_a_registered_network_and_front_end(data, tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    model = am.load_model(train(tmp_path / "recipe.toml", [str(data)], tmp_path / "model", device="cpu", workers=0))
    assert type(model.network).__module__ == "plugged"
    assert model.front_end.floor == 0.02
    assert model(torch.zeros(1, 400)).shape == (1, 2)
    assert model.card.accuracy["word"]
