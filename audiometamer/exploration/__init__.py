"""Adaptive exploration: how far a signal can be moved along a dimension of a network before a listener notices."""
