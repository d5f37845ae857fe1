"""Audio networks of Hugging Face transformers as models: wav2vec 2.0, HuBERT, the encoder of Whisper, AST."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor, nn

from audiometamer.adapters.ast_features import ASTFeatures
from audiometamer.adapters.packages import imported
from audiometamer.adapters.resampled import resampled
from audiometamer.adapters.unit_variance import UnitVariance
from audiometamer.adapters.whisper_features import WhisperFeatures
from audiometamer.errors import AudioMetamerError
from audiometamer.models import Model

_CLASSIFIERS = ("ForAudioClassification", "ForSequenceClassification")


class _Family(NamedTuple):
    """An architecture: its feature extractor in torch, and the names of its layers by pattern of module; a number is appended."""

    front_end: Callable[[Any], nn.Module | None]
    layers: Mapping[str, str]


_WAV2VEC2 = _Family(
    lambda extractor: UnitVariance(epsilon=1e-7) if extractor.do_normalize else None,
    {
        r"feature_extractor\.conv_layers\.(\d+)": "conv",
        r"feature_projection\.dropout": "projection",
        r"encoder\.dropout": "embedded",
        r"encoder\.layers\.(\d+)": "layer",
    },
)
_FAMILIES = {
    "wav2vec2": _WAV2VEC2,
    "hubert": _WAV2VEC2,
    "whisper": _Family(WhisperFeatures, {r"conv([12])": "conv", r"layers\.(\d+)": "layer", "layer_norm": "normalized"}),
    "audio-spectrogram-transformer": _Family(
        ASTFeatures, {"embeddings": "embedded", r"layers\.(\d+)": "layer", "layernorm": "normalized"}
    ),
}


class Network(nn.Module):
    """A transformers network that returns one tensor: its logits, or else its last hidden states.

    Parameters
    ----------
    model : PreTrainedModel
    layers : mapping of str to str
        See `_Family`.
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

    def forward(self, heard: Tensor) -> Tensor:
        """Logits [shape=(batch, classes)], or [shape=(batch, frames, symbols)], or states [shape=(batch, frames, units)]."""
        output = self.model(heard)
        answer: Tensor = output["logits" if "logits" in output else "last_hidden_state"]
        return answer


def load(name: str, *, duration: float = 2.0, sample_rate: int | None = None) -> Model:
    """A pretrained network of a folder or of the Hugging Face Hub; transformers downloads it once and keeps it.

    If it was trained to classify or to transcribe, this comes with it. Of a Whisper that transcribes, the encoder is taken.

    Parameters
    ----------
    name : str
        ``facebook/wav2vec2-base-960h``, ``openai/whisper-tiny.en``, ``MIT/ast-finetuned-audioset-10-10-0.4593``, or a folder.
    duration, sample_rate
        See `wrap`.

    Returns
    -------
    Model
        In float32.

    Raises
    ------
    AudioMetamerError
        If transformers is not installed, or cannot find, download or read the network; if its architecture is not known here; or
        if weights are missing.
    """
    from safetensors import SafetensorError

    transformers = imported("transformers")
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        if config.model_type not in _FAMILIES:
            raise AudioMetamerError(f"{name} is of type {config.model_type!r}; audiometamer knows {', '.join(_FAMILIES)}")
        architecture = (config.architectures or [""])[0]
        classifies, transcribes = architecture.endswith(_CLASSIFIERS), architecture.endswith("ForCTC")
        kind = "AutoModelForAudioClassification" if classifies else "AutoModelForCTC" if transcribes else "AutoModel"
        extractor = transformers.AutoFeatureExtractor.from_pretrained(name)
        network, report = getattr(transformers, kind).from_pretrained(name, config=config, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise AudioMetamerError(f"transformers cannot load {name!r}: {' '.join(str(error).split())}") from error
    # Only training masks spectra.
    if missing := [key for key in report["missing_keys"] if not key.endswith("masked_spec_embed")]:
        raise AudioMetamerError(f"{name} lacks {len(missing)} weights of a {type(network).__name__} (first: {missing[0]})")
    network = network.get_encoder() if config.model_type == "whisper" and kind == "AutoModel" else network
    network.float().eval().requires_grad_(False)
    return wrap(network, extractor, duration=duration, sample_rate=sample_rate, name=name.rstrip("/").split("/")[-1])


def wrap(
    network: Any, extractor: Any, *, duration: float = 2.0, sample_rate: int | None = None, name: str | None = None
) -> Model:
    """A model of a transformers network and its feature extractor, which is computed in torch, so that it can be differentiated.

    Layers: ``front_end`` unless the waveform is taken as it is; ``conv0``, …, ``projection``, ``embedded`` (with positions),
    ``layer0``, …, ``normalized``, ``projector``, ``classifier``, ``lm_head``, as far as the network has them.

    Parameters
    ----------
    network : PreTrainedModel
        Of type wav2vec2, hubert, whisper (its encoder, or an audio classifier) or audio-spectrogram-transformer; in eval mode,
        without trainable parameters.
    extractor : FeatureExtractor
        The one that it was trained with. A Whisper's and an AST's pad sounds to their window.
    duration : float
        Seconds. Default 2.
    sample_rate : int, optional
        Hz, of the sounds. Default: the extractor's.
    name : str, optional
        Default: the network's class.

    Raises
    ------
    AudioMetamerError
        If the network's type is another; see also `Model`.
    """
    if (kind := network.config.model_type) not in _FAMILIES:
        raise AudioMetamerError(f"the network is of type {kind!r}; audiometamer knows {', '.join(_FAMILIES)}")
    family, id2label = _FAMILIES[kind], network.config.id2label
    model = Model(
        Network(network, family.layers),
        front_end=family.front_end(extractor),
        sample_rate=extractor.sampling_rate,
        duration=duration,
        labels={"class": [id2label[i] for i in sorted(id2label)]} if type(network).__name__.endswith(_CLASSIFIERS) else None,
        name=name or type(network).__name__,
    )
    return resampled(model, sample_rate)
