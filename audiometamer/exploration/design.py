"""The design of an exploration: a TOML file about what is compared and how levels are chosen."""

import itertools
import math
import statistics
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from audiometamer.dimensions.dimensions import sides
from audiometamer.dimensions.ladder import Ladder
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.exploration.design_tables import (
    BAYESIAN_KEYS,
    PROCEDURE_KEYS,
    STAIRCASE_KEYS,
    CatchSettings,
    LadderSelection,
    PracticeSettings,
    ProcedureSettings,
    RenderingSettings,
    TaskSettings,
)
from audiometamer.io.toml_files import problems_raised, raise_problems
from audiometamer.io.toml_problems import Problem
from audiometamer.listening.design import (
    CommonDesign,
    DesignCheck,
    Images,
    ResponseFormat,
    SoundSettings,
    check_unique,
    failed,
    read_common,
)
from audiometamer.listening.gates import Headphones
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

_EXAMPLES = Path(__file__).parent / "texts"
_LONGER_SIDE = 400  # CSS pixels; images are scaled to at most this size, unless a design says otherwise
_N_LEVELS = 40  # of psi and quest+ where levels are made online, and of the thresholds in their prior


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
        """Possible answers: the numbers of the intervals."""
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
        """Presentation of images; None for sounds."""
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
        chosen = self.procedure
        least, most = chosen.least or levels[0], chosen.most or levels[-1]
        if chosen.kind in ("staircase", "weighted"):
            ratio = statistics.median(b / a for a, b in itertools.pairwise(levels))
            settings = {"start": most, "steps": (ratio**2, ratio), "reversals": 12, "discard": 4, "max_trials": 100}
            settings |= {"min_level": least, "max_level": most, "spacing": "log", **chosen.given(*STAIRCASE_KEYS)}
            if chosen.kind == "weighted":
                return weighted_staircase(DEFAULT_TARGET if chosen.target is None else chosen.target, **settings)
            return Staircase(**{"down": 3, "first_down": 1, **settings, **chosen.given("down", "first_down")})
        fine = spaced_levels(least, most, _N_LEVELS, spacing="log")
        settings = {
            "levels": levels if self.making.way == "ladder" else fine, "thresholds": fine,
            "guess": self.guess, "slopes": spaced_levels(0.5, 8, 10, spacing="log"),
            "lapses": (0.02,) if chosen.kind == "psi" else (0.01, 0.03, 0.1), "trials": 40, "spacing": "log",
        }  # fmt: skip
        return QuestPlus(**{**settings, **chosen.given(*BAYESIAN_KEYS)})


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
            f"{ladder.folder} holds neither sounds nor images, which listeners could compare",
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
    """Stimuli that the design needs and the ladder lacks."""
    unknown = [*problems_raised("ladder", lambda: design.chosen(ladder))]
    yield from unknown or problems_raised("procedure", lambda: design.procedures(ladder))


def _checks(design: ExplorationDesign) -> Iterator[DesignCheck]:
    """Checks of keys against each other: place, whether it passes, and the message if it does not."""
    procedure, making = design.procedure, design.making
    for name in dict.fromkeys(itertools.chain.from_iterable(PROCEDURE_KEYS.values())):
        of = " or ".join(f"kind = {kind!r}" for kind, keys in PROCEDURE_KEYS.items() if name in keys)
        yield f"procedure.{name}", getattr(procedure, name) is None or name in PROCEDURE_KEYS[procedure.kind], f"it is for {of}"
    yield "procedure.most_trials", None in (procedure.most_trials, procedure.max_trials), "it is now max_trials; give that alone"
    yield "procedure.lapses", procedure.kind != "psi" or len(procedure.lapses or [0]) == 1, "psi takes one; quest+ takes several"
    yield "procedure.most", (procedure.least or 0) < (procedure.most or math.inf), f"it must be above least, {procedure.least}"
    for name in ("dimensions", "model"):
        yield f"making.{name}", making.way == "online" or getattr(making, name) is None, "it is for way = 'online'"
    yield "catch.every", design.catch.every != 1, "1 would leave no trial to the procedures; 0 is for none, 2 or more for some"
    yield "task.rove", not design.task.rove or design.sounds.level + design.task.rove <= 0, (
        f"with sounds.level = {design.sounds.level:g}, the loudest sounds would be above full scale"
    )  # fmt: skip
    yield "making.dimensions", making.way == "ladder" or making.dimensions is not None, (
        "way = 'online' needs the folder of explore dimensions"
    )  # fmt: skip
