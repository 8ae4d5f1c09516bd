"""Columns become the model's inputs, by place or by name, and what does not fit is named."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from assay.errors import AssayError, BadData, BadModel, BadPolicy
from assay.evaluation import Tensor
from assay.policy import ColumnType, Data
from model.features import Features, Inputs
from model.load import load_model
from model.tables import open_table

AGE, HOURS = np.array([39.0, 50.0]), np.array([40.5, np.nan])
WORK, TEXT = np.array(["Private", ""], object), np.array(["a long review", "another"], object)
COLUMNS: dict[str, NDArray[Any]] = {"age": AGE, "hours": HOURS, "work": WORK, "body": TEXT}
TYPES: dict[str, ColumnType] = {"age": "numeric", "hours": "numeric", "work": "categorical", "body": "text"}


def tensor(name: str = "x", width: int | None = 2, dtype: str = "float32", *, flat: bool = False) -> Tensor:
    return Tensor(name=name, shape=(None,) if flat else (None, width), dtype=dtype)


def arrange(inputs: list[Tensor], columns: list[str], mapping: dict[str, str] | None = None) -> Inputs:
    return Features(inputs, columns, TYPES, mapping or {}).arrange(COLUMNS)


def as_lists(found: Inputs) -> Any:
    return found.tolist() if isinstance(found, np.ndarray) else {name: array.tolist() for name, array in found.items()}


def test_one_input_gets_all_columns_in_the_datas_order_and_keeps_what_is_missing() -> None:
    found = arrange([tensor(width=2)], ["hours", "age"])
    assert isinstance(found, np.ndarray) and found.dtype == np.float32
    np.testing.assert_array_equal(found, [[40.5, 39], [np.nan, 50]])


@pytest.mark.parametrize(
    ("inputs", "columns", "expected"),
    [
        ([tensor(width=None)], ["age"], [[39], [50]]),
        ([tensor(flat=True)], ["age"], [39, 50]),
        ([tensor(width=1, dtype="int64")], ["age"], [[39], [50]]),
        ([Tensor(name="x", shape=(), dtype="float32")], ["age"], [[39], [50]]),
        ([tensor(width=2, dtype="string")], ["age", "work"], [["39", "Private"], ["50", ""]]),
        ([tensor(width=2, dtype="string")], ["work", "hours"], [["Private", "40.5"], ["", ""]]),
        ([tensor(flat=True, dtype="string")], ["body"], ["a long review", "another"]),
        # one input with room for one value, several columns: that of its name, or the only text
        ([tensor("age", flat=True)], ["age", "work"], [39, 50]),
        ([tensor(flat=True, dtype="string")], ["age", "body", "work"], ["a long review", "another"]),
        ([tensor("work", 1, "string")], ["age", "body", "work"], [["Private"], [""]]),
        (
            [tensor("work", 1, "string"), tensor("age", flat=True, dtype="int32")],
            ["age", "body", "work"],
            {"work": [["Private"], [""]], "age": [39, 50]},
        ),
    ],
)
def test_inputs_get_their_columns(inputs: list[Tensor], columns: list[str], expected: Any) -> None:
    assert as_lists(arrange(inputs, columns)) == expected


def test_the_policy_says_which_columns_an_input_gets_and_a_wide_one_gets_them_in_the_datas_order() -> None:
    inputs = [tensor("numbers", 2, "string"), tensor("work_in", flat=True, dtype="string")]
    mapping = {"work": "work_in", "hours": "numbers", "age": "numbers"}
    assert as_lists(arrange(inputs, ["age", "hours", "work"], mapping)) == {
        "numbers": [["39", "40.5"], ["50", ""]],
        "work_in": ["Private", ""],
    }


def test_one_input_too_takes_only_what_is_mapped_to_it() -> None:
    assert as_lists(arrange([tensor(width=1)], ["age", "hours"], {"age": "x"})) == [[39], [50]]


def test_a_mapping_moves_a_column_away_from_the_input_of_its_name() -> None:
    inputs = [tensor("age", flat=True), tensor("other", flat=True)]
    swapped = arrange(inputs, ["age", "hours"], {"age": "other", "hours": "age"})
    np.testing.assert_array_equal(swapped["other"], AGE)
    np.testing.assert_array_equal(swapped["age"], HOURS)


def test_what_the_model_does_not_see_is_known() -> None:
    features = Features([tensor("work", 1, "string"), tensor("age", flat=True)], list(COLUMNS), TYPES, {})
    assert (features.used, features.unused) == (("age", "work"), ("hours", "body"))


@pytest.mark.parametrize(
    ("inputs", "columns", "mapping", "error", "said"),
    [
        (
            [tensor(width=12)],
            ["age", "hours"],
            {},
            BadModel,
            "the model expects 12 features, the data has 2: age, hours$",
        ),
        ([tensor(width=1)], ["age", "hours"], {}, BadModel, "the model expects 1 feature, the data has 2"),
        (
            [tensor(flat=True, dtype="string")],
            ["age", "work"],
            {},
            BadModel,
            "the model expects 1 feature, the data has 2: age, work",
        ),
        (
            [tensor("Age", flat=True), tensor("workIn", flat=True, dtype="string")],
            ["age", "work", "work_in"],
            {},
            BadModel,
            (
                "expects 2 inputs, the data has 3 columns, and none for Age, workIn: found age, work, work_in; "
                r"say model.inputs, column → input, such as \{age: Age, work_in: workIn\}$"
            ),
        ),
        (
            [tensor("a", flat=True), tensor("b", flat=True)],
            ["age"],
            {"age": "a"},
            BadModel,
            "none for b: found age; say model.inputs, column → input$",
        ),
        (
            [tensor("a", 3), tensor("b", 1)],
            ["age", "hours"],
            {"age": "a", "hours": "b"},
            BadModel,
            "the model's input a expects 3 features, gets 1: age",
        ),
        ([tensor()], ["age", "body"], {}, BadModel, "column body is text, the model's input x expects float32"),
        (
            [Tensor(name="x", shape=(None, 8, 8, 3), dtype="float32")],
            ["age"],
            {},
            BadModel,
            r"input x has the shape \(8, 8, 3\) for each sample, columns make one of at most one axis",
        ),
        ([tensor(dtype="variant")], ["age", "hours"], {}, BadModel, "input x is variant, expected numbers or strings"),
        (
            [tensor()],
            ["age", "hours"],
            {"ages": "x"},
            BadPolicy,
            "model.inputs: no column 'ages' in the data; found age, hours; did you mean 'age'",
        ),
        (
            [tensor("age_in", 1)],
            ["age", "hours"],
            {"age": "AgeIn"},
            BadPolicy,
            "model.inputs: no input 'AgeIn' in the model; found age_in; did you mean 'age_in'",
        ),
    ],
)
def test_a_model_that_takes_other_columns_is_refused_before_it_is_asked(
    inputs: list[Tensor], columns: list[str], mapping: dict[str, str], error: type[AssayError], said: str
) -> None:
    with pytest.raises(error, match=said):
        Features(inputs, columns, TYPES, mapping)


@pytest.mark.parametrize(
    ("values", "dtype", "said"),
    [
        ([1.0, 1.5], "int64", "column c has 1.5, the model's input x expects int64 from -9223372036854775808 to"),
        ([1.0, np.nan], "int32", "column c has no value, the model's input x expects int32"),
        ([255.0, 256.0], "uint8", "column c has 256.0, the model's input x expects uint8 from 0 to 255"),
        ([0.0, -1.0], "uint64", "column c has -1.0, .* expects uint64 from 0"),
        ([0.0, 2.0**63], "int64", r"column c has 9.223372036854776e\+18, .* expects int64"),
        ([0.0, 2.0], "bool", "column c has 2.0, .* expects bool from 0 to 1"),
        ([0.0, 1e39], "float32", r"column c has 1e\+39, the model's input x expects float32"),
        (["1", "Private"], "float32", "column c has 'Private', the model's input x expects float32"),
        (["1", ""], "int64", "column c has no value, the model's input x expects int64"),
        (["1", "1.5"], "int64", "column c has '1.5', the model's input x expects int64"),
    ],
)
def test_a_value_that_cannot_be_the_inputs_is_named_with_its_column(values: list[Any], dtype: str, said: str) -> None:
    column = np.array(values, object if isinstance(values[0], str) else np.float64)
    features = Features([tensor(width=1, dtype=dtype)], ["c"], {"c": "categorical"}, {})
    with pytest.raises(BadData, match=said):
        features.arrange({"c": column})


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([-(2.0**63), 2.0**53], "int64", [-(2**63), 2**53]),
        ([0.0, 255.0], "uint8", [0, 255]),
        ([0.0, 1.0], "bool", [False, True]),
        (["3", "7"], "int32", [3, 7]),
        ([1e300, np.inf], "float64", [1e300, np.inf]),
        ([1e300, 0.1], "string", ["1e+300", "0.1"]),
    ],
)
def test_values_that_fit_arrive_as_they_are(values: list[Any], dtype: str, expected: list[Any]) -> None:
    column = np.array(values, object if isinstance(values[0], str) else np.float64)
    found = Features([tensor(dtype=dtype, flat=True)], ["c"], {"c": "categorical"}, {}).arrange({"c": column})
    assert isinstance(found, np.ndarray)
    assert found.tolist() == expected and found.dtype == (object if dtype == "string" else dtype)


def test_number_codes_of_categories_may_be_missing_where_floats_are_taken() -> None:
    features = Features([tensor(flat=True)], ["c"], {"c": "categorical"}, {})
    np.testing.assert_array_equal(features.arrange({"c": np.array(["9", ""], object)}), [9, np.nan])


@pytest.mark.tensorflow
def test_a_model_of_mixed_inputs_answers_about_columns(tmp_path: Path) -> None:
    """1 for Private, 0 for any other work, + age."""
    import tensorflow as tf

    layers = tf.keras.layers
    age, work = tf.keras.Input((1,), name="age_in"), tf.keras.Input((1,), name="work", dtype="string")
    private = layers.StringLookup(vocabulary=["Private"], num_oov_indices=1, output_mode="int")(work)
    tf.keras.Model([age, work], layers.Add()([age, layers.CategoryEncoding(2, "one_hot")(private)[:, 1:]])).save(
        tmp_path / "m.keras"
    )
    model = load_model(tmp_path)
    features = Features(model.inputs, list(COLUMNS), TYPES, {"age": "age_in"})
    np.testing.assert_array_equal(model.predict(features.arrange(COLUMNS)), [[40], [50]])


CENSUS = Path(__file__).parents[3] / "shared/data/adult/test.csv"


@pytest.mark.tensorflow
@pytest.mark.skipif(not CENSUS.is_file(), reason=f"needs the public census data in {CENSUS}")
def test_the_census_goes_into_a_model_with_an_input_a_column(tmp_path: Path) -> None:
    """Age, + 100 for women, + 1000 where the occupation is unknown; the code of education arrives as text."""
    import tensorflow as tf

    policy = {"source": "test.csv", "label": "income", "exclude": ["fnlwgt"], "missing": ["?"]}
    table = open_table([CENSUS], Data.model_validate(policy | {"columns": {"education_num": "categorical"}}))
    dtypes = {"numeric": tf.float32, "categorical": tf.string, "text": tf.string}
    specs = {name: tf.TensorSpec([None, 1], dtypes[table.types[name]], name=name) for name in table.features}

    def answer(**columns: Any) -> dict[str, Any]:
        women, unknown = columns["sex"] == "Female", columns["occupation"] == ""
        known = tf.strings.to_number(columns["education_num"]) > 0
        score = columns["age"] + 100 * tf.cast(women, tf.float32) + 1000 * tf.cast(unknown, tf.float32)
        return {"scores": tf.where(known, score, -1)}

    module = tf.Module()
    module.serve = tf.function(answer, autograph=False)
    tf.saved_model.save(
        module, str(tmp_path / "1"), signatures={"serving_default": module.serve.get_concrete_function(**specs)}
    )
    model = load_model(tmp_path)
    features = Features(model.inputs, table.features, table.types, {})
    assert features.unused == () and len(model.inputs) == 13
    found = np.concatenate([model.predict(features.arrange(batch.columns)) for batch in table.batches()])

    with CENSUS.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = [
        float(row["age"]) + 100 * (row["sex"].strip() == "Female") + 1000 * (row["occupation"].strip() == "?")
        for row in rows
    ]
    np.testing.assert_array_equal(found[:, 0], expected)
