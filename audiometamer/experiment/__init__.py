"""Experiments: recognition, sounds that tell models apart, scales of differences; design, building, packing, analysis."""
