"""Read metamers from a folder."""

import os
from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.integrity import check_integrity
from audiometamer.metamers.layout import checkpoint_path, record_path
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.results import Result, read_result
from audiometamer.metamers.saving import evidence_from_result
from audiometamer.metamers.settings import Settings
from audiometamer.metamers.targets import GivenTarget, read_target
from audiometamer.metamers.unfinished import can_resume
from audiometamer.models.shipped import name_of_weights
from audiometamer.signals.audio import Clip
from audiometamer.signals.files import read_signal


def load_metamer(path: str | os.PathLike[str]) -> Metamer:
    """Read a metamer with its clip and its evidence.

    >>> import audiometamer as am
    >>> model, clip = am.load_model("cochcnn-word"), am.read_clip("speech.wav")
    >>> (metamer,) = am.synthesize(model, clip, "relu2")
    >>> path = metamer.save("metamers")
    >>> again = am.load_metamer(path)
    >>> again.evidence.settings == metamer.evidence.settings
    True

    Parameters
    ----------
    path : path
        Its signal or the JSON record beside it; written by `Metamer.save`, ``audiometamer synth``, or ``audiometamer run``.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or its signal or its original is not that of its record.
    """
    at = Path(path)
    if at.is_dir():
        raise AudioMetamerError(f"{at} is a folder; name the signal of one metamer, or its record")
    if not at.exists():
        raise AudioMetamerError(f"{at} does not exist")
    return metamer_from_result(read_result(at))


def metamer_from_result(result: Result) -> Metamer:
    """Read a metamer in a folder, with its signal and its original.

    Raises
    ------
    AudioMetamerError
        If something cannot be read, or its signal or its original is not that of its record.
    """
    check_integrity(result)
    evidence, original = evidence_from_result(result), result.folder / result.original
    name, notices = evidence.settings.clip, tuple(evidence.clip_notices)
    clip: Clip | GivenTarget
    if result.has_clip:
        clip = Clip(name, read_signal(original), evidence.sample_rate, notices, evidence.source)
    else:
        clip = GivenTarget(name, read_target(original).activations, notices)
    return Metamer(read_signal(result.path), clip, evidence)


def find_metamer(out: Path, settings: Settings) -> Metamer | None:
    """Read the metamer of these settings in `out`; None if there is none.

    Raises
    ------
    BrokenError
        If it is damaged: it counts as not made.
    AudioMetamerError
        If one of the same name but other settings is there: nothing is overwritten unasked. As `metamer_from_result`.
    """
    record = record_path(out, settings)
    if not record.exists():
        return None
    result = read_result(record, whole=True)
    found = result.evidence.settings
    if found != settings:
        differing = [name for name in Settings.__struct_fields__ if getattr(found, name) != getattr(settings, name)]
        now = name_of_weights(found.weights_sha256) if "weights_sha256" in differing else None
        whose = f" (the weights are those of {now})" if now else ""
        raise AudioMetamerError(
            f"{result.path} exists and was made with different settings ({', '.join(differing)}){whose}; choose another --out, "
            "or --overwrite it"
        )
    return metamer_from_result(result)


def has_attempts_left(out: Path, evidence: Evidence) -> bool:
    """Whether a finished metamer of `out` failed a new verdict, and its method has attempts left for it."""
    settings = evidence.settings
    return evidence.verdict.passed is False and can_resume(
        checkpoint_path(out, settings), seed=settings.seed, attempts=len(evidence.tries)
    )
