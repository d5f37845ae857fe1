"""Every missing, changed and extra file of a set is named."""

import os
import subprocess

import pytest
import tiny_stimuli as tiny

from audiometamer.errors import AudioMetamerError
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
    assert set(read_manifest(stimuli)) == there - {"MANIFEST.sha256"}


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


def test_locks_and_claims_are_passed_over(stimuli):
    (stimuli / ".lock").write_text("")
    (stimuli / "claims").mkdir()
    (stimuli / "claims" / "abc").write_text("{}")
    assert list(verify(stimuli)) == []
    before = (stimuli / "MANIFEST.sha256").read_text()
    write_manifest(stimuli)
    assert (stimuli / "MANIFEST.sha256").read_text() == before


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
    with pytest.raises(AudioMetamerError, match="does not exist; `audiometamer stimuli index"):
        list(verify(tmp_path))
