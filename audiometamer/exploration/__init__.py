"""Adaptive exploration (Kamao et al. 2025): how far can a signal be moved along a dimension before a listener notices?"""
