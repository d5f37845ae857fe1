"""Recognition experiments: design, building, packing, analysis."""
