"""The walk through a tar archive: all formats of headers, held against the standard library, and damaged archives."""

import io
import struct
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tar_headers import members_from

NAMES = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
PATHS = some.lists(NAMES, min_size=1, max_size=20).map("/".join).map(lambda path: path.strip("/") or "x")
KINDS = {
    "file": tarfile.REGTYPE,
    "folder": tarfile.DIRTYPE,
    "symbolic link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "device": tarfile.CHRTYPE,
    "pipe": tarfile.FIFOTYPE,
}
MEMBERS = some.lists(some.tuples(PATHS, some.sampled_from(list(KINDS)), some.integers(0, 2000)), min_size=1, max_size=5)


def walked(content, offset=0):
    return list(members_from(io.BytesIO(content), offset, "a.tar"))


def header_of(name, size=0, kind=tarfile.REGTYPE, link="", **how):
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = size, kind, link
    return header.tobuf(**{"format": tarfile.USTAR_FORMAT, **how})


END = bytes(1024)


@settings(max_examples=30)
@given(MEMBERS, some.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]), NAMES)
def test_members_are_those_of_the_standard_library(members, how, comment):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=how, pax_headers={"comment": comment}) as tar:
        for path, kind, size in members:
            header = tarfile.TarInfo(path)
            header.type, header.size, header.linkname = (
                KINDS[kind],
                size if kind == "file" else 0,
                "y" * 150 if "link" in kind else "",
            )
            tar.addfile(header, io.BytesIO(bytes(size)))
    found = walked(file.getvalue())
    with tarfile.open(fileobj=io.BytesIO(file.getvalue())) as tar:
        assert [(each.name.rstrip("/"), each.offset, each.size) for each in found] == [
            (each.name, each.offset_data, each.size) for each in tar.getmembers()
        ]
    assert [each.kind for each in found] == [kind for _, kind, _ in members]
    for number, member in enumerate(found):
        assert walked(file.getvalue(), member.end) == found[number + 1 :]


def test_a_name_in_two_fields():
    folders = "/".join("d" * 30 for _ in range(4))
    (member,) = walked(header_of(f"{folders}/file.pt", 3) + b"abc".ljust(512, b"\0") + END)
    assert (member.name, member.size) == (f"{folders}/file.pt", 3)


def test_a_size_beyond_eight_gigabytes():
    size = 9_400_000_000
    assert struct.unpack(">Q", header_of("x", size, format=tarfile.GNU_FORMAT)[128:136])[0] == size
    for header in (header_of("x", size, format=tarfile.GNU_FORMAT), header_of("x", size, format=tarfile.PAX_FORMAT)):
        walk = members_from(io.BytesIO(header), 0, "a.tar")
        assert next(walk).size == size


def test_sparse_members_are_told_apart_and_passed_over():
    old = bytearray(header_of("old", 1000, tarfile.GNUTYPE_SPARSE, format=tarfile.GNU_FORMAT))
    old[482] = 1  # the map goes on in two further blocks
    old[148:156] = b"%06o\0 " % (sum(old[:148]) + 8 * 32 + sum(old[156:]))
    extensions = bytes(504) + b"\1" + bytes(7) + bytes(512)
    attributes = b"22 GNU.sparse.major=1\n29 GNU.sparse.name=real/name\n"
    new = header_of("x", len(attributes), tarfile.XHDTYPE) + attributes.ljust(512, b"\0") + header_of("GNUSparseFile.0/name", 5)
    plain = header_of("plain", 7) + bytes(512)
    found = walked(bytes(old) + extensions + bytes(1024) + new + bytes(512) + plain + END)
    assert [(each.name, each.kind, each.size) for each in found] == [
        ("old", "sparse file", 1000),
        ("real/name", "sparse file", 5),
        ("plain", "file", 7),
    ]


def test_links_have_no_content_whatever_size_they_state():
    found = walked(header_of("link", 5000, tarfile.LNKTYPE, "x") + header_of("plain", 1) + bytes(512) + END)
    assert [(each.name, each.size) for each in found] == [("link", 0), ("plain", 1)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a.tar is empty: it is truncated"),
        (b"x" * 100, "a.tar ends before byte 512, without the mark of its end: it is truncated"),
        (b"x" * 512, "a.tar is not a tar archive"),
        (b"\x1f\x8b\x08" + b"x" * 600, "a.tar is compressed with gzip; unpack it to a plain tar first"),
        (b"BZh9" + b"x" * 600, "a.tar is compressed with bzip2"),
        (b"\xfd7zXZ\0" + b"x" * 600, "a.tar is compressed with xz"),
        (b"\x28\xb5\x2f\xfd" + b"x" * 600, "a.tar is compressed with zstd"),
        (b"PK\x03\x04" + b"x" * 600, "a.tar is compressed with zip"),
        (header_of("a", 5) + bytes(512), "a.tar ends before byte 1536, without the mark of its end"),
        (header_of("a", 5) + bytes(512) + header_of("b")[:100], "a.tar ends before byte 1536, without"),
        (header_of("a", 5) + bytes(512) + b"x" * 512, "a.tar is damaged: there is no valid header at byte 1024"),
        (header_of("a", 600)[:200] + bytes(400), "a.tar is not a tar archive"),
        (
            header_of("l", 2 << 20, tarfile.GNUTYPE_LONGNAME),
            "a.tar is damaged: a name or attributes of 2097152 bytes at byte 512",
        ),
        (header_of("l", 600, tarfile.XHDTYPE) + bytes(512), "a.tar is damaged: a name or attributes of 600 bytes at byte 512"),
        (
            header_of("l", 1 << 62, format=tarfile.GNU_FORMAT),
            f"a.tar is damaged: the header at byte 0 states a size of {1 << 62} bytes",
        ),
        (header_of("l", -5, format=tarfile.GNU_FORMAT), "a.tar is damaged: the header at byte 0 states a size of -5 bytes"),
    ],
)
def test_what_is_wrong_with_an_archive(content, said):
    with pytest.raises(AudioMetamerError) as caught:
        walked(content)
    assert str(caught.value).startswith(said)


@settings(max_examples=100)
@given(some.binary(max_size=300), some.integers(0, 3000), some.integers(0, 255))
def test_damaged_archives_give_a_line_or_members(noise, place, byte):
    content = bytearray(
        header_of("a/b", 600, format=tarfile.GNU_FORMAT) + bytes(1024) + header_of("ü" * 80, 3, format=tarfile.PAX_FORMAT)
    )
    content += bytes(512) + END
    content[place : place + len(noise)] = noise or bytes([byte])
    try:
        found = walked(bytes(content))
    except AudioMetamerError as error:
        said = str(error)
    else:
        said = f"a.tar holds {len(found)}"
        assert all(member.size >= 0 and member.end > member.offset - 512 for member in found)
    assert said.startswith("a.tar ")
