"""Every missing, changed and extra file of a set is named."""

import json
import os
import platform
import shutil
import subprocess

import pytest
import tiny_stimuli as tiny_set
import torch
from command_line import refused
from msgspec.structs import replace

import audiometamer as am
from audiometamer.cli import main
from audiometamer.errors import AudioMetamerError, AudioMetamerWarning
from audiometamer.metamers.saving import with_checksums
from audiometamer.metamers.unfinished import Unfinished, save_unfinished
from audiometamer.signals.files import write_signal
from audiometamer.signals.images import write_png
from audiometamer.stimuli.records import read_record, write_record
from audiometamer.stimuli.set import write_set
from audiometamer.stimuli.verify import read_manifest, verify, write_manifest


@pytest.fixture
def stimuli(tmp_path):
    folder = tiny_set.write_items(tmp_path / "set", clips=("zwölf Töne", "x" * 150))
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
    sounds = sorted(stimuli.glob("items/zwölf_Töne/*/*/metamer.wav"))
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
    write_record(record, read_record(record))
    for _ in range(2):
        with pytest.warns(AudioMetamerWarning, match=r"metamer.wav and 1 more changed since the last manifest, and not by a run"):
            write_set(stimuli)
        assert {difference.file for difference in verify(stimuli)} == {p.relative_to(stimuli).as_posix() for p in damaged}


def test_a_link_to_nothing_is_named(stimuli):
    (stimuli / "README.md").unlink()
    (stimuli / "README.md").symlink_to("nowhere")
    assert list(verify(stimuli)) == [("link", "README.md")]
    with pytest.warns(AudioMetamerWarning, match=r"README\.md: link"):
        write_manifest(stimuli)
    assert list(verify(stimuli)) == [("link", "README.md")]


