"""Look-alikes of what papers published: matrices of listeners, and the pickle of stimuli, in the same structure."""

import pickle
from pathlib import Path

import numpy as np
from scipy.io import savemat

LAYERS = ("natural_audio", "input_after_preproc", "relu0_fakerelu", "relu1_fakerelu", "final")
HUMAN = (0.85, 0.8, 0.7, 0.4, 0.1)


def matrix_name(network="kell2018", experiment=1) -> str:
    return f"AudioExperiment{experiment}_network_vs_humans_datamatrix_{network}_public.mat"


def write_matrix(folder, *, network="kell2018", experiment=1, layers=LAYERS, listeners=4, human=HUMAN, **changed) -> Path:
    """A published matrix: listener k has k hundredths more than `human` says, the network 1 everywhere."""
    values = np.ones((listeners, len(layers), 2))
    values[:, :, 0] = np.array(human[: len(layers)]) + 0.01 * np.arange(listeners)[:, None]
    content = {
        "participant_data_matrix": values, "participants": [str(k) for k in range(listeners)], "model_layers": list(layers),
        "conditions": ["Human", "Network"], "axis_order": ["participants", "model_layers", "conditions"], **changed,
    }  # fmt: skip
    path = Path(folder) / f"EXPERIMENT_{experiment}" / matrix_name(network, experiment)
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def stimuli(words=("about", "after"), *, rate=20_000, seconds=2.0) -> dict:
    """The content of the published pickle of stimuli: tones of 100, 200, … Hz with amplitudes of one half."""
    time = np.arange(round(seconds * rate)) / rate
    content = {"Dataset_Word_Order": list(words)}
    for k, word in enumerate(words):
        tone = (0.5 * np.sin(2 * np.pi * 100 * (k + 1) * time)).astype(np.float32)
        metadata = {"word": word, "word_int": 7 + k, "sr": rate, "source": f"wsj_{k}.wav", "path": f"/home/user/wsj/{k}.wav"}
        content[word] = {"dataframe_metadata": metadata, "audio_clips": [tone]}
    return content


def write_stimuli(path, content=None, *, protocol=4) -> Path:
    """A look-alike of the published pickle of stimuli."""
    Path(path).write_bytes(pickle.dumps(stimuli() if content is None else content, protocol=protocol))
    return Path(path)
