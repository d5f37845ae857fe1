"""The cochleagrams in a model, computed on another grid: coarser, or exactly as published."""

from collections.abc import Callable

from torch import nn

from audiometamer.cochleagram import Cochleagram
from audiometamer.errors import AudioMetamerError
from audiometamer.models.folding import shallow_copy
from audiometamer.models.model import Model


def cochleagrams_of(model: Model) -> list[Cochleagram]:
    """The cochleagrams in a model that have a fast path; empty for images and other front ends."""
    return [module for module in model.modules() if isinstance(module, Cochleagram) and module.has_fast_path]


def with_coarser_front_end(model: Model, oversampling: float) -> Model:
    """A copy of a model that shares its tensors, with its cochleagrams computed on a coarser grid.

    Parameters
    ----------
    model : Model
    oversampling : float
        See `Cochleagram.with_oversampling`.

    Returns
    -------
    Model
        The model itself if it has no cochleagram on a finer grid, or exact ones only; or, with a warning, if it cannot be copied.
    """
    finer = [ears for ears in cochleagrams_of(model) if not ears.exact and ears.oversampling > oversampling]
    return _replaced(model, finer, lambda ears: ears.with_oversampling(oversampling))


def with_exact_front_end(model: Model) -> Model:
    """A copy of a model whose cochleagrams are computed as published; the model itself if they are already, or if it has none.

    Raises
    ------
    AudioMetamerError
        If the model cannot be copied.
    """
    fast = [ears for ears in cochleagrams_of(model) if not ears.exact]
    exact = _replaced(model, fast, Cochleagram.with_exact_path)
    if fast and exact is model:
        raise AudioMetamerError(
            f"the front end of {model.name} cannot be computed exactly, since the model cannot be copied: build it with "
            "Cochleagram(exact=True), or give exact=False"
        )
    return exact


def _replaced(model: Model, cochleagrams: list[Cochleagram], other: Callable[[Cochleagram], Cochleagram]) -> Model:
    replaced: dict[nn.Module, nn.Module] = {ears: other(ears) for ears in cochleagrams}
    return shallow_copy(model, replaced) if replaced else model
