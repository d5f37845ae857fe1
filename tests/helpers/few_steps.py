"""Syntheses of one attempt of five steps, by default: ``python few_steps.py SCRIPT [ARGUMENT ...]`` runs a script with them."""

import runpy
import sys
from dataclasses import replace
from functools import partial

import audiometamer as am
from audiometamer.metamers.methods import METHODS

synthesize = partial(am.synthesize, steps=5, method=replace(METHODS["default"], attempts=METHODS["default"].attempts[:1]))

if __name__ == "__main__":
    am.synthesize = synthesize
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
