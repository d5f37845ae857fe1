"""Criteria: similarity of activations, the null distribution of random pairs of sounds, the verdict on a metamer."""

import hashlib
import math
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few, first_line
from audiometamer.io.files import write_json
from audiometamer.io.reading import read_file_bytes
from audiometamer.matching.complex_values import as_real
from audiometamer.metamers.verdicts import ClassMatch, Verdict
from audiometamer.models.adapters.joined import Joined
from audiometamer.models.checking import check_mode
from audiometamer.models.model import Model
from audiometamer.statistics.pairwise import RowStore, UniqueSignals, gram_matrix, pairwise_correlations

METRICS = ("snr_db", "pearson_r2", "spearman_rho")
QUANTILES = (0.5, 0.9, 0.99, 0.999, 0.9999)
_LARGEST = np.finfo(np.float64).max  # stands for an infinite SNR, which JSON cannot hold
_CEILING = {"snr_db": math.inf, "pearson_r2": 1.0, "spearman_rho": 1.0}


def _values(activation: Tensor) -> Tensor:
    """All values of an activation as one vector, complex ones as real and imaginary parts."""
    return as_real(activation).double().flatten()


def snr_db(target: Tensor, activation: Tensor) -> float:
    """Signal-to-noise ratio 10·log10(Σ target² / Σ (target − activation)²), in dB; infinite if they are equal."""
    t, a = _values(target), _values(activation)
    signal, noise = float(t.square().sum()), float((t - a).square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def published_snr_db(target: Tensor, activation: Tensor) -> float:
    """The SNR as the published code of Feather et al. (2023) computes it: 10·log10 of the ratio of norms, half of `snr_db`."""
    return 0.5 * snr_db(target, activation)


def pearson_r2(target: Tensor, activation: Tensor) -> float:
    """Squared Pearson correlation; 0 if either is constant."""
    t, a = (x - x.mean() for x in map(_values, (target, activation)))
    norms = float(t.norm() * a.norm())
    return min(float(t @ a) / norms, 1.0) ** 2 if norms > 0 else 0.0


def spearman_rho(target: Tensor, activation: Tensor) -> float:
    """Spearman rank correlation, equal values sharing their mean rank; 0 if either is constant."""
    ranks = [scipy.stats.rankdata(_values(x.detach()).cpu().numpy()) for x in (target, activation)]
    t, a = (r - r.mean() for r in ranks)
    norms = math.sqrt(float(t @ t) * float(a @ a))
    return max(-1.0, min(float(t @ a) / norms, 1.0)) if norms > 0 else 0.0


def similarity(target: Tensor, activation: Tensor) -> dict[str, float]:
    """Similarity of two activations, each of one sound: ``snr_db``, ``pearson_r2`` and ``spearman_rho``.

    Parameters
    ----------
    target, activation : Tensor [shape=(...)]
        Activations of equal shape; all values are compared as one vector, complex ones as real and imaginary parts.

    Raises
    ------
    AudioMetamerError
        If the shapes differ.
    """
    if target.shape != activation.shape:
        raise AudioMetamerError(f"activations of shapes {tuple(target.shape)} and {tuple(activation.shape)} cannot be compared")
    return {
        "snr_db": snr_db(target, activation),
        "pearson_r2": pearson_r2(target, activation),
        "spearman_rho": spearman_rho(target, activation),
    }


class MetricNull(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values of one metric over random pairs of sounds at one layer: the largest, and quantiles by probability."""

    maximum: float
    quantiles: dict[str, float]


class NullDistribution(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Similarities of random pairs of different natural sounds, by layer and metric.

    Parameters
    ----------
    pairs : int
        Number of pairs.
    sounds : int
        Number of sounds that they were formed from.
    source : str
        Description of the sounds.
    layers : dict of str to dict of str to MetricNull
    """

    pairs: int
    sounds: int
    source: str
    layers: dict[str, dict[str, MetricNull]]

    def __repr__(self) -> str:
        return f"<NullDistribution of {self.pairs:,} pairs of {self.sounds:,} sounds at {', '.join(self.layers)}>"

    def __post_init__(self) -> None:
        if unknown := {metric for metrics in self.layers.values() for metric in metrics}.difference(METRICS):
            raise AudioMetamerError(
                f"a null distribution holds {', '.join(sorted(unknown))}; the metrics are {', '.join(METRICS)}"
            )

    @classmethod
    def measure(
        cls,
        model: Model,
        sounds: Iterable[Tensor],
        *,
        layers: Sequence[str] | None = None,
        source: str = "",
        names: Iterable[str] | None = None,
        batch_size: int = 16,
        memory: float = 1e9,
        progress: Callable[[int], object] | None = None,
    ) -> "NullDistribution":
        """Compare every pair of sounds at every layer.

        Activations are computed once for each sound. Standardised (and ranked, for ρ), all pairs of a layer come from one matrix
        product, taken over slices of the activations so that no more than `memory` is used; what is larger lies in a temporary
        file. The SNR is not symmetric: the larger of a pair's two values counts.

        Parameters
        ----------
        model : Model
        sounds : iterable of Tensor [shape=signal_shape]
            N different sounds give N (N − 1) / 2 pairs. A sound that repeats another, to within 60 dB, is left out.
        layers : sequence of str, optional
            Default: all that the model lists and that can be measured; what is left out is named in an `AudioMetamerWarning`.
        source : str
            Description of the sounds, kept with the result.
        names : iterable of str, optional
            Name of each sound, for warnings. Default: their numbers, from 0.
        batch_size : int
            Number of sounds in one forward pass. Default 16.
        memory : float
            Largest number of bytes for activations, besides those of one forward pass. Default 1e9.
        progress : callable, optional
            Called with the number of sounds that are done.

        Raises
        ------
        AudioMetamerError
            If there are fewer than two different sounds, one has another shape, activations are not finite, or the network is in
            train mode.

        Warns
        -----
        AudioMetamerWarning
            If sounds are left out, naming each with the one it repeats.
        """
        check_mode(model)
        wanted = list(dict.fromkeys(map(model.canonical, layers or model.layers)))
        if not wanted:
            raise AudioMetamerError(f"{model.name} lists no layers to measure; name some")
        with tempfile.TemporaryDirectory() as folder:
            stores = {layer: RowStore(Path(folder) / str(i), memory / len(wanted)) for i, layer in enumerate(wanted)}
            unique = UniqueSignals(names)
            batches = _batches(unique.filter(_fitting(model, sounds)), batch_size)
            n_sounds, finite = _record(model, batches, stores, optional=() if layers else wanted, progress=progress)
            if unique.repeats:
                repeats = first_few([f"{name} is {other}" for name, other in unique.repeats])
                warnings.warn(f"{len(unique.repeats)} repeated sound(s) left out: {repeats}", AudioMetamerWarning, stacklevel=2)
                source = f"{source}; {len(unique.repeats)} repeated left out".removeprefix("; ")
            if n_sounds < 2:
                raise AudioMetamerError(f"a null distribution needs at least 2 different sounds; there are {n_sounds}")
            measured = {layer: _compare_all(stores[layer], memory) for layer in wanted if finite[layer] == n_sounds}
        found = {layer: own for layer, own in measured.items() if all(math.isfinite(m.maximum) for m in own.values())}
        _check_measured(wanted, found, asked=bool(layers))
        return cls(n_sounds * (n_sounds - 1) // 2, n_sounds, source, found)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON, if `load` can read it.

        Raises
        ------
        AudioMetamerError
            If it holds numbers that are not finite; nothing is written.
        """
        try:
            msgspec.json.decode(msgspec.json.encode(self), type=type(self))
        except msgspec.MsgspecError as error:
            raise AudioMetamerError(f"{path} is not written: it could not be read again ({error})") from error
        write_json(Path(path), self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "NullDistribution":
        """Read what `save` wrote."""
        try:
            return msgspec.json.decode(read_file_bytes(path), type=cls)
        except OSError as error:
            raise AudioMetamerError(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, AudioMetamerError) as error:
            raise AudioMetamerError(
                f"{path} is not a null distribution: {first_line(error)}; measure it again with `audiometamer null`"
            ) from error


def default_null(model: Model) -> NullDistribution | None:
    """The null distribution that comes with a model, or with those that it joins; None if there is none."""
    if isinstance(model.network, Joined):
        return _joined_null(model.network)
    if model.folder is None or not (model.folder / "null.json").exists():
        return None
    return NullDistribution.load(model.folder / "null.json")


def _joined_null(network: Joined) -> NullDistribution | None:
    nulls = {name: null for name, model in network.models.items() if (null := default_null(model)) is not None}
    if not nulls:
        return None
    return NullDistribution(
        min(null.pairs for null in nulls.values()),
        min(null.sounds for null in nulls.values()),
        "; ".join(f"{name}: {null.source}" for name, null in nulls.items()),
        {f"{name}.{layer}": metrics for name, null in nulls.items() for layer, metrics in null.layers.items()},
    )


def judge_sha256(model: Model, null: NullDistribution | None) -> str:
    """SHA-256 of what verdicts are based on: the null distribution and the model's labels."""
    labels = model.named_labels() or None  # verdicts of {} also compared answers that had no labels: out of date
    return hashlib.sha256(msgspec.json.encode([null, labels], order="deterministic")).hexdigest()


def judge(measured: Mapping[str, float], null: Mapping[str, MetricNull] | None, labels: Mapping[str, tuple[str, str]]) -> Verdict:
    """The verdict on one metamer.

    Parameters
    ----------
    measured : mapping of str to float
        `similarity` at the matched layer.
    null : mapping of str to MetricNull or None
        The null distribution of that layer.
    labels : mapping of str to pair of str
        The clip's and the metamer's label, by task.
    """
    beyond, margin = {}, {}
    for metric, limit in (null or {}).items():
        value = measured[metric]
        at_ceiling = limit.maximum >= _CEILING[metric] and value >= _CEILING[metric]
        beyond[metric] = value > limit.maximum or at_ceiling
        margin[metric] = value - limit.maximum
    same_label = all(clip == metamer for clip, metamer in labels.values())
    passed = all(beyond.values()) and same_label
    return Verdict(None if passed and not beyond else passed, beyond, margin, dict(labels))


def judge_all(
    measured: Mapping[str, Mapping[str, float]],
    nulls: Mapping[str, Mapping[str, MetricNull]],
    labels: Mapping[str, tuple[str, str]],
    classes: Mapping[str, ClassMatch] | None = None,
) -> Verdict:
    """The verdict on a signal that matches several layers at the same time: passed if it passes at each; smallest margins.

    Parameters
    ----------
    measured : mapping of str to mapping of str to float
        `similarity` by layer.
    nulls : mapping of str to mapping of str to MetricNull
        Null distributions by layer.
    labels : mapping of str to pair of str
        The clip's and the metamer's label, by task.
    classes : mapping of str to ClassMatch, optional
        Match of each class of statistics, from `class_matches`; on average it must reach 20 dB. Default: none.
    """
    verdicts = [judge(values, nulls.get(layer), labels) for layer, values in measured.items()]
    if len(verdicts) == 1:
        return verdicts[0].with_classes(classes or {})
    outcomes = {verdict.passed for verdict in verdicts}
    metrics = dict.fromkeys(metric for verdict in verdicts for metric in verdict.beyond_null)
    return Verdict(
        False if False in outcomes else None if None in outcomes else True,
        {metric: all(v.beyond_null.get(metric, True) for v in verdicts) for metric in metrics},
        {metric: min(v.margin[metric] for v in verdicts if metric in v.margin) for metric in metrics},
        dict(labels),
    ).with_classes(classes or {})


def worst(similarities: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The smallest value of each metric."""
    return {metric: min(values[metric] for values in similarities) for metric in METRICS}


def _record(
    model: Model,
    batches: Iterable[Tensor],
    stores: Mapping[str, RowStore],
    *,
    optional: Sequence[str],
    progress: Callable[[int], object] | None,
) -> tuple[int, dict[str, int]]:
    """Store the activations of sounds at each layer; the number of sounds, and of those with finite activations by layer."""
    taps, n_sounds, finite = {layer: model.tap(layer) for layer in stores}, 0, dict.fromkeys(stores, 0)
    for batch in batches:
        with torch.no_grad():
            signals = batch.to(device=model.device, dtype=model.dtype).view(len(batch), *model.signal_shape)
            activations = model.activations(signals, taps, optional=optional)
        for layer, rows in activations.items():
            finite[layer] += int(torch.isfinite(rows.flatten(1)).all(1).sum())
            stores[layer].append(rows.flatten(1).float().cpu().numpy())
        n_sounds += len(batch)
        if progress is not None:
            progress(n_sounds)
    return n_sounds, finite


def _check_measured(names: Sequence[str], found: Mapping[str, Any], *, asked: bool) -> None:
    """Raise if a requested layer, or every layer, has no null distribution; otherwise warn about those without one."""
    if not (without := [layer for layer in names if layer not in found]):
        return
    why = f"no null distribution at {', '.join(without)}: activations are not finite there, or the same for different sounds"
    if asked or not found:
        raise AudioMetamerError(why)
    warnings.warn(why, AudioMetamerWarning, stacklevel=3)


def _compare_all(store: RowStore, memory: float) -> dict[str, MetricNull]:
    rows = store.matrix()
    products = gram_matrix(rows, memory)
    sums = np.array([row.sum(dtype=np.float64) for row in rows])
    ranks = _ranked(rows, store.path.with_suffix(".ranks"), in_file=store.in_file)
    middle = (rows.shape[1] + 1) / 2
    values = {
        "snr_db": _snr(products),
        "pearson_r2": pairwise_correlations(products, sums, rows.shape[1]) ** 2,
        "spearman_rho": pairwise_correlations(gram_matrix(ranks, memory, shift=middle), np.zeros(len(rows)), rows.shape[1]),
    }
    return {metric: MetricNull(float(np.clip(v.max(), -_LARGEST, _LARGEST)), _quantiles(v)) for metric, v in values.items()}


def _quantiles(values: NDArray[np.float64]) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    return {str(q): float(np.quantile(finite, q)) for q in QUANTILES} if len(finite) else {}


def _ranked(rows: NDArray[np.float32], path: Path, *, in_file: bool) -> NDArray[np.float32]:
    """Ranks of each row's values, equal values sharing their mean rank."""
    store = np.memmap(path, dtype=np.float32, mode="w+", shape=rows.shape) if in_file else np.empty(rows.shape, np.float32)
    out: NDArray[np.float32] = store
    for i, row in enumerate(rows):
        out[i] = scipy.stats.rankdata(row)
    return out


def _snr(products: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.diag(products)
    i, j = np.triu_indices(len(power), 1)
    noise = np.maximum(power[i] + power[j] - 2 * products[i, j], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = 10 * np.log10(np.maximum(power[i], power[j]) / noise)
    return np.where(np.maximum(power[i], power[j]) > 0, snr, -np.inf)


def _fitting(model: Model, sounds: Iterable[Tensor]) -> Iterator[Tensor]:
    """Sounds; raises at one that the model does not take."""
    for number, sound in enumerate(sounds):
        found = tuple(sound.shape) if isinstance(sound, Tensor) else type(sound).__name__
        if found != model.signal_shape:
            raise AudioMetamerError(f"sound {number} is {found}; {model.name} takes tensors of shape {model.signal_shape}")
        yield sound


def _batches(sounds: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    batch: list[Tensor] = []
    for sound in sounds:
        batch.append(sound)
        if len(batch) == size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)
