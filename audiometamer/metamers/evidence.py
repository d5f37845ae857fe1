"""What is known of one metamer: everything needed to make it again, and everything that shows it is one."""

import platform

import msgspec
import torch

from audiometamer.metamers.settings import Settings
from audiometamer.metamers.verdicts import Verdict
from audiometamer.signals.audio import ClipSource
from audiometamer.version import __version__


class AttemptRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One attempt at a metamer: how, from which noise, how far it came, its loss on the way.

    Parameters
    ----------
    attempt : str
        Its name in the method.
    start_seed : int or None
        Seed of the noise it began from; None if it continued an earlier attempt.
    steps : int
    outcome : str
    snr_db : float or None
        At the wanted layer; None is infinite.
    loss_steps, losses : list
    continues : int or None
        The attempt whose signal it continued, from 0; None if it began from noise, and in records of version 0.1.
    layer : str or None
        The layer that it matched in the place of the wanted one.
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
        Layer to metric to value, at every layer that the model lists, not only the matched one. An infinite SNR is None.
    tries : list of Try
    kept : int
        Which of them gave the signal, from 0.
    seconds : float
        Of synthesis; a batch's time is shared equally among its signals.
    rms, peak : float
        Of the signal.
    sample_rate : int or None
        Hz; None for what is not a sound.
    clip_notices : list of str
    device, dtype : str
    versions : dict of str to str
    tf32, compiled : bool
        How the steps were computed; see `synthesize`.
    domain : str
        What the signal is: ``Waveform``, ``Image``, or another class of `audiometamer.matching.domains`.
    probabilities : dict of str to list
        By task: the probability of the clip's label, and that of the metamer's.
    classes : dict of str to int
        By task: the number of labels that the network chooses from.
    limits : list of str
        Limits stated in the model's card.
    judged_by : str or None
        SHA-256 of the null distribution and the labels that the verdict is based on; see
        `audiometamer.metamers.criteria.judge_sha256`.
        None in records of version 0.1.
    earlier_verdicts : list of Judged
        Verdicts by earlier null distributions or labels, oldest first.
    source : ClipSource or None
        The file that the clip was read from, and which part of it; None if it was given as samples or activations.
    signal_sha256, original_sha256 : str
        SHA-256 of the files of the signal and of the original, or given target, beside it. Empty until it is saved, and in
        records of version 0.2 and earlier.
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
    domain: str = "Waveform"
    probabilities: dict[str, tuple[float, float]] = {}
    classes: dict[str, int] = {}
    limits: list[str] = []
    judged_by: str | None = None
    earlier_verdicts: list[EarlierVerdict] = []
    source: ClipSource | None = None
    signal_sha256: str = ""
    original_sha256: str = ""


def versions() -> dict[str, str]:
    """Of audiometamer and of what it computes with."""
    return {"audiometamer": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
