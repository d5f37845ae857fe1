"""Fill a folder with metamers, as ``audiometamer synth`` does: what is finished stays, what is interrupted resumes."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Unpack

from torch import Tensor

from audiometamer.errors import BrokenError
from audiometamer.io.locks import exclusive_folder
from audiometamer.io.names import as_output_folder
from audiometamer.metamers import hearing
from audiometamer.metamers.clip_folders import check_clip_folder, check_file_names, restore_original, with_saved_name
from audiometamer.metamers.criteria import NullDistribution, default_null
from audiometamer.metamers.figure import can_draw, draw_figure
from audiometamer.metamers.files import find_metamer, has_attempts_left
from audiometamer.metamers.index import write_index
from audiometamer.metamers.inputs import Source, as_clips, as_layers, as_seeds
from audiometamer.metamers.judging import rejudge_saved
from audiometamer.metamers.layout import FIGURE, checkpoint_path, clip_folder, signal_kind
from audiometamer.metamers.metamer import Metamer, Progress, settings_of
from audiometamer.metamers.preflight import check_clip
from audiometamer.metamers.record_files import warn_about_broken
from audiometamer.metamers.saving import archive_attempt, save_signal
from audiometamer.metamers.settings import Settings, places
from audiometamer.metamers.setup import SynthesisOptions
from audiometamer.metamers.starts import Initial, as_starts
from audiometamer.metamers.synthesis import iterate_metamers
from audiometamer.metamers.targets import GivenTarget
from audiometamer.metamers.unfinished import Checkpoints
from audiometamer.metamers.verdicts import verdict_word
from audiometamer.models.model import Model
from audiometamer.signals.audio import Clip
from audiometamer.signals.display import Gallery

_Job = tuple[Clip | GivenTarget, str, int]


@dataclass(frozen=True)
class FolderProgress:
    """Progress of `synthesize_into`; passed to its `progress`, the first time before any metamer is made.

    Parameters
    ----------
    fraction : float
        Share of the work that is done, from 0 to 1.
    message : str
        Description of the current work.
    requested : int
        Number of metamers that were requested.
    existing : int
        Number of them that existed in the folder before.
    rejudged : int
        Number of those judged again, with a new null distribution or new labels.
    rejudged_passed : int
        Number of these that passed.
    reattempted : int
        Number of existing ones that failed a new verdict and are attempted again.
    """

    fraction: float
    message: str
    requested: int
    existing: int
    rejudged: int = 0
    rejudged_passed: int = 0
    reattempted: int = 0


def synthesize_into(
    folder: str | os.PathLike[str],
    model: Model,
    clips: Source | Iterable[Source],
    layers: Iterable[str] | str | None = None,
    *,
    seed: int | Iterable[int] = 0,
    null: NullDistribution | None = None,
    initial: Initial | Iterable[Initial] | None = None,
    overwrite: bool = False,
    progress: Callable[[FolderProgress], None] | None = None,
    **options: Unpack[SynthesisOptions],
) -> list[Metamer]:
    """Make metamers of clips at layers of a model and write them into a folder, as ``audiometamer synth`` does.

    Each is written as soon as it is finished, and unfinished ones every five minutes: after an interruption the same call
    resumes. Finished ones are kept; those whose verdict is out of date are judged again.

    >>> import audiometamer as am
    >>> model = am.load_model("cochcnn-word")
    >>> metamers = am.synthesize_into(
    ...     "metamers", model, ["speech.wav", "music.wav"], ["relu2", "final"], seed=[0, 1],
    ...     progress=lambda p: print(f"{p.fraction:.0%} {p.message}"),
    ... )
    >>> [(m.clip.name, m.evidence.settings.layer) for m in metamers if m.passed]

    Parameters
    ----------
    folder : path
        Created if it does not exist. Files: ``<clip>/<model>/<layer>_seed<k>.wav``, a JSON record beside each, ``original.wav``
        and ``figure.png``; ``index.tsv`` lists them.
    model : Model
    clips : Clip, GivenTarget, path, tensor or array, or iterable of them
        As in `audiometamer.synthesize`; two clips may not share a name.
    layers : str or iterable of str, optional
        Default: all that the model lists, or those that its network names as default.
    seed : int or iterable of int
        Default 0.
    null : NullDistribution, optional
        Null distribution for verdicts. Default: the model's own, if it has one.
    initial : Clip, path, tensor or array, or iterable of them, optional
        Signals to start from, as in `audiometamer.synthesize`. Default: noise.
    overwrite : bool
        Whether to make existing metamers again. Default False.
    progress : callable, optional
        Called with a `FolderProgress`.
    **options
        `method`, `steps`, `loss`, `penalty`, `domain`, `exact`, `stop`, `batch_size`, `tf32`, `compiled` and `callback`, as in
        `audiometamer.synthesize`. After a `StopSynthesis`, what was reached counts as finished.

    Returns
    -------
    list of Metamer
        One for each layer, clip and seed, in this order, whether made now or before; also those that failed their verdict.

    Raises
    ------
    AudioMetamerError
        If the folder holds metamers of the same name that were made from another clip, by another model or with other settings;
        if another process is writing into it; or as `audiometamer.synthesize`.

    Warns
    -----
    AudioMetamerWarning
        If a clip may hold nothing that the network knows, or a file in the folder is damaged: that metamer is made again.
    """
    if unknown := options.keys() - SynthesisOptions.__annotations__.keys():
        raise TypeError(f"synthesize_into() got an unexpected keyword argument {min(unknown)!r}")
    listed, seeds, names = as_clips(model, clips), as_seeds(seed), as_layers(layers, model.default_layers)
    names = list(dict.fromkeys(map(model.canonical, names)))
    _check_request(model, listed, names)
    null, out = null or default_null(model), as_output_folder(folder)
    with exclusive_folder(out):
        listed = [with_saved_name(out, model, clip) if isinstance(clip, Clip) else clip for clip in listed]
        starts = as_starts(model, initial, listed)
        jobs = _jobs_by_settings(model, listed, names, seeds, starts, options)
        _prepare(out, model, listed, jobs, signal_kind(options.get("domain") or model.domain))
        existing = _Existing() if overwrite else _read_existing(out, model, jobs, null, options)
        metamers = existing.metamers | {
            metamer.evidence.settings: metamer
            for metamer in _make_rest(out, model, jobs, existing, null, starts, options, progress)
        }
        ordered = Gallery(metamers[settings] for settings in jobs if settings in metamers)
        _draw(out, model, ordered, seeds[0])
        write_index(out)
    return ordered


def _check_request(model: Model, clips: Sequence[Clip | GivenTarget], layers: Sequence[str]) -> None:
    """Raise if a layer is unknown or a clip does not fit the model."""
    for place in dict.fromkeys(place for layer in layers for place in places(layer)):
        model.tap(place)
    for clip in clips:
        if isinstance(clip, Clip):
            check_clip(model, clip)


def _jobs_by_settings(
    model: Model,
    clips: Sequence[Clip | GivenTarget],
    layers: Sequence[str],
    seeds: Sequence[int],
    starts: Mapping[int, Tensor],
    options: SynthesisOptions,
) -> dict[Settings, _Job]:
    """Clip, layer and seed of each requested metamer, by its settings."""
    weights = model.weights_sha256()
    describe = partial(
        settings_of,
        model,
        method=options.get("method", "default"),
        steps=options.get("steps"),
        loss=options.get("loss"),
        penalty=options.get("penalty"),
        domain=options.get("domain"),
        exact=options.get("exact"),
        stop=options.get("stop"),
        weights_sha256=weights,
    )
    jobs = ((clip, layer, seed) for layer in layers for clip in clips for seed in seeds)
    return {describe(clip, layer, seed, initial=starts.get(id(clip))): (clip, layer, seed) for clip, layer, seed in jobs}


def _prepare(out: Path, model: Model, clips: Sequence[Clip | GivenTarget], jobs: Iterable[Settings], kind: str) -> None:
    """Raise if the requested names are taken by others; restore originals, and warn about doubtful clips."""
    check_file_names(out, list(jobs))
    for clip in clips:
        check_clip_folder(out, clip, model.name, kind)
        restore_original(out, clip, model.name, kind, model.sample_rate)
        if isinstance(clip, Clip):
            hearing.warn_of_doubts(model, clip)


@dataclass
class _Existing:
    """The requested metamers that are in the folder already."""

    metamers: dict[Settings, Metamer] = field(default_factory=dict)
    rejudged: list[Metamer] = field(default_factory=list)
    reattempted: set[Settings] = field(default_factory=set)


def _read_existing(
    out: Path, model: Model, jobs: Iterable[Settings], null: NullDistribution | None, options: SynthesisOptions
) -> _Existing:
    """Read those that exist and judge again those whose verdict is out of date; a warning names the damaged ones."""
    existing, broken, method = _Existing(), [], options.get("method", "default")
    for settings in jobs:
        try:
            metamer = find_metamer(out, settings)
        except BrokenError as error:
            broken.append(str(error))
            continue
        if metamer is None:
            continue
        if (rejudged := rejudge_saved(model, out, metamer, null, method=method)) is not None:
            existing.rejudged.append(metamer := rejudged)
        if has_attempts_left(out, metamer.evidence):
            existing.reattempted.add(settings)
        existing.metamers[settings] = metamer
    warn_about_broken(broken, "counts as not made, and is made again")
    return existing


def _make_rest(
    out: Path,
    model: Model,
    jobs: Mapping[Settings, _Job],
    existing: _Existing,
    null: NullDistribution | None,
    starts: Mapping[int, Tensor],
    options: SynthesisOptions,
    progress: Callable[[FolderProgress], None] | None,
) -> Iterator[Metamer]:
    """Make and write what does not exist or is attempted again."""
    pending = [job for settings, job in jobs.items() if settings not in existing.metamers or settings in existing.reattempted]
    reporter = _Reporter(progress, _begin(len(jobs), existing, len(pending)), len(pending))
    checkpoints = Checkpoints(partial(checkpoint_path, out))
    made = iterate_metamers(model, pending, null=null, initial=starts, progress=reporter.step, checkpoints=checkpoints, **options)
    for metamer in made:
        if metamer.evidence.settings in existing.reattempted:
            archive_attempt(out, metamer.evidence)
        written = replace(metamer, evidence=save_signal(out, metamer.samples, metamer.clip, metamer.evidence))
        reporter.finish(written)
        yield written


def _begin(requested: int, existing: _Existing, pending: int) -> FolderProgress:
    return FolderProgress(
        fraction=0.0 if pending else 1.0,
        message=f"{len(existing.metamers)} of {requested} metamers exist already",
        requested=requested,
        existing=len(existing.metamers),
        rejudged=len(existing.rejudged),
        rejudged_passed=sum(metamer.passed is True for metamer in existing.rejudged),
        reattempted=len(existing.reattempted),
    )


class _Reporter:
    """Passes progress on to a caller's `progress`, if there is one."""

    def __init__(self, progress: Callable[[FolderProgress], None] | None, begin: FolderProgress, pending: int) -> None:
        self.progress, self.begin, self.pending, self.finished = progress, begin, pending, 0
        if progress is not None:
            progress(begin)

    def step(self, p: Progress) -> None:
        """Report the steps of a batch."""
        attempt = f", attempt {p.attempt + 1}" if p.attempt else ""
        self._report(
            self.finished + p.signals * min(p.step / p.steps, 1),
            f"{p.layer}: {p.signals} sound(s), step {p.step}/{p.steps}, SNR {p.snr_db:.1f} dB{attempt}",
        )

    def finish(self, metamer: Metamer) -> None:
        """Report a metamer that has been written."""
        self.finished += 1
        self._report(self.finished, f"{metamer.evidence.settings.layer}: {verdict_word(metamer.passed)}")

    def _report(self, done: float, message: str) -> None:
        if self.progress is not None:
            self.progress(replace(self.begin, fraction=min(done / self.pending, 1), message=message))


def _draw(out: Path, model: Model, metamers: Sequence[Metamer], seed: int) -> None:
    """Draw a figure of each clip, with its metamers of one seed."""
    if not can_draw(model):
        return
    by_clip: dict[str, list[Metamer]] = {}
    for metamer in metamers:
        if metamer.evidence.settings.seed == seed:
            by_clip.setdefault(metamer.clip.name, []).append(metamer)
    for clip, shown in by_clip.items():
        draw_figure(model, shown, clip_folder(out, clip, model.name) / FIGURE)
