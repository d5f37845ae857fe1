"""A small experiment, built once, for the commands that take one."""

from experiment_fixtures import experiment, folder, own

__all__ = ["experiment", "folder", "own"]
