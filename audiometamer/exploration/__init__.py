"""Adaptive exploration: how far can a signal be moved along a dimension of a layer before a listener notices? (Kamao et al. 2025)"""
