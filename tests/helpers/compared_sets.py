"""Sets of each kind of sounds, written without any model: the distances and scores are given."""

import numpy as np
import scipy.io.wavfile

from audiometamer.io.hashes import file_sha256
from audiometamer.stimuli.comparison_records import ORIGINAL, ComparisonRecord, SoundRecord, write_record
from audiometamer.stimuli.comparisons.plan import PAIRED

MODELS = ("first", "second", "third")
LAYERS = tuple(f"{model}:hidden" for model in MODELS)
WORDS = ("yes", "no", "perhaps")
RATE = 4000
DESIGN = """
title = "Which is further?"
listeners = {listeners}
failed = true

[sounds]
bits = 16

[headphones]
test = "none"

[answers]
kind = "{kind}"
"""


def write_compared_set(folder, kind, *, clips=4, seed=0):
    """A set of one kind: random distances, or probabilities, in which the models disagree."""
    rng = np.random.default_rng(seed)
    for clip in range(clips):
        for k, name in enumerate(MODELS):
            other = MODELS[(k + 1) % 3]
            controversial = kind == "controversial"
            of = ([name, other] if controversial else [LAYERS[k], f"{other}:hidden"]) if kind in PAIRED else [LAYERS[k]]
            words = [WORDS[(clip + k) % 3], WORDS[(clip + k + 1) % 3]] if controversial else []
            _write_item(folder, kind, f"c{clip}", of, words, rng)
    return folder


def _write_item(folder, kind, clip, of, words, rng):
    names = ["sound"] if words else ["most", "least"] if kind != "distant" else ["metamer0", "metamer1", "metamer2"]
    chances = [rng.dirichlet([0.4] * 3, size=len(MODELS)) for _ in names]  # by sound: models × words
    key = f"{rng.integers(1 << 40):012x}"
    record = ComparisonRecord(
        key=key, kind=kind, clip="" if words else clip, clip_sha256="", words=words, of=of,
        representations=[*(MODELS if words else LAYERS)], seed=0, settings={}, weights={}, original_sha256="", sounds=[],
        sample_rate=RATE, duration=0.1, seconds=0.0, made="", host="", audiometamer="",
    )  # fmt: skip
    at = folder / record.folder
    at.mkdir(parents=True)
    files = [*([] if words else [ORIGINAL]), *(f"{name}.wav" for name in names)]
    for file in files:
        scipy.io.wavfile.write(at / file, RATE, np.round(3000 * rng.standard_normal(400)).astype(np.int16))
    sums = {file: file_sha256(at / file) for file in files}
    sounds = [
        SoundRecord(
            f"{name}.wav", sums[f"{name}.wav"], "contrast", None, [] if words else rng.gamma(1.0, 0.1, 3).tolist(),
            chance[:, 0].tolist() if words else [], chance[:, 1].tolist() if words else [], [], None, None, None, None, 0.1, 0.4,
        )
        for name, chance in zip(names, chances, strict=True)
    ]  # fmt: skip
    changes = {"sounds": sounds, "original_sha256": sums.get(ORIGINAL, "")}
    write_record(at, ComparisonRecord(**{**{name: getattr(record, name) for name in record.__struct_fields__}, **changes}))


def write_design(folder, kind, *, listeners=8, more=""):
    path = folder / "design.toml"
    text = DESIGN.format(kind="words" if kind == "controversial" else "further", listeners=listeners)
    path.write_text(text + more if more.startswith("[") else more + text)
    return path
