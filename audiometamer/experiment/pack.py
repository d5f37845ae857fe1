"""An experiment that needs no server of ours: a folder for any web host, a study for JATOS, or condition files for PsychoPy."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from audiometamer.errors import AudioMetamerError
from audiometamer.experiment.jatos import write_jatos
from audiometamer.experiment.packed_page import INDEX, write_packed_page
from audiometamer.experiment.psychopy import write_psychopy
from audiometamer.experiment.reading import read_experiment
from audiometamer.io.draws import equalize_mtimes
from audiometamer.io.files import atomic_folder, atomic_write, refuse_existing, write_private
from audiometamer.io.paths import real_path
from audiometamer.listening.folder import Experiment
from audiometamer.listening.list_names import list_token

PackFormat = Literal["static", "jatos", "psychopy"]


class PackedExperiment(NamedTuple):
    """A packed experiment.

    Parameters
    ----------
    lists : int
        Number of lists.
    links : Path or None
        Table of links to the lists, readable by its owner only; None where there are no links.
    """

    lists: int
    links: Path | None


def pack(folder: Path, out: Path, *, to: PackFormat, address: str = "", any_list: bool = False) -> PackedExperiment:
    """Write an experiment in a format that needs no server of ours; the same experiment gives the same files.

    Parameters
    ----------
    folder : path
        Folder of the experiment.
    out : path
        A new folder; for JATOS, a new file whose name ends in .jzip. The table of links is written beside it.
    to : {"static", "jatos", "psychopy"}
    address : str
        Address at which the static folder will be reached, or the study link of JATOS, for the links. Default: none; links to a
        static folder then begin with ``index.html``, and those of JATOS are what follows the study link.
    any_list : bool
        Whether JATOS gives each newcomer the next free list, under one study link for all; newcomers can then read all lists.
        Default False: only the link to a list opens it.

    Returns
    -------
    PackedExperiment

    Raises
    ------
    AudioMetamerError
        If `out` exists, the folder is no experiment, or one of its files is missing.
    """
    if to not in get_args(PackFormat):
        raise AudioMetamerError(f"{to!r} is no format to pack into; there are {', '.join(get_args(PackFormat))}")
    if any_list and to != "jatos":
        raise AudioMetamerError(f"only JATOS hands out lists by itself; an experiment packed to {to} cannot")
    links = None if to == "psychopy" or any_list else out.parent / f"{real_path(out).name.removesuffix('.jzip')}-links.tsv"
    refuse_existing(*(path for path in (out, links) if path is not None))
    if to == "jatos" and out.suffix != ".jzip":
        raise AudioMetamerError(f"{out} is no name of a study for JATOS; it must end in .jzip")
    experiment = read_experiment(folder)
    if to == "psychopy" and experiment.design.rates_confidence:
        raise AudioMetamerError(f"{folder} asks how sure listeners are, which condition files cannot; pack it to static or jatos")
    if lacking := [path for path in experiment.sounds.values() if not path.is_file()]:
        raise AudioMetamerError(f"{lacking[0]} does not exist; build the experiment again")
    with atomic_write(out) if to == "jatos" else atomic_folder(out) as new:
        if to == "jatos":
            write_jatos(experiment, new, any_list=any_list)
        elif to == "static":
            write_packed_page(experiment, new)
        else:
            write_psychopy(experiment, new)
        equalize_mtimes(path for path in new.rglob("*") if path.is_file())
        if links is not None:
            start = f"{address or INDEX}#" if to == "static" else f"{address}{'&' if '?' in address else '?'}list="
            _write_links(links, experiment, start)
    return PackedExperiment(len(experiment.lists.listeners), links)


def _write_links(path: Path, experiment: Experiment, start: str) -> None:
    """Write the table of links, each of which ends in the token of a list."""
    rows = (f"{one.number}\t{start}{list_token(experiment, one.number)}" for one in experiment.lists.listeners)
    write_private(path, "\n".join(("list\tlink", *rows)) + "\n")
