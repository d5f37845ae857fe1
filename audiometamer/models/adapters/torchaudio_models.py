"""The wav2vec 2.0, HuBERT and WavLM networks of torchaudio as models, by the names of their pipelines."""

from torch import nn

from audiometamer.errors import AudioMetamerError, closest_names, one_line
from audiometamer.models.adapters.packages import imported
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.adapters.unit_variance import UnitVariance
from audiometamer.models.model import Model

_SAMPLE_RATE = 16_000


def load(name: str, *, duration: float = 2.0, sample_rate: int | None = None) -> Model:
    """A pretrained network of `torchaudio.pipelines`; torchaudio downloads its weights once and caches them.

    Parameters
    ----------
    name : str
        ``WAV2VEC2_BASE``, ``HUBERT_BASE``, ``WAV2VEC2_ASR_BASE_960H``, …
    duration, sample_rate
        See `wrap`.

    Returns
    -------
    Model

    Raises
    ------
    AudioMetamerError
        If there is no such pipeline, or the weights cannot be downloaded.
    """
    pipelines = imported("torchaudio.pipelines", extra="speech")
    bundles = {key: value for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle)}
    if name not in bundles:
        raise AudioMetamerError(f"torchaudio has no speech model {name!r}; it has {closest_names(name, sorted(bundles))}")
    try:
        loaded: nn.Module = bundles[name].get_model()
    except (OSError, RuntimeError) as error:  # no connection; a broken file
        raise AudioMetamerError(f"the weights of torchaudio's {name} cannot be loaded: {one_line(error)}") from error
    # A bundle wraps networks that take normalised waveforms, and would normalise them over the whole batch.
    network, normalized = getattr(loaded, "model", loaded), getattr(loaded, "normalize_waveform", False)
    network.eval().requires_grad_(False)
    return wrap(network, normalized=normalized, duration=duration, sample_rate=sample_rate, name=name)


def wrap(
    network: nn.Module, *, normalized: bool, duration: float = 2.0, sample_rate: int | None = None, name: str | None = None
) -> Model:
    """A model of a `torchaudio.models.Wav2Vec2Model`.

    Layers: ``conv0``, … of the feature extractor, ``projection``, ``embedded`` (with positions), ``layer0``, … of the
    transformer, and ``logits`` if it was trained to transcribe.

    Parameters
    ----------
    network : Wav2Vec2Model
        The network, in eval mode and without trainable parameters.
    normalized : bool
        Whether it takes waveforms of mean 0 and variance 1: its bundle's `_normalize_waveform`.
    duration : float
        Duration in seconds. Default 2.
    sample_rate : int, optional
        Sample rate of the sounds in Hz. Default: the network's, 16000.
    name : str, optional
        Name of the model. Default: the network's class.

    Raises
    ------
    AudioMetamerError
        See `Model`.
    """
    # Both are ModuleLists, of which mypy knows only that they are modules.
    convolutions = len(network.get_submodule("feature_extractor.conv_layers"))  # type: ignore[arg-type]
    blocks = len(network.get_submodule("encoder.transformer.layers"))  # type: ignore[arg-type]
    layers = {
        **{f"conv{i}": f"feature_extractor.conv_layers.{i}[0]" for i in range(convolutions)},
        "projection": "encoder.feature_projection",
        "embedded": "encoder.transformer.dropout",
        **{f"layer{i}": f"encoder.transformer.layers.{i}[0]" for i in range(blocks)},
        **({"logits": "aux"} if isinstance(network.aux, nn.Module) else {}),
    }
    front_end = UnitVariance(epsilon=1e-5) if normalized else None
    model = Model(network, front_end=front_end, sample_rate=_SAMPLE_RATE, duration=duration, layers=layers, name=name)
    return resampled(model, sample_rate)
