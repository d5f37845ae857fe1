"""Members of archives from a server or the disk: what is transferred, interruptions, and what is refused."""

import hashlib
import io
import random
import tarfile

import pytest
from local_server import Served, serving

from audiometamer.errors import AudioMetamerError
from audiometamer.io.archives import fetch_file, fetch_members, verified

QUICK = (0.0,) * 3
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


def interrupted_after(size):
    """A progress that presses Ctrl-C once this many calls have come."""
    calls = iter(range(size))

    def progress(done, message):
        if next(calls, None) is None:
            raise KeyboardInterrupt

    return progress


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
