"""The study archive is what JATOS reads."""

import json
import uuid
import zipfile

from audiometamer.experiment.pack import pack


def test_a_study_is_what_jatos_imports(folder, experiment, tmp_path):
    """As its documentation describes an archive: one folder of assets, one .jas beside it, version 3 of its properties."""
    pack(folder, tmp_path / "study.jzip", to="jatos")
    with zipfile.ZipFile(tmp_path / "study.jzip") as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        (jas,) = [name for name in names if name.endswith(".jas")]
        study = json.loads(archive.read(jas))
        (assets,) = {name.split("/")[0] for name in names} - {jas}
        index = archive.read(f"{assets}/index.html").decode()
        lists = json.loads(archive.read(f"{assets}/study.json"))["lists"]
    assert index.index('content="offline"') < index.index('<script src="jatos.js"></script>') < index.index("</html>")
    assert lists == []  # nor does anybody find one here without a link
    assert study["version"] == "3"
    data = study["data"]
    assert (data["title"], data["dirName"]) == ("Words in noise", assets)
    (component,), (batch,) = data["componentList"], data["batchList"]
    assert (component["htmlFilePath"], component["reloadable"], component["active"]) == ("index.html", True, True)
    assert "PersonalMultiple" in batch["allowedWorkerTypes"]
    for part in (data, component, batch):
        assert str(uuid.UUID(part["uuid"])) == part["uuid"]
    assert len({part["uuid"] for part in (data, component, batch)}) == 3
