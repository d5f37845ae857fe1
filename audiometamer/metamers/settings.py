"""The settings that determine a metamer; read without torch."""

import msgspec


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything that determines a metamer, apart from the machine: two metamers with equal settings are the same metamer.

    Parameters
    ----------
    clip : str
        Name of the clip, or of the given target.
    clip_sha256 : str
        SHA-256 of its samples, or of the given activations.
    model : str
        Name of the model.
    weights_sha256 : str
        SHA-256 of its weights.
    layer : str
        The matched layer; several are joined by ``+``.
    seed : int
    method : str
        Name of the method; followed by its fingerprint if it does not come with audiometamer.
    steps : int
        Number of steps of an attempt.
    loss, penalty, domain : str
        Fingerprints, see `audiometamer.io.fingerprints`; a penalty or domain that was not given is empty.
    exact : bool
        Whether cochleagrams were computed as published, in the steps too; False where there are none.
    initial : str
        SHA-256 of the samples that it started from in place of noise; empty: from noise.
    stop : str
        The stopping rule that was added to the method's own; empty: none.
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
    exact: bool = False
    initial: str = ""
    stop: str = ""


def places(layer: str) -> list[str]:
    """The layers that are matched at the same time: ``relu1`` and ``relu3`` for ``relu1+relu3``, otherwise one."""
    return list(dict.fromkeys(layer.split("+")))
