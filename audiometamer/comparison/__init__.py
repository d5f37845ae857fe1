"""Sounds that tell models apart: MAD competition, controversial and most discriminative sounds, metamers far apart."""
