"""Folders of the sounds that tell models apart: a WAV for each, and a table with a row for each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiometamer.comparison.controversial import ControversialSound, Search
from audiometamer.comparison.discriminative import Clustering
from audiometamer.comparison.distant import DistantMetamers
from audiometamer.comparison.mad import MadSound
from audiometamer.comparison.presented import write_16_bits
from audiometamer.errors import AudioMetamerError
from audiometamer.io.files import atomic_folder
from audiometamer.io.names import safe_name
from audiometamer.io.tables import write_table
from audiometamer.signals.audio import write_wav

TABLE = "sounds.tsv"
MAD_COLUMNS = ("file", "extreme", "optimised", "held", "distance", "start_distance", "held_distance", "drift", "steps")
CONTROVERSIAL_COLUMNS = (
    "file", "first", "second", "first_word", "second_word", "found_score", "score", "first_hears", "second_hears", "kept",
)  # fmt: skip
CLUSTER_COLUMNS = ("file", "cluster", "units", "loss")
DISTANT_COLUMNS = ("file", "snr_db", "start_snr_db", "distance", "start_distance")


def check_new(folder: Path) -> None:
    """Raise if a folder of results holds something already."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise AudioMetamerError(f"{folder} exists and is not empty; choose another --out")


def write_mad(folder: Path, sounds: Sequence[MadSound], original: Tensor, sample_rate: int) -> None:
    """Write the four sounds of a competition, their original, and their distances."""
    names = [f"{each.extreme}_{safe_name(each.optimised)}.wav" for each in sounds]
    rows = [{"file": name} | {c: getattr(each, c) for c in MAD_COLUMNS[1:]} for name, each in zip(names, sounds, strict=True)]
    waves = {"original.wav": original} | {name: each.sound for name, each in zip(names, sounds, strict=True)}
    _write(folder, waves, sample_rate, MAD_COLUMNS, rows)


def write_controversial(folder: Path, sounds: Sequence[ControversialSound], search: Search) -> None:
    """Write controversial sounds as listeners hear them, in 16 bits at the presentation rate; also those that are not kept."""
    waves: dict[str, NDArray[np.int16]] = {}
    rows = []
    for each in sounds:
        name = "_".join(map(safe_name, (each.first, each.first_word, each.second, each.second_word))) + ".wav"
        assert each.written is not None  # the commands take models of sounds
        waves[name] = each.written
        values = {column: getattr(each, column) for column in CONTROVERSIAL_COLUMNS[1:]}
        rows.append({"file": name} | values | {"kept": "yes" if each.kept else "no"})
    _write(folder, waves, search.presentation_rate, CONTROVERSIAL_COLUMNS, rows)


def write_clusters(folder: Path, found: Clustering, sample_rate: int) -> None:
    """Write the sound of each cluster, its units, and the response of each unit to each sound (responses.tsv)."""
    names = [f"cluster{k}.wav" for k in range(len(found.sounds))]
    rows = [
        {"file": name, "cluster": k, "units": " ".join(map(str, np.flatnonzero(found.clusters == k))), "loss": found.losses[k]}
        for k, name in enumerate(names)
    ]
    matrix = [
        {"unit": u, "cluster": c} | dict(zip(names, found.responses[:, u], strict=True)) for u, c in enumerate(found.clusters)
    ]
    more = {"responses.tsv": (("unit", "cluster", *names), matrix)}
    _write(folder, dict(zip(names, found.sounds, strict=True)), sample_rate, CLUSTER_COLUMNS, rows, more)


def write_distant(folder: Path, found: DistantMetamers, original: Tensor, sample_rate: int) -> None:
    """Write metamers far apart and their clip, with each one's mean distance to the others."""
    n = len(found.sounds)
    names = [f"metamer{k}.wav" for k in range(n)]
    means, start_means = (table.sum(1).double().cpu() / (n - 1) for table in (found.distances, found.start_distances))
    columns = (names, found.snr, found.start_snr, means.tolist(), start_means.tolist())
    rows = [dict(zip(DISTANT_COLUMNS, cells, strict=True)) for cells in zip(*columns, strict=True)]
    _write(folder, {"original.wav": original} | dict(zip(names, found.sounds, strict=True)), sample_rate, DISTANT_COLUMNS, rows)


_Table = tuple[Sequence[str], Sequence[Mapping[str, Any]]]


def _write(
    folder: Path, waves: Mapping[str, Tensor | NDArray[np.int16]], sample_rate: int, columns: Sequence[str],
    rows: Sequence[Mapping[str, Any]], more: Mapping[str, _Table] | None = None,
) -> None:  # fmt: skip
    """Write all or nothing."""
    with atomic_folder(folder) as temporary:
        for name, samples in waves.items():
            if isinstance(samples, Tensor):
                write_wav(temporary / name, samples, sample_rate)
            else:
                write_16_bits(temporary / name, samples, sample_rate)
        for name, (names, table) in {TABLE: (columns, rows), **(more or {})}.items():
            write_table(temporary / name, names, table)
