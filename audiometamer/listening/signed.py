"""Links that Prolific has signed, which prove who a participant is.

Where "secure" addresses are switched on, Prolific puts a JSON Web Token, signed with RS256, into the parameter ``prolific_token``
of a study's address. Its claim ``prolific`` holds the other parameters of this address, ``exp`` the time at which it expires, and
``aud`` the address that it is for; the keys are published at `KEYS_URL` (docs.prolific.com, "Retrieve JSON Web Key Set").
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from audiometamer.errors import AudioMetamerError, one_line
from audiometamer.io.reading import read_file_bytes
from audiometamer.listening.refusals import UnsignedError

if TYPE_CHECKING:
    import jwt

KEYS_URL = "https://api.prolific.com/.well-known/study/jwks.json"
TOKEN_PARAMETER = "prolific_token"  # noqa: S105 (the parameter's name)
_PARAMETERS = ("PROLIFIC_PID", "STUDY_ID", "SESSION_ID")
_LEEWAY = 60  # seconds by which clocks may differ
_FRESH = 86_400.0  # seconds; Prolific asks for keys to be reloaded daily
_PAUSE = 60.0  # seconds before keys are reloaded in search of an unknown key
_log = logging.getLogger(__name__)


class SignedLinks:
    """Verifies Prolific's links.

    Parameters
    ----------
    studies : sequence of str
        Prolific's identifiers of the studies whose links are accepted (``STUDY_ID``).
    keys : str
        Address (https) or file of Prolific's keys, a JSON Web Key Set. Default `KEYS_URL`.
    audience : str
        Address of the study at Prolific; links to another host are refused. Default: not checked.

    Raises
    ------
    AudioMetamerError
        If PyJWT is not installed, or the keys cannot be read.
    """

    def __init__(self, studies: Sequence[str], *, keys: str = KEYS_URL, audience: str = "") -> None:
        self.studies, self.source, self.audience = frozenset(studies), keys, _host(audience)
        if audience and not self.audience:
            raise AudioMetamerError(f"{audience!r} is not an address; it must be as in https://lab.example/page/")
        self._lock = threading.Lock()
        self._keys, self._read = self._load(), time.monotonic()

    def proven(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """The signed parameters of a participant who arrives with `parameters`; raises `UnsignedError` if they are not valid."""
        import jwt

        token = parameters.get(TOKEN_PARAMETER, "")
        if not token:
            raise UnsignedError("the link is not signed")
        try:
            key = self._key(jwt.get_unverified_header(token).get("kid"))
            claims = jwt.decode(
                token, key, algorithms=["RS256"], leeway=_LEEWAY, options={"require": ["exp"], "verify_aud": False}
            )
        except (jwt.PyJWTError, ValueError, RecursionError) as error:  # invalid JSON, or nested too deep
            raise UnsignedError(f"the link's signature is not valid: {one_line(error)[:100]}") from error
        claimed = claims.get("prolific")
        claimed = claimed if isinstance(claimed, dict) else {}
        found = {name: claimed[name] for name in _PARAMETERS if isinstance(claimed.get(name), str)}
        if found.get("STUDY_ID") not in self.studies or "PROLIFIC_PID" not in found:
            raise UnsignedError("the link is signed for another study")
        if self.audience and self.audience not in map(_host, _listed(claims.get("aud"))):
            raise UnsignedError("the link is signed for another address")
        if any(parameters.get(name, value) != value for name, value in found.items()):
            raise UnsignedError("the link names another participant than its signature")
        return found

    def _key(self, name: Any) -> "jwt.PyJWK":
        with self._lock:
            age = time.monotonic() - self._read
            is_due = age > _FRESH or (name not in self._keys and age > _PAUSE)
            self._read += age * is_due
        if is_due:  # without the lock: nobody else need wait for a server that does not respond
            try:
                self._keys = self._load()
            except AudioMetamerError as error:
                _log.error("%s; the keys that were read before are used", error)
        keys = self._keys
        if name not in keys:
            raise UnsignedError("the link is signed with a key that is not Prolific's")
        return keys[name]

    def _load(self) -> "dict[str | None, jwt.PyJWK]":
        """Load the keys, by their identifiers."""
        try:
            import jwt
        except ModuleNotFoundError as error:
            raise AudioMetamerError("verifying links needs PyJWT: pip install 'audiometamer[experiment]'") from error
        try:
            if "://" not in self.source:
                content = msgspec.json.decode(read_file_bytes(Path(self.source)), type=dict[str, Any])
            elif self.source.startswith("https://"):
                content = jwt.PyJWKClient(self.source, cache_jwk_set=False, timeout=10).fetch_data()
            else:
                raise AudioMetamerError(f"{self.source} is not an address of keys: it must begin with https://")
            found = {key.key_id: key for key in jwt.PyJWKSet.from_dict(content).keys if key.key_type == "RSA"}
        except (OSError, msgspec.MsgspecError, jwt.PyJWTError, AttributeError, TypeError, ValueError) as error:
            raise AudioMetamerError(
                f"{self.source} cannot be read as keys: {getattr(error, 'strerror', None) or error}"
            ) from error
        if not found:
            raise AudioMetamerError(f"{self.source} holds no RSA key")
        return found


def _listed(value: object) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def _host(address: str) -> str:
    """The host of an address; empty if it is not an address."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
