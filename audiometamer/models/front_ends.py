"""The cochleagrams in a model, computed on another grid: coarser, or exactly as published."""

import math

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.models.folding import shallow_copy
from audiometamer.models.model import Model


def cochleagrams_of(model: Model) -> list[Cochleagram]:
    """The cochleagrams in a model that have a fast path; empty for images and other front ends."""
    return [module for module in model.modules() if isinstance(module, Cochleagram) and module.has_fast_path]


def with_oversampling(model: Model, oversampling: float) -> Model:
    """A copy of a model that shares its tensors, with its cochleagrams computed on another grid.

    Parameters
    ----------
    model : Model
    oversampling : float
        See `Cochleagram.with_oversampling`; infinite for the published computation.

    Returns
    -------
    Model
        The model itself if it has no cochleagram, or, with a warning, if it cannot be copied.
    """
    replaced = {module: module.with_oversampling(oversampling) for module in cochleagrams_of(model)}
    return shallow_copy(model, replaced) if replaced else model


def with_exact_front_end(model: Model) -> Model:
    """A copy of a model whose cochleagrams are computed as published; the model itself if they are already, or if it has none.

    Raises
    ------
    AudioMetamerError
        If the model cannot be copied.
    """
    if all(module.exact for module in cochleagrams_of(model)):
        return model
    exact = with_oversampling(model, math.inf)
    if exact is model:
        raise AudioMetamerError(
            f"the front end of {model.name} cannot be computed exactly, since the model cannot be copied: build it with "
            "Cochleagram(exact=True), or give exact=False"
        )
    return exact
