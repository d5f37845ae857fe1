"""Verdicts on metamers. Without torch, which reading the records of a set does not need."""

import msgspec


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a metamer passes: beyond the null on every metric at the matched layer, with the same label as the clip.

    Without labels of the model, or without a clip, the null distribution alone decides and `labels` is empty.
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
    """

    passed: bool | None
    beyond_null: dict[str, bool]
    margin: dict[str, float]
    labels: dict[str, tuple[str, str]]


def verdict_word(passed: bool | None) -> str:
    """``passed``, ``failed``, or ``no verdict`` where there was nothing to judge by."""
    return {True: "passed", False: "failed", None: "no verdict"}[passed]
