"""Experiments on recognition, on sounds that tell models apart, and on scales of differences: design, building, packing, analysis."""
