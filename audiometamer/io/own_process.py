"""How this process waits and keeps memory, set before torch is imported; a program decides this, never a library."""

import ctypes
import os
import platform

_SPINS = "5000"  # a tenth of a ms; by default a thread waits so busily for others that all lose their time slices
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
_KEPT = 1 << 30  # bytes


def wait_idly() -> None:
    """Let threads of GNU OpenMP wait for each other with little spinning.

    Beside other work, threads that spin take the processor from the threads that they wait for. ``GOMP_SPINCOUNT`` and
    ``OMP_WAIT_POLICY``, if set, decide instead.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def keep_memory() -> bool:
    """Let glibc keep up to 1 GiB of freed memory, and each tensor of up to 1 GiB in it, unless the environment says otherwise.

    By default it returns large tensors to the system and takes them anew, zeroed page by page, in every step.

    Returns
    -------
    bool
        Whether it does; False with other C libraries, or if ``MALLOC_MMAP_THRESHOLD_`` or ``MALLOC_TRIM_THRESHOLD_`` is set.
    """
    if platform.libc_ver()[0] != "glibc" or {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & os.environ.keys():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_THRESHOLD, _KEPT)) and bool(mallopt(_TRIM_THRESHOLD, _KEPT))
