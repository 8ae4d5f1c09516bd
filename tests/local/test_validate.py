"""`assay validate`: what is wrong is said before a run, in the job's words; what the data decides, what it takes."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assay.evaluation import DataFacts, EvaluationReport, Metric, ModelFacts
from assay.policy import Policy, read_policy
from assay_local import cli
from assay_local.packing import pack
from assay_local.rehearsed import Rehearsed
from assay_local.validate import Expected, Options, expectations, gate_lines, in_dollars, in_minutes, in_time, spending

Ran = tuple[int, str, str]
Assay = Callable[..., Ran]
LEVELS = (20, 120, 220)
"""Grey: what the known model tells its classes by."""


@pytest.fixture
def assay(capsys: pytest.CaptureFixture[str]) -> Assay:
    def call(*arguments: object) -> Ran:
        code = cli.main(["validate", *map(str, arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def pictures(folder: Path, each: int = 30, labels: Sequence[object] = (1, 2, 3)) -> Path:
    """A policy with pictures of three classes beside it."""
    (folder / "photos").mkdir()
    with (folder / "photos.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["image_file_name", "class_id", "class_name"])
        for number in range(each * 3):
            name, kind = f"{number}.png", number % 3
            Image.fromarray(np.full((6, 5), LEVELS[kind], dtype=np.uint8)).save(folder / "photos" / name)
            rows.writerow([name, labels[kind], ("wren", "robin", "owl")[kind]])
    return policy_file(folder)


def policy_file(
    folder: Path, gates: Sequence[object] = (), data: dict[str, object] | None = None, **parts: Any
) -> Path:
    file = folder / "assay.yaml"
    given = {"source": "photos/", "annotations": "photos.csv", "label_base": 1, **(data or {})}
    file.write_text(json.dumps({"task": "image_classification", "data": given, "gates": gates, **parts}))
    return file


# What needs no model


def test_a_registry_is_said_to_be_a_stack_s(assay: Assay, tmp_path: Path) -> None:
    pictures(tmp_path, each=2)
    _, out, _ = assay("--policy", policy_file(tmp_path, registry={"group": "birds"}))
    assert "  registry   birds, by a stack whose ModelPackageGroup allows it" in out


def test_a_policy_and_its_data_are_checked_without_a_model(assay: Assay, tmp_path: Path) -> None:
    code, out, err = assay("--policy", pictures(tmp_path))
    assert (code, err) == (0, "")
    assert "  data       90 samples of 3 classes\n" in out
    assert "  classes    1 30, 2 30, 3 30\n" in out
    assert "  model      not checked: say which with --model" in out
    assert out.endswith("\nValid, as far as it was checked.\n")


def test_all_problems_of_a_policy_are_told_at_once(assay: Assay, tmp_path: Path) -> None:
    file = tmp_path / "assay.yaml"
    file.write_text("task: image_clasification\ndata: {source: a/, label_bas: 1}\ngates: [{min: 0.9}]\n")
    code, out, err = assay("--policy", file)
    assert (code, out, err.count("\n")) == (2, "", 1)
    for part in (
        "task: input should be",
        "data.label_bas: unknown key; did you mean `label_base`?",
        "gates.0.metric: ",
    ):
        assert part in err


def test_a_missing_policy_says_how_to_get_one(assay: Assay, tmp_path: Path) -> None:
    code, _, err = assay("--policy", tmp_path / "assay.yaml")
    assert (code, err) == (
        2,
        f"assay: policy {tmp_path}/assay.yaml: no such file; `assay init MODEL DATA` writes one\n",
    )


def test_a_file_that_is_no_archive_is_told_by_its_own_name(assay: Assay, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("age,sex\n39,m\n")
    code, _, err = assay("--policy", pictures(tmp_path, each=2), "--model", file)
    assert (code, err[: len(f"assay: {file}: not a gzip file")]) == (2, f"assay: {file}: not a gzip file")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"label": "species"}, "photos.csv: no column 'species' for data.label; found image_file_name, class_id,"),
        ({"labels": [1, 2]}, "label '3' is none of data.labels (1, 2)"),
        ({"label": "class_name"}, "the labels are text (owl, robin, wren): say data.labels"),
        ({"source": "nowhere/"}, "nowhere does not exist"),
    ],
)
def test_data_that_does_not_fit_fails_in_the_jobs_words(
    assay: Assay, tmp_path: Path, data: dict[str, object], sentence: str
) -> None:
    pictures(tmp_path, each=2)
    code, _, err = assay("--policy", policy_file(tmp_path, data=data))
    assert (code, err.count("\n")) == (2, 1)
    assert sentence in err


def test_a_picture_that_is_not_there_is_named(assay: Assay, tmp_path: Path) -> None:
    policy = pictures(tmp_path, each=2)
    (tmp_path / "photos" / "3.png").unlink()
    code, _, err = assay("--policy", policy)
    assert code == 2
    assert "3.png: no such file" in err


def test_rows_and_their_columns_are_checked(assay: Assay, tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("age,hours,label\n" + "".join(f"{n},{n * 2},{n % 2}\n" for n in range(20)))
    file = tmp_path / "assay.yaml"
    file.write_text("task: tabular_classification\ndata: {source: test.csv, label_base: 0}\n")
    code, out, _ = assay("--policy", file)
    assert code == 0
    assert "  data       20 samples of 2 classes\n  classes    0 10, 1 10\n" in out
    file.write_text("task: tabular_classification\ndata: {source: test.csv, label: income}\n")
    code, _, err = assay("--policy", file)
    assert code == 2
    assert "no column 'income' for data.label; found age, hours, label" in err


def test_data_in_s3_is_not_looked_at_but_where_a_copy_is_mapped(assay: Assay, tmp_path: Path) -> None:
    pictures(tmp_path)
    policy = policy_file(tmp_path, data={"source": "s3://lake/photos/", "annotations": "s3://lake/photos.csv"})
    code, out, _ = assay("--policy", policy)
    assert code == 0
    assert "  data       not checked: s3://lake/photos/ is not on this machine; --map s3://…=PATH says where" in out
    code, out, _ = assay("--policy", policy, "--map", f"s3://lake={tmp_path}")
    assert code == 0
    assert "90 samples of 3 classes" in out


@pytest.mark.parametrize("price", ["0", "-1", "cheap", "inf"])
def test_a_price_is_a_number_of_dollars(capsys: pytest.CaptureFixture[str], tmp_path: Path, price: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["validate", "--usd-per-hour", price])
    assert "expected dollars an hour above 0" in capsys.readouterr().err


# What the data can decide

SUPPORTS = {"wren": 48, "robin": 36, "owl": 12}


def rehearsed(**fields: Any) -> Rehearsed:
    model = ModelFacts(format="Keras", runtime="none", archive_sha256="0", inputs=(), outputs=())
    some = Metric(value=0.5, low=0.4, high=0.6, higher_is_better=True)
    report = EvaluationReport(
        task="image_classification",
        labels=tuple(SUPPORTS),
        metrics={"accuracy": some, "f1_macro": some, "share": Metric(value=0.5)},
        per_class={"recall": dict.fromkeys(SUPPORTS, some)},
        model=model,
        data=DataFacts(rows=6, sha256="0"),
    )
    return Rehearsed(rows=96, supports=SUPPORTS, model=model, report=report).model_copy(update=fields)


def policy_of(*gates: dict[str, object], **data: object) -> Policy:
    given = {"source": "photos/", "annotations": "photos.csv", **data}
    return read_policy({"task": "image_classification", "data": given, "gates": gates})


@pytest.mark.parametrize(
    ("gate", "hopeless", "sentence"),
    [
        ({"metric": "accuracy", "min": 0.9}, False, "passes from 93 of 96 right, fails up to 80; at 0.93 you need 390"),
        ({"metric": "accuracy", "min": 0.99}, True, "can never pass on 96 samples, with all 96 right"),
        ({"metric": "accuracy", "min": 0.99, "on_inconclusive": "warn"}, False, "can never pass on 96 samples"),
        ({"metric": "accuracy", "min": 0.99, "judge": "estimate"}, False, "passes from 96 of 96 right"),
        ({"metric": "recall", "class": "owl", "min": 0.9}, True, "can never pass on 12 samples, with all 12 right"),
        ({"metric": "recall", "class": "eagle", "min": 0.9}, True, "can never pass: no class 'eagle'; the classes are"),
        (
            {"metric": "acuracy", "min": 0.9},
            True,
            "can never pass: acuracy is not measured (did you mean accuracy?); measured are",
        ),
        ({"metric": "share", "min": 0.1}, True, "can never pass: it has no interval; set `judge: estimate`"),
        ({"metric": "f1_macro", "min": 0.9}, False, "its interval depends on the scores: not known beforehand"),
        ({"metric": "accuracy", "max_worse": 0.01}, False, "is decided beside the champion"),
        (
            {"metric": "accuracy", "slice": "light", "min": 0.5},
            True,
            "can never pass: no slice 'light'; there are none",
        ),
    ],
)
def test_what_the_data_can_decide_of_a_gate(gate: dict[str, object], hopeless: bool, sentence: str) -> None:
    [found] = expectations(policy_of(gate), rehearsed())
    assert found.hopeless == hopeless
    assert found.sentence.startswith(sentence)


def test_a_gate_on_explanation_drift_waits_for_a_champion_unless_its_class_is_none() -> None:
    def of(**gate: object) -> Expected:
        drift = {"metric": "explanation_rank_correlation", "min": 0.5, **gate}
        rows = read_policy({"task": "tabular_classification", "data": {"source": "test.csv"}, "gates": [drift]})
        [found] = expectations(rows, rehearsed())
        return found

    assert of()[1:3] == ("is decided beside the champion's explanation; there is none the first time", False)
    assert of(**{"class": "eagle"}).hopeless


def test_a_class_without_samples_can_never_pass() -> None:
    found = expectations(
        policy_of({"metric": "recall", "class": "each", "min": 0.1}), rehearsed(supports={**SUPPORTS, "owl": 0})
    )
    assert [(one.outcome.of, one.hopeless) for one in found] == [("wren", False), ("robin", False), ("owl", True)]


def test_classes_that_can_pass_share_a_line_and_the_others_have_their_own() -> None:
    loose, strict = (policy_of({"metric": "recall", "class": "each", "min": limit}) for limit in (0.5, 0.8))
    [(line, _)] = gate_lines(list(expectations(loose, rehearsed())))
    assert line.startswith("  · recall of 3 classes, at least 0.5: the smallest, owl, passes from 10 of 12 right")
    lines = [line for line, _ in gate_lines(list(expectations(strict, rehearsed())))]
    assert [line[:19] for line in lines] == ["  · recall of wren,", "  · recall of robin", "  ✗ recall of owl, "]


def test_rows_that_count_differently_are_no_plain_rate() -> None:
    [found] = expectations(policy_of({"metric": "accuracy", "min": 0.99}, weight="w"), rehearsed())
    assert (found.hopeless, found.samples) == (False, None)


def test_the_positive_class_of_two_has_the_recall() -> None:
    base = rehearsed()
    assert base.report is not None
    recall = base.report.metrics | {"recall": Metric(value=0.5, low=0.4, high=0.6, higher_is_better=True)}
    two = base.model_copy(
        update={"supports": {"no": 80, "yes": 16}, "report": base.report.model_copy(update={"metrics": recall})}
    )
    gate: dict[str, object] = {"metric": "recall", "min": 0.5}
    assert [one.samples for one in expectations(policy_of(gate), two)] == [16]
    assert [one.samples for one in expectations(policy_of(gate, positive="no"), two)] == [80]


# What it takes


def test_what_will_be_spent_is_measured_time_and_a_given_price() -> None:
    found = rehearsed(rows=6006, begin_seconds=10.0, sample_seconds=0.1)
    options = Options(Path("assay.yaml"))
    how = "6,006 samples at 100 ms, 10 s for the rest"
    evaluation = f"  evaluation   about 11 minutes on ml.m5.xlarge (unless deployed otherwise): {how}"
    assert list(spending(options, policy_of(), found)) == [
        "\nWhat will be spent, by this machine's measure (an instance's start, and its speed, are its own)",
        evaluation,
        "  dollars are told with --usd-per-hour PRICE, your region's for these instances",
    ]
    priced = list(spending(Options(Path("assay.yaml"), usd_per_hour=3.6), policy_of(), found))
    assert ", 0.61 USD: " in priced[1]
    assert len(priced) == 2


def test_what_was_not_measured_is_not_told() -> None:
    assert list(spending(Options(Path("assay.yaml")), policy_of(), rehearsed(sample_seconds=None))) == []


def test_times_and_dollars_in_words() -> None:
    assert [in_time(seconds) for seconds in (0.000084, 0.0123, 2.345)] == ["84 µs", "12.3 ms", "2.35 s"]
    assert [in_minutes(seconds) for seconds in (5, 60, 61, 7200)] == [
        "under a minute",
        "under a minute",
        "about 2 minutes",
        "about 120 minutes",
    ]
    assert [in_dollars(dollars) for dollars in (0.001, 1.5)] == ["under 0.01 USD", "1.50 USD"]


# With a model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells the three levels of grey apart."""
    import keras

    known = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")]
    )
    known.layers[-1].set_weights([np.array([[-60.0, 0.0, 60.0]]), np.array([20.0, 0.0, -40.0])])
    folder = tmp_path_factory.mktemp("model")
    known.save(folder / "birds.keras")
    pack(folder / "birds.keras", folder / "model.tar.gz")
    return folder / "model.tar.gz"


