"""Stimulus sets: plans of thousands of metamers, made on one machine or many; selection, verification, export."""
