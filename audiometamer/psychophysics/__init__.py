"""Adaptive psychophysical procedures.

What comes next is a function of settings, seed and the answers so far: keep the answers, and a crash loses nothing.
"""

from audiometamer.psychophysics.bayes import QuestPlus, psi
from audiometamer.psychophysics.interleaving import Answer, Interleaving, Turn
from audiometamer.psychophysics.levels import Spacing, grid
from audiometamer.psychophysics.protocol import TARGET, Estimate, Procedure, Trial
from audiometamer.psychophysics.staircases import Staircase, weighted
from audiometamer.psychophysics.tasks import DECISIONS, TASKS, Task, d_prime, model_of, proportion_correct

__all__ = [
    "Answer", "DECISIONS", "Estimate", "Interleaving", "Procedure", "QuestPlus", "Spacing", "Staircase", "TARGET", "TASKS",
    "Task", "Trial", "Turn", "d_prime", "grid", "model_of", "proportion_correct", "psi", "weighted",
]  # fmt: skip
