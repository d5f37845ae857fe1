"""Psychophysics: adaptive procedures, decision models of listening tasks, psychometric functions, and difference scaling.

Staircases, QUEST+ and Psi choose the level of the next trial; `Interleaving` runs several of them in random order. All are pure
functions of settings, seed and the trials so far: whoever stores the trials can resume after a crash. Decision models relate
sensitivity d′ to the proportion correct in a task. Psychometric functions and
scales of differences are fitted by maximum likelihood.
"""

from audiometamer.psychophysics.bayes import QuestPlus, psi
from audiometamer.psychophysics.difference_scaling import (
    DifferenceScale,
    ProbitScale,
    all_quadruples,
    all_triads,
    difference_matrix,
    fit_difference_scale,
    fit_difference_scale_glm,
    fit_difference_scale_least_squares,
    simulate_answers,
)
from audiometamer.psychophysics.interleaving import InterleavedTrial, Interleaving, NextTrial
from audiometamer.psychophysics.levels import LevelSpacing, spaced_levels
from audiometamer.psychophysics.protocol import DEFAULT_TARGET, AdaptiveTrial, Procedure, ThresholdEstimate
from audiometamer.psychophysics.psychometric import PsychometricFunction, fit_psychometric
from audiometamer.psychophysics.staircases import Staircase, weighted_staircase
from audiometamer.psychophysics.tasks import (
    DECISION_MODELS,
    DECISION_RULES,
    DecisionModel,
    d_prime,
    decision_model_for,
    proportion_correct,
)

__all__ = [
    "AdaptiveTrial", "DECISION_MODELS", "DECISION_RULES", "DEFAULT_TARGET", "DecisionModel", "DifferenceScale",
    "InterleavedTrial", "Interleaving", "LevelSpacing", "NextTrial", "ProbitScale", "Procedure", "PsychometricFunction",
    "QuestPlus", "Staircase", "ThresholdEstimate", "all_quadruples", "all_triads", "d_prime", "decision_model_for",
    "difference_matrix", "fit_difference_scale", "fit_difference_scale_glm", "fit_difference_scale_least_squares",
    "fit_psychometric", "proportion_correct", "psi", "simulate_answers", "spaced_levels", "weighted_staircase",
]  # fmt: skip
