"""A plan of a few items of the tiny model."""

from pathlib import Path

import numpy as np
import soundfile

PLAN = """\
output = "set"
seeds = [0, 1]
steps = 20
layers = ["relu0"]
batch_size = 2

[clips]
table = "clips.csv"

[[models]]
name = "tiny_models:sound_model"
"""


def write_plan(folder: Path, text: str = PLAN, *, n_clips: int = 3) -> Path:
    """A plan with its clips."""
    rng = np.random.default_rng(0)
    rows = ["path,word,licence"]
    for k in range(n_clips):
        soundfile.write(folder / f"c{k}.wav", 0.1 * rng.standard_normal(1000), 4000, subtype="FLOAT")
        rows.append(f"c{k}.wav,{'yes' if k % 2 else 'no'},CC0")
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    (folder / "plan.toml").write_text(text)
    return folder / "plan.toml"
