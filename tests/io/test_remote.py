"""Files on a web server: positions, ranges, broken connections and refusals."""

import io
import random
import time

import pytest
import requests
from local_server import Served, serving

from audiometamer.errors import AudioMetamerError
from audiometamer.io.remote import RemoteFile, remote_size

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


def test_short_jumps_are_read_through(opened, server):
    for position in range(0, 2_900_000, 10_000):
        opened.seek(position)
        assert opened.read(100) == CONTENT[position : position + 100]
    assert len(server.log) < 10
    assert server.sent() <= len(CONTENT)


def test_what_is_expected_comes_in_one_response(opened, server):
    opened.seek(1_500_000)
    opened.expect(1_000_000)
    assert b"".join(opened.read(65536) for _ in range(16))[:1_000_000] == CONTENT[1_500_000:2_500_000][: 16 * 65536]
    assert [(each.begin, each.end) for each in server.log][1] == (1_500_000, 2_500_000)


def refused(match, address, **how):
    with pytest.raises(AudioMetamerError, match=match), RemoteFile(address, **{"waits": QUICK, **how}) as file:
        file.read()


def test_a_broken_connection_is_taken_up_where_it_broke(opened, served, server):
    served.cuts[:] = [100_000, 0, 0, 0, 50_000, 0]
    opened.expect(len(CONTENT))
    assert opened.read() == CONTENT
    begins = [each.begin for each in server.log]
    assert begins == sorted(begins)
    assert server.sent() < len(CONTENT) + len(server.log) * 65536


def test_without_progress_attempts_come_to_an_end(opened, served, server):
    served.cuts[:] = [100_000, *[0] * 10]
    opened.seek(1_000_000)
    opened.expect(1_000_000)
    with pytest.raises(AudioMetamerError) as caught:
        opened.read(1_000_000)
    assert str(caught.value) == (
        f"{server.address('file')}: the connection broke at byte 1100000 of 3000000 (the server closed it), 5 times in a row; "
        "run it again to continue from there"
    )


def test_a_server_that_sends_nothing_is_asked_again(server, served):
    served.pause = 0.4
    refused(
        r"the connection broke at byte 0 of 3000000 \(no answer in time\), 3 times",
        server.address("file"),
        timeout=(1, 0.05),
        waits=(0, 0),
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, r"there is no such file \(404 Not Found\); has it moved\?"),
        (410, r"there is no such file \(410 Gone\)"),
        (401, r"the server refused access \(401 Unauthorized\)"),
        (403, r"the server refused access \(403 Forbidden\)"),
        (418, "the server answered 418"),
        (204, "the server answered 204 No Content, not with the file"),
    ],
)
def test_refusals_are_told_at_once(server, served, status, said):
    served.statuses[:] = [status]
    refused(f"{server.address('file')}: {said}", server.address("file"))
    assert len(server.log) == 1


def test_a_busy_server_is_asked_again(server, served):
    served.statuses[:] = [503, 500, 429, 502]
    with RemoteFile(server.address("file"), waits=QUICK) as file:
        assert file.read(10) == CONTENT[:10]
    served.statuses[:] = [503] * 5
    refused("the server answered 503 Service Unavailable, 5 times in a row; try again later", server.address("file"))


def test_every_wait_is_reported(server, served):
    served.statuses[:] = [503, 429]
    lines = []
    with RemoteFile(server.address("file"), waits=(0.01, 0.02), notify=lines.append) as file:
        assert file.read() == CONTENT
    address = server.address("file")
    assert lines == [
        f"{address}: the server answered 503 Service Unavailable; attempt 2 in 0.01 s",
        f"{address}: the server answered 429 Too Many Requests; attempt 3 in 0.02 s",
    ]


def test_a_busy_server_says_how_long_to_wait(server, served, monkeypatch):
    waits = []
    monkeypatch.setattr(time, "sleep", waits.append)
    served.statuses[:] = [429, 503, 503]
    served.headers["Retry-After"] = "7"
    with RemoteFile(server.address("file"), waits=(1, 30, 2)) as file:
        assert file.size == len(CONTENT)
    assert [wait for wait in waits if wait] == [7, 30, 7]


def test_who_cannot_be_reached_is_named():
    with serving({}) as server:
        address = server.address("file")
    refused(rf"{address}: no connection \(Connection refused\); proxies are taken from HTTPS_PROXY and HTTP_PROXY", address)


