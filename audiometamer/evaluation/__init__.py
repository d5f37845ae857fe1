"""Who recognises whose metamers: one table, and pictures of it; attacks."""

from audiometamer.evaluation.evaluate import evaluate
from audiometamer.evaluation.pictures import draw_pictures
from audiometamer.evaluation.table import Row, read_table, write_table

__all__ = ["Row", "draw_pictures", "evaluate", "read_table", "write_table"]
