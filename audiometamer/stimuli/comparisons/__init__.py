"""Sets of sounds that tell models apart: planned, made by the queue of all sets, scored as written, and indexed."""
