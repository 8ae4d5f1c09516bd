from pathlib import Path

import pytest

from assay.errors import BadData
from model.rows import Row, open_csv


def csv_file(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "x.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_rows_come_with_their_line(tmp_path: Path) -> None:
    file = open_csv(csv_file(tmp_path, '\ufeffa,b\r\n1,"x\ny"\r\n\r\n2,z\r\n'))
    assert file.header == ("a", "b")
    assert list(file.rows()) == [Row(3, ("1", "x\ny")), Row(5, ("2", "z"))]


def test_headers_may_be_given_where_the_file_has_none(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "1,2\n3,4\n")
    assert [row.cells for row in open_csv(path, ["a", "b"]).rows()] == [("1", "2"), ("3", "4")]


def test_headers_that_are_given_and_in_the_file_are_no_row(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "a,b\n3,4\n")
    assert [row.cells for row in open_csv(path, ["a", "b"]).rows()] == [("3", "4")]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"x\.csv: no rows: the file is empty"),
        ("a,a\n1,2\n", r"x\.csv: the header names 'a' twice"),
        ("a,b\n1,2\n1,2,3\n", r"x\.csv, line 3: 3 cells, expected 2 \(a, b\)"),
        ('a,b\n1,"x"y\n', r"x\.csv, line 2: not CSV"),
        (b"a,b\n1,\xe9\n", r"x\.csv: not UTF-8"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: str | bytes, said: str) -> None:
    path = csv_file(tmp_path, content)
    with pytest.raises(BadData, match=said):
        list(open_csv(path).rows())


def test_a_column_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    file = open_csv(csv_file(tmp_path, "a,b\n1,2\n"))
    assert (file.column("b", "the label"), file.column(0, "the label")) == (1, 0)
    with pytest.raises(BadData, match=r"no column 'c' for the label; found a, b"):
        file.column("c", "the label")
    with pytest.raises(BadData, match=r"no column 2 for the label; there are 2, from 0"):
        file.column(2, "the label")
