"""From the trial table of an exploration to thresholds, layers compared in physical units, and a map of sensitivity."""
