"""Memory is kept and threads wait idly in processes that say so, and the user's environment decides."""

import os
import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from audiometamer.io.own_process import keep_memory, wait_idly
kept = sys.argv[1] == "keep" and keep_memory()
for k in range(12):
    np.ones(8_000_000)  # 64 MB
    if k == 3:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
GLIBC = platform.libc_ver()[0] == "glibc"


def ran(program, *arguments, **environment):
    cleared = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "OMP_", "GOMP_"))}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=cleared | environment, capture_output=True, text=True, check=True).stdout.split()


def test_large_arrays_are_taken_from_the_system_once():
    kept, faults = ran(FAULTS, "keep")
    assert kept == str(GLIBC)
    assert int(faults) < 4000 or not GLIBC  # an array has 15,625 pages of 4 kB
    assert int(ran(FAULTS, "not")[1]) > 8 * int(faults)


@pytest.mark.parametrize("name", ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"])
def test_the_environment_decides_on_memory(name):
    assert ran(FAULTS, "keep", **{name: "65536"})[0] == "False"


def test_the_environment_decides_on_waiting():
    program = "import os; from audiometamer.io.own_process import wait_idly; wait_idly(); print(os.environ.get('GOMP_SPINCOUNT'))"
    assert ran(program) == ["5000"]
    assert ran(program, GOMP_SPINCOUNT="7") == ["7"]
    assert ran(program, OMP_WAIT_POLICY="ACTIVE") == ["None"]
