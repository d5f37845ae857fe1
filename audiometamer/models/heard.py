"""A model that hears through an ear: hearing loss or a vocoder before its front end, or another ear instead of it."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from audiometamer.cochleagram import Cochleagram
from audiometamer.ears.names import make_ear, split_spec
from audiometamer.errors import AudioMetamerError
from audiometamer.matching.domains import Waveform
from audiometamer.models.checking import check_model
from audiometamer.models.ear_front_end import EarFrontEnd
from audiometamer.models.model import Model

SEPARATOR = "~"  # between the name of a model and that of the ear it hears through
_DEVIATION = 0.1  # of the noise that a synthesis starts from, if the model sets no level


def through_ear(model: Model, ear: str) -> Model:
    """Let a model hear through an ear, by the ear's name.

    Parameters
    ----------
    model : Model
        A model of sounds; it is changed in place.
    ear : str
        Name of the ear, see `audiometamer.ears.make_ear`; or ``broadened:2``, the model's own cochleagram with filters twice as
        wide, which is as fast as without. Clips, which have the model's level, are heard at 65 dB SPL unless the
        name says otherwise (``msbg:N3/level=50``).

    Returns
    -------
    Model
        The model, called ``MODEL~EAR``, without the null distribution of the model without the ear. An ear that gives sound
        comes before the front end, and its output is the layer ``ear``; any other replaces the front end. A synthesis starts
        from noise at the model's level, which an impaired ear hears too.

    Raises
    ------
    AudioMetamerError
        If the model takes no sounds, there is no such ear, or the network cannot take what it gives.

    Examples
    --------
    >>> import audiometamer as am
    >>> am.load_model("cochcnn-digits~msbg:N3").layers[:3]
    ('ear', 'cochleagram', 'relu0')
    """
    if model.sample_rate is None:
        raise AudioMetamerError(f"{model.name} takes no sounds, so it cannot hear through the ear {ear}")
    kind, choice, options = split_spec(ear)
    if kind == "broadened":
        model.front_end = _broadened(model, choice, options)
    else:
        made = make_ear(ear, sample_rate=model.sample_rate, clip_level=model.level, channels=model.channels)
        gives_sound = getattr(made, "gives_sound", False)
        model.front_end = EarFrontEnd(made, model.front_end) if gives_sound else made
        if isinstance(model.domain, Waveform):  # the usual start, at −55 dB SPL, is not heard: it has no gradient
            model.domain = replace(model.domain, deviation=model.level or _DEVIATION)
    model.forget_calls()
    model.name = f"{model.name}{SEPARATOR}{ear}"
    if model.card is not None:  # what was measured without the ear does not hold with it
        model.card = msgspec.structs.replace(model.card, name=model.name, accuracy={}, accuracy_by_group={}, doubt={})
    model.folder = None
    if not isinstance(model.front_end, EarFrontEnd | Cochleagram):
        check_model(model, labels=model.labels, domain=model.domain)
    return model


def _broadened(model: Model, factor: str, options: Mapping[str, str]) -> Cochleagram:
    """The cochleagram of a model with broader filters."""
    if not isinstance(model.front_end, Cochleagram):
        raise AudioMetamerError(f"{model.name} has no cochleagram at its front, so no filters to broaden")
    try:
        number = float(factor)
    except ValueError:
        number = math.nan
    if options or not math.isfinite(number):
        raise AudioMetamerError(f"the ear broadened:{factor} must be broadened:FACTOR, such as broadened:2, without options")
    return model.front_end.with_broadening(number)


def split_ear(name: str) -> tuple[str, str] | None:
    """The names of model and ear in ``MODEL~EAR``; None if there is no ear, or another model after it, ``A~EAR+B``."""
    model, _, ear = name.rpartition(SEPARATOR)
    return (model, ear) if model and ear and "+" not in ear else None


def with_ear_beside(name: str, folder: Path) -> str:
    """``MODEL~EAR`` with the path of an audiogram taken relative to a folder, if it is there."""
    pair = split_ear(name)
    if pair is None:
        return name
    model, ear = pair
    kind, choice, options = split_spec(ear)
    if choice and (folder / choice).is_file():
        ear = "/".join([f"{kind}:{folder / choice}", *(f"{key}={value}" for key, value in options.items())])
    return f"{model}{SEPARATOR}{ear}"
