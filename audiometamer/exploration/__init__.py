"""Adaptive exploration: how far can a signal be moved along a dimension before a listener notices (Kamao et al. 2025)?"""
