"""A small experiment, built once, and what is made of it."""

from experiment_fixtures import *  # noqa: F403
