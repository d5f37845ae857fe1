"""The evidence of a metamer: everything needed to make it again, and everything that shows it is one."""

import platform

import msgspec
import torch

from audiometamer.metamers.settings import Settings
from audiometamer.metamers.verdicts import Verdict
from audiometamer.signals.audio import ClipSource
from audiometamer.version import __version__


class AttemptRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt at a metamer: how it was made, from which noise, and its loss on the way.

    Parameters
    ----------
    attempt : str
        Name of the attempt in its method.
    start_seed : int or None
        Seed of the noise that it started from, unless an initial signal was given; None if it continued an earlier attempt.
    steps : int
        Number of steps taken.
    outcome : str
        ``finished``, or why it stopped early.
    snr_db : float or None
        SNR at the requested layer, in dB; None is infinite.
    loss_steps : list of int
        Steps at which the loss was recorded.
    losses : list of float
        The loss at those steps.
    continues : int or None
        Index of the attempt whose signal it continued; None if it started from noise, and in records of version 0.1.
    layer : str or None
        The layer that it matched in place of the requested one.
    comparisons : list of dict
        What a method measures beside its loss, at the last of the steps at which that was recorded: of matched histograms, as
        `audiometamer.networks.modulation.compare_moments` by group of filters. Empty unless it measures something.
    gradient_clip : float
        Factor on the largest derivative of the compression; see `audiometamer.metamers.Attempt`. Default 1.
    straight_through : bool
        Whether silent units that should be active counted as zero; see there. Default False.
    """

    attempt: str
    start_seed: int | None
    steps: int
    outcome: str
    snr_db: float | None
    loss_steps: list[int]
    losses: list[float]
    continues: int | None = None
    layer: str | None = None
    comparisons: list[dict[str, dict[str, list[float | None]]]] = []
    gradient_clip: float = 1.0
    straight_through: bool = False


class EarlierVerdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An earlier verdict, and the SHA-256 of what it was based on (None: not recorded)."""

    verdict: Verdict
    judged_by: str | None


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON beside each signal.

    Parameters
    ----------
    settings : Settings
    verdict : Verdict
    similarity : dict of str to dict of str to float
        Metric values by layer and metric, at every layer that the model lists, not only the matched one. An infinite SNR is None.
    tries : list of AttemptRecord
        All attempts.
    kept : int
        Index of the attempt whose signal was kept.
    seconds : float
        Duration of the synthesis; a batch's time is shared equally among its signals.
    rms, peak : float
        RMS and largest absolute value of the signal.
    sample_rate : int or None
        Sample rate in Hz; None unless the signal is a sound.
    clip_notices : list of str
        Changes to the clip on reading, and doubts about it.
    device, dtype : str
        Device and precision of the computation.
    versions : dict of str to str
        Versions of audiometamer, torch and Python.
    tf32, compiled, captured : bool
        How the steps were computed; see `synthesize`.
    domain : str
        What the signal is: ``Waveform`` (saved as a WAV), ``Image`` (a PNG), or the name of the domain's class (an array).
    probabilities : dict of str to tuple of float
        Probability of the clip's label and of the metamer's, by task.
    classes : dict of str to int
        Number of labels that the network chooses from, by task.
    limits : list of str
        Limits stated in the model's card.
    judged_by : str or None
        SHA-256 of the null distribution and the labels that the verdict is based on, as of
        `audiometamer.metamers.criteria.judge_sha256`; None in records of version 0.1.
    earlier_verdicts : list of EarlierVerdict
        Verdicts by earlier null distributions or labels, oldest first.
    source : ClipSource or None
        The file that the clip was read from, and which part of it; None if it was given as samples or activations.
    path : str
        The attempts that led to the signal; see `audiometamer.metamers.summaries.path_of`. Empty in earlier records.
    signal_sha256, original_sha256 : str
        SHA-256 of the files of the signal and of the original, or given target. Empty until it is saved, and in records of
        version 0.2 and earlier.
    """

    settings: Settings
    verdict: Verdict
    similarity: dict[str, dict[str, float | None]]
    tries: list[AttemptRecord]
    kept: int
    seconds: float
    rms: float
    peak: float
    sample_rate: int | None
    clip_notices: list[str]
    device: str
    dtype: str
    versions: dict[str, str]
    tf32: bool = False
    compiled: bool = False
    captured: bool = False
    domain: str = "Waveform"
    probabilities: dict[str, tuple[float, float]] = {}
    classes: dict[str, int] = {}
    limits: list[str] = []
    judged_by: str | None = None
    earlier_verdicts: list[EarlierVerdict] = []
    source: ClipSource | None = None
    path: str = ""
    signal_sha256: str = ""
    original_sha256: str = ""


def versions() -> dict[str, str]:
    """Versions of audiometamer, torch and Python."""
    return {"audiometamer": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
