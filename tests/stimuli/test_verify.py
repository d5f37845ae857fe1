"""Every missing, changed and extra file of a set is named."""

import os
import subprocess

import pytest
import tiny_stimuli as tiny
from command_line import refused

from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.stimuli.set import write_set
from audiometamer.stimuli.verify import read_manifest, verify, write_manifest


@pytest.fixture
def stimuli(tmp_path):
    folder = tiny.write_items(tmp_path / "set", clips=("zwölf Töne", "x" * 150))
    (folder / "a\\b\nc").write_text("odd")
    write_set(folder)
    return folder


def checked(folder):
    return subprocess.run(["sha256sum", "--strict", "-c", "MANIFEST.sha256"], cwd=folder, capture_output=True, text=True)


def test_sha256sum_accepts_the_manifest(stimuli):
    assert list(verify(stimuli)) == []
    done = checked(stimuli)
    assert done.returncode == 0, done.stderr
    there = {p.relative_to(stimuli).as_posix() for p in stimuli.rglob("*") if p.is_file()}
    assert set(read_manifest(stimuli)) == there - {"MANIFEST.sha256", ".lock"}


def test_everything_that_differs_is_named(stimuli):
    sounds = sorted(stimuli.glob("items/zwölf Töne/*/*/metamer.wav"))
    changed = bytearray(sounds[0].read_bytes())
    changed[-1] ^= 1
    sounds[0].write_bytes(changed)
    sounds[1].unlink()
    (stimuli / "items" / "new file").write_text("")
    first, second = (sound.relative_to(stimuli).as_posix() for sound in sounds)
    assert sorted(verify(stimuli)) == [("changed", first), ("extra", "items/new file"), ("missing", second)]
    assert checked(stimuli).returncode == 1


def test_damage_is_not_made_right_by_a_new_manifest(stimuli):
    damaged = [next(stimuli.glob("originals/zw*.wav")), next(stimuli.glob("items/zw*/*/relu0*/metamer.wav"))]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    remade = next(stimuli.glob("items/x*/*/relu0*/metamer.wav"))
    remade.write_bytes(remade.read_bytes()[:-1] + b"?")
    record = remade.with_name("item.json")
    record.write_text(record.read_text() + "\n")
    for _ in range(2):
        with pytest.warns(
            AudioMetamerWarning, match=r"metamer.wav and 1 more changed since the last manifest, which no run does"
        ):
            write_set(stimuli)
        assert {difference.file for difference in verify(stimuli)} == {p.relative_to(stimuli).as_posix() for p in damaged}


def test_a_link_to_nothing_is_named(stimuli):
    (stimuli / "README.md").unlink()
    (stimuli / "README.md").symlink_to("nowhere")
    assert list(verify(stimuli)) == [("unreadable", "README.md")]
    with pytest.raises(AudioMetamerError, match=r"README\.md cannot be read: No such file"):
        write_manifest(stimuli)


def test_a_link_to_a_folder_is_named(stimuli, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (stimuli / "more").symlink_to(tmp_path / "elsewhere")
    assert list(verify(stimuli)) == [("extra", "more")]
    with pytest.raises(AudioMetamerError, match="more cannot be read: Is a directory"):
        write_manifest(stimuli)


def test_a_folder_that_cannot_be_read_is_no_empty_one(stimuli, monkeypatch):
    def scandir(path, scan=os.scandir):
        if str(path).endswith("originals"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(AudioMetamerError, match="originals cannot be read: Permission denied"):
        list(verify(stimuli))
    with pytest.raises(AudioMetamerError, match="originals cannot be read: Permission denied"):
        write_manifest(stimuli)


def test_what_runs_need_is_passed_over(stimuli):
    (item,) = stimuli.glob("items/zwölf Töne/tiny/relu0*")
    for path in ("claims/abc", "plan-logs/7_0.log", f"{item.relative_to(stimuli)}/checkpoint.safetensors", ".01234567-index.tsv"):
        (stimuli / path).parent.mkdir(exist_ok=True)
        (stimuli / path).write_text("{}")
    assert list(verify(stimuli)) == []
    before = (stimuli / "MANIFEST.sha256").read_text()
    write_manifest(stimuli)
    assert (stimuli / "MANIFEST.sha256").read_text() == before


def test_unfinished_items_are_in_no_manifest_and_told_as_extra(stimuli):
    (item,) = stimuli.glob("items/zwölf Töne/tiny/relu0*")
    (item / "item.json").unlink()
    (item / "error.json").write_text("{}")
    write_set(stimuli)
    at = item.relative_to(stimuli).as_posix()
    assert list(verify(stimuli)) == [("extra", f"{at}/metamer.wav")]
    assert f"{at}/error.json" in read_manifest(stimuli)


def test_items_made_since_are_told_as_what_they_are(stimuli, capsys):
    assert main(["stimuli", "verify", str(stimuli)]) == 0
    at = tiny.write_item(stimuli, layer="new")
    (again,) = stimuli.glob("items/zwölf Töne/tiny/relu0*")
    (again / "attempts" / "1").mkdir(parents=True)
    (again / "attempts" / "1" / "item.json").write_text("{}")
    (again / "item.json").write_text((again / "item.json").read_text() + "\n")
    (stimuli / "notes.txt").write_text("of ours")
    assert main(["stimuli", "verify", str(stimuli)]) == 1
    out, told = capsys.readouterr()
    assert f"extra      {at.relative_to(stimuli)}/metamer.wav" in out
    assert told.splitlines()[-2:] == [
        f"{stimuli}: 5 extra, 1 changed",
        f"{stimuli}: index and manifest are out of date: 2 items were made or tried again since they were written; the end of "
        f"`audiometamer run`, or `audiometamer stimuli index {stimuli}`, writes them anew",
    ]
    assert main(["stimuli", "index", str(stimuli)]) == 0
    assert main(["stimuli", "verify", str(stimuli)]) == 0


def test_a_set_whose_run_has_not_come_to_its_end_has_no_manifest_yet(tmp_path, capsys):
    (tmp_path / "planned.tsv").write_text("")
    told = refused(capsys, "stimuli", "verify", tmp_path)
    assert "MANIFEST.sha256 does not exist; no run of this set has come to its end yet; `audiometamer stimuli index" in told


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: '' is not a SHA-256 sum"),
        ("abc  file\n", "line 1: 'abc  file' is not a SHA-256 sum"),
        (f"{'0' * 64}  ../out\n", r"line 1: \.\./out lies outside"),
        (f"{'0' * 64}  /etc/passwd\n", "lies outside"),
    ],
)
def test_bad_manifests_are_told_in_a_line(stimuli, content, message):
    (stimuli / "MANIFEST.sha256").write_text(content)
    with pytest.raises(AudioMetamerError, match=message):
        list(verify(stimuli))


def test_a_set_without_manifest_cannot_be_verified(tmp_path):
    (tmp_path / "items").mkdir()
    with pytest.raises(AudioMetamerError, match="does not exist; `audiometamer stimuli index"):
        list(verify(tmp_path))
