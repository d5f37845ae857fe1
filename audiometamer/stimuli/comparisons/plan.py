"""A plan of sounds that tell models apart: the kinds of sounds, and the models and clips that they are made from."""

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from audiometamer.comparison.presented import PRESENTATION_RATE
from audiometamer.distortions.spaces import SpaceName
from audiometamer.errors import AudioMetamerError
from audiometamer.io.reading import read_unicode
from audiometamer.io.toml_files import parse_toml, read_toml
from audiometamer.io.toml_problems import Problem
from audiometamer.stimuli.plan import ClipSelection, CommonPlan, Count, LocatedPlan, PlannedModel

Kind = Literal["eigendistortions", "finite", "principal", "mad", "controversial", "distant"]
Positive = Annotated[float, Meta(gt=0)]
_SPACE = ("levels", "space", "band", "bands")
# The keys of each kind, besides `kind` itself.
_KEYS: dict[Kind, tuple[str, ...]] = {
    "eigendistortions": _SPACE,
    "finite": (*_SPACE, "steps"),
    "principal": (*_SPACE, "steps"),
    "mad": ("noise", "band", "steps"),
    "controversial": ("words", "read_out", "task", "band", "steps"),
    "distant": ("count", "apart_in", "rounds", "steps", "synthesis_steps"),
}
PAIRED: tuple[Kind, ...] = ("principal", "mad", "controversial")  # kinds made for two models


class Comparison(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One kind of sounds; a key that its kind does not have must be left out.

    Parameters
    ----------
    kind : {"eigendistortions", "finite", "principal", "mad", "controversial", "distant"}
        The clip with the changes that a layer notices most and least, of infinitesimal or of finite size; with the changes about
        which two layers disagree; nearest and farthest by one layer at a fixed distance by another; a sound in which two models
        hear different words; metamers far apart.
    levels : list of float
        RMS of distortions in dB re that of the clip. Default [-20].
    space : {"all", "level", "envelope", "cochlea", "band"}
        Allowed distortions; see `audiometamer.distortions.spaces.space_named`. Default "all".
    band : tuple of float, optional
        Lowest and highest frequency in Hz of the sounds, or of ``space = "band"``. Default: all.
    bands : int
        Number of cochlear bands. Default 30.
    steps : int, optional
        Steps of the search. Default: that of the function that makes the sounds.
    noise : float
        Noise of the start of a MAD competition in dB re the clip's RMS. Default -20.
    words : list of str, optional
        Words, of which every ordered pair is taken. Default: those that all models share.
    read_out : {"softmax", "sigmoid"}
        How logits become probabilities. Default "softmax".
    task : str, optional
        Task of the models. Default: each one's first that has both words.
    count : int
        Metamers that are moved apart. Default 3.
    apart_in : {"stft", "cochleagram"}
        Representation in which they differ. Default "stft".
    rounds : int
        How often each of them is moved. Default 2.
    synthesis_steps : int, optional
        Steps of their synthesis. Default: the method's own.
    """

    kind: Kind
    levels: Annotated[list[float], Meta(min_length=1)] | None = None
    space: SpaceName | None = None
    band: tuple[Annotated[float, Meta(ge=0)], Positive] | None = None
    bands: Annotated[int, Meta(ge=2)] | None = None
    steps: Count | None = None
    noise: float | None = None
    words: Annotated[list[str], Meta(min_length=2)] | None = None
    read_out: Literal["softmax", "sigmoid"] | None = None
    task: str | None = None
    count: Annotated[int, Meta(ge=2)] | None = None
    apart_in: Literal["stft", "cochleagram"] | None = None
    rounds: Count | None = None
    synthesis_steps: Count | None = None

    @property
    def distortion_levels(self) -> list[float]:
        """The levels, or the default."""
        return self.levels or [-20.0]

    def problems(self, place: str) -> Iterator[Problem]:
        """Keys that its kind does not have."""
        allowed = _KEYS[self.kind]
        for key in self.__struct_fields__[1:]:
            if getattr(self, key) is not None and key not in allowed:
                yield Problem(f"{place}.{key}", f"kind = {self.kind!r} has no {key}; it has {', '.join(allowed)}")
        if "space" in allowed and (self.band is not None) != (self.space == "band"):
            yield Problem(f"{place}.band", 'space = "band" and band = [LOW, HIGH] go together; give both or neither')


class ComparisonPlan(CommonPlan, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which sounds that tell models apart to make: each kind, for each clip, each layer or pair of layers, and each seed.

    Parameters
    ----------
    output, models, layers, seeds
        As in `CommonPlan`. The distance of every sound from its clip is measured at every layer.
    clips : ClipSelection
        Default: none, where all kinds are controversial.
    comparisons : list of Comparison
    level : float, optional
        RMS of the clips, and of controversial sounds. Default: the models' own, and 0.1.
    rate : int
        Sample rate in Hz of the files, which have 16 bits. Default 44100.
    """

    clips: ClipSelection = ClipSelection()
    models: Annotated[list[PlannedModel], Meta(min_length=1)]
    comparisons: Annotated[list[Comparison], Meta(min_length=1)]
    level: Annotated[float, Meta(gt=0, le=1)] | None = None
    rate: Annotated[int, Meta(ge=1000, le=192_000)] = PRESENTATION_RATE

    @property
    def has_clips(self) -> bool:
        """Whether it names clips."""
        return self.clips != ClipSelection()

    def problems(self) -> Iterator[Problem]:
        """Its faults, independent of the disk."""
        yield from self.repetitions()
        for k, one in enumerate(self.comparisons):
            yield from one.problems(f"comparisons[{k}]")
            if one in self.comparisons[:k]:
                yield Problem(f"comparisons[{k}]", "it is there twice")
            if one.kind == "controversial" and len(self.models) < 2:
                yield Problem(f"comparisons[{k}].kind", "one model is planned; controversial sounds need two or more")
        if self.clips.initial is not None:
            yield Problem("clips.initial", "only metamers start from given signals; leave it out")
        if self.has_clips or any(one.kind != "controversial" for one in self.comparisons):
            yield from self.clips.problems()


def is_comparison_plan(path: Path) -> bool:
    """Whether a plan is one of sounds that tell models apart; False if it cannot be read, which reading it reports."""
    try:
        return "comparisons" in parse_toml(read_unicode(path))
    except (OSError, ValueError):
        return False


def read_comparison_plan(path: Path) -> LocatedPlan[ComparisonPlan]:
    """Read a plan and check everything that can be checked without its models and clips.

    Raises
    ------
    AudioMetamerError
        If it cannot be read, has an unknown key, a value of a wrong type or out of range, or says something twice.
    """
    plan = LocatedPlan(path, read_toml(path, ComparisonPlan, ComparisonPlan.problems))
    plan.check_output()
    return plan


def rivals(places: list[tuple[int, str]]) -> list[tuple[tuple[int, str], tuple[int, str]]]:
    """All pairs of layers of different models; of one model's layers, where there is only one model.

    Examples
    --------
    >>> rivals([(0, "relu0"), (1, "relu0"), (1, "final")])
    [((0, 'relu0'), (1, 'relu0')), ((0, 'relu0'), (1, 'final'))]
    """
    alone = len({entry for entry, _ in places}) == 1
    pairs = [(a, b) for a, b in combinations(places, 2) if alone or a[0] != b[0]]
    if not pairs:
        raise AudioMetamerError("there is one layer of one model; two can be compared")
    return pairs


def settings_of(comparison: Comparison) -> dict[str, Any]:
    """The keys that were given, for the record."""
    return {key: value for key, value in msgspec.to_builtins(comparison).items() if value is not None}
