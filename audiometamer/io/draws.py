"""Names and random numbers that follow from a private key: nobody without it can compute them, whatever else they know."""

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import write_private
from audiometamer.io.reading import read_file_bytes

_BYTES = 32
_KEY = re.compile(r"[0-9a-f]{32,1024}")  # 128 bits or more
_LETTERS, _DIGITS = "bcdfghjkmnpqrstvwxz", "23456789"  # no vowels, which make words, and none that is taken for another


@dataclass(frozen=True)
class Draws:
    """The draws of an experiment or an export: the same for the same seed and key.

    Parameters
    ----------
    seed : int
        Random seed.
    key : bytes or None
        Private key. None: everything follows from the seed alone, as in experiments that were built before there were keys.
    """

    seed: int
    key: bytes | None = field(repr=False)

    def name(self, sound: str) -> str:
        """A name that tells nothing, from one that tells what a sound is.

        The same for the same sound, whatever else is named, so that no name ever means two sounds. It begins with a letter:
        programs take names that look like numbers (``2e345678``) for numbers.
        """
        unkeyed = hashlib.sha256(f"{self.seed} {sound}".encode()).digest()
        rest = int.from_bytes(unkeyed if self.key is None else self._digest(f"name {sound}"))
        name = ""
        for letters in (_LETTERS, *[_LETTERS + _DIGITS] * 9):
            rest, k = divmod(rest, len(letters))
            name += letters[k]
        return name

    def generator(self, *purpose: int) -> np.random.Generator:
        """A generator for one purpose, independent of those for others."""
        return np.random.default_rng([self.seed, *purpose] if self.key is None else self._number(*purpose))

    def subseed(self, *purpose: int) -> int:
        """A seed, where one is asked for in place of a generator."""
        return int(self.generator(*purpose).integers(2**31)) if self.key is None else self._number(*purpose)

    def _number(self, *purpose: int) -> int:
        return int.from_bytes(self._digest(f"numbers {' '.join(map(str, purpose))}"))

    def _digest(self, what: str) -> bytes:
        assert self.key is not None
        return hmac.new(self.key, f"{self.seed} {what}".encode(), hashlib.sha256).digest()


def keyed_draws(seed: int, key_file: Path | None) -> Draws:
    """Draws by the key in a file, or by a fresh one."""
    return Draws(seed, secrets.token_bytes(_BYTES) if key_file is None else read_key(key_file))


def read_key(path: Path) -> bytes:
    """A private key that `write_key` wrote.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, or is no key of 128 bits or more.
    """
    try:
        text = read_file_bytes(path).decode("ascii", errors="replace").strip().lower()
    except OSError as error:
        raise AudioMetamerError(f"{path} cannot be read as a key: {error.strerror}") from error
    if not _KEY.fullmatch(text) or len(text) % 2:
        raise AudioMetamerError(
            f"{path} is no key: it must hold 32 or more hexadecimal digits, as names.key of an experiment does"
        )
    return bytes.fromhex(text)


def write_key(path: Path, draws: Draws) -> None:
    """Write the key of draws into a file that only its owner can read."""
    assert draws.key is not None
    write_private(path, draws.key.hex() + "\n")


def equalize_mtimes(files: Iterable[Path]) -> None:
    """Give all files one date, so that it does not show in what order they were written."""
    now = time.time()
    for path in files:
        os.utime(path, (now, now))
