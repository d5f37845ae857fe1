"""Members of archives from a server or the disk: what is transferred, interruptions, and what is refused."""

import doctest
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import pytest
from local_server import Served, serving

from audiometamer.errors import AudioMetamerError
from audiometamer.io import archives
from audiometamer.io.archives import fetch_file, fetch_members, verified

QUICK = (0.0,) * 3
HELPERS = Path(__file__).parents[1] / "helpers"
DRAW = random.Random(0)
MEMBERS = {
    f"checkpoints/{name}.pt": DRAW.randbytes(size) for name, size in {"a": 3_000_000, "b": 1_500_001, "c": 2_000_000}.items()
}


def tar_of(members, **how):
    """A tar archive; its members are bytes, or a prepared header."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **how) as tar:
        for name, content in members.items():
            header = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            if isinstance(content, bytes):
                header.size = len(content)
            tar.addfile(header, io.BytesIO(content) if isinstance(content, bytes) else None)
    return file.getvalue()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def names(folder):
    """What stands in a folder for all to see."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture(scope="module")
def archive():
    return tar_of(MEMBERS)


@pytest.fixture
def served(archive):
    return Served(archive)


@pytest.fixture
def server(served):
    with serving({"models.tar": served}) as server:
        yield server


@pytest.fixture
def address(server):
    return server.address("models.tar")


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def interrupted_after(size):
    """A progress that presses Ctrl-C once this many calls have come."""
    calls = iter(range(size))

    def progress(done, message):
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return progress


def test_the_example_of_the_manual():
    found = doctest.testmod(archives)
    assert (found.attempted, found.failed) == (2, 0)


def test_only_headers_and_wanted_members_are_transferred(tmp_path, address, server, archive):
    lines, shown = [], []
    got = fetch_members(
        address, ["b.pt"], tmp_path / "new", notify=lines.append, progress=lambda *each: shown.append(each), waits=QUICK
    )
    assert got == {"b.pt": tmp_path / "new" / "b.pt"}
    content = MEMBERS["checkpoints/b.pt"]
    assert got["b.pt"].read_bytes() == content
    assert names(tmp_path / "new") == ["b.pt", "b.pt.sha256"]
    assert (tmp_path / "new" / "b.pt.sha256").read_text() == f"{sha256(content)}  b.pt\n"
    assert lines == [f"b.pt: SHA-256 {sha256(content)} recorded in b.pt.sha256"]
    assert server.sent() < len(content) + 5 * 4096
    assert shown[-1] == (1.0, "b.pt: 1.5 MB of 1.5 MB")


def test_what_is_there_is_not_fetched_again(tmp_path, address, server):
    fetch_members(address, ["a.pt", "b.pt"], tmp_path, waits=QUICK)
    before = len(server.log)
    fetch_members(address, ["b.pt", "a.pt"], tmp_path, waits=QUICK)
    assert len(server.log) == before
    fetch_members(address, ["b.pt", "c.pt"], tmp_path, waits=QUICK)
    assert [(each.begin, each.end - each.begin) for each in server.log[before + 1 :]] == [(4_502_016, 2_000_000)]


def test_ctrl_c_twice_and_no_byte_twice(tmp_path, address, server):
    for calls in (15, 20):
        with pytest.raises(KeyboardInterrupt):
            fetch_members(address, ["a.pt"], tmp_path, progress=interrupted_after(calls), waits=QUICK)
        assert names(tmp_path) == ["a.pt.part", "a.pt.part.json"]
    had = (tmp_path / "a.pt.part").stat().st_size
    assert 0 < had < 3_000_000
    lines, before = [], len(server.log)
    got = fetch_members(address, ["a.pt"], tmp_path, notify=lines.append, waits=QUICK)["a.pt"]
    assert got.read_bytes() == MEMBERS["checkpoints/a.pt"]
    assert [(each.begin, each.end) for each in server.log[before + 1 :]] == [(512 + had, 512 + 3_000_000)]
    assert lines[0].startswith("a.pt: continues after ")
    assert names(tmp_path) == ["a.pt", "a.pt.sha256"]


