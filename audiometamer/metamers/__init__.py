"""Clips × layers → metamers, with their evidence, saved and read back."""

from audiometamer.metamers.evidence import Evidence
from audiometamer.metamers.synthesis import Metamer, iterate_metamers, synthesize
from audiometamer.metamers.targets import GivenTarget

__all__ = ["Evidence", "GivenTarget", "Metamer", "iterate_metamers", "synthesize"]