@pytest.mark.tensorflow
def test_a_model_is_tried_on_a_few_samples(assay: Assay, tmp_path: Path, model: Path) -> None:
    pictures(tmp_path)
    policy = policy_file(
        tmp_path, [{"metric": "accuracy", "min": 0.9}, {"metric": "recall", "class": "owl", "min": 0.8}]
    )
    code, out, err = assay("--policy", policy, "--model", model)
    assert (code, err) == (0, "")
    assert "  classes    wren 30, robin 30, owl 30\n" in out
    assert "Keras by" in out and "4 × 4 × 1 float32 →" in out
    assert "  tried      40 samples, evaluated and measured, accuracy 1.00 on them\n" in out
    assert "  · accuracy, at least 0.9: passes from 87 of 90 right, fails up to 75; at 0.93 you need 390\n" in out
    assert "  · recall of owl, at least 0.8: passes from 29 of 30 right" in out
    assert "  evaluation   under a minute on ml.m5.xlarge" in out
    assert "  explanation  under a minute on ml." in out
    assert out.endswith("\nValid.\n")


@pytest.mark.tensorflow
def test_what_the_model_does_not_fit_is_said_in_the_jobs_words(assay: Assay, tmp_path: Path, model: Path) -> None:
    pictures(tmp_path, labels=(1, 2, 4))
    code, _, err = assay("--policy", policy_file(tmp_path), "--model", model)
    assert (code, err.count("\n")) == (2, 1)
    assert "the labels go from 1 to 4, the model has 3 outputs: they do not fit with label_base: 1" in err


@pytest.mark.tensorflow
def test_a_gate_that_no_model_can_pass_makes_a_policy_invalid(assay: Assay, tmp_path: Path, model: Path) -> None:
    pictures(tmp_path, each=4)
    policy = policy_file(tmp_path, [{"metric": "recall", "class": "each", "min": 0.9, "judge": "bound"}])
    code, out, _ = assay("--policy", policy, "--model", model)
    assert code == 2
    assert (
        "  ✗ recall of owl, at least 0.9: can never pass on 4 samples, with all 4 right; at 0.93 you need 390\n" in out
    )
    assert out.endswith("\nNot valid: no model can pass 3 gates.\n")


def test_an_archive_that_is_none_is_refused_at_once(assay: Assay, tmp_path: Path) -> None:
    policy = pictures(tmp_path, each=2)
    (tmp_path / "model.tar.gz").write_bytes(b"PK\x03\x04 a zip")
    code, _, err = assay("--policy", policy, "--model", tmp_path / "model.tar.gz")
    assert (code, err.count("\n")) == (2, 1)
    assert "model.tar.gz: not a gzip file but zip" in err
