"""Networks × networks × layers: who recognises whose metamers."""

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from audiometamer.errors import AudioMetamerError, AudioMetamerWarning, first_few, pluralize
from audiometamer.evaluation import measures
from audiometamer.evaluation.attacks import accuracy_under_attack, check_attackable
from audiometamer.evaluation.collection import Collection, check_presentable, read_collection
from audiometamer.evaluation.judging import ClipResponses, Judge, Logits, MetamerResponses, judge_clips, judge_metamers
from audiometamer.evaluation.labels import TrueLabels, check_labels, read_labels
from audiometamer.evaluation.statistics_judging import class_snrs, has_statistics
from audiometamer.evaluation.table import OTHERS, EvaluationRow
from audiometamer.io.files import atomic_write
from audiometamer.io.names import check_distinct_paths, safe_name
from audiometamer.metamers import hearing
from audiometamer.metamers.criteria import METRICS
from audiometamer.models.inputs import NATURAL
from audiometamer.models.model import Model
from audiometamer.models.shipped import name_of_weights
from audiometamer.statistics.arrays import FloatArray
from audiometamer.statistics.bootstrap import Bootstrap
from audiometamer.training.adversaries import Adversary

PASSED, DISSIMILARITY = "passed", "rdm_correlation"


def evaluate(
    folders: Iterable[str | os.PathLike[str]],
    models: Sequence[Model],
    *,
    labels: str | os.PathLike[str] | None = None,
    attacks: Sequence[Adversary] = (),
    rdms: str | os.PathLike[str] | None = None,
    only_passed: bool = False,
    selection: str | os.PathLike[str] | None = None,
    batch_size: int = 8,
    resamples: int = 10_000,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> list[EvaluationRow]:
    """Measure how models recognise metamers and their clips.

    A sound is resampled to a judging model's rate, padded with equal silence before and after if it is short, and multiplied (a
    clip and its metamers by the same factor) so that the clip has the judging model's level. Nothing is cut.

    Parameters
    ----------
    folders : iterable of path
        Folders written by `audiometamer synth` or `audiometamer run`; of any number of models, clips and seeds.
    models : sequence of Model
        The judging models.
    labels : path, optional
        True labels of the clips; see `audiometamer.evaluation.labels.read_labels`. Default: none, and no ``accuracy``.
    attacks : sequence of Adversary
        Attacks on the clips. Default: none.
    rdms : path, optional
        Folder for the dissimilarities, ``<judge>/<generator>.npz``. Default: not computed.
    only_passed : bool
        Whether to leave out metamers that did not pass their verdict. Default False.
    selection : path, optional
        Table of the metamers to evaluate, from `audiometamer stimuli select`. Default: all.
    batch_size : int
        Sounds in one forward pass. Default 8.
    resamples, seed : int
        Number of resamples, and random seed, of the bootstrap over clips. Default 10000 and 0.
    progress : callable, optional
        Called with the fraction done and a description of the current work.

    Returns
    -------
    list of EvaluationRow
        - measures of `audiometamer.evaluation.measures`, by judge, generating model, layer (``natural``: the clips) and task, and
          as judge ``(others)`` the mean of all judges but the generating model;
        - from the records of the metamers, the proportion ``passed`` and, by measured layer, ``snr_db``, ``pearson_r2`` and
          ``spearman_rho``, without infinite values;
        - of a judge of statistics, ``snr_db`` by class, its measured layer;
        - ``rdm_correlation`` by measured layer of the judge: Spearman's correlation between the dissimilarities 1 − r
          (Kriegeskorte et al. 2008) of all pairs of clips and those of their metamers; the mean over seeds;
        - ``accuracy`` on clips by attack and radius.

    Raises
    ------
    AudioMetamerError
        If folders, labels or models are invalid, or do not fit each other; checked before any sound is processed, except for
        damaged sounds.
    """
    collection = read_collection(
        map(Path, folders), only_passed=only_passed, selection=None if selection is None else Path(selection)
    )
    judges = _checked_judges(models, collection, batch_size=batch_size, with_layers=rdms is not None)
    check_attackable(judges, attacks)
    truths = None if labels is None else _truths(Path(labels), judges, collection)
    if truths is None:
        _warn_of_unrelated_judges(judges, collection)
    run = _Run(collection, truths, Bootstrap(resamples=resamples, seed=seed), defaultdict(list))
    rows = list(run.record_rows())
    n_sounds = len(collection.naturals) * (1 + len(attacks)) + len(collection.metamers)
    for k, judge in enumerate(judges):
        done = 0

        def advance(more: int, k: int = k, name: str = judge.model.name) -> None:
            nonlocal done
            done += more
            if progress is not None:
                progress((k + done / n_sounds) / len(judges), f"{name}: {done} of {n_sounds} sounds")

        clips = judge_clips(judge, collection, advance)
        _warn_of_doubtful_clips(judge, collection, clips.logits, truths)
        for generator in collection.layers:
            metamers = judge_metamers(judge, collection, generator, clips.gains, advance)
            rows += run.recognition_rows(judge, generator, clips, metamers)
            rows += run.statistics_rows(judge, generator, clips, metamers)
            if rdms is not None:
                rows += run.rdm_rows(judge, generator, clips, metamers)
                path = Path(rdms) / safe_name(judge.model.name) / f"{safe_name(generator)}.npz"
                _save_rdms(path, collection, generator, clips, metamers)
        rows += accuracy_under_attack(judge, collection, clips, attacks, truths=truths, bootstrap=run.bootstrap, advance=advance)
    return rows + list(run.others_rows())


def _checked_judges(models: Sequence[Model], collection: Collection, *, batch_size: int, with_layers: bool) -> list[Judge]:
    """The models as judges: of distinct names, with labels, able to take every sound."""
    names = [model.name for model in models]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise AudioMetamerError(f"several models have the name {twice[0]!r}; each must have its own")
    judges = [Judge(model, with_layers=with_layers, batch_size=batch_size) for model in models]
    for files in (names, collection.layers, {task for judge in judges for task in judge.classes}):
        check_distinct_paths((name, safe_name(name)) for name in files)
    for judge in judges:
        judge.check()
        notes = check_presentable(judge.model, collection.naturals)
        generator_weights = collection.weights.get(judge.model.name)
        if generator_weights is not None and generator_weights != judge.model.weights_sha256():
            whose = f", now called {now}" if (now := name_of_weights(generator_weights)) else ""
            notes.append(f"{judge.model.name} has other weights than the model of the same name that made metamers{whose}")
        for note in notes:
            warnings.warn(note, AudioMetamerWarning, stacklevel=3)
    return judges


def _truths(path: Path, judges: Sequence[Judge], collection: Collection) -> TrueLabels:
    truths = read_labels(path, collection.clips)
    check_labels(path, truths, collection.clips, {judge.model.name: judge.classes for judge in judges})
    return truths


def _warn_of_doubtful_clips(judge: Judge, collection: Collection, logits: Logits, truths: TrueLabels | None) -> None:
    """Warn of clips that a judge probably does not know, unless their true label is given."""
    names = [natural.clip for natural in collection.naturals]
    for task, doubts in hearing.doubtful(judge.model, {task: torch.from_numpy(x) for task, x in logits.items()}).items():
        unsure = [name for name, doubt in zip(names, doubts, strict=True) if doubt and (name, task) not in (truths or {})]
        if unsure:
            known = pluralize(len(judge.classes[task]), task)
            warnings.warn(
                f"{first_few(unsure)}: probably none of the {known} that {judge.model.name} knows, "
                f"though it names one of them ({len(unsure)} of {pluralize(len(names), 'clip')})",
                AudioMetamerWarning,
                stacklevel=3,
            )


def _warn_of_unrelated_judges(judges: Sequence[Judge], collection: Collection) -> None:
    """Warn of judges that share no label with any generating model: only their own labels can be compared."""
    generator_labels = {(task, label) for metamer in collection.metamers for task, label in metamer.labels.items()}
    for judge in judges:
        if judge.classes and not any(
            (task, label) in generator_labels for task, names in judge.classes.items() for label in names
        ):
            warnings.warn(
                f"{judge.model.name} shares no label with the models that made the metamers: it is only compared with itself",
                AudioMetamerWarning,
                stacklevel=3,
            )


@dataclass(frozen=True)
class _Run:
    """One evaluation; keeps the judges' values for each sound, for their mean."""

    collection: Collection
    truths: TrueLabels | None
    bootstrap: Bootstrap
    kept: dict[tuple[str, str, str, str], list[tuple[FloatArray, list[str]]]]

    def record_rows(self) -> Iterator[EvaluationRow]:
        """From the metamers' records: the proportion that passed, and the similarity at each layer for each matched layer."""
        collection = self.collection
        for generator, layers in collection.layers.items():
            for layer in layers:
                own = [metamer for metamer in collection.metamers if (metamer.generator, metamer.layer) == (generator, layer)]
                clips = [metamer.clip for metamer in own]
                fields = {"judge": generator, "generator": generator, "layer": layer}
                verdicts = np.array([np.nan if metamer.passed is None else metamer.passed for metamer in own], dtype=float)
                yield from self._row(verdicts, clips, measure=PASSED, **fields)
                for measured in dict.fromkeys(name for metamer in own for name in metamer.similarity):
                    for metric in METRICS:
                        values = [metamer.similarity.get(measured, {}).get(metric) for metamer in own]
                        numbers = np.array([np.nan if value is None else value for value in values])
                        yield from self._row(numbers, clips, measure=metric, measured_layer=measured, **fields)

    def recognition_rows(
        self, judge: Judge, generator: str, clips: ClipResponses, metamers: MetamerResponses
    ) -> Iterator[EvaluationRow]:
        """Measures of recognition of a generating model's clips and, by layer, of its metamers."""
        collection = self.collection
        generator_labels, naturals = collection.labels_by(generator), collection.naturals_of(generator)
        own = [collection.metamers[i] for i in metamers.numbers]
        for task, classes in judge.classes.items():

            def labels_of(names: list[str], task: str = task) -> tuple[list[str | None], list[str | None]]:
                true = [(self.truths or {}).get((name, task)) for name in names]
                return true, [generator_labels.get((name, task)) for name in names]

            names = [collection.naturals[i].clip for i in naturals]
            found = measures.clip_measures(clips.logits[task][naturals], classes, *labels_of(names))
            yield from self._rows(judge, generator, NATURAL, task, found, names)
            names = [metamer.clip for metamer in own]
            of_clip = clips.logits[task][[metamer.natural for metamer in own]]
            found = measures.metamer_measures(of_clip, metamers.logits[task], classes, *labels_of(names))
            for layer in collection.layers[generator]:
                indices = [i for i, metamer in enumerate(own) if metamer.layer == layer]
                at_layer = {measure: values[indices] for measure, values in found.items()}
                yield from self._rows(judge, generator, layer, task, at_layer, [names[i] for i in indices])

    def _rows(
        self, judge: Judge, generator: str, layer: str, task: str, found: dict[str, FloatArray], clips: list[str]
    ) -> Iterator[EvaluationRow]:
        for measure, values in found.items():
            if judge.model.name != generator:
                self.kept[generator, layer, task, measure].append((values, clips))
            fields = {"judge": judge.model.name, "generator": generator, "layer": layer, "task": task, "measure": measure}
            yield from self._row(values, clips, **fields)

    def others_rows(self) -> Iterator[EvaluationRow]:
        """The mean of all judges but the generating model."""
        for (generator, layer, task, measure), kept in self.kept.items():
            values = np.concatenate([values for values, _ in kept])
            clips = [clip for _, clips in kept for clip in clips]
            yield from self._row(values, clips, judge=OTHERS, generator=generator, layer=layer, task=task, measure=measure)

    def statistics_rows(
        self, judge: Judge, generator: str, clips: ClipResponses, metamers: MetamerResponses
    ) -> Iterator[EvaluationRow]:
        """The SNR of each class of statistics of a generating model's metamers, by a model of statistics that judges others'."""
        if not has_statistics(judge.model) or judge.model.name == generator:  # its own are in the records
            return
        own = [self.collection.metamers[i] for i in metamers.numbers]
        for measured, values in class_snrs(judge.model, self.collection, metamers.numbers, clips.gains).items():
            for layer in self.collection.layers[generator]:
                at_layer = [k for k, metamer in enumerate(own) if metamer.layer == layer]
                fields = {"judge": judge.model.name, "generator": generator, "layer": layer, "measured_layer": measured}
                yield from self._row(values[at_layer], [own[k].clip for k in at_layer], measure="snr_db", **fields)

    def rdm_rows(self, judge: Judge, generator: str, clips: ClipResponses, metamers: MetamerResponses) -> Iterator[EvaluationRow]:
        """Correlation of the dissimilarities of clips and of metamers, by matched layer and the judge's layer."""
        own = np.ix_(*2 * (self.collection.naturals_of(generator),))
        for layer in self.collection.layers[generator]:
            for measured, natural in clips.rdms.items():
                seeds = [rdm[measured][own] for (matched, _), rdm in metamers.rdms.items() if matched == layer]
                estimate = self.bootstrap.rank_correlation(natural[own], seeds)
                fields = {"judge": judge.model.name, "generator": generator, "layer": layer, "measured_layer": measured}
                if estimate is not None:
                    yield EvaluationRow.of(estimate, measure=DISSIMILARITY, **fields)

    def _row(self, values: FloatArray, clips: Sequence[str], **fields: str) -> Iterator[EvaluationRow]:
        estimate = self.bootstrap.mean(values, clips)
        if estimate is not None:
            yield EvaluationRow.of(estimate, **fields)


def _save_rdms(path: Path, collection: Collection, generator: str, clips: ClipResponses, metamers: MetamerResponses) -> None:
    """Save dissimilarities of a generating model's clips and metamers: upper triangles, row by row, NaN for missing clips.

    Arrays ``clips`` (names), ``natural/<judge's layer>``, ``<matched layer>/seed<k>/<judge's layer>``.
    """
    naturals = collection.naturals_of(generator)
    upper = np.triu_indices(len(naturals), 1)
    arrays: dict[str, NDArray[Any]] = {"clips": np.array([collection.naturals[i].clip for i in naturals])}
    square = np.ix_(naturals, naturals)
    for measured, matrix in clips.rdms.items():
        arrays[f"natural/{measured}"] = matrix[square][upper]
    for (layer, seed), rdm in metamers.rdms.items():
        for measured, matrix in rdm.items():
            arrays[f"{layer}/seed{seed}/{measured}"] = matrix[square][upper]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # mypy takes a name for the option allow_pickle
