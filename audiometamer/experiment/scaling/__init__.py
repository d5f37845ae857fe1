"""Experiments on which of two pairs of sounds of a path differs more: design, building, observers, analysis."""
