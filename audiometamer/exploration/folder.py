"""The folder of an exploration: reading what was built, and opening it for listeners."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from audiometamer.dimensions.ladder import read_ladder
from audiometamer.errors import AudioMetamerError
from audiometamer.exploration.design import fit_to_ladder, read_exploration_design
from audiometamer.exploration.model_mover import open_model_mover
from audiometamer.exploration.mover_process import MoverProcess
from audiometamer.exploration.render_queue import RenderQueue
from audiometamer.exploration.sequence import ExplorationSequence
from audiometamer.io.toml_files import error_context
from audiometamer.listening import folder as layout
from audiometamer.listening.folder import Experiment, read_lists
from audiometamer.listening.trials import KeyEntry, Lists

COMMAND_NAME = "explore"  # the command whose experiments these are
LADDER, DIMENSIONS, MADE = "ladder", "dimensions", "made"


@dataclass(frozen=True)
class Exploration(Experiment):
    """A built exploration."""

    @property
    def sequence(self) -> ExplorationSequence:
        """The adaptive trials of its lists."""
        assert isinstance(self.adaptive, ExplorationSequence)
        return self.adaptive


def read_exploration(folder: Path) -> Exploration:
    """Read what `audiometamer.exploration.build.build` made; all stimuli are of the ladder, even if the design says online.

    Raises
    ------
    AudioMetamerError
        If it is not such a folder, or something in it cannot be read or does not fit together.
    """
    return exploration_with(folder, *read_lists(folder))


def exploration_with(folder: Path, lists: Lists, key: dict[str, KeyEntry]) -> Exploration:
    """The exploration of a folder whose lists and key have been read; raises as `read_exploration`."""
    if lists.adaptive_command != COMMAND_NAME:
        raise AudioMetamerError(f"{folder} is no exploration; it is for `audiometamer experiment`")
    ladder = read_ladder(folder / LADDER, strict=True)
    ladder.check_files()
    design_path = folder / layout.DESIGN
    design = fit_to_ladder(design_path, read_exploration_design(design_path), ladder)
    sequence = ExplorationSequence(folder, design, ladder, lists.draws(folder / layout.NAMES_KEY))
    return Exploration(folder, design, lists, key, sequence)


@contextmanager
def served_exploration(folder: Path, *, device: str = "auto") -> Iterator[Exploration]:
    """An exploration for listeners: if the design says online, with a process that makes stimuli until the block ends.

    Raises
    ------
    AudioMetamerError
        As `read_exploration`; if the model cannot be loaded or has other weights, or there is no such device.
    """
    exploration = read_exploration(folder)
    sequence = exploration.sequence
    making = sequence.design.making
    if making.way == "ladder":
        yield exploration
        return
    open_mover = partial(
        open_model_mover, making.model or sequence.ladder.model, device,
        dimensions=folder / DIMENSIONS, ladder=folder / LADDER, folder=folder / MADE,
    )  # fmt: skip
    with ExitStack() as stack:
        with error_context(folder / layout.DESIGN, "making"):
            mover = stack.enter_context(closing(MoverProcess(open_mover)))
            queue = stack.enter_context(RenderQueue(mover, sequence.ladder, folder / MADE))
        yield replace(exploration, adaptive=replace(sequence, render_queue=queue))
