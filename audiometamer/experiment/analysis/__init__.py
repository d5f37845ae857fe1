"""From listeners' answers to proportions, intervals, tests and pictures."""
