"""The design of an exploration: a TOML file that says what is compared and how levels are chosen; every key of it is checked."""

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from audiometamer.dimensions.dimensions import sides
from audiometamer.dimensions.ladder import Ladder
from audiometamer.errors import AudioMetamerError
from audiometamer.io.toml_files import raise_problems
from audiometamer.listening.design import (
    CommonDesign,
    DesignCheck,
    Headphones,
    Images,
    NonNegativeInt,
    PositiveInt,
    ResponseFormat,
    SoundSettings,
    Text,
    check_unique,
    failed,
    read_common,
)
from audiometamer.psychophysics import TARGET, TASKS, Procedure, QuestPlus, Staircase, grid, model_of, weighted

Above = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=0, le=60)]
Decibels = Annotated[float, Meta(ge=0, le=20)]
_STEPPED = ("start", "steps", "reversals", "discard", "most_trials")
_ESTIMATED = ("target", "trials", "slopes", "lapses")
_KEYS = {
    "staircase": (*_STEPPED, "down", "first_down"),
    "weighted": (*_STEPPED, "target"),
    "psi": _ESTIMATED,
    "quest+": _ESTIMATED,
}
_EXAMPLES = Path(__file__).parent / "texts"
_LONGER_SIDE = 400  # of the page's pixels (CSS): images are shown as large as fits into so many, if a design does not say more
_LEVELS = 40  # of psi and quest+, where any level can be made, and of the thresholds that they think of


class LadderChoice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is explored.

    Parameters
    ----------
    folder : str
        Of `audiometamer explore ladder`, as seen from the design's folder.
    choose : list of str, optional
        Dimensions; ``relu2/3`` stands for both its sides. Default: all of the ladder.
    each : int, optional
        How many of them a listener gets. Default: all.
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
        Of a staircase. Default: the largest change.
    steps : list of float, optional
        Ratios of two levels, above 1. Default: two rungs of the ladder at first, then one.
    down, first_down : int, optional
        Of a staircase: correct answers in a row until it goes down, and the same until the first reversal. Default: 3 and 1.
    reversals, discard, most_trials : int, optional
        Of staircases: how many reversals, how many of the first do not count, and after how many trials at the latest they end.
        Default: 12, 4 and 100.
    target : float, optional
        The proportion correct that is looked for; a staircase's follows from `down`. Default: 0.794.
    trials : int, optional
        Of psi and quest+. Default: 40.
    slopes : list of float, optional
        Of the listeners that they think of, for natural logarithms of changes. Default: ten from 0.5 to 8.
    lapses : list of float, optional
        Default: 0.02 for psi, which takes one; 0.01, 0.03 and 0.1 for quest+.
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
    most_trials: PositiveInt | None = None
    target: float | None = None
    trials: PositiveInt | None = None
    slopes: list[float] | None = None
    lapses: list[float] | None = None

    def given(self, *names: str) -> dict[str, Any]:
        """The values of some keys, of those that are there."""
        return {name: value for name in names if (value := getattr(self, name)) is not None}


