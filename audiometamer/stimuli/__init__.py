"""Stimulus sets: plans of thousands of metamers, made on one machine or many; what an experiment takes as it is."""
