"""Statistics: bootstrap, permutation, analysis of variance, contrasts, intervals, reliability."""
