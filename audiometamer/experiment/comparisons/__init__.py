"""Listening tests of sounds that tell models apart: design, building, simulated listeners, and the ranking of the models."""
