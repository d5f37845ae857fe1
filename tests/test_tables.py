"""Tables and TOML as spreadsheets and editors save them."""

import msgspec
import pytest

from audiometamer.errors import AudioMetamerError
from audiometamer.tables import read_table
from audiometamer.toml_files import read_toml

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
ROWS = [{"path": "a.wav", "word": "yes"}, {"path": "b.wav", "word": "zwölf"}]


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.TSV"])
@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("empty", ["", ",", " , ", "\n,\n"])
def test_marks_ends_of_lines_and_empty_rows_make_no_difference(tmp_path, name, mark, end, empty):
    lines = ["path,word", empty, "a.wav,yes", empty, "b.wav,zwölf", empty]
    text = mark + "".join(line + end for line in lines)
    (tmp_path / name).write_bytes((text if name == "x.csv" else text.replace(",", "\t")).encode())
    assert read_table(tmp_path / name) == ROWS


def test_rows_know_the_lines_on_which_they_begin(tmp_path):
    (tmp_path / "x.csv").write_text('path,word\n\na.wav,"yes\nno"\n,\nb.wav,up\n')
    assert [(row["path"], row.line) for row in read_table(tmp_path / "x.csv")] == [("a.wav", 3), ("b.wav", 6)]


def test_utf_16_with_a_mark_is_read(tmp_path):
    (tmp_path / "x.csv").write_text("path,word\na.wav,yes\nb.wav,zwölf\n", encoding="utf-16")
    (tmp_path / "x.toml").write_text('name = "zwölf"', encoding="utf-16")
    assert read_table(tmp_path / "x.csv") == ROWS
    assert read_toml(tmp_path / "x.toml", Settings) == Settings("zwölf")


def test_columns_without_a_name_or_a_cell_are_left_out(tmp_path):
    (tmp_path / "x.csv").write_text("path,word,,\na.wav,yes,,\nb.wav,zwölf,,\n")
    assert read_table(tmp_path / "x.csv") == ROWS
    (tmp_path / "x.csv").write_text("path,word,\na.wav,yes,what?\n")
    assert read_table(tmp_path / "x.csv") == [{"path": "a.wav", "word": "yes", "": "what?"}]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path,word,path\na,b,c\n", "has several columns called 'path'; rename or remove all but one"),
        (b"path,word\na,b\n\nc\n", "line 4: 1 cell; there should be 2"),
        ("path,word\nä,b\n".encode("latin-1"), "cannot be read as a table: it is not UTF-8"),
        (b"path,word\n\n,\n", "has no rows"),
        (b"", "has no rows"),
    ],
)
def test_tables_that_are_none(tmp_path, content, message):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(AudioMetamerError, match=message) as caught:
        read_table(tmp_path / "x.csv")
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))
    assert "\n" not in str(caught.value)


def test_the_last_cells_may_be_missing_where_that_is_said(tmp_path):
    (tmp_path / "x.csv").write_text("path,split,word\na.wav,train\n")
    assert read_table(tmp_path / "x.csv", short_rows=True) == [{"path": "a.wav", "split": "train", "word": ""}]
    (tmp_path / "x.csv").write_text("path,split,word\na.wav,train,yes,no\n")
    with pytest.raises(AudioMetamerError, match="line 2: 4 cells; there should be 3"):
        read_table(tmp_path / "x.csv", short_rows=True)


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    name: str


@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_toml_with_and_without_a_mark(tmp_path, mark, end):
    (tmp_path / "x.toml").write_bytes(f'{mark}# a comment{end}name = "zwölf"{end}'.encode())
    assert read_toml(tmp_path / "x.toml", Settings) == Settings("zwölf")


@pytest.mark.parametrize(
    ("encoding", "message"),
    [("latin-1", "is not TOML: it is not UTF-8 .* at byte 10"), ("utf-16-le", "is not TOML: ")],
)
def test_toml_in_other_encodings_is_refused(tmp_path, encoding, message):
    (tmp_path / "x.toml").write_bytes('name = "zwölf"'.encode(encoding))
    with pytest.raises(AudioMetamerError, match=message):
        read_toml(tmp_path / "x.toml", Settings)
