"""A set's description of itself: its index, clips, licences, description, README, and last its manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from audiometamer.errors import AudioMetamerError, first_few
from audiometamer.io.files import is_temporary, write_json, write_text
from audiometamer.io.locks import file_lock
from audiometamer.io.tables import read_table, write_table
from audiometamer.jobs.claims import LOCK, file_stamp, remove_dead_claims
from audiometamer.metamers.folder_kinds import check_set, is_set
from audiometamer.metamers.layout import INDEX, ITEMS
from audiometamer.metamers.results import iterate_results, read_results
from audiometamer.stimuli.clips import RIGHTS, UNKNOWN, known_clips, merge_clips, natural_clips, read_clip_table
from audiometamer.stimuli.comparison_index import ComparisonRow, comparison_readme, comparison_rows, sounds_of
from audiometamer.stimuli.comparison_records import is_comparison_set
from audiometamer.stimuli.description import WRITTEN_BY_US, description, licences_section, read_description, readme
from audiometamer.stimuli.index import IndexRow, index_row, write_index
from audiometamer.stimuli.layout import CLAIMS, CLIPS, COMPARISONS, DESCRIPTION, LICENCES, MANIFEST, ORIGINALS, README
from audiometamer.stimuli.proof import is_record
from audiometamer.stimuli.verify import lists_all, read_manifest, write_manifest

_OF_WORKERS = (ITEMS, ORIGINALS, CLAIMS, COMPARISONS)  # folders that they write into


def write_set(
    stimulus_set: Path, *, clips: Path | None = None, name: str | None = None
) -> Sequence[IndexRow] | Sequence[ComparisonRow]:
    """Write a set's index, tables, description and manifest from its items; in a folder of `synth`, only the tables of clips.

    ``index.tsv`` (and ``index.parquet`` where pyarrow is installed), ``clips.tsv``, ``LICENCES.tsv``,
    ``dataset_description.json``, ``README.md`` and ``MANIFEST.sha256``.

    Parameters
    ----------
    stimulus_set : path
    clips : path, optional
        A table with the column ``name`` or ``path``, whose other columns describe the clips (word, speaker, ``licence``,
        ``attribution``, ``source``). It adds to the tables of the set's plans and its ``clips.tsv``, and overrides them.
    name : str, optional
        Name of the data set. Default: that in ``dataset_description.json``, or else that of the folder.

    Returns
    -------
    sequence of IndexRow or ComparisonRow

    Raises
    ------
    AudioMetamerError
        If there is no item, if something cannot be read or written, if two rows of `clips` describe one clip differently,
        or if it describes none of the set's clips.
    """
    if not stimulus_set.is_dir():
        check_set(stimulus_set)
    with file_lock(stimulus_set / LOCK):
        rows = _rows(stimulus_set) or list(map(index_row, read_results(stimulus_set, warn=False, whole=True)))
        added = {} if clips is None else read_clip_table(clips)
        if clips is not None and not any(row.clip in added for row in rows):
            raise AudioMetamerError(
                f"{clips} describes none of the clips of {stimulus_set} ({rows[0].clip}, …); it has {first_few(list(added))}"
            )
        _write(stimulus_set, rows, merge_clips(known_clips(stimulus_set), added), name)
    return rows


def finalize(stimulus_set: Path, *, clips: Path | None) -> None:
    """Write a set's index, tables, description and manifest at the end of a run, unless they are up to date or nothing is made.

    Runs that end at the same time do this one after the other; what the first has written is up to date for the next.

    Parameters
    ----------
    stimulus_set : path
    clips : path or None
        Table of the plan's clips; None without clips.
    """
    before = file_stamp(stimulus_set / MANIFEST)
    with file_lock(stimulus_set / LOCK):
        known = known_clips(stimulus_set)
        about = known if clips is None else merge_clips(known, read_clip_table(clips))
        if file_stamp(stimulus_set / MANIFEST) != before and about == known and _is_up_to_date(stimulus_set):
            return
        _remove_leftovers(stimulus_set)
        if rows := _rows(stimulus_set):
            _write(stimulus_set, rows, about)


def _rows(stimulus_set: Path) -> Sequence[IndexRow] | Sequence[ComparisonRow]:
    """The rows of the index: of metamers, or of sounds that tell models apart."""
    if is_comparison_set(stimulus_set):
        return comparison_rows(stimulus_set)
    return list(map(index_row, iterate_results(stimulus_set, whole=True)))


def _is_up_to_date(stimulus_set: Path) -> bool:
    """Whether manifest and index list every item: one may be finished after another run has written its index."""
    listed = read_manifest(stimulus_set)
    if is_comparison_set(stimulus_set):
        return lists_all(stimulus_set) and {row["file"] for row in read_table(stimulus_set / INDEX)} == set(sounds_of(listed))
    n_items = sum(is_record(file) and file.count("/") == 4 for file in listed)  # attempts lie deeper
    return lists_all(stimulus_set) and len(read_table(stimulus_set / INDEX)) == n_items


def _remove_leftovers(stimulus_set: Path) -> None:
    """Remove the temporary files of runs that were killed.

    Tables are written only under the set's lock, items and originals only under a claim: their temporary files are leftovers if
    nobody holds a claim.
    """
    tables = [path for path in stimulus_set.glob(".*") if is_temporary(path.name)]
    signals = [path for folder in _OF_WORKERS for path in (stimulus_set / folder).rglob(".*") if is_temporary(path.name)]
    for path in (*tables, *(signals if remove_dead_claims(stimulus_set / CLAIMS) else ())):
        path.unlink(missing_ok=True)


def _write(
    stimulus_set: Path,
    rows: Sequence[IndexRow] | Sequence[ComparisonRow],
    about: Mapping[str, Mapping[str, str]],
    name: str | None = None,
) -> None:
    clips = (*(row.clip for row in rows), *natural_clips(stimulus_set))
    used = {clip: about.get(clip, {}) for clip in dict.fromkeys(clips) if clip}
    rights = [{"clip": clip, **{right: columns.get(right) or UNKNOWN for right in RIGHTS}} for clip, columns in used.items()]
    names = dict.fromkeys(name for columns in used.values() for name in columns)
    write_table(stimulus_set / CLIPS, ("clip", *names), [{"clip": clip, **columns} for clip, columns in used.items()])
    write_table(stimulus_set / LICENCES, ("clip", *RIGHTS), rights)
    if not is_set(stimulus_set):  # of `synth`, which writes an index of its own
        return
    write_index(stimulus_set, rows)
    described = read_description(stimulus_set / DESCRIPTION)
    title = name or described.get("Name") or stimulus_set.resolve().name
    described |= description(title, [right["licence"] for right in rights], kind="derivative", listed_in=LICENCES)
    write_json(stimulus_set / DESCRIPTION, described)
    page = stimulus_set / README
    if not page.exists() or page.read_text(encoding="utf-8", errors="replace").startswith(WRITTEN_BY_US):
        write_text(page, _readme(title, rows, rights))
    write_manifest(stimulus_set)


def _readme(title: str, rows: Sequence[IndexRow] | Sequence[ComparisonRow], rights: Sequence[Mapping[str, str]]) -> str:
    metamers = [row for row in rows if isinstance(row, IndexRow)]
    if metamers:
        return readme(title, metamers, rights)
    compared = [row for row in rows if isinstance(row, ComparisonRow)]
    return f"{WRITTEN_BY_US}\n{comparison_readme(title, compared, licences_section(rights) if rights else '')}"