def test_a_link_to_a_folder_is_named(stimuli, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (stimuli / "more").symlink_to(tmp_path / "elsewhere")
    assert list(verify(stimuli)) == [("link", "more")]
    with pytest.warns(AudioMetamerWarning, match="more: link"):
        write_manifest(stimuli)
    assert list(verify(stimuli)) == [("link", "more")]


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


def claimed_by(pid):
    return json.dumps({"host": platform.node(), "pid": pid, "since": 0.0, "token": "0"})


def test_what_runs_need_is_passed_over(stimuli):
    (item,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    at = item.relative_to(stimuli).as_posix()
    key = item.name.rpartition("-")[2]
    settings = read_record(item / "item.json").identity.settings
    save_unfinished(item / "checkpoint.safetensors", Unfinished(replace(settings, seed=1), "", 0, [], None, None, 0.0))
    needed = {
        "claims/.lock": "", f"claims/{key}": claimed_by(os.getppid()), f"claims/{'f' * 12}": "", "plan-logs/7_0.log": "step 1",
        ".01234567-index.tsv": "", f"{at}/.01234567-metamer.wav": "", f"{at}/attempts/1/.01234567-item.json": "",
        "originals/.01234567-vowel.wav": "", "report.html": '<meta name="generator" content="audiometamer report 1">',
    }  # fmt: skip
    for path, content in needed.items():
        (stimuli / path).parent.mkdir(exist_ok=True, parents=True)
        (stimuli / path).write_text(content)
    picture = stimuli / "report_files" / at / "metamer.png"
    picture.parent.mkdir(parents=True)
    write_png(picture, torch.zeros(3, 2, 2))
    assert list(verify(stimuli)) == []
    before = (stimuli / "MANIFEST.sha256").read_text()
    write_manifest(stimuli)
    assert (stimuli / "MANIFEST.sha256").read_text() == before

    (stimuli / "claims" / key).unlink()  # nobody writes any more
    temporary = {file for file in needed if ".01234567" in file}
    (stimuli / "claims" / ("f" * 12)).unlink()
    assert set(verify(stimuli)) == {("extra", file) for file in temporary}


@pytest.mark.parametrize(
    "file",
    [
        ".foo", ".01234567-x.wav", "ITEM/.hidden.wav", "ITEM/.01234567-metamer.wav", "ITEM/checkpoint.safetensors",
        "claims/x.wav", f"claims/{'0' * 12}", "claims/.lock2", "claims/more/x.wav", "items/claims/x.wav", "evil-logs/x.wav",
        "evil-logs/7_0.log", ".lock", "report_files/x.png", "report_files/ITEM/metamer.wav", "report.html", "originals/.lock",
    ],
)  # fmt: skip
def test_what_only_looks_as_if_runs_needed_it_is_extra(stimuli, file):
    (item,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    file = file.replace("ITEM", item.relative_to(stimuli).as_posix())
    (stimuli / file).parent.mkdir(parents=True, exist_ok=True)
    (stimuli / file).write_bytes(b"RIFF\0\0\0\0WAVE")
    assert list(verify(stimuli)) == [("extra", file)]


@pytest.mark.parametrize("what", ["item", "signal", "record", "originals", "manifest"])
def test_links_are_named_even_to_what_is_right(stimuli, tmp_path, what):
    (item,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    path = {
        "item": item, "signal": item / "metamer.wav", "record": item / "item.json", "originals": stimuli / "originals",
        "manifest": stimuli / "MANIFEST.sha256",
    }[what]  # fmt: skip
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    found = [difference for difference in verify(stimuli) if difference.kind != "missing"]
    assert found == [("link", path.relative_to(stimuli).as_posix())]


@pytest.mark.parametrize("at", ["items", "items/zwölf_Töne", "originals", "ITEM", "ITEM/metamer.wav", "ITEM/item.json"])
def test_a_new_manifest_keeps_the_sums_of_what_became_a_link(stimuli, tmp_path, at):
    (item,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    path = stimuli / at.replace("ITEM", item.relative_to(stimuli).as_posix())
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    before = read_manifest(stimuli)
    with pytest.warns(AudioMetamerWarning, match="link; `audiometamer stimuli verify"):
        write_manifest(stimuli)
    assert read_manifest(stimuli) == before
    assert list(verify(stimuli)) == [("link", path.relative_to(stimuli).as_posix())]


@pytest.mark.parametrize("to", [".", "/nowhere"])
def test_a_new_link_is_in_no_manifest(stimuli, to):
    (stimuli / "items" / "more").symlink_to(to)
    before = read_manifest(stimuli)
    with pytest.warns(AudioMetamerWarning, match="more: link"):
        write_manifest(stimuli)
    assert read_manifest(stimuli) == before


def test_what_is_no_file_is_not_waited_for(stimuli):
    (sound,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*/metamer.wav")
    sound.unlink()
    os.mkfifo(sound)
    assert list(verify(stimuli)) == [("unreadable", sound.relative_to(stimuli).as_posix())]


def test_a_file_is_not_listed_with_two_sums(stimuli):
    with (stimuli / "MANIFEST.sha256").open("a") as manifest:
        manifest.write(f"{'0' * 64}  README.md\n")
    with pytest.raises(AudioMetamerError, match=r"README\.md is listed before with another hash"):
        list(verify(stimuli))


def edit(record, before='"passed": true', after='"passed": false'):
    text = record.read_text()
    assert before in text
    record.write_text(text.replace(before, after))


def swap(one, other):
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def in_place_of(item, other):
    shutil.rmtree(other)
    shutil.copytree(item, other)


def swap_items(one, other):
    for name in ("metamer.wav", "item.json"):
        swap(one / name, other / name)


TAMPERINGS = {
    "verdict": (lambda one, _: edit(one / "item.json"), {"changed": "item.json"}),
    "record is none": (lambda one, _: (one / "item.json").write_text("{"), {"changed": "item.json"}),
    "signals swapped": (lambda one, other: swap(one / "metamer.wav", other / "metamer.wav"), {"changed": "metamer.wav"}),
    "items swapped": (swap_items, {"misplaced": "item.json", "changed": "metamer.wav"}),
    "item in another's place": (in_place_of, {"misplaced": "item.json", "changed": "metamer.wav"}),
}


@pytest.mark.filterwarnings("ignore::audiometamer.errors.AudioMetamerWarning")
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_no_later_manifest_calls_right_what_was_done_by_hand(stimuli, tampering, sealed):
    one, other = sorted(path.parent for path in stimuli.glob("items/zw*/*/*/item.json"))
    if sealed:
        for record in stimuli.glob("items/*/*/*/item.json"):
            write_sealed(stimuli, record)
        write_manifest(stimuli)
    assert list(verify(stimuli)) == []
    tamper, expected = TAMPERINGS[tampering]
    tamper(one, other)
    found = set(verify(stimuli))
    assert {difference.kind: difference.file.rpartition("/")[2] for difference in found} == expected
    for _ in range(2):
        write_manifest(stimuli)
        assert set(verify(stimuli)) == found
        assert checked(stimuli).returncode == 1


def write_sealed(stimuli, record):
    """As this version writes it."""
    held = read_record(record)
    evidence = with_checksums(held.evidence, record.with_name(held.file), stimuli / held.original)
    write_record(record, replace(held, evidence=evidence))


@pytest.mark.parametrize("tampering", [*TAMPERINGS, "cut", "original"])
def test_nor_does_the_first(stimuli, tampering):
    for record in stimuli.glob("items/*/*/*/item.json"):
        write_sealed(stimuli, record)
    (stimuli / "MANIFEST.sha256").unlink()
    one, other = sorted(path.parent for path in stimuli.glob("items/zw*/*/*/item.json"))
    if tampering in TAMPERINGS:
        TAMPERINGS[tampering][0](one, other)
    else:
        path = one / "metamer.wav" if tampering == "cut" else next(stimuli.glob("originals/zw*"))
        path.write_bytes(path.read_bytes()[:1000])
    # Whoever reads the records for the manifest warns of these.
    broken = tampering in ("record is none", "cut", "original", "items swapped", "item in another's place")
    found = []
    for _ in range(2):
        (write_manifest if broken else write_manifest_again)(stimuli)
        found.append(list(verify(stimuli)))
    assert found[0] == found[1] != []


def write_manifest_again(stimuli):
    with pytest.warns(AudioMetamerWarning, match="by the records of the set; `audiometamer stimuli verify"):
        write_manifest(stimuli)


def test_an_item_copied_under_another_clip_is_misplaced(stimuli):
    (item,) = stimuli.glob("items/zw*/*/relu0*")
    copy = stimuli / "items" / ("x" * 140) / "tiny" / item.name
    shutil.copytree(item, copy)
    at = copy.relative_to(stimuli).as_posix()
    with pytest.warns(AudioMetamerWarning, match="is the record of item [0-9a-f]+, which belongs in another folder"):
        rows = write_set(stimuli)
    assert len(rows) == len(list(stimuli.glob("items/*/*/*/item.json"))) - 1
    assert ("misplaced", f"{at}/item.json") in list(verify(stimuli))


def test_an_edited_identity_or_settings_are_seen_without_seal_and_manifest(stimuli):
    one, other = sorted(stimuli.glob("items/zw*/*/*/item.json"))
    edit(one, '"steps": 200', '"steps": 2000')  # of both
    other.write_text(other.read_text().replace('"steps": 200', '"steps": 100', 1))  # of the identity alone
    (stimuli / "MANIFEST.sha256").unlink()
    write_manifest_again(stimuli)
    assert {(kind, file.rpartition("/")[2]) for kind, file in verify(stimuli)} == {("changed", "item.json")}


def test_swapped_attempts_are_misplaced(stimuli):
    (item,) = stimuli.glob("items/zw*/*/relu0*")
    whole = read_record(item / "item.json")
    for number, file in enumerate(("../../metamer.wav", "metamer.wav")):
        settings = replace(whole.evidence.settings, seed=number)
        (item / "attempts" / str(number)).mkdir(parents=True)
        shutil.copyfile(item / "metamer.wav", item / "attempts" / "1" / "metamer.wav") if number else None
        own = replace(whole, file=file, attempts=[number], evidence=replace(whole.evidence, settings=settings))
        write_record(item / "attempts" / str(number) / "item.json", own)
    write_record(item / "item.json", replace(whole, attempts=[0, 1]))
    write_manifest(stimuli)
    assert list(verify(stimuli)) == []
    swap(item / "attempts" / "0" / "item.json", item / "attempts" / "1" / "item.json")
    (stimuli / "MANIFEST.sha256").unlink()
    write_manifest_again(stimuli)
    assert {kind for kind, file in verify(stimuli) if file.endswith("/item.json")} == {"misplaced"}


def test_what_a_run_replaces_is_right(stimuli):
    """Judged anew; and deleted, and made again."""
    judged, remade = sorted(stimuli.glob("items/zw*/*/*/item.json"))
    write_record(judged, read_record(judged))
    write_record(judged, read_record(judged))
    record = read_record(remade)
    remade.unlink()
    write_record(remade, replace(record, made="2026-02-02T00:00:00Z"))
    assert {kind for kind, _ in verify(stimuli)} == {"changed"}
    write_manifest(stimuli)
    assert list(verify(stimuli)) == []
    assert len(read_record(judged).replaces) == 2


def test_metamers_of_synth_are_proved_by_their_records(tmp_path, tiny, tiny_clip, capsys):
    for metamer in am.synthesize(tiny, tiny_clip, ["relu0", "relu1"], steps=2):
        metamer.save(tmp_path)
    assert main(["stimuli", "verify", str(tmp_path)]) == 0
    assert "all 2 metamers are as their records state" in capsys.readouterr().out
    at = tmp_path / "vowel" / "tiny"
    swap(at / "relu0_seed0.json", at / "relu1_seed0.json")
    assert sorted(verify(tmp_path)) == [
        ("foreign", "vowel/tiny/relu0_seed0.wav"), ("foreign", "vowel/tiny/relu1_seed0.wav"),
        ("misplaced", "vowel/tiny/relu0_seed0.json"), ("misplaced", "vowel/tiny/relu1_seed0.json"),
    ]  # fmt: skip
    swap(at / "relu0_seed0.json", at / "relu1_seed0.json")
    write_signal(at / "original.wav", torch.zeros(9), 4000)
    assert list(verify(tmp_path)) == [("foreign", "vowel/tiny/original.wav")]


@pytest.mark.parametrize("file", ["vowel", "vowel/tiny", "vowel/tiny/relu0_seed0.json", "vowel/tiny/relu0_seed0.wav"])
def test_links_among_metamers_of_synth_are_named(tmp_path, tiny, tiny_clip, file):
    out = tmp_path / "out"
    for metamer in am.synthesize(tiny, tiny_clip, ["relu0"], steps=2):
        metamer.save(out)
    (out / file).rename(tmp_path / "elsewhere")
    (out / file).symlink_to(tmp_path / "elsewhere")
    assert list(verify(out)) == [("link", file)]


def test_unfinished_items_are_in_no_manifest_and_reported_as_extra(stimuli):
    (item,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    (item / "item.json").unlink()
    (item / "error.json").write_text("{}")
    write_set(stimuli)
    at = item.relative_to(stimuli).as_posix()
    assert list(verify(stimuli)) == [("extra", f"{at}/metamer.wav")]
    assert f"{at}/error.json" in read_manifest(stimuli)


def test_items_made_since_are_reported_as_what_they_are(stimuli, capsys):
    assert main(["stimuli", "verify", str(stimuli)]) == 0
    at = tiny_set.write_item(stimuli, layer="new")
    (again,) = stimuli.glob("items/zwölf_Töne/tiny/relu0*")
    attempt = again / "attempts" / "1"
    attempt.mkdir(parents=True)
    shutil.copyfile(again / "metamer.wav", attempt / "metamer.wav")
    write_record(attempt / "item.json", read_record(again / "item.json"))
    write_record(again / "item.json", read_record(again / "item.json"))
    (stimuli / "notes.txt").write_text("of ours")
    assert main(["stimuli", "verify", str(stimuli)]) == 1
    out, reported = capsys.readouterr()
    assert f"extra      {at.relative_to(stimuli)}/metamer.wav" in out
    assert reported.splitlines()[-2:] == [
        f"{stimuli}: 6 extra, 1 changed",
        f"{stimuli}: index and manifest are out of date: 2 items were made or attempted again since they were written; "
        f"`audiometamer run` rewrites them at its end, `audiometamer stimuli index {stimuli}` now",
    ]
    assert main(["stimuli", "index", str(stimuli)]) == 0
    assert main(["stimuli", "verify", str(stimuli)]) == 0


def test_a_set_whose_run_has_not_come_to_its_end_has_no_manifest_yet(tmp_path, capsys):
    (tmp_path / "planned.tsv").write_text("")
    reported = refused(capsys, "stimuli", "verify", tmp_path)
    assert "MANIFEST.sha256 does not exist; no run of this set has come to its end yet; `audiometamer stimuli index" in reported


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "line 1: '' is not a SHA-256 hash"),
        ("abc  file\n", "line 1: 'abc  file' is not a SHA-256 hash"),
        (f"{'0' * 64}  ../out\n", r"line 1: \.\./out lies outside"),
        (f"{'0' * 64}  /etc/passwd\n", "lies outside"),
    ],
)
def test_bad_manifests_are_reported_in_a_line(stimuli, content, message):
    (stimuli / "MANIFEST.sha256").write_text(content)
    with pytest.raises(AudioMetamerError, match=message):
        list(verify(stimuli))


def test_a_set_without_manifest_cannot_be_verified(tmp_path):
    (tmp_path / "items").mkdir()
    with pytest.raises(AudioMetamerError, match="does not exist; `audiometamer stimuli index"):
        list(verify(tmp_path))
