"""What is said of a metamer, without what it takes to say it: reading a set's records needs no torch."""

import msgspec


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a metamer passes: beyond the null on every metric at the matched layer, and the same label as the clip.

    A model without labels, or a target without a clip, is judged by the null distribution alone; `labels` is empty then.
    Where random pairs already reach a metric's ceiling (ρ = 1 at a layer of a few units), the metamer must reach it as well.

    Parameters
    ----------
    passed : bool or None
        None if there is no null distribution and the labels are the same.
    beyond_null : dict of str to bool
        By metric; empty without a null distribution.
    margin : dict of str to float
        Metric minus the largest value of the null.
    labels : dict of str to list
        By task: the clip's and the metamer's.
    """

    passed: bool | None
    beyond_null: dict[str, bool]
    margin: dict[str, float]
    labels: dict[str, tuple[str, str]]


def verdict_word(passed: bool | None) -> str:
    """``passed``, ``failed``, or ``no verdict`` where there was nothing to judge by."""
    return {True: "passed", False: "failed", None: "no verdict"}[passed]
