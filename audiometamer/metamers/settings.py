"""What determines a metamer; read without torch."""

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What determines a metamer, besides the machine. Two results with equal settings are the same result.

    `loss`, `penalty` and `domain` are fingerprints (see `io.fingerprints`); a penalty or a domain that was not given is
    empty.
    """

    clip: str
    clip_sha256: str
    model: str
    weights_sha256: str
    layer: str
    seed: int
    method: str
    steps: int
    loss: str
    penalty: str = ""
    domain: str = ""


def places(layer: str) -> list[str]:
    """The layers that are matched at the same time: ``relu1`` and ``relu3`` for ``relu1+relu3``, otherwise one."""
    return list(dict.fromkeys(layer.split("+")))
