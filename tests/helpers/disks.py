"""Disks that are small or read-only, for a process alone: in mounts of its own, or where it may not mount, by its own limits."""

import ctypes
import os
import resource
from pathlib import Path

_NEWNS, _NEWUSER = 0x20000, 0x10000000
_READ_ONLY, _REMOUNT, _PRIVATE = 1, 32, 0x40000 | 0x4000
_FILE = 4000  # bytes: less than a sound of a quarter of a second, more than a plan
_CAPABILITIES = 0x20080522  # version 3 of the structure that capset takes
_DAC_OVERRIDE, _DAC_READ_SEARCH = 1 << 1, 1 << 2

_libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    """A folder that is a disk of its own; for a process that does nothing else afterwards.

    Parameters
    ----------
    folder : path
    small : bool
        64 KiB, or 64 MiB.
    """

    def __init__(self, folder: Path, *, small: bool = False) -> None:
        self.folder = folder
        folder.mkdir()
        self.mounted = _own_mounts() and _mount(folder, 0, "size=64k" if small else "size=64m")
        if small and not self.mounted:
            self._limit(_FILE)

    def _limit(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def grow(self) -> None:
        """There is space again."""
        if self.mounted:
            assert _mount(self.folder, _REMOUNT, "size=64m")
        else:
            self._limit(resource.RLIM_INFINITY)

    def make_read_only(self) -> None:
        """Nothing can be written any more."""
        if self.mounted:
            assert _mount(self.folder, _REMOUNT | _READ_ONLY, "")
            return
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o222)
        _obey_permissions()


def _own_mounts() -> bool:
    """Whether this process has mounts of its own now, that vanish with it."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_NEWNS | (_NEWUSER if user else 0)) != 0:
        return False
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return _libc.mount(None, b"/", None, _PRIVATE, None) == 0


def _mount(folder: Path, flags: int, options: str) -> bool:
    return _libc.mount(b"tmpfs", bytes(folder), b"tmpfs", flags, options.encode()) == 0


def _obey_permissions() -> None:
    """Give up what lets root write everywhere."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    sets = (ctypes.c_uint32 * 6)()
    assert _libc.capget(header, sets) == 0
    sets[0] &= ~(_DAC_OVERRIDE | _DAC_READ_SEARCH)
    assert _libc.capset(header, sets) == 0
