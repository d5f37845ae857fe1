"""Files on a web server: positions, ranges, broken connections and refusals."""

import io
import random

import pytest
from local_server import Served, serving

from audiometamer.io.remote import RemoteFile

CONTENT = random.Random(0).randbytes(3_000_000)
QUICK = (0.0,) * 4


@pytest.fixture
def served():
    return Served(CONTENT)


@pytest.fixture
def server(served):
    with serving({"file": served}) as server:
        yield server


@pytest.fixture
def opened(server):
    with RemoteFile(server.address("file"), waits=QUICK) as file:
        yield file


def test_a_remote_file_reads_like_a_local_one(opened):
    local = io.BytesIO(CONTENT)
    assert opened.size == len(CONTENT)
    draw = random.Random(1)
    for _ in range(40):
        position, size = draw.randrange(len(CONTENT) + 10_000), draw.choice([1, 512, 5000, 200_000])
        assert opened.seek(position) == local.seek(position)
        assert opened.read(size) == local.read(size)
        assert opened.tell() == local.tell()
    assert opened.seek(-7, io.SEEK_END) == local.seek(-7, io.SEEK_END)
    assert opened.read() == local.read()
    assert opened.read(1) == b""


def test_jumps_transfer_no_more_than_a_header(opened, server):
    for position in (0, 1_200_000, 2_400_000):
        opened.seek(position)
        opened.read(512)
    assert server.sent() == 3 * 4096


def test_what_is_expected_comes_in_one_response(opened, server):
    opened.seek(1_500_000)
    opened.expect(1_000_000)
    assert b"".join(opened.read(65536) for _ in range(16))[:1_000_000] == CONTENT[1_500_000:2_500_000][: 16 * 65536]
    assert [(each.begin, each.end) for each in server.log][1] == (1_500_000, 2_500_000)
