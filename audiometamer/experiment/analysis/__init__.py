"""Analysis of recognition experiments: exclusions, proportions correct with intervals, tests, figures."""
