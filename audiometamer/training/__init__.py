"""Training of networks: data sets, mixing, adversaries, the loop, tests of accuracy."""
