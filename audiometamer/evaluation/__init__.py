"""Who recognises whose metamers, what these keep of their clips, and who hears what listeners hear: tables and figures."""

from audiometamer.evaluation.confusion_corpus import read_corpus
from audiometamer.evaluation.confusion_figure import draw_confusions
from audiometamer.evaluation.confusion_table import ConfusionRow, NetworkConfusions, write_confusions, write_tokens
from audiometamer.evaluation.confusions import compare_confusions
from audiometamer.evaluation.evaluate import evaluate
from audiometamer.evaluation.figures import draw_figures
from audiometamer.evaluation.likeness import LikenessDifference, Measure, compare_likeness, measure_likeness
from audiometamer.evaluation.method_check import Drift, check_method
from audiometamer.evaluation.table import EvaluationRow, read_table, write_table

__all__ = [
    "ConfusionRow",
    "Drift",
    "EvaluationRow",
    "LikenessDifference",
    "Measure",
    "NetworkConfusions",
    "check_method",
    "compare_confusions",
    "compare_likeness",
    "draw_confusions",
    "draw_figures",
    "evaluate",
    "measure_likeness",
    "read_corpus",
    "read_table",
    "write_confusions",
    "write_table",
    "write_tokens",
]
