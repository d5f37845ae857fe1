"""Who recognises whose metamers: folders of metamers and networks → one table, and pictures of it."""

from audiometamer.evaluation.evaluate import evaluate
from audiometamer.evaluation.pictures import draw_pictures
from audiometamer.evaluation.table import Row, read_table, write_table

__all__ = ["Row", "draw_pictures", "evaluate", "read_table", "write_table"]
