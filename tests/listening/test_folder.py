"""The folder of an experiment is read once."""

from collections import Counter
from pathlib import Path

from audiometamer.cli import main


def test_an_export_parses_the_lists_once(own, store, tmp_path, monkeypatch):
    read, opened = Path.read_text, Counter()

    def counted(path, *arguments, **settings):
        opened[path.name] += 1
        return read(path, *arguments, **settings)

    monkeypatch.setattr(Path, "read_text", counted)
    store.enrol()
    store.close()
    assert main(["experiment", "export", str(own), "--answers", str(store.path), "--out", str(tmp_path / "tables")]) == 0
    assert (opened["lists.json"], opened["key.json"]) == (1, 1)
