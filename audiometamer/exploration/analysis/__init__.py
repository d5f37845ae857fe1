"""Analysis of an exploration: thresholds, layers compared in physical units, and a map of sensitivity."""