def test_a_certificate_that_nobody_knows_is_told_at_once(monkeypatch):
    said = (
        "HTTPSConnectionPool(host='x', port=443): Max retries exceeded with url: / (Caused by SSLError(SSLCertVerificationError"
    )
    said += "(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)')))"
    asked = []

    def get(*_, **__):
        asked.append(1)
        raise requests.exceptions.SSLError(said)

    monkeypatch.setattr(requests.Session, "get", get)
    refused(r"https://x/file: no connection \(self-signed certificate\)$", "https://x/file")
    assert asked == [1]


def test_proxies_come_from_the_environment(monkeypatch):
    with serving({"http://example.invalid/file": CONTENT[:100]}) as proxy:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, proxy.root)
        with RemoteFile("http://example.invalid/file", waits=()) as file:
            assert file.read() == CONTENT[:100]


def test_redirects_are_followed(server):
    server.files["old"] = Served(b"", redirect="/older")
    server.files["older"] = Served(b"", redirect=server.address("file"))
    with RemoteFile(server.address("old"), waits=QUICK) as file:
        file.seek(2_000_000)
        assert file.read(100) == CONTENT[2_000_000:2_000_100]
    server.files["circle"] = Served(b"", redirect="/circle")
    refused("circle: Exceeded 30 redirects", server.address("circle"))
    server.files["elsewhere"] = Served(b"", redirect="file:///etc/hostname")
    refused("elsewhere: no connection", server.address("elsewhere"))


@pytest.mark.parametrize("announced", [2_900_000, 3_100_000])
def test_a_wrong_length(server, served, announced):
    served.length = announced
    if announced > len(CONTENT):
        refused(r"broke at byte 3000000 of 3100000 \(the server closed it\)", server.address("file"))
    else:
        with RemoteFile(server.address("file"), waits=QUICK) as file:
            assert file.read() == CONTENT[:announced]


@pytest.mark.parametrize(
    "change", [{"etag": '"2"'}, {"modified": "Mon, 30 Nov 2026 10:00:00 GMT"}, {"content": CONTENT[:-1]}, {"content": b""}]
)
def test_a_change_in_the_middle_is_noticed(opened, served, change):
    opened.read(10)
    for name, value in change.items():
        setattr(served, name, value)
    opened.seek(2_000_000)
    with pytest.raises(AudioMetamerError, match="changed while it was read"):
        opened.read(10)


@pytest.mark.parametrize("told", [True, False])
def test_without_ranges_all_is_read_and_the_rest_dropped(server, served, told):
    served.ranges, served.told = False, told
    with RemoteFile(server.address("file"), waits=QUICK) as file:
        assert not file.ranges
        assert file.size == (len(CONTENT) if told else None)
        file.seek(2_000_000)
        assert file.read(100_000) == CONTENT[2_000_000:2_100_000]
        assert file.read() == CONTENT[2_100_000:]
        assert file.read(1) == b""
    assert len(server.log) == 1


def test_without_ranges_a_broken_connection_begins_again(server, served):
    served.ranges, served.cuts[:] = False, [1_000_000, 2_000_000]
    with RemoteFile(server.address("file"), waits=QUICK) as file:
        assert file.read() == CONTENT
    assert [each.begin for each in server.log] == [0, 0, 0]


def test_a_server_that_sends_other_bytes(opened, served):
    served.headers["Content-Range"] = "bytes 0-9/3000000"
    opened.seek(2_000_000)
    with pytest.raises(AudioMetamerError, match=r"asked for the bytes from 2000000 on, the server sent 'bytes 0-9/3000000'"):
        opened.read(10)


def test_an_empty_file(server):
    server.files["empty"] = Served(b"")
    with RemoteFile(server.address("empty"), waits=QUICK) as file:
        assert (file.size, file.read()) == (0, b"")


def test_the_size_alone(server, served):
    assert remote_size(server.address("file"), waits=QUICK) == len(CONTENT)
    served.ranges = served.told = False
    assert remote_size(server.address("file"), waits=QUICK) is None


@pytest.mark.parametrize(
    "address", ["ftp://example.org/file", "file:///etc/passwd", "https://", "example.org/file", "https://[x/file"]
)
def test_other_addresses_are_refused(address):
    refused("is not an address", address)
