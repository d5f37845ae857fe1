"""Supported families of transformers networks: their feature extractors in torch, and the names of their layers."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from audiometamer.matching.domains import Domain, Waveform
from audiometamer.models.adapters.ast_features import ASTFeatures
from audiometamer.models.adapters.unit_variance import UnitVariance
from audiometamer.models.adapters.whisper_features import WhisperFeatures


class Architecture(NamedTuple):
    """An architecture.

    Parameters
    ----------
    front_end : callable
        Maps a feature extractor of transformers to the same in torch, or to None if it changes nothing.
    layers : mapping of str to str
        Patterns of dotted module names, and names of their layers, to which a number is appended.
    domain : Domain
        Domain in which signals start: louder if the power of a spectrum has a floor, since no gradient passes below it.
    """

    front_end: Callable[[Any], nn.Module | None]
    layers: Mapping[str, str]
    domain: Domain = Waveform()


_LOUDER = Waveform(deviation=0.01)
_WAV2VEC2 = Architecture(
    lambda extractor: UnitVariance(epsilon=1e-7) if extractor.do_normalize else None,
    {
        r"feature_extractor\.conv_layers\.(\d+)": "conv",
        r"feature_projection\.dropout": "projection",
        r"encoder\.dropout": "embedded",
        r"encoder\.layers\.(\d+)": "layer",
    },
)
FAMILIES = {
    "wav2vec2": _WAV2VEC2,
    "hubert": _WAV2VEC2,
    "whisper": Architecture(
        WhisperFeatures, {r"conv([12])": "conv", r"layers\.(\d+)": "layer", "layer_norm": "normalized"}, _LOUDER
    ),
    "audio-spectrogram-transformer": Architecture(
        ASTFeatures, {"embeddings": "embedded", r"layers\.(\d+)": "layer", "layernorm": "normalized"}, _LOUDER
    ),
}


class Network(nn.Module):
    """A transformers network that returns one tensor: its logits, or else its last hidden states.

    Parameters
    ----------
    model : PreTrainedModel
        The network.
    layers : mapping of str to str
        See `Architecture`.
    """

    def __init__(self, model: Any, layers: Mapping[str, str]) -> None:
        super().__init__()
        self.model = model
        self.train(model.training)  # as a new module it would be in train mode
        self.layers: dict[str, str] = {}
        for path, _ in model.named_modules():
            for pattern, layer in layers.items():
                if found := re.fullmatch(rf"(?:(?!classifier)\w+\.)?{pattern}", path):
                    self.layers["".join((layer, *found.groups()))] = f"model.{path}"
        self.layers |= {head: f"model.{head}" for head in ("projector", "classifier", "lm_head") if hasattr(model, head)}

    def forward(self, features: Tensor) -> Tensor:
        """Logits [shape=(batch, classes)], or [shape=(batch, frames, symbols)], or states [shape=(batch, frames, units)]."""
        output = self.model(features)
        result: Tensor = output["logits" if "logits" in output else "last_hidden_state"]
        return result
