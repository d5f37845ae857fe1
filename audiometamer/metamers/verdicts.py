"""Verdicts on metamers. Without torch, which reading the records of a set does not need."""

from collections.abc import Mapping

import msgspec

PAIRS = 1_000_000  # random ones of a null distribution, at least, if there are enough sounds
KEPT_DB, HALT_DB = 20.0, 30.0
_MOST_DB = 100.0  # stands for an infinite SNR in averages


class ClassMatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How well a class of statistics is matched: SNR in dB (None is infinite), and RMS error, for targets near zero."""

    snr_db: float | None
    rms_error: float


def average_db(classes: Mapping[str, ClassMatch]) -> float:
    """Mean SNR over classes in dB; of a perfect one 100 dB count."""
    values = [_MOST_DB if match.snr_db is None else min(match.snr_db, _MOST_DB) for match in classes.values()]
    return sum(values) / len(values)


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whether a metamer passes: beyond the null on every metric at the matched layer, with the same label as the clip.

    Without labels of the model, or without a clip, the null distribution alone decides and `labels` is empty.
    Statistics of textures pass if the SNR is at least 20 dB in the average over their classes, as the sounds of McDermott &
    Simoncelli (2011) that were kept.
    Where random pairs already reach a metric's ceiling (ρ = 1 at a layer of a few units), the metamer must reach it too.

    Parameters
    ----------
    passed : bool or None
        None if there is no null distribution and the labels are the same.
    beyond_null : dict of str to bool
        Whether the similarity exceeds the null, by metric; empty without a null distribution.
    margin : dict of str to float
        Metric minus the largest value of the null.
    labels : dict of str to list
        Labels of the clip and of the metamer, by task.
    classes : dict of str to ClassMatch
        Match of each class of statistics; empty unless the model is one of statistics.
    """

    passed: bool | None
    beyond_null: dict[str, bool]
    margin: dict[str, float]
    labels: dict[str, tuple[str, str]]
    classes: dict[str, ClassMatch] = {}

    def with_classes(self, classes: Mapping[str, ClassMatch]) -> "Verdict":
        """The verdict on a signal whose classes of statistics match so; itself if there are none."""
        if not classes:
            return self
        passed = self.passed is not False and average_db(classes) >= KEPT_DB
        return msgspec.structs.replace(self, passed=passed, classes=dict(classes))

    @property
    def reached_halt(self) -> bool:
        """Whether every class of statistics has the 30 dB at which the published synthesis halts."""
        return bool(self.classes) and all(m.snr_db is None or m.snr_db >= HALT_DB for m in self.classes.values())


def verdict_word(passed: bool | None) -> str:
    """``passed``, ``failed``, or ``no verdict`` where there was nothing to judge by."""
    return {True: "passed", False: "failed", None: "no verdict"}[passed]
