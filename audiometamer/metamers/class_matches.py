"""How well each class of statistics is matched, by the network whose statistics they are."""

import math
from collections.abc import Mapping

from torch import Tensor

from audiometamer.metamers.verdicts import ClassMatch
from audiometamer.models.model import Model

_LEAST_DB = -1000.0  # stands for an SNR of minus infinity, which JSON cannot hold


def class_matches(model: Model, targets: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> dict[str, ClassMatch]:
    """Match of each class of statistics in some layers; empty unless the model's network is one of statistics.

    Parameters
    ----------
    model : Model
    targets, found : mapping of str to Tensor
        Targets and activations of one signal, by layer.
    """
    matches = getattr(model.network, "matches", None)
    if matches is None or not set(targets) <= set(model.layers):
        return {}
    return {
        name: ClassMatch(snr if math.isfinite(snr) else None if snr > 0 else _LEAST_DB, error)
        for name, (snr, error) in matches(targets, found).items()
    }
