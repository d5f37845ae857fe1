"""Who recognises whose metamers, and who hears what listeners hear: tables and figures."""

from audiometamer.evaluation.confusion_corpus import read_corpus
from audiometamer.evaluation.confusion_figure import draw_confusions
from audiometamer.evaluation.confusion_table import ConfusionRow, NetworkConfusions, write_confusions, write_tokens
from audiometamer.evaluation.confusions import compare_confusions
from audiometamer.evaluation.evaluate import evaluate
from audiometamer.evaluation.figures import draw_figures
from audiometamer.evaluation.table import EvaluationRow, read_table, write_table

__all__ = [
    "ConfusionRow",
    "EvaluationRow",
    "NetworkConfusions",
    "compare_confusions",
    "draw_confusions",
    "draw_figures",
    "evaluate",
    "read_corpus",
    "read_table",
    "write_confusions",
    "write_table",
    "write_tokens",
]