def test_a_path_instead_of_an_address(tmp_path, archive):
    (tmp_path / "models.tar").write_bytes(archive)
    got = fetch_members(tmp_path / "models.tar", ["a.pt", "c.pt"], tmp_path / "out")
    assert {name: path.read_bytes() for name, path in got.items()} == {
        "a.pt": MEMBERS["checkpoints/a.pt"],
        "c.pt": MEMBERS["checkpoints/c.pt"],
    }
    assert verified(got["a.pt"])


def test_one_plain_file(tmp_path, server):
    server.files["plain"] = Served(MEMBERS["checkpoints/a.pt"])
    path = tmp_path / "folder" / "x.bin"
    assert fetch_file(server.address("plain"), path, waits=QUICK) == path
    assert path.read_bytes() == MEMBERS["checkpoints/a.pt"]


def test_a_wrong_hash_leaves_nothing(tmp_path, address):
    with pytest.raises(AudioMetamerError, match=rf"b\.pt of {address} has the SHA-256 [0-9a-f]+, not {'0' * 64}"):
        fetch_members(address, ["b.pt"], tmp_path, sha256={"b.pt": "0" * 64}, waits=QUICK)
    assert names(tmp_path) == []


def fetching(source, wanted, folder, **how):
    return fetch_members(source, wanted, folder, **{"waits": QUICK, **how})


def refused(match, *arguments, **how):
    with pytest.raises(AudioMetamerError, match=match):
        fetching(*arguments, **how)


def test_a_killed_fetch_goes_on_in_another_process(tmp_path, address, server, served):
    served.pause = 0.02
    code = "import sys; from audiometamer.io.archives import fetch_members; fetch_members(sys.argv[1], ['a.pt'], sys.argv[2])"
    note = tmp_path / "a.pt.part.json"
    with subprocess.Popen([sys.executable, "-c", code, address, tmp_path]) as process:
        wait_for(lambda: note.exists() and json.loads(note.read_text())["done"] > 0)
        process.kill()
    had = json.loads(note.read_text())["done"]
    assert 0 < had < 3_000_000
    assert "a.pt" not in names(tmp_path)
    served.pause, before = 0.0, len(server.log)
    assert fetching(address, ["a.pt"], tmp_path)["a.pt"].read_bytes() == MEMBERS["checkpoints/a.pt"]
    assert [each.begin for each in server.log[before + 1 :]] == [512 + had]


def test_the_walk_through_the_headers_resumes_too(tmp_path, address, server):
    with pytest.raises(KeyboardInterrupt):
        fetching(address, ["c.pt"], tmp_path, progress=interrupted_after(1))
    before = len(server.log)
    fetching(address, ["c.pt"], tmp_path)
    assert min(each.begin for each in server.log[before + 1 :]) == 3_000_832 + 512 + 1_500_160
    begins = {each.begin for each in server.log[:before]}
    assert begins == {0, 3_000_832}


