"""Tables and TOML as spreadsheets and editors save them."""

import string
import unicodedata

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from audiometamer.errors import AudioMetamerError
from audiometamer.io.tables import SIGN, escape_formula, read_cells, read_table, table_text, unescape_formula, write_table
from audiometamer.io.toml_files import read_toml

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


FORMULAS = [
    "=1+1", "+1", "-1+1", "@SUM(A1)", "'=1", "＝1+1", "－1+1", "﹦1", "−1+cmd", " =1",
    "-1", "\t=1+1", "\r\n@x", "\N{NO-BREAK SPACE}=1",
    "\N{IDEOGRAPHIC SPACE}＝1", "\N{ZERO WIDTH SPACE}=1", "\N{ZERO WIDTH NO-BREAK SPACE}=1", "\x1f=1", "\x00=1", "\u202e=1",
    "' =1", " '=1", "-2+3+cmd|' /C calc'!A0", "+49 30 1234", "-1 ", "-foo.wav",
]  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_guarded(text):
    assert escape_formula(text) == "'" + text
    assert unescape_formula(escape_formula(text)) == text


@pytest.mark.parametrize("text", ["", "a=b", "'tis", "|x", "1-2", "'"])
def test_what_is_no_formula_stays_as_it_is(text):
    assert escape_formula(text) == unescape_formula(text) == text


def seen(cell):
    """What is left where blanks and what nobody sees are passed over."""
    return "".join(c for c in cell if unicodedata.category(c) not in ("Cc", "Cf", "Zs", "Zl", "Zp"))


texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" \t\r\n'=+-@＝\u200b\ufeff\u3000," + string.digits))


@given(texts)
@example("\u3164=1")
def test_any_text_comes_back_and_none_is_run(text):
    cell = escape_formula(text)
    assert unescape_formula(cell) == text
    assert unicodedata.normalize("NFKC", seen(cell))[:1] not in ("=", "@", "+", "-", "\N{MINUS SIGN}")


@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
@given(data=st.data())
def test_tables_come_back_cell_by_cell(tmp_path_factory, name, data):
    path = tmp_path_factory.getbasetemp() / name
    columns = data.draw(st.lists(texts.map(str.strip).filter(bool), min_size=1, max_size=3, unique=True))
    row = st.lists(texts, min_size=len(columns), max_size=len(columns)).filter(lambda cells: any(map(str.strip, cells)))
    rows = [dict(zip(columns, cells, strict=True)) for cells in data.draw(st.lists(row, max_size=3))]
    write_table(path, columns, rows)
    header, cells = read_cells(path)
    assert (header, cells) == (columns, [list(row.values()) for row in rows])
    assert path.read_bytes().decode() == table_text(columns, rows, delimiter="," if name == "x.csv" else "\t")


def test_numbers_in_tables_stay_numbers(tmp_path):
    write_table(tmp_path / "x.tsv", ["a", "b", "c", "d"], [{"a": -1.5, "b": "-0.1234", "c": None, "d": "-"}])
    assert (tmp_path / "x.tsv").read_text() == "a\tb\tc\td\n-1.5\t-0.1234\t\t-\n"
    assert table_text(["a", "b"], [{"a": -1.5, "b": "-1.5"}], harmless=SIGN) == "a\tb\n-1.5\t'-1.5\n"
