"""The design of an exploration: a TOML file about what is compared and how levels are chosen."""

import itertools
import math
import statistics
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from audiometamer.dimensions.dimensions import sides
from audiometamer.dimensions.ladder import Ladder
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.io.toml_files import problems_raised, raise_problems
from audiometamer.io.toml_problems import Problem
from audiometamer.listening.design import (
    CommonDesign,
    DesignCheck,
    Headphones,
    Images,
    PositiveInt,
    ResponseFormat,
    SoundSettings,
    Text,
    check_unique,
    failed,
    read_common,
)
from audiometamer.listening.tables import NonNegativeInt
from audiometamer.psychophysics import (
    DECISION_MODELS,
    DEFAULT_TARGET,
    Procedure,
    QuestPlus,
    Staircase,
    decision_model_for,
    spaced_levels,
    weighted_staircase,
)

Above = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=0, le=60)]
Decibels = Annotated[float, Meta(ge=0, le=20)]
_STEPPED = ("start", "steps", "reversals", "discard", "max_trials", "most_trials")
_ESTIMATED = ("target", "trials", "slopes", "lapses")
_KEYS = {
    "staircase": (*_STEPPED, "down", "first_down"),
    "weighted": (*_STEPPED, "target"),
    "psi": _ESTIMATED,
    "quest+": _ESTIMATED,
}
_EXAMPLES = Path(__file__).parent / "texts"
_LONGER_SIDE = 400  # CSS pixels; images are scaled to at most this size, unless a design says otherwise
_N_LEVELS = 40  # of psi and quest+ where levels are made online, and of the thresholds in their prior


