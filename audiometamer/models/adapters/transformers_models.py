"""Audio networks of Hugging Face transformers as models: wav2vec 2.0, HuBERT, the encoder of Whisper, AST."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from audiometamer.errors import AudioMetamerError, first_few, one_line
from audiometamer.io.label_files import disambiguated
from audiometamer.models.adapters.packages import imported
from audiometamer.models.adapters.resampled import resampled
from audiometamer.models.adapters.transformers_families import FAMILIES, Network
from audiometamer.models.checkpoints import BARE, read_checkpoint
from audiometamer.models.model import Model
from audiometamer.models.model_folder import load_state
from audiometamer.models.state_dicts import network_state

_CLASSIFIERS = ("ForAudioClassification", "ForSequenceClassification")


def load(name: str, *, duration: float = 2.0, sample_rate: int | None = None) -> Model:
    """A pretrained network from a folder or from the Hugging Face Hub; transformers downloads it once and caches it.

    A head that classifies or transcribes is loaded with it. Of a Whisper that transcribes, only the encoder is used.

    Parameters
    ----------
    name : str
        ``facebook/wav2vec2-base-960h``, ``openai/whisper-tiny.en``, ``MIT/ast-finetuned-audioset-10-10-0.4593``, or a folder.
    duration, sample_rate
        See `wrap`.

    Returns
    -------
    Model
        The model, in float32.

    Raises
    ------
    AudioMetamerError
        If transformers is not installed, or cannot find, download or read the network; if its architecture is not supported; or
        if weights are missing.
    """
    from safetensors import SafetensorError

    transformers = imported("transformers", extra="speech")
    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        if config.model_type not in FAMILIES:
            raise AudioMetamerError(f"{name} is of type {config.model_type!r}; audiometamer supports {', '.join(FAMILIES)}")
        architecture = (config.architectures or [""])[0]
        classifies, transcribes = architecture.endswith(_CLASSIFIERS), architecture.endswith("ForCTC")
        kind = "AutoModelForAudioClassification" if classifies else "AutoModelForCTC" if transcribes else "AutoModel"
        extractor = transformers.AutoFeatureExtractor.from_pretrained(name, trust_remote_code=False)
        with _quiet(transformers.logging):
            network, report = getattr(transformers, kind).from_pretrained(
                name,
                config=config,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                weights_only=True,
                trust_remote_code=False,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise AudioMetamerError(f"transformers cannot load {name!r}: {one_line(error)}") from error
    # Spectra are masked in training only.
    if missing := sorted(key for key in report["missing_keys"] if not key.endswith("masked_spec_embed")):
        found = _weights_in(Path(name))
        if found is None or 2 * len(missing) < len(network.state_dict()):
            raise AudioMetamerError(f"{name} lacks {len(missing)} weights of a {type(network).__name__}: {first_few(missing)}")
        load_state(network, *network_state(read_checkpoint(found, way_out=BARE), network.state_dict(), found))
    elif wrong := sorted(key for key, *_ in report["mismatched_keys"]):
        raise AudioMetamerError(f"{name} does not fit {type(network).__name__}: of another shape: {first_few(wrong)}")
    network = network.get_encoder() if config.model_type == "whisper" and kind == "AutoModel" else network
    network.float().eval().requires_grad_(False)
    return wrap(network, extractor, duration=duration, sample_rate=sample_rate, name=name.rstrip("/").split("/")[-1])


def _weights_in(folder: Path) -> Path | None:
    """The weight file in a folder, unless it is sharded; transformers ignores prefixes such as ``module.``."""
    files = [folder / name for name in ("model.safetensors", "pytorch_model.bin")]
    return next((file for file in files if file.is_file()), None)


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Suppress transformers' tables of tensors that do not fit: our error says it in a line."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def wrap(
    network: Any, extractor: Any, *, duration: float = 2.0, sample_rate: int | None = None, name: str | None = None
) -> Model:
    """A model of a transformers network and its feature extractor, which is computed in torch, so that it can be differentiated.

    Layers: ``front_end`` unless the network takes waveforms; ``conv0``, …, ``projection``, ``embedded`` (with positions),
    ``layer0``, …, ``normalized``, ``projector``, ``classifier``, ``lm_head``, as far as the network has them.

    Parameters
    ----------
    network : PreTrainedModel
        A network of type wav2vec2, hubert, whisper (its encoder, or an audio classifier) or audio-spectrogram-transformer; in
        eval mode, without trainable parameters.
    extractor : FeatureExtractor
        The extractor that it was trained with. Those of Whisper and AST pad sounds to their window, usually 30 and 10 s; with
        shorter sounds, much of every layer is the same for all sounds, and null distributions are high.
    duration : float
        Duration in seconds. Default 2.
    sample_rate : int, optional
        Sample rate of the sounds in Hz. Default: the extractor's.
    name : str, optional
        Name of the model. Default: the network's class.

    Raises
    ------
    AudioMetamerError
        If the network is of another type; see also `Model`.
    """
    if (kind := network.config.model_type) not in FAMILIES:
        raise AudioMetamerError(f"the network is of type {kind!r}; audiometamer supports {', '.join(FAMILIES)}")
    family, id2label = FAMILIES[kind], network.config.id2label
    model = Model(
        Network(network, family.layers),
        front_end=family.front_end(extractor),
        sample_rate=extractor.sampling_rate,
        duration=duration,
        labels={"class": disambiguated([id2label[i] for i in sorted(id2label)])}
        if type(network).__name__.endswith(_CLASSIFIERS)
        else None,
        domain=family.domain,
        name=name or type(network).__name__,
    )
    return resampled(model, sample_rate)
