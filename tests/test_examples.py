"""Every example runs as it stands."""

import subprocess
import sys
from pathlib import Path

import pytest

HELPERS = Path(__file__).parent / "helpers"
QUICK = {"graph_metamers": ["--quick"], "textures": ["--quick"]}  # by example, what makes it short
FEW_STEPS = {"image_metamers", "own_clip", "speech_models"}  # which have no such option
EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example(tmp_path, example):
    runner = [str(HELPERS / "few_steps.py")] if example.stem in FEW_STEPS else []
    command = [sys.executable, *runner, str(example), *QUICK.get(example.stem, [])]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_there_are_examples():
    assert len(EXAMPLES) == 11