class LadderSelection(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which part of a ladder is explored.

    Parameters
    ----------
    folder : str
        The folder of `audiometamer explore ladder`, relative to the design's folder.
    choose : list of str, optional
        Dimensions; ``relu2/3`` stands for both its sides. Default: all dimensions of the ladder.
    each : int, optional
        How many of them each listener gets. Default: all.
    """

    folder: Text
    choose: Annotated[list[Text], Meta(min_length=1)] | None = None
    each: PositiveInt | None = None


class ProcedureSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """How levels are chosen from the answers; see `audiometamer.psychophysics`. Changes are in standard deviations.

    Parameters
    ----------
    kind : {"staircase", "weighted", "psi", "quest+"}
        Default "staircase".
    least, most : float, optional
        The range of the changes. Default: that of the ladder.
    start : float, optional
        First change of a staircase. Default: the largest change.
    steps : list of float, optional
        Step sizes of a staircase, as ratios above 1. Default: two steps of the ladder at first, then one.
    down, first_down : int, optional
        Correct answers in a row before a staircase goes down, and the same until the first reversal. Default: 3 and 1.
    reversals, discard, max_trials : int, optional
        Number of reversals of a staircase, number of first reversals that do not count, and maximal number of trials. Default:
        12, 4 and 100.
    target : float, optional
        Proportion correct at threshold; that of a staircase follows from `down`. Default: 0.794.
    trials : int, optional
        Number of trials of psi and quest+. Default: 40.
    slopes : list of float, optional
        Slopes in the prior of psi and quest+, per natural logarithm of the change. Default: ten from 0.5 to 8.
    lapses : list of float, optional
        Lapse rates in the prior. Default: 0.02 for psi, which takes one; 0.01, 0.03 and 0.1 for quest+.
    """

    kind: Literal["staircase", "weighted", "psi", "quest+"] = "staircase"
    least: Above | None = None
    most: Above | None = None
    start: Above | None = None
    steps: list[float] | None = None
    down: PositiveInt | None = None
    first_down: PositiveInt | None = None
    reversals: PositiveInt | None = None
    discard: NonNegativeInt | None = None
    max_trials: PositiveInt | None = None
    most_trials: PositiveInt | None = None  # what `max_trials` was called; see `read_exploration_design`
    target: float | None = None
    trials: PositiveInt | None = None
    slopes: list[float] | None = None
    lapses: list[float] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """Those of some keys that the design has, with their values."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class TaskSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a listener does.

    Parameters
    ----------
    kind : {"abx", "odd-one-out"}
        Whether the third stimulus is the first or the second; which of three stimuli differs. Default "abx".
    gap : float
        Pause between the stimuli, in s. Default 0.5.
    rove : float
        Level rove: the largest random change of each sound's level, in dB. Default 0.
    """

    kind: Literal["abx", "odd-one-out"] = "abx"
    gap: Seconds = 0.5
    rove: Decibels = 0.0


class RenderingSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where stimuli come from.

    Parameters
    ----------
    way : {"ladder", "online"}
        The nearest of those made beforehand, or made while the listener hears the previous trial. Default "ladder".
    dimensions : str, optional
        For ``online``: the folder of `audiometamer explore dimensions`, relative to the design's folder.
    model : str, optional
        For ``online``: the name or folder of the model, or package.module:function. Default: the model of the ladder.
    longest_wait : float
        For ``online``: time in s after which the nearest of the ladder is presented instead. Default 2.
    ahead : int
        For ``online``: number of trials for which stimuli are made in advance. Default 4.
    """

    way: Literal["ladder", "online"] = "ladder"
    dimensions: Text | None = None
    model: Text | None = None
    longest_wait: Seconds = 2.0
    ahead: NonNegativeInt = 4


class PracticeSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials at the largest changes, with feedback.

    Parameters
    ----------
    trials : int
        Number of trials. Default 8.
    """

    trials: NonNegativeInt = 8


class CatchSettings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Easy trials among the others: the largest change along that dimension of a listener that alters signals most.

    The analysis excludes listeners who get many of them wrong.

    Parameters
    ----------
    every : int
        One of so many trials, at a random position; 2 or more, or 0 for none. Default 20.
    """

    every: NonNegativeInt = 20


class ExplorationDesign(CommonDesign, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An exploration.

    Parameters
    ----------
    ladder, procedure, task, making, practice, catch
        See their types.
    images : Images, optional
        For a ladder of images, which allows no `sounds`, `headphones` and ``task.rove``. Default: those of `Images`.
    title, listeners, seed, sounds, headphones, breaks, questions, texts, completion
        As in `audiometamer.listening.design.CommonDesign`.
    """

    ladder: LadderSelection
    procedure: ProcedureSettings = ProcedureSettings()
    task: TaskSettings = TaskSettings()
    making: RenderingSettings = RenderingSettings()
    practice: PracticeSettings = PracticeSettings()
    catch: CatchSettings = CatchSettings()
    images: Images | None = None

    @property
    def answers(self) -> ResponseFormat:
        """What a listener answers: the number of an interval."""
        return ResponseFormat(kind=self.task.kind)

    @property
    def guess(self) -> float:
        """Proportion correct at chance."""
        return DECISION_MODELS[decision_model_for(self.task.kind)].guess

    @property
    def gap(self) -> float:
        """Pause between the stimuli of a trial, in s."""
        return self.task.gap

    @property
    def image_settings(self) -> Images | None:
        """How images are shown; None for sounds."""
        return self.images

    def example(self, text: str) -> Path:
        """The file of an example text, used if the design names none."""
        kind, roved = ("sounds", self.task.rove > 0) if self.image_settings is None else ("images", False)
        name = f"instructions-{self.task.kind}{'-roved' if roved else ''}" if text == "instructions" else text
        return _EXAMPLES / self.texts.language / kind / f"{name}.md"

    def chosen(self, ladder: Ladder) -> list[str]:
        """The dimensions that are explored, in the order of the ladder.

        Raises
        ------
        AudioMetamerError
            If the ladder lacks one, or has fewer than each listener gets.
        """
        wanted = ladder.dimensions if self.ladder.choose is None else [str(d) for name in self.ladder.choose for d in sides(name)]
        for dimension in wanted:
            ladder.references(dimension)
        good, message = check_unique(wanted)
        if not good:
            raise AudioMetamerError(message)
        if (self.ladder.each or 0) > len(wanted):
            raise AudioMetamerError(f"each listener is to get {self.ladder.each} dimensions of {len(wanted)}")
        return [dimension for dimension in ladder.dimensions if dimension in wanted]

    def levels(self, ladder: Ladder, dimension: str) -> tuple[float, ...]:
        """The changes along a dimension that a procedure may request, rising; the ladder has them for all references.

        Raises
        ------
        AudioMetamerError
            If there are fewer than two, or the range exceeds that of the ladder.
        """
        made = common_changes(ladder, dimension)
        least, most = self.procedure.least or made[0], self.procedure.most or made[-1]
        if least < made[0] or most > made[-1]:
            raise AudioMetamerError(
                f"changes from {least:g} to {most:g} are requested; the ladder has {dimension} from {made[0]:g} to {made[-1]:g}"
            )
        found = tuple(change for change in made if least <= change <= most)
        if len(found) < 2:
            raise AudioMetamerError(
                f"a procedure needs two or more changes; {dimension} has {len(found)} from {least:g} to {most:g}"
            )
        return found

    def procedures(self, ladder: Ladder) -> dict[str, Procedure]:
        """The procedure of each dimension that is explored; those over the same levels are one object.

        Raises
        ------
        AudioMetamerError
            As `chosen`, `levels` and `procedure_over`.
        """
        levels = {dimension: self.levels(ladder, dimension) for dimension in self.chosen(ladder)}
        by_levels = {each: self.procedure_over(each) for each in dict.fromkeys(levels.values())}
        return {dimension: by_levels[each] for dimension, each in levels.items()}

    def procedure_over(self, levels: Sequence[float]) -> Procedure:
        """The procedure over some levels.

        Raises
        ------
        AudioMetamerError
            If its settings contradict each other, the levels or the task.
        """
        found = self._procedure_over(levels)
        if not self.guess < found.target:
            raise AudioMetamerError(
                f"the procedure looks for {found.target:.3g} correct; of {self.task.kind}, {self.guess:.3g} is right by "
                "guessing: it must be above that"
            )
        return found

    def _procedure_over(self, levels: Sequence[float]) -> Procedure:
        asked = self.procedure
        least, most = asked.least or levels[0], asked.most or levels[-1]
        if asked.kind in ("staircase", "weighted"):
            ratio = statistics.median(b / a for a, b in itertools.pairwise(levels))
            settings = {"start": most, "steps": (ratio**2, ratio), "reversals": 12, "discard": 4, "max_trials": 100}
            settings |= {"min_level": least, "max_level": most, "spacing": "log", **asked.given(*_STEPPED)}
            if asked.kind == "weighted":
                return weighted_staircase(DEFAULT_TARGET if asked.target is None else asked.target, **settings)
            return Staircase(**{"down": 3, "first_down": 1, **settings, **asked.given("down", "first_down")})
        fine = spaced_levels(least, most, _N_LEVELS, spacing="log")
        settings = {
            "levels": levels if self.making.way == "ladder" else fine, "thresholds": fine,
            "guess": self.guess, "slopes": spaced_levels(0.5, 8, 10, spacing="log"),
            "lapses": (0.02,) if asked.kind == "psi" else (0.01, 0.03, 0.1), "trials": 40, "spacing": "log",
        }  # fmt: skip
        return QuestPlus(**{**settings, **asked.given(*_ESTIMATED)})


def common_changes(ladder: Ladder, dimension: str) -> list[float]:
    """The requested changes that all references of a dimension have, rising.

    Raises
    ------
    AudioMetamerError
        If there are fewer than two.
    """
    changes = [set(ladder.changes(dimension, reference)) for reference in ladder.references(dimension)]
    if len(shared := sorted(set.intersection(*changes))) < 2:
        raise AudioMetamerError(
            f"a procedure needs two or more changes; all references of {dimension} share {len(shared)}: is the ladder finished?"
        )
    return shared


def read_exploration_design(path: Path) -> ExplorationDesign:
    """Read a design and check everything that can be checked without its ladder; raises as `experiment.design.read_design`.

    Warns
    -----
    AudioMetamerWarning
        If it has a key of earlier versions.
    """
    design = read_common(path, ExplorationDesign, _checks)
    settings = design.procedure
    if settings.most_trials is None:
        return design
    warnings.warn(f"{path}: procedure.most_trials is now called max_trials", AudioMetamerWarning, stacklevel=2)
    settings = msgspec.structs.replace(settings, max_trials=settings.most_trials, most_trials=None)
    return msgspec.structs.replace(design, procedure=settings)


def fit_to_ladder(path: Path, design: ExplorationDesign, ladder: Ladder) -> ExplorationDesign:
    """Check a design against its ladder, and fill in how images are shown.

    Parameters
    ----------
    path : path
        The file of the design.
    design : ExplorationDesign
    ladder : Ladder

    Raises
    ------
    AudioMetamerError
        If the ladder holds neither sounds nor images, or not those that the design has settings for; if it lacks dimensions or
        changes, or the procedure does not fit.
    """
    holds, none = ladder.holds, Headphones(test="none")
    of_sounds, of_images = (f"{ladder.folder} holds {holds}; this is for {others}" for others in ("sounds", "images"))
    checks = (
        (
            "ladder.folder",
            holds in ("sounds", "images"),
            f"{ladder.folder} holds neither sounds nor images: nobody compares them",
        ),
        ("images", holds == "images" or design.images is None, of_images),
        ("sounds", holds == "sounds" or design.sounds == SoundSettings(), of_sounds),
        ("headphones", holds == "sounds" or design.headphones in (Headphones(), none), of_sounds),
        ("task.rove", holds == "sounds" or not design.task.rove, of_sounds),
    )
    raise_problems(path, [*failed(checks), *_ladder_problems(design, ladder)])
    if holds == "sounds":
        return design
    images = design.images or Images()
    scale = images.scale or max(_LONGER_SIDE // max(ladder.all[0].read().shape[1:]), 1)
    return msgspec.structs.replace(design, images=msgspec.structs.replace(images, scale=scale), headphones=none)


def _ladder_problems(design: ExplorationDesign, ladder: Ladder) -> Iterator[Problem]:
    """What the design asks for and the ladder does not have."""
    unknown = [*problems_raised("ladder", lambda: design.chosen(ladder))]
    yield from unknown or problems_raised("procedure", lambda: design.procedures(ladder))


def _checks(design: ExplorationDesign) -> Iterator[DesignCheck]:
    """Checks of keys against each other: place, whether it passes, and the message if it does not."""
    asked, making = design.procedure, design.making
    for name in dict.fromkeys(itertools.chain.from_iterable(_KEYS.values())):
        of = " or ".join(f"kind = {kind!r}" for kind, keys in _KEYS.items() if name in keys)
        yield f"procedure.{name}", getattr(asked, name) is None or name in _KEYS[asked.kind], f"it is for {of}"
    yield "procedure.most_trials", asked.most_trials is None or asked.max_trials is None, "it is now max_trials; give that alone"
    yield "procedure.lapses", asked.kind != "psi" or len(asked.lapses or [0]) == 1, "psi takes one; quest+ takes several"
    yield "procedure.most", (asked.least or 0) < (asked.most or math.inf), f"it must be above least, {asked.least}"
    for name in ("dimensions", "model"):
        yield f"making.{name}", making.way == "online" or getattr(making, name) is None, "it is for way = 'online'"
    yield "catch.every", design.catch.every != 1, "1 would leave no trial to the procedures; 0 is for none, 2 or more for some"
    yield "task.rove", not design.task.rove or design.sounds.level + design.task.rove <= 0, (
        f"with sounds.level = {design.sounds.level:g}, the loudest sounds would be above full scale"
    )  # fmt: skip
    yield "making.dimensions", making.way == "ladder" or making.dimensions is not None, (
        "way = 'online' needs the folder of explore dimensions"
    )  # fmt: skip
