"""Names and random numbers derived from a private key: nobody without the key can compute them."""

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
_KEY = re.compile(r"[0-9a-f]{32,1024}")  # at least 128 bits
_LETTERS, _DIGITS = "bcdfghjkmnpqrstvwxz", "23456789"  # no vowels, which make words, and no look-alikes


@dataclass(frozen=True)
class Draws:
    """Random draws of an experiment or an export: the same for the same seed and key.

    Parameters
    ----------
    seed : int
        Random seed.
    key : bytes or None
        Private key. None: everything follows from the seed alone, as in experiments built before keys existed.
    """

    seed: int
    key: bytes | None = field(repr=False)

    def name(self, sound: str) -> str:
        """A meaningless name for a sound whose own name says what it is.

        It depends on the sound alone, so that no name ever means two sounds. It begins with a letter, because programs read
        names such as ``2e345678`` as numbers.
        """
        unkeyed = hashlib.sha256(f"{self.seed} {sound}".encode()).digest()
        rest = int.from_bytes(unkeyed if self.key is None else self._digest(f"name {sound}"))
        name = ""
        for letters in (_LETTERS, *[_LETTERS + _DIGITS] * 9):
            rest, k = divmod(rest, len(letters))
            name += letters[k]
        return name

    def generator(self, *purpose: int) -> np.random.Generator:
        """A generator for one purpose, independent of all others."""
        return np.random.default_rng([self.seed, *purpose] if self.key is None else self._number(*purpose))

    def subseed(self, *purpose: int) -> int:
        """A seed for one purpose, where a generator cannot be passed."""
        return int(self.generator(*purpose).integers(2**31)) if self.key is None else self._number(*purpose)

    def _number(self, *purpose: int) -> int:
        return int.from_bytes(self._digest(f"numbers {' '.join(map(str, purpose))}"))

    def _digest(self, what: str) -> bytes:
        assert self.key is not None
        return hmac.new(self.key, f"{self.seed} {what}".encode(), hashlib.sha256).digest()


def keyed_draws(seed: int, key_file: Path | None) -> Draws:
    """Draws with the key in a file, or with a new one."""
    return Draws(seed, secrets.token_bytes(_BYTES) if key_file is None else read_key(key_file))


def read_key(path: Path) -> bytes:
    """Read a private key that `write_key` wrote.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, or is not a key of at least 128 bits.
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
    """Write the key of draws to a file that only its owner can read."""
    assert draws.key is not None
    write_private(path, draws.key.hex() + "\n")


def equalize_mtimes(files: Iterable[Path]) -> None:
    """Give all files the same date, so that it does not reveal the order in which they were written."""
    now = time.time()
    for path in files:
        os.utime(path, (now, now))
