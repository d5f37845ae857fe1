"""Adaptive psychophysical procedures.

What comes next is a function of settings, seed and the answers so far: keep the answers, and a crash loses nothing.
"""

from audiometamer.psychophysics.bayes import QuestPlus, psi
from audiometamer.psychophysics.interleaving import InterleavedTrial, Interleaving, NextTrial
from audiometamer.psychophysics.levels import LevelSpacing, spaced_levels
from audiometamer.psychophysics.protocol import DEFAULT_TARGET, ThresholdEstimate, Procedure, AdaptiveTrial
from audiometamer.psychophysics.staircases import Staircase, weighted_staircase
from audiometamer.psychophysics.tasks import (
    DECISION_RULES,
    DECISION_MODELS,
    DecisionModel,
    d_prime,
    decision_model_for,
    proportion_correct,
)

__all__ = [
    "Answer", "DECISIONS", "Estimate", "Interleaving", "Procedure", "QuestPlus", "Spacing", "Staircase", "TARGET", "TASKS",
    "Task", "Trial", "Turn", "d_prime", "grid", "model_of", "proportion_correct", "psi", "weighted",
]  # fmt: skip
