"""The identity of an item and its folder in a set; imported without torch."""

import hashlib

import msgspec
from msgspec.structs import replace

from audiometamer.io.names import safe_name
from audiometamer.metamers.layout import ITEMS
from audiometamer.metamers.settings import Settings


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that determines an item's samples, up to rounding.

    Parameters
    ----------
    settings : Settings
    method_sha256 : str
        Hash of the method's content; see `Method.fingerprint`.
    structure_sha256 : str
        Hash of the model's structure: front end, network, domain.
    judge_sha256 : str or None
        Hash of what an item of version 0.1 was judged by. No longer part of the identity: an item is judged again instead.
    """

    settings: Settings
    method_sha256: str
    structure_sha256: str
    judge_sha256: str | None = None

    @property
    def key(self) -> str:
        """The first 12 hexadecimal digits of its SHA-256."""
        determining = replace(self, judge_sha256=None)
        return hashlib.sha256(msgspec.json.encode(determining, order="deterministic")).hexdigest()[:12]

    def is_same(self, other: "Identity") -> bool:
        """Whether both identify the same item."""
        return replace(self, judge_sha256=None) == replace(other, judge_sha256=None)


def folder_of_item(settings: Settings, key: str) -> str:
    """The folder of an item in its set."""
    leaf = safe_name(f"{settings.layer}_seed{settings.seed}")
    return f"{ITEMS}/{safe_name(settings.clip)}/{safe_name(settings.model)}/{leaf}-{key}"
