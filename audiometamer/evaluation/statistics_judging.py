"""A model of statistics as a judge: how well metamers of other models match their clips in each class."""

import numpy as np
import torch

from audiometamer.evaluation.collection import Collection, fit_to_model
from audiometamer.metamers.class_matches import class_matches
from audiometamer.models.model import Model
from audiometamer.networks.texture_network import TextureNetwork
from audiometamer.statistics.arrays import FloatArray


def has_statistics(model: Model) -> bool:
    """Whether a model is one of texture statistics."""
    return isinstance(model.network, TextureNetwork)


def class_snrs(model: Model, collection: Collection, numbers: list[int], gains: list[float]) -> dict[str, FloatArray]:
    """SNR in dB of each class of statistics of some metamers, with what matches their clips as the target; NaN if infinite.

    Parameters
    ----------
    model : Model
        A model of statistics.
    collection : Collection
    numbers : list of int
        Indices of the metamers.
    gains : list of float
        Gain of each clip, which its metamers share.

    Returns
    -------
    dict of str to array [shape=(metamers,)]
    """
    assert isinstance(model.network, TextureNetwork)
    layers = model.default_layers
    found: dict[str, list[float]] = {}
    for i in numbers:
        metamer = collection.metamers[i]
        natural = collection.naturals[metamer.natural]
        sounds = (fit_to_model(model, samples, natural.sample_rate) for samples in (natural.read(), metamer.read()))
        clip, heard = (gains[metamer.natural] * each.to(dtype=model.dtype, device=model.device)[None] for each in sounds)
        with torch.no_grad():
            wanted = model.network.targets(clip)
            activations = model.activations(heard, {layer: model.tap(layer) for layer in layers})
        matches = class_matches(
            model, {layer: wanted[layer][0] for layer in layers}, {layer: activations[layer][0] for layer in layers}
        )
        for name, match in matches.items():
            found.setdefault(name, []).append(np.nan if match.snr_db is None else match.snr_db)
    return {name: np.array(values) for name, values in found.items()}