class Task(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What a listener does.

    Parameters
    ----------
    kind : {"abx", "odd-one-out"}
        Whether the third sound is the first or the second; which of three sounds differs. Default "abx".
    gap : float
        Pause between the sounds or images, s. Default 0.5.
    rove : float
        Each sound is louder or softer by a random number of dB, up to so many. Default 0.
    """

    kind: Literal["abx", "odd-one-out"] = "abx"
    gap: Seconds = 0.5
    rove: Decibels = 0.0


class Making(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where the sounds come from.

    Parameters
    ----------
    way : {"ladder", "online"}
        The nearest that was made beforehand; or made while the listener hears the trial before. Default "ladder".
    dimensions : str, optional
        For ``online``: the folder of `audiometamer explore dimensions`, as seen from the design's folder.
    model : str, optional
        For ``online``: the name or folder of the model, or package.module:function. Default: the name that the ladder tells.
    longest_wait : float
        For ``online``: after so many s the nearest of the ladder is played instead. Default 2.
    ahead : int
        For ``online``: sounds of so many trials are made before their turn. Default 4.
    """

    way: Literal["ladder", "online"] = "ladder"
    dimensions: Text | None = None
    model: Text | None = None
    longest_wait: Seconds = 2.0
    ahead: NonNegativeInt = 4


class Practice(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials at the largest changes, whose right answer is told afterwards.

    Parameters
    ----------
    trials : int
        Default 8.
    """

    trials: NonNegativeInt = 8


class Catch(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Trials among the others that nobody who attends gets wrong: of a listener's dimensions, the one that changes signals most.

    They are at its largest change. The analysis leaves out who gets many of them wrong.

    Parameters
    ----------
    every : int
        One, at a random place, of so many trials, two or more; 0: none. Default 20.
    """

    every: NonNegativeInt = 20


class ExplorationDesign(CommonDesign, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An exploration.

    Parameters
    ----------
    ladder, procedure, task, making, practice, catch
        Tables of their own.
    images : Images, optional
        Of a ladder of images, where `sounds`, `headphones` and ``task.rove`` have no place. Default: those of `Images`.
    title, listeners, seed, sounds, headphones, breaks, questions, texts, completion
        As in `audiometamer.listening.design.CommonDesign`.
    """

    ladder: LadderChoice
    procedure: ProcedureSettings = ProcedureSettings()
    task: Task = Task()
    making: Making = Making()
    practice: Practice = Practice()
    catch: Catch = Catch()
    images: Images | None = None

    @property
    def answers(self) -> ResponseFormat:
        """What a listener answers: the number of an interval."""
        return ResponseFormat(kind=self.task.kind)

    @property
    def guess(self) -> float:
        """The proportion of answers that is right by chance."""
        return TASKS[model_of(self.task.kind)].guess

    @property
    def gap(self) -> float:
        """Pause between the sounds, or images, of one trial, s."""
        return self.task.gap

    @property
    def image_settings(self) -> Images | None:
        """How images are shown; None where sounds are played."""
        return self.images

    def example(self, text: str) -> Path:
        """The file of one of the texts, where the design names none."""
        kind, roved = ("sounds", self.task.rove > 0) if self.image_settings is None else ("images", False)
        name = f"instructions-{self.task.kind}{'-roved' if roved else ''}" if text == "instructions" else text
        return _EXAMPLES / self.texts.language / kind / f"{name}.md"

    def chosen(self, ladder: Ladder) -> list[str]:
        """The dimensions that are explored, in the order of the ladder.

        Raises
        ------
        AudioMetamerError
            If the ladder lacks one, or has fewer than a listener is to get.
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
        """The changes that a procedure may ask for along a dimension, as far as the ladder has them; rising.

        Raises
        ------
        AudioMetamerError
            If these are fewer than two, or the range goes beyond the ladder.
        """
        made = common_changes(ladder, dimension)
        least, most = self.procedure.least or made[0], self.procedure.most or made[-1]
        if least < made[0] or most > made[-1]:
            raise AudioMetamerError(
                f"changes from {least:g} to {most:g} are wanted; the ladder has {dimension} from {made[0]:g} to {made[-1]:g}"
            )
        found = tuple(change for change in made if least <= change <= most)
        if len(found) < 2:
            raise AudioMetamerError(
                f"a procedure needs two or more changes; {dimension} has {len(found)} from {least:g} to {most:g}"
            )
        return found

    def procedure_over(self, levels: Sequence[float]) -> Procedure:
        """The procedure of a dimension.

        Raises
        ------
        AudioMetamerError
            If its settings do not fit each other, the levels or the task.
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
            rung = statistics.median(b / a for a, b in itertools.pairwise(levels))
            settings = {"start": most, "steps": (rung**2, rung), "reversals": 12, "discard": 4, "most_trials": 100}
            settings |= {"least": least, "most": most, "spacing": "log", **asked.given(*_STEPPED)}
            if asked.kind == "weighted":
                return weighted(TARGET if asked.target is None else asked.target, **settings)
            return Staircase(**{"down": 3, "first_down": 1, **settings, **asked.given("down", "first_down")})
        fine = grid(least, most, _LEVELS, spacing="log")
        settings = {
            "levels": levels if self.making.way == "ladder" else fine, "thresholds": fine,
            "guess": self.guess, "slopes": grid(0.5, 8, 10, spacing="log"),
            "lapses": (0.02,) if asked.kind == "psi" else (0.01, 0.03, 0.1), "trials": 40, "spacing": "log",
        }  # fmt: skip
        return QuestPlus(**{**settings, **asked.given(*_ESTIMATED)})


def common_changes(ladder: Ladder, dimension: str) -> list[float]:
    """The wished changes that all references of a dimension have, rising.

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
    """Read a design and check everything that can be checked without its ladder; raises as `experiment.design.read_design`."""
    return read_common(path, ExplorationDesign, _checks)


def suited(path: Path, design: ExplorationDesign, ladder: Ladder) -> ExplorationDesign:
    """A design that lies at `path`, for what the ladder holds: of images, it says how they are shown, and nothing of sounds.

    Raises
    ------
    AudioMetamerError
        If the ladder holds neither sounds nor images, or the design has settings of the one and the ladder holds the other.
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
    raise_problems(path, failed(checks))
    if holds == "sounds":
        return design
    images = design.images or Images()
    scale = images.scale or max(_LONGER_SIDE // max(ladder.all[0].read().shape[1:]), 1)
    return msgspec.structs.replace(design, images=msgspec.structs.replace(images, scale=scale), headphones=none)


def _checks(design: ExplorationDesign) -> Iterator[DesignCheck]:
    """Places, whether they agree with the others, and what is to be said if they do not."""
    asked, making = design.procedure, design.making
    for name in dict.fromkeys(itertools.chain.from_iterable(_KEYS.values())):
        of = " or ".join(f"kind = {kind!r}" for kind, keys in _KEYS.items() if name in keys)
        yield f"procedure.{name}", getattr(asked, name) is None or name in _KEYS[asked.kind], f"it is for {of}"
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
