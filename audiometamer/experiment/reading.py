"""An experiment whose trials were drawn beforehand, read back from its folder."""

from pathlib import Path

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.comparisons.design import ComparisonDesign, is_comparison_design, read_comparison_design
from audiometamer.experiment.design import Design, read_design
from audiometamer.experiment.scaling.design import ScalingDesign, is_scaling_design, read_scaling_design
from audiometamer.listening.folder import DESIGN, Experiment, read_lists
from audiometamer.listening.trials import KeyEntry, Lists


def read_experiment(folder: Path) -> Experiment:
    """Read what `audiometamer experiment build` made.

    Raises
    ------
    AudioMetamerError
        If it is no such folder, something in it cannot be read or does not fit together, or trials depend on answers.
    """
    return experiment_with(folder, *read_lists(folder))


def experiment_with(folder: Path, lists: Lists, key: dict[str, KeyEntry]) -> Experiment:
    """The experiment of a folder whose lists and key have been read; raises as `read_experiment`."""
    if lists.adaptive_command:
        raise AudioMetamerError(
            f"{folder} has trials that depend on the answers; it needs a server, and is for "
            f"`audiometamer {lists.adaptive_command}`"
        )
    return Experiment(folder, read_any_design(folder / DESIGN), lists, key)


def read_any_design(path: Path) -> Design | ComparisonDesign | ScalingDesign:
    """Read the design of an experiment, whose kind follows from its kind of answers."""
    if is_comparison_design(path):
        return read_comparison_design(path)
    return read_scaling_design(path) if is_scaling_design(path) else read_design(path)
