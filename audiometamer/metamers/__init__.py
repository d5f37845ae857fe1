"""Clips × layers → metamers, with their evidence, saved and read back."""

from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.synthesis import Metamer, iterate_metamers, synthesize

__all__ = ["Evidence", "Metamer", "iterate_metamers", "synthesize"]
