"""The numbers of a comparison with listeners, and the tables that hold them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.evaluation.confusion_measures import MEASURES
from audiometamer.io import tables

HEARD, QUIET = "masker", "quiet"
CORRELATION = "accuracy_correlation"


class ConfusionRow(msgspec.Struct, frozen=True):
    """One number of ``confusions.tsv``; fields that do not apply are empty or NaN.

    Parameters
    ----------
    network, task : str
    measure : str
        One of `audiometamer.evaluation.confusion_measures`, or as `compare_confusions` describes.
    value, low, high : float
        Mean over tokens and its 95 % interval; all tokens of a word are drawn together.
    tokens, words : int
        Numbers of tokens, and of different target words.
    presentation : str
        ``masker``: the network heard what the listeners heard; ``quiet``: it heard the word alone, and is compared with listeners
        who heard it in its masker.
    masker : str
        The masker of the tokens; empty: all.
    snr : float
        Their signal-to-noise ratio, rounded to 1 dB; NaN: all.
    chance, chance_low, chance_high, p : float
        Mean and 95 % interval of the value when the network's answers are permuted among the tokens of the same masker, and the
        one-sided probability of a value as good as this.
    listeners : float
        What half of the listeners reach in predicting the other half.
    """

    network: str
    task: str
    measure: str
    value: float
    tokens: int
    words: int
    presentation: str = ""
    masker: str = ""
    snr: float = math.nan
    low: float = math.nan
    high: float = math.nan
    chance: float = math.nan
    chance_low: float = math.nan
    chance_high: float = math.nan
    p: float = math.nan
    listeners: float = math.nan


@dataclass(frozen=True)
class NetworkConfusions:
    """A network against listeners.

    Parameters
    ----------
    network, task : str
    rows : list of ConfusionRow
        Everything in numbers.
    tokens : list of dict
        What the network answered to each token, with the columns `TOKEN_COLUMNS`.
    """

    network: str
    task: str
    rows: list[ConfusionRow]
    tokens: list[dict[str, Any]]

    def row(self, measure: str, presentation: str = "") -> ConfusionRow | None:
        """The row of a measure over all maskers and SNRs; None if there is none."""
        for row in self.rows:
            if (row.measure, row.presentation, row.masker) == (measure, presentation, ""):
                return row
        return None


COLUMNS = (
    "network", "task", "presentation", "measure", "masker", "snr", "value", "low", "high", "chance", "chance_low", "chance_high",
    "p", "listeners", "tokens", "words",
)  # fmt: skip
TOKEN_COLUMNS = (
    "token", "talker", "masker", "snr", "target", "confusion", "listeners", "listeners_right", "answer", "p_target",
    "p_confusion", *MEASURES, "quiet_answer",
)  # fmt: skip


def write_confusions(found: Iterable[NetworkConfusions], path: Path) -> None:
    """Write the numbers of all networks as one table, tab-separated if the suffix is ``.tsv``."""
    rows = (msgspec.structs.asdict(row) for network in found for row in network.rows)
    tables.write_table(path, COLUMNS, rows)


def write_tokens(found: NetworkConfusions, path: Path) -> None:
    """Write what a network answered to each token."""
    tables.write_table(path, TOKEN_COLUMNS, found.tokens)
