"""A plan of a ladder of a tiny model, with its dimensions and recordings."""

from tiny_exploration import sound_dimensions
from tiny_models import make_clip

import audiometamer as am
from audiometamer.dimensions.dimensions import folder_of_layer

PLAN = """\
model = "tiny_models:sound_model"
signals = ["references"]
choose = ["relu0/0", "relu1/2/-"]
references = 2
changes = [0.2, 0.5]
steps = 3
batch_size = 4
"""


def write_ladder_plan(folder, model, text=PLAN):
    """With three recordings and dimensions of two layers beside it."""
    for k in range(3):
        clip = make_clip(f"sound{k}", 40 + k)
        am.write_wav(folder / "references" / f"sound{k}.wav", clip.samples, clip.sample_rate)
    for layer, found in sound_dimensions(model, ["relu0", "relu1"]).items():
        found.save(folder_of_layer(folder / "dimensions", layer))
    (folder / "plan.toml").write_text(text)
    return folder / "plan.toml"
