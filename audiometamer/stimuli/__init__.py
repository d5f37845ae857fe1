"""Stimulus sets: what an experiment or another laboratory takes as it is."""
