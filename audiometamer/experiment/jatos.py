"""An experiment as a study for JATOS: a zip archive."""

import tempfile
import uuid
import zipfile
from pathlib import Path
from typing import Any

import msgspec

from audiometamer.experiment.packed_page import INDEX, OFFLINE, write_packed_page
from audiometamer.listening.folder import Experiment
from audiometamer.listening.list_names import derived_id
from audiometamer.version import __version__

_WORKERS = ["Jatos", "PersonalSingle", "PersonalMultiple", "GeneralSingle", "GeneralMultiple", "MT", "MTSandbox"]
_ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same experiment gives the same file


def write_jatos(experiment: Experiment, out: Path, *, any_list: bool) -> None:
    """Write a JATOS study archive, version 3: a zip of one folder of assets and one ``.jas`` beside it.

    Parameters
    ----------
    experiment : Experiment
    out : path
    any_list : bool
        Whether the page itself takes a free list.
    """
    assets = f"audiometamer_{derived_id(experiment, 'assets')[:8]}"
    with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(out, "w") as archive:
        folder = Path(scratch) / assets
        folder.mkdir()
        write_packed_page(experiment, folder, head=f'{OFFLINE}\n<script src="jatos.js"></script>', any_list=any_list)
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            _add(archive, path.relative_to(scratch).as_posix(), path.read_bytes())
        _add(archive, f"{assets}.jas", msgspec.json.encode(_properties(experiment, assets)))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file; sounds without compression, as dithered noise cannot be compressed."""
    kind = zipfile.ZIP_STORED if name.endswith(".wav") else zipfile.ZIP_DEFLATED
    archive.writestr(zipfile.ZipInfo(name, _ZIP_DATE), content, kind)


def _properties(experiment: Experiment, assets: str) -> dict[str, Any]:
    """The properties of a study, as the archive format names them, version 3 (JATOS 3)."""

    def name(what: str) -> str:  # always the same, so that JATOS recognises a study that is imported again
        return str(uuid.UUID(derived_id(experiment, f"jatos {what}"), version=4))

    title = experiment.design.title
    component = {
        "uuid": name("component"), "title": title, "htmlFilePath": INDEX, "reloadable": True, "active": True, "comments": "",
        "jsonData": None,
    }  # fmt: skip
    batch = {
        "uuid": name("batch"), "title": "Default", "active": True, "maxActiveMembers": None, "maxTotalMembers": None,
        "maxTotalWorkers": None, "allowedWorkerTypes": _WORKERS, "comments": None, "jsonData": None,
    }  # fmt: skip
    study = {
        "uuid": name("study"), "title": title, "description": "", "groupStudy": False, "linearStudy": False,
        "allowPreview": False, "dirName": assets, "comments": f"Made with audiometamer {__version__}.", "jsonData": None,
        "endRedirectUrl": "", "studyEntryMsg": None, "componentList": [component], "batchList": [batch],
    }  # fmt: skip
    return {"version": "3", "data": study}
