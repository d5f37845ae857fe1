"""Clips × layers → metamers, with their evidence, saved and read back."""
