"""One reader for CSV, JSON Lines and Parquet: the same rows, types and sentences from each."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.errors import BadData, BadPolicy
from assay.policy import Data
from model import table_files
from model.table_files import open_file
from model.tables import Batch, Table, open_table

HEADER = ["age", "job", "note", "label"]
NOTE = "a sentence of some length, as no name of a category ever has it"
ROWS: list[list[Any]] = [
    [39, "clerk", f"{NOTE} 1", "yes"],
    [50.5, "farmer", f"{NOTE} 2", "no"],
    [28, "", f"{NOTE} 3", "yes"],
]


def write(path: Path, rows: Sequence[Sequence[Any]] = ROWS, header: Sequence[str] = HEADER) -> Path:
    """The same table as a file of the kind that the name says."""
    if path.suffix in {".csv", ".tsv"}:
        with path.open("w", newline="") as file:
            csv.writer(file, delimiter="," if path.suffix == ".csv" else "\t").writerows([header, *rows])
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(dict(zip(header, row, strict=True))) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps([dict(zip(header, row, strict=True)) for row in rows]))
    else:
        columns = zip(*rows, strict=True)
        pq.write_table(pa.table({name: list(column) for name, column in zip(header, columns, strict=True)}), path)
    return path


def data(**parts: Any) -> Data:
    return Data.model_validate({"source": "data", **parts})


def lines(path: Path, *content: str) -> Path:
    path.write_text("\n".join(content) + "\n")
    return path


def whole(table: Table, size: int = 8192) -> Batch:
    """All batches as one."""
    batches = list(table.batches(size))
    return Batch(
        np.concatenate([batch.rows for batch in batches]),
        {name: np.concatenate([batch.columns[name] for batch in batches]) for name in table.header},
        {name: np.concatenate([batch.missing[name] for batch in batches]) for name in table.header},
        [problem for batch in batches for problem in batch.problems],
        pa.concat_arrays([batch.contents for batch in batches]),
    )


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "rows.parquet"])
def test_each_format_gives_the_same_typed_columns(tmp_path: Path, name: str) -> None:
    table = open_table([write(tmp_path / name)], data(missing=[""]))
    assert (table.header, table.features, table.label) == (tuple(HEADER), ("age", "job", "note"), "label")
    assert table.types == {"age": "numeric", "job": "categorical", "note": "text", "label": "categorical"}
    assert table.survey.rows == 3
    assert table.survey.labels == ("no", "yes")
    for size in (1, 2, 8192):
        found = whole(table, size)
        assert found.rows.tolist() == [0, 1, 2]
        assert found.columns["age"].tolist() == [39, 50.5, 28]
        assert found.columns["job"].tolist() == ["clerk", "farmer", ""]
        assert found.missing["job"].tolist() == [False, False, True]
        assert found.columns["label"].tolist() == ["yes", "no", "yes"]
        assert found.problems == []


@pytest.mark.parametrize("name", ["rows.csv", "rows.tsv", "rows.jsonl", "rows.json", "rows.parquet"])
def test_a_row_is_known_by_the_sha_256_of_its_content_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    rows = [["r1", 1, "a", "u"], ["r2", 2, "b", "u"], ["r3", 1, "a", "v"], ["r4", 1, "ab", "u"]]
    table = open_table([write(tmp_path / name, rows, ["key", "x", "y", "label"])], data(id="key"))
    marks = [mark.tobytes() for batch in table.batches(3) for mark in batch.fingerprints()]
    assert marks[0] == marks[2] == hashlib.sha256(b"1\0a").digest()
    assert len(set(marks)) == 3


def test_some_rows_again_as_they_stand_in_the_file(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "a,label", "1.50,x", "2", "?,y", "3,")
    table = open_table([path], data(missing=["?"]))
    assert table.cells({3, 0, 2}) == {
        0: {"a": "1.50", "label": "x"},
        2: {"a": "", "label": "y"},
        3: {"a": "3", "label": ""},
    }


def test_a_column_of_numbers_stays_one_and_its_bad_cells_are_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "adult.csv", "age,label", "39,0", '"x",1', "", " 28 ,0", "inf,1", "1e3,1", "nan,0", "+7,0")
    table = open_table([path], data())
    assert table.types["age"] == "numeric"
    found = whole(table)
    assert found.rows.tolist() == [0, 2, 4, 6]
    assert found.columns["age"].tolist() == [39, 28, 1000, 7]
    assert found.problems == [
        "adult.csv, line 3: age is 'x', expected a finite number",
        "adult.csv, line 6: age is 'inf', expected a finite number",
        "adult.csv, line 8: age is 'nan', expected a finite number",
    ]


def test_types_hang_on_all_values_not_on_the_first_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK", 64)
    codes = [str(number) for number in range(40)] + [f"c{number}" for number in range(45)]
    path = lines(tmp_path / "x.csv", "code,label", *(f"{code},1" for code in codes))
    assert open_table([path], data()).types["code"] == "categorical"
    found = whole(open_table([path], data(columns={"code": "numeric"})))
    assert found.rows.tolist() == list(range(40))
    assert found.problems[0] == "x.csv, line 42: code is 'c0', expected a finite number"


def test_rows_that_are_none_of_the_table_are_named_and_keep_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK", 256)
    good = {number for number in range(200) if number % 7 and number < 198}
    path = lines(
        tmp_path / "x.csv", "a,label", '0,"x', 'y"', *(f"{n},y" if n in good else f"{n}" for n in range(1, 200))
    )
    found = whole(open_table([path], data()))
    assert found.rows.tolist() == [0, *sorted(good)]
    assert found.columns["a"].tolist()[1:] == sorted(good)
    assert len(found.problems) == 200 - 1 - len(good)
    assert found.problems[0] == "x.csv, line 10: 1 cells, expected 2 (a, label)"
    assert found.problems[-1] == "x.csv, line 202: 1 cells, expected 2 (a, label)"


def test_what_means_unknown_is_missing_and_no_bad_number(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "age,job,label", "?,clerk,1", "39,?,0", "-1,,1", "40,farmer,?")
    table = open_table([path], data(missing=["?", "-1"]))
    found = whole(table)
    assert found.columns["age"][1] == 39 and np.isnan(found.columns["age"][[0, 2]]).all()
    assert found.missing["age"].tolist() == [True, False, True]
    assert found.columns["job"].tolist() == ["clerk", "", ""]
    assert found.missing["job"].tolist() == [False, True, False]
    assert found.problems == ["x.csv, line 5: label has no value"]
    assert table.survey.labels == ("0", "1")


def test_nulls_and_numbers_that_mean_unknown_in_parquet(tmp_path: Path) -> None:
    columns = {
        "age": pa.array([1, -999, None]),
        "height": pa.array([1.5, float("nan"), 2]),
        "code": pa.array(["07", "08", None]).dictionary_encode(),
        "member": pa.array([True, False, None]),
        "list": pa.array([[1], [2], [3]]),
        "label": pa.array([1.0, 0.0, 1.0]),
    }
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    table = open_table([tmp_path / "x.parquet"], data(missing=["-999"]))
    assert table.features == ("age", "height", "code", "member")  # a list is no column
    assert table.types["code"] == "categorical"  # the file says that it is text
    found = whole(table)
    assert found.problems == ["x.parquet, row 2: height is 'nan', expected a finite number"]
    np.testing.assert_array_equal(found.columns["age"], [1, np.nan])
    np.testing.assert_array_equal(found.columns["member"], [1, np.nan])
    assert found.columns["code"].tolist() == ["07", ""]
    assert found.columns["label"].tolist() == ["1", "1"]
    assert len(whole(open_table([tmp_path / "x.parquet"], data(missing=["-999", "nan"]))).rows) == 3


def test_the_policy_says_what_the_values_do_not_show(tmp_path: Path) -> None:
    table = open_table(
        [write(tmp_path / "rows.parquet")], data(columns={"age": "categorical"}, text=["job"], missing=[""])
    )
    assert (table.types["age"], table.types["job"]) == ("categorical", "text")
    assert whole(table).columns["age"].tolist() == ["39", "50.5", "28"]
    with pytest.raises(BadPolicy, match=r"data\.columns: no column 'edge' in the data; found age, job, note, label"):
        open_table([tmp_path / "rows.parquet"], data(columns={"edge": "categorical"}))


def test_what_is_no_feature_cannot_make_a_row_unreadable(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "x.csv", "key,a,weather,w,label", "r1,1,5,1,1", "r2,2,6,0.5,0", "r3,3,sun,-1,0", "r4,4,7,,0"
    )
    table = open_table([path], data(id="key", exclude=["weather"], weight="w"))
    assert (table.features, table.id, table.weight) == (("a",), "key", "w")
    found = whole(table)
    assert found.columns["weather"].tolist() == [5, 6]
    assert found.columns["w"].tolist() == [1, 0.5]
    assert found.problems == [
        "x.csv, line 4: w is '-1', expected a finite number from 0",
        "x.csv, line 5: w is '', expected a finite number from 0",
    ]
    assert [*next(iter(table.batches(columns=["a", "key"]))).columns] == ["key", "a"]


def test_json_lines_find_features_and_label_by_expressions(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "x.jsonl",
        '{"features": ["good", 3], "truth": {"stars": 5}, "sex": "f"}',
        "",
        '{"features": ["bad"], "truth": {"stars": 1}, "sex": "m"}',
        '{"truth": {"stars": 1}}',
        "{nonsense",
        '{"features": ["ugly", true], "truth": {"stars": 2.5}}',
        '{"features": ["fine", [1]], "truth": {"stars": 2.5}}',
        "7",
        '{"features": ["so so", null], "truth": {"stars": 3}}',
        '{"features": ["so so", -0.5], "truth": {"stars": 3}, "late": 1}',
    )
    table = open_table([path], data(features="features", headers=["body", "n"], label="truth.stars"))
    assert table.header == ("body", "n", "sex", "truth.stars", "late")
    assert table.survey.labels == ("2.5", "3", "5")
    found = whole(
        open_table(
            [path], data(features="features", headers=["body", "n"], label="truth.stars", exclude=["sex", "late"])
        )
    )
    assert found.rows.tolist() == [0, 7, 8]
    assert found.columns["body"].tolist() == ["good", "so so", "so so"]
    np.testing.assert_array_equal(found.columns["n"], [3, np.nan, -0.5])
    assert found.problems == [
        "x.jsonl, line 3: 1 values, expected 2 (body, n)",
        "x.jsonl, line 4: data.features 'features' finds nothing in it",
        "x.jsonl, line 5: not JSON: Expecting property name enclosed in double quotes at column 2",
        "x.jsonl, line 6: n is 'true', expected a finite number",
        "x.jsonl, line 7: n is [1], expected a single value",
        "x.jsonl, line 8: expected an object or an array, found 7",
    ]


def test_a_label_of_0_inside_a_record_is_a_label(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "x.jsonl", '{"a": 1, "truth": {"y": 0}}', '{"a": 2, "truth": {"y": 0}}', "[1, 2]", '{"a": 3}'
    )
    table = open_table([path], data(label="truth.y"))
    assert whole(table).columns["truth.y"].tolist() == ["0", "0"]
    assert table.survey.problems == [
        "x.jsonl, line 3: its 2 values have no names: say data.headers",
        "x.jsonl, line 4: truth.y has no value",
    ]


def test_json_records_may_be_arrays_or_nest_their_features_in_an_object(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", '[1, "a", 0]', '[2, "b", 1]')
    table = open_table([path], data(headers=["n", "kind", "y"], label=2))
    assert (table.features, table.label) == (("n", "kind"), "y")
    assert whole(table).columns["n"].tolist() == [1, 2]
    path = lines(
        tmp_path / "y.jsonl", '{"in": {"star-rating": 1, "b": "u"}, "label": 0}', '{"in": {"b": "v"}, "label": 1}'
    )
    table = open_table([path], data(features="in"))
    assert table.features == ("star-rating", "b")
    np.testing.assert_array_equal(whole(table).columns["star-rating"], [1, np.nan])


def test_several_files_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name, content in (("b.csv", "3,1\nx,1\n4,1\n"), ("a.csv", "1,0\n2\n"), ("_SUCCESS", "")):
        (tmp_path / name).write_text("x,label\n" + content)
    found = whole(open_table(table_files.data_files(tmp_path), data()))
    assert found.rows.tolist() == [0, 2, 4]
    assert found.columns["x"].tolist() == [1, 3, 4]
    assert found.problems == [
        "a.csv, line 3: 1 cells, expected 2 (x, label)",
        "b.csv, line 3: x is 'x', expected a finite number",
    ]


def test_headers_that_are_given_stand_for_a_file_without(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "1,0", "2,1")
    assert whole(open_table([path], data(headers=["x", "label"]))).columns["x"].tolist() == [1, 2]
    path = lines(tmp_path / "x.csv", "x,label", "2,1")
    assert whole(open_table([path], data(headers=["x", "label"]))).columns["x"].tolist() == [2]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.csv", b"", r"x\.csv: no rows: the file is empty"),
        ("x.csv", b"a,label\n", r"x\.csv: no rows after the header"),
        ("x.csv", b"a,label", r"x\.csv: no rows after the header"),
        ("x.csv", b"a;label\n1;2\n", r"x\.csv: no column 'label' for data\.label; found a;label"),
        ("x.csv", b"a,a,label\n1,2,3\n", r"x\.csv: the header names 'a' twice"),
        ("x.csv", b"a,label\n1,2\n" * 3 + b"1,\xe9\n", r"x\.csv: not UTF-8"),
        ("x.csv", b'a,label\n1,2\n3,"open\n5,6\n', r"x\.csv, line 4: not CSV: unexpected end of data"),
        ("x.csv", b"label\n1\n", r"x\.csv: no feature is left among label"),
        ("x.jsonl", b"\n", r"x\.jsonl: no rows: the file is empty"),
        ("x.jsonl", b"[1, 2]\n", r"x\.jsonl, line 1: its 2 values have no names: say data\.headers"),
        ("x.jsonl", b'{"a": 1}\n', r"x\.jsonl: no column 'label' for data\.label; found a"),
        ("x.parquet", b"PAR?", r"x\.parquet: not Parquet"),
        ("x.xlsx", b"a", r"x\.xlsx: expected CSV, JSON Lines, JSON or Parquet"),
    ],
)
def test_a_file_that_is_no_table_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadData, match=said):
        _ = open_table([tmp_path / name], data()).survey


def test_a_row_that_cannot_be_decoded_far_into_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"a,label\n" + b"1,2\n" * 50_000 + b"1,\xe9\n")
    with pytest.raises(BadData, match=r"x\.csv: not UTF-8 after line 4\d\d\d\d"):
        _ = open_table([path], data()).survey


def test_a_row_that_is_too_long_to_be_read_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK", 1024)
    path = lines(tmp_path / "x.csv", "a,label", *["1,2"] * 1000, f"{'x' * 3000},1", "1,2")
    with pytest.raises(BadData, match=r"x\.csv: a row has more than 1,024 bytes"):
        _ = open_table([path], data()).survey


def test_files_that_do_not_fit_each_other_are_named(tmp_path: Path) -> None:
    first, second = lines(tmp_path / "a.csv", "a,label", "1,2"), lines(tmp_path / "b.csv", "label,a", "1,2")
    with pytest.raises(BadData, match=r"b\.csv: its columns are label, a; expected those of a\.csv: a, label"):
        open_table([first, second], data())
    with pytest.raises(BadData, match=r"expected files of one kind, found a\.csv and c\.jsonl"):
        open_table([first, lines(tmp_path / "c.jsonl", '{"a": 1, "label": 2}')], data())
    with pytest.raises(BadData, match=r"data: found no file"):
        open_table([], data())


def test_an_id_that_stands_twice_is_named_with_its_line(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "k,a,label", "r1,1,0", "r2,1", "r3,1,0", "r1,1,0")
    with pytest.raises(BadData, match=r"x\.csv, line 5: id 'r1' stands twice"):
        _ = open_table([path], data(id="k")).survey


def test_an_expression_that_is_none_is_refused(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.jsonl", '{"a": 1}')
    with pytest.raises(BadPolicy, match=r"data\.features: '\[\[' is no JMESPath expression"):
        open_table([path], data(features="[["))


def test_labels_of_a_regression_are_numbers(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.csv", "a,price", "1,2.5", "1,much", "1,3")
    table = open_table([path], data(label="price"), numeric_label=True)
    assert table.survey.problems == ["x.csv, line 3: price is 'much', expected a finite number"]
    assert table.survey.labels == ()
    assert whole(table).columns["price"].tolist() == [2.5, 3]


def test_a_json_document_has_its_features_and_labels_where_the_policy_says(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    records = [{"features": ["good", 1], "truth": {"stars": 5}}, {"features": ["bad", 2.5], "truth": {"stars": 1}}]
    path.write_text(json.dumps({"instances": records}))
    asked = data(features="instances[*].features", headers=["body", "n"], label="instances[*].truth.stars")
    table = open_table([path], asked)
    assert table.features == ("body", "n")
    found = whole(table).columns
    assert found["body"].tolist() == ["good", "bad"]
    assert found["n"].tolist() == [1, 2.5]
    assert table.survey.labels == ("1", "5")


@pytest.mark.parametrize(
    ("document", "asked", "said"),
    [
        ('{"a": 1}', {}, r"expected a list of records at its top, found \{"),
        ("[]", {}, r"expected a list of records at its top, found \[\]"),
        ('{"rows": 3}', {"features": "rows"}, r"at data\.features 'rows', found 3"),
        ('{"rows": [[1]]}', {"features": "rows"}, r"x\.json, record 1: its 1 values have no names"),
        ('{"rows": [[1]], "y": 3}', {"features": "rows", "headers": ["a"], "label": "y"}, r"1 values at 'y', found 3"),
        ("[{", {}, r"x\.json: not JSON"),
    ],
)
def test_a_json_document_of_another_shape_is_refused(
    tmp_path: Path, document: str, asked: dict[str, Any], said: str
) -> None:
    (tmp_path / "x.json").write_text(document)
    with pytest.raises(BadData, match=said):
        open_table([tmp_path / "x.json"], data(**asked))


def test_a_table_that_nobody_labelled_can_be_read(tmp_path: Path) -> None:
    path = lines(tmp_path / "rows.csv", "a,b", "1,x", ",y")
    unknown = data(missing=[""])
    table = Table([open_file(path, unknown)], unknown, labelled=False)
    assert table.features == ("a", "b")
    found = whole(table)
    assert found.missing["a"].tolist() == [False, True]
    assert found.columns["b"].tolist() == ["x", "y"]
    assert table.survey.labels == ()


def test_rows_can_be_asked_for_by_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_files, "CSV_BLOCK", 64)
    path = lines(
        tmp_path / "a.csv", "x,label", *("bad,1" if number % 10 == 3 else f"{number},1" for number in range(50))
    )
    table = open_table([path, lines(tmp_path / "b.csv", "x,label", "50,1", "51,1", "52,1")], data())
    found = list(table.batches(4, only={0, 13, 14, 27, 51, 400}))
    assert [row for batch in found for row in batch.rows.tolist()] == [0, 14, 27, 51]
    assert [value for batch in found for value in batch.columns["x"].tolist()] == [0, 14, 27, 51]
    assert [problem for batch in found for problem in batch.problems] == [
        "a.csv, line 15: x is 'bad', expected a finite number"
    ]
    assert list(table.cells({51, 27})) == [27, 51]
