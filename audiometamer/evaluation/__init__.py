"""Who recognises whose metamers: one table and its figures."""

from audiometamer.evaluation.evaluate import evaluate
from audiometamer.evaluation.figures import draw_figures
from audiometamer.evaluation.table import EvaluationRow, read_table, write_table

__all__ = ["EvaluationRow", "draw_figures", "evaluate", "read_table", "write_table"]