def test_two_at_once_fetch_once(tmp_path, address, server, served):
    served.pause = 0.01
    got = []
    both = [threading.Thread(target=lambda: got.append(fetching(address, ["b.pt"], tmp_path))) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [path.read_bytes() for each in got for path in each.values()] == [MEMBERS["checkpoints/b.pt"]] * 2
    assert server.sent() < 1_500_001 + 6 * 4096


def test_an_archive_that_changes_while_it_is_read(tmp_path, address, served):
    def progress(done, message):
        if done > 0.5:
            served.etag = '"2"'

    served.cuts[:] = [*[4096] * 4, 2_000_000]  # four headers, and the member
    refused(
        f"{address} changed while it was read; run it again to fetch the new one", address, ["a.pt"], tmp_path, progress=progress
    )
    assert names(tmp_path) == ["a.pt.part", "a.pt.part.json"]


def test_an_archive_that_has_changed_between_two_attempts(tmp_path, address, served):
    with pytest.raises(KeyboardInterrupt):
        fetching(address, ["a.pt"], tmp_path, progress=interrupted_after(20))
    new = bytes(reversed(MEMBERS["checkpoints/a.pt"]))
    served.content, served.etag = tar_of({"elsewhere.txt": b"new", "a.pt": new}), '"2"'
    lines = []
    assert fetching(address, ["a.pt"], tmp_path, notify=lines.append)["a.pt"].read_bytes() == new
    assert lines[0] == f"{address} has changed since it was last read; what had come of it is fetched again"
    assert len(lines) == 2


def test_what_has_changed_on_the_disk_is_noticed(tmp_path, address):
    path = fetching(address, ["b.pt"], tmp_path)["b.pt"]
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    refused(rf"b\.pt has changed since it was fetched: its SHA-256 is {sha256(content)}, not", address, ["b.pt"], tmp_path)
    path.unlink()
    assert not verified(path)
    assert verified(fetching(address, ["b.pt"], tmp_path)["b.pt"])


def test_a_later_fetch_must_bring_what_the_first_brought(tmp_path, address, served):
    fetching(address, ["b.pt"], tmp_path)["b.pt"].unlink()
    served.content, served.etag = tar_of({"b.pt": b"another one"}), '"2"'
    refused(r"b\.pt of .* has the SHA-256 \w+, not \w+: it is damaged, or another one", address, ["b.pt"], tmp_path)
    assert names(tmp_path) == ["b.pt.sha256"]


def test_known_hashes(tmp_path, address, server):
    known = {"b.pt": sha256(MEMBERS["checkpoints/b.pt"]).upper()}
    path = fetching(address, ["b.pt"], tmp_path, sha256=known)["b.pt"]
    assert verified(path, sha256=known["b.pt"])
    (tmp_path / "b.pt.sha256").unlink()
    with pytest.raises(AudioMetamerError, match=r"b\.pt was not fetched: no SHA-256 is recorded in b\.pt\.sha256; move it away"):
        verified(path)
    before = len(server.log)
    assert fetching(address, ["b.pt"], tmp_path, sha256=known) == {"b.pt": path}
    assert len(server.log) == before
    refused("the known SHA-256 of b.pt is 'abc', not 64 hexadecimal digits", address, ["b.pt"], tmp_path, sha256={"b.pt": "abc"})
    (tmp_path / "b.pt.sha256").write_text("nonsense\n")
    refused(r"b\.pt\.sha256 is 'nonsense\\n', not 64 hexadecimal digits", address, ["b.pt"], tmp_path)


def test_no_room(tmp_path, address, server):
    asked = []

    def free(folder):
        asked.append(folder)
        return 4_999_999

    refused(r"has 5\.0 MB free, but 5\.0 MB are needed; free some, or choose", address, ["a.pt", "c.pt"], tmp_path, free=free)
    assert asked == [tmp_path]
    assert server.sent() < 5 * 4096
    assert len(fetching(address, ["a.pt", "b.pt"], tmp_path, free=free)) == 2


def test_a_full_disk_leaves_what_has_come(tmp_path, address):
    code = """
import sys
from pathlib import Path
from disks import Disk
from audiometamer.errors import WritingError
from audiometamer.io.archives import fetch_members
disk = Disk(Path(sys.argv[2]), small=True)
try:
    fetch_members(sys.argv[1], ["b.pt"], disk.folder, free=lambda folder: 1 << 40)
except WritingError as error:
    print(error)
print(sorted(path.name for path in disk.folder.iterdir()))
disk.grow()
print(fetch_members(sys.argv[1], ["b.pt"], disk.folder)["b.pt"].stat().st_size)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, address, tmp_path / "disk"],
        env={**os.environ, "PYTHONPATH": f"{HELPERS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    error, left, size = done.stdout.splitlines()
    assert error.startswith(f"could not write {tmp_path / 'disk' / 'b.pt'}: ")
    assert "'b.pt'" not in left
    assert int(size) == 1_500_001


@pytest.mark.parametrize("told", [True, False])
def test_without_ranges_the_archive_is_read_up_to_the_last_wanted_member(tmp_path, address, server, served, told):
    served.ranges, served.told = False, told
    lines = []
    got = fetching(address, ["b.pt", "a.pt"], tmp_path, notify=lines.append)
    assert {name: path.read_bytes() for name, path in got.items()} == {
        "a.pt": MEMBERS["checkpoints/a.pt"],
        "b.pt": MEMBERS["checkpoints/b.pt"],
    }
    assert lines[0] == f"{address}: the server cannot send parts of a file, so the archive is read up to the last file needed"
    assert len(server.log) == 1
    refused(f"{address} does not contain x.pt", address, ["x.pt"], tmp_path)
    refused("has 10 bytes free, but 2.0 MB are needed", address, ["c.pt"], tmp_path, free=lambda folder: 10)


def test_without_ranges_an_interrupted_fetch_drops_what_it_has(tmp_path, address, served):
    served.ranges = False
    with pytest.raises(KeyboardInterrupt):
        fetching(address, ["b.pt"], tmp_path, progress=interrupted_after(12))
    lines = []
    assert fetching(address, ["b.pt"], tmp_path, notify=lines.append)["b.pt"].read_bytes() == MEMBERS["checkpoints/b.pt"]
    assert lines[1].startswith("b.pt: continues after ")


@pytest.mark.parametrize("cut", [100, 512 + 1000, 3_000_832, 3_000_832 + 512 + 1000])
@pytest.mark.parametrize("ranges", [True, False])
def test_a_truncated_archive(tmp_path, served, address, archive, cut, ranges):
    served.content, served.ranges = archive[:cut], ranges
    refused(rf"{address} (is truncated: it )?ends .*", address, ["b.pt"], tmp_path)
    assert "b.pt" not in names(tmp_path)


def test_what_is_no_plain_tar(tmp_path, served, address, archive):
    served.content = gzip.compress(archive, 1)
    refused(f"{address} is compressed with gzip; unpack it to a plain tar first", address, ["b.pt"], tmp_path)
    served.content, served.etag = b"<html>Not here.</html>" * 100, '"2"'
    refused(rf"{address} is a web page \(for a login\?\), not a tar archive", address, ["b.pt"], tmp_path)
    served.content, served.etag = b"Not here." * 100, '"3"'
    refused(f"{address} is not a tar archive", address, ["b.pt"], tmp_path)


def link_to(target, kind=tarfile.SYMTYPE, name="a.pt"):
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"d/a.pt": link_to("/etc/passwd")}, r"a\.pt in .* is refused: it is a symbolic link, not a plain file"),
        ({"x.pt": b"1", "a.pt": link_to("x.pt", tarfile.LNKTYPE)}, "is refused: it is a hard link"),
        ({"a.pt": link_to("", tarfile.CHRTYPE)}, "is refused: it is a device"),
        ({"a.pt": link_to("", tarfile.BLKTYPE)}, "is refused: it is a device"),
        ({"a.pt": link_to("", tarfile.FIFOTYPE)}, "is refused: it is a pipe"),
        ({"a.pt": link_to("", tarfile.GNUTYPE_SPARSE)}, "is refused: it is a sparse file"),
        ({"a.pt": link_to("", b"Q")}, "is refused: it is a member of type b'Q'"),
        ({"../a.pt": b"1"}, r"\.\./a\.pt in .* is refused: its path leads out of the archive"),
        ({"d/../../a.pt": b"1"}, "its path leads out of the archive"),
        ({"/tmp/a.pt": b"1"}, r"/tmp/a\.pt in .* is refused: its path leads out"),
        ({"..\\x/a.pt": b"1"}, "its path leads out"),
        ({"x.pt": b"1", "a.pt": link_to("", tarfile.DIRTYPE)}, "does not contain a.pt"),
    ],
)
def test_members_that_are_refused(tmp_path, served, address, members, said, ranges):
    served.content, served.ranges = tar_of({**members, "z.pt": b"good"}), ranges
    refused(said, address, ["a.pt"], tmp_path / "out")
    assert names(tmp_path / "out") == []
    assert fetching(address, ["z.pt"], tmp_path / "out")["z.pt"].read_bytes() == b"good"
    assert names(tmp_path) == ["out"]


def test_none_or_two_of_a_name(tmp_path, served, address):
    served.content = tar_of({"one/a.pt": b"1", "two/a.pt": b"2", "./b.pt": b"3", "b.pt.txt": b"4", "xb.pt": b"5"})
    refused(r"holds 2 members called a\.pt: one/a\.pt, two/a\.pt", address, ["b.pt", "a.pt"], tmp_path)
    refused(f"{address} does not contain c.pt", address, ["b.pt", "c.pt"], tmp_path)
    assert names(tmp_path) == []
    assert fetching(address, ["b.pt"], tmp_path)["b.pt"].read_bytes() == b"3"


@pytest.mark.parametrize("how", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(tmp_path, served, address, how):
    served.content = tar_of({f"{'ordner/' * 60}größe.pt": b"long", "short.pt": b"short"}, format=how)
    assert fetching(address, ["größe.pt"], tmp_path)["größe.pt"].read_bytes() == b"long"


@pytest.mark.parametrize("name", ["../a.pt", "/a.pt", "d//a.pt", "d\\a.pt", "..", "", "a\0"])
def test_names_lead_nowhere_else(tmp_path, name):
    refused("is not the name of a member, nor the end of its path", "https://example.invalid/x.tar", [name], tmp_path / "out")
    assert names(tmp_path) == []


def test_sources_that_cannot_be_read(tmp_path, address, server):
    refused(r"nothing\.tar cannot be read: No such file or directory", tmp_path / "nothing.tar", ["a.pt"], tmp_path / "out")
    refused("/proc/self/mem cannot be read: Input/output error", "/proc/self/mem", ["a.pt"], tmp_path / "out")
    refused("is not a file that can be fetched from", tmp_path, ["a.pt"], tmp_path / "out")
    refused(
        "'ftp://example.org/x.tar' is not an address that can be fetched", "ftp://example.org/x.tar", ["a.pt"], tmp_path / "out"
    )
    refused("there is no such file", server.address("elsewhere.tar"), ["a.pt"], tmp_path / "out")
    (tmp_path / "file").write_text("")
    refused("could not write into .*file", address, ["a.pt"], tmp_path / "file")


def test_a_plain_file_is_interrupted_and_resumed(tmp_path, server):
    content = MEMBERS["checkpoints/a.pt"]
    server.files["plain"] = Served(content)
    path = tmp_path / "x.bin"
    with pytest.raises(KeyboardInterrupt):
        fetch_file(server.address("plain"), path, progress=interrupted_after(10))
    had = json.loads((tmp_path / "x.bin.part.json").read_text())["done"]
    fetch_file(server.address("plain"), path, sha256=sha256(content))
    assert path.read_bytes() == content
    assert server.log[-1].begin == had > 0
    with pytest.raises(AudioMetamerError, match="has changed since it was fetched"):
        fetch_file(server.address("plain"), path, sha256="1" * 64)


def test_a_plain_file_without_ranges_or_length(tmp_path, server):
    server.files["plain"] = Served(b"abc" * 100_000, ranges=False, told=False)
    shown = []
    fetch_file(server.address("plain"), tmp_path / "x", progress=lambda *each: shown.append(each), waits=QUICK)
    assert (tmp_path / "x").read_bytes() == b"abc" * 100_000
    assert shown[-1] == (0.0, "x: 300.0 kB")


@pytest.mark.parametrize("ranges", [True, False])
def test_members_with_one_base_name_are_told_apart_by_the_ends_of_their_paths(tmp_path, ranges):
    runs = {"models/word/7a/5.pt": b"word", "models/speaker/8b/5.pt": b"speaker", "models/other/word/7a/5.pt.md": b"no"}
    with serving({"runs.tar": Served(tar_of(runs), ranges=ranges)}) as server:
        asked = ["speaker/8b/5.pt", "word/7a/5.pt"]
        got = fetch_members(server.address("runs.tar"), asked, tmp_path, sha256={"word/7a/5.pt": sha256(b"word")}, waits=QUICK)
        assert {name: path.read_bytes() for name, path in got.items()} == {asked[0]: b"speaker", asked[1]: b"word"}
        assert got["word/7a/5.pt"] == tmp_path / "word" / "7a" / "5.pt"
        if ranges:
            with pytest.raises(AudioMetamerError, match=r"holds 2 members called 5\.pt: models/word/7a/5\.pt, models/speaker"):
                fetch_members(server.address("runs.tar"), ["5.pt"], tmp_path, waits=QUICK)
    with pytest.raises(AudioMetamerError, match=r"'\.\./5\.pt' is not the name of a member, nor the end of its path"):
        fetch_members(tmp_path / "runs.tar", ["../5.pt"], tmp_path)
