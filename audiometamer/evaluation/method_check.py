"""How far a method is from equilibrium: what twice its steps change in the metamers of a model."""

import os
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple, Unpack

import numpy as np

from audiometamer.errors import AudioMetamerError
from audiometamer.evaluation.likeness import Likeness, LikenessDifference, Measure, compare_likeness, measure_likeness
from audiometamer.io.callbacks import Progress, silent
from audiometamer.io.integers import as_integer
from audiometamer.io.names import as_output_folder
from audiometamer.io.tables import write_table
from audiometamer.metamers.folder import FolderProgress, synthesize_into
from audiometamer.metamers.inputs import Source
from audiometamer.metamers.metamer import Metamer
from audiometamer.metamers.methods import method_for
from audiometamer.metamers.setup import SynthesisOptions
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.statistics.bootstrap import Bootstrap

TABLE = "drift.tsv"
PASSED = Measure("", "passed")


class Drift(NamedTuple):
    """One row of ``drift.tsv``: the change of one measure with the number of steps.

    Parameters
    ----------
    model, method : str
    layer : str
        The matched layer.
    steps, more_steps : int
        Numbers of steps of an attempt that are compared.
    measured_layer : str
        The layer at which it was measured; empty if it is a measure of the sound.
    measure : str
        See `audiometamer.evaluation.likeness`; or ``passed``, the proportion of those with a verdict that passed it.
    value, more_value : float
        Means over metamers after `steps` and after `more_steps`.
    drift : float
        Their difference.
    low, high : float
        Its 95 % interval over clips; NaN for a single clip.
    clips : int
    """

    model: str
    method: str
    layer: str
    steps: int
    more_steps: int
    measured_layer: str
    measure: str
    value: float
    more_value: float
    drift: float
    low: float
    high: float
    clips: int

    @property
    def is_clear(self) -> bool:
        """Whether the interval does not contain 0."""
        return self.low > 0 or self.high < 0


def check_method(
    folder: str | os.PathLike[str],
    model: Model,
    clips: Source | Iterable[Source],
    layers: Iterable[str] | str | None = None,
    *,
    factor: int = 2,
    seed: int | Iterable[int] = 0,
    resamples: int = 10_000,
    progress: Progress = silent,
    **options: Unpack[SynthesisOptions],
) -> list[Drift]:
    """Make metamers with a method's steps and with twice as many, and compare what they keep of their clips.

    A search that has reached equilibrium keeps of a clip what its layer asks for and nothing else that more steps would remove.
    The metamers are written into two folders, as by `audiometamer.synthesize_into`: an interrupted call resumes.

    Parameters
    ----------
    folder : path
        Created if it does not exist. Files: ``200-steps/`` and ``400-steps/`` with metamers, ``drift.tsv``.
    model : Model
    clips : Clip, path, tensor or array, or iterable of them
        As in `audiometamer.synthesize`. Four or more give useful intervals.
    layers : str or iterable of str, optional
        Default: all that the model lists, or those that its network names as default.
    factor : int
        Factor on the number of steps. Default 2.
    seed : int or iterable of int
        Default 0.
    resamples : int
        Number of bootstrap resamples. Default 10,000.
    progress : callable
        Takes the fraction that is done, and a message. Default: nothing is shown.
    **options
        `method`, `steps` and others, as in `audiometamer.synthesize`.

    Returns
    -------
    list of Drift
        A row for each matched layer, measured layer and measure; matched layers in their order.

    Raises
    ------
    AudioMetamerError
        If `factor` is below 2, or as `audiometamer.synthesize_into`.

    Examples
    --------
    >>> model = am.load_model("cochcnn-word")
    >>> rows = check_method("check", model, ["speech.wav", "music.wav"], ["relu2", "relu4"])
    >>> [row.measure for row in rows if row.is_clear]
    """
    factor = as_integer(factor, "factor", least=2)
    method, out = method_for(model, options.get("method", "default")), as_output_folder(folder)
    steps = as_integer(options.get("steps") or method.steps, "steps", least=1)
    made = []
    for k, count in enumerate((steps, factor * steps)):
        options["steps"] = count
        show = partial(_report, progress, k, count)
        made.append(synthesize_into(out / f"{count}-steps", model, clips, layers, seed=seed, progress=show, **options))
    bootstrap = Bootstrap(resamples=resamples)
    rows = [
        Drift(model.name, method.name, layer, steps, factor * steps, *difference)
        for layer in dict.fromkeys(metamer.evidence.settings.layer for metamer in made[0])
        for difference in _differences(model, [_at(layer, metamers) for metamers in made], layer, bootstrap)
    ]
    write_table(out / TABLE, Drift._fields, (row._asdict() for row in rows))
    progress(1.0, "done")
    return rows


def _report(progress: Progress, part: int, steps: int, report: FolderProgress) -> None:
    """Pass on the progress of one of the two parts."""
    progress((part + report.fraction) / 2 * 0.99, f"{steps} steps: {report.message}")


def _at(layer: str, metamers: Sequence[Metamer]) -> list[Metamer]:
    return [metamer for metamer in metamers if metamer.evidence.settings.layer == layer]


def _differences(model: Model, pair: Sequence[Sequence[Metamer]], layer: str, bootstrap: Bootstrap) -> list[LikenessDifference]:
    if len(pair[0]) != len(pair[1]):
        raise AudioMetamerError(f"{len(pair[0])} and {len(pair[1])} metamers at {layer} cannot be compared: some were left out")
    first, second = (_likeness(model, metamers, layer) for metamers in pair)
    return compare_likeness(first, second, [metamer.clip.name for metamer in pair[0]], bootstrap)


def _likeness(model: Model, metamers: Sequence[Metamer], layer: str) -> Likeness:
    """Measures of metamers of one layer, and whether they passed."""
    clips = [metamer.clip for metamer in metamers]
    originals = [clip.samples for clip in clips if isinstance(clip, Clip)]
    passed = np.array([np.nan if metamer.passed is None else float(metamer.passed) for metamer in metamers])
    return {**measure_likeness(model, originals, [metamer.samples for metamer in metamers], layer), PASSED: passed}
