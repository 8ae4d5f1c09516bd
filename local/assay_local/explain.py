"""An explanation job by itself: Clarify's `analysis_config.json` as it is, on this machine, with no AWS."""

from __future__ import annotations

import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from assay_local.checked import Checked
from assay_local.console import Console
from assay_local.endpoint_front import runtime_in_front_of
from assay_local.local_policy import local_place
from assay_local.problem import Problem
from assay_local.run import archive_of
from assay_local.side_job import SideJob, side_job
from assay_local.steps import Task

Json = dict[str, Any]

DONE, IN_PART = 0, 1
SHOWN = 10
"""Features listed, the most important ones."""
ADDRESSES = ("dataset_uri", "facet_dataset_uri", "predicted_label_dataset_uri")


@dataclass(frozen=True)
class Options:
    config: Path
    model: Path | None = None
    dataset: Path | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    """s3://bucket/prefix → where a copy of it lies."""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    """An endpoint's name → its container's /invocations."""
    output: Path | None = None
    """Where the results go; of a record: nowhere by default."""


def explain(options: Options, console: Console) -> int:
    """Do the job; 1 when it ended, as Clarify's does, without some analysis that was asked for.

    Raises:
        Problem, AssayError: why it cannot be done, in the job's own words.
    """
    output = options.output or Path("explanation")
    with _job(options) as (job, environment):
        _write_into(job, output)
        task = Task("explain")
        with console.following(task.steps), task:
            job.run("explainer", task, environment)
    analysis = json.loads((output / "analysis.json").read_bytes())
    for line in importance(analysis):
        console.say(line)
    failed = list(failures(analysis))
    for name, error in failed:
        console.say(f"  ✗ {name}: {error}", "red")
    console.say()
    console.places([("results", output), *(("report", page) for page in sorted(output.glob("*.html")))])
    return IN_PART if failed else DONE


def explain_record(options: Options, record: str, console: Console, progress: Console) -> int:
    """Explain one record: a line of CSV or JSON; the attributions are told, and the files kept where that is asked.

    Raises:
        Problem, AssayError: why it cannot be done, in the job's own words.
    """
    with _job(options) as (job, environment):
        beside = job.root / "processing/input/record"
        beside.mkdir(parents=True)
        (beside / "record.txt").write_text(record, encoding="utf-8")
        output = job.root / "processing/output"
        if options.output is not None:
            _write_into(job, options.output)
        task = Task("explain")
        with progress.following(task.steps), task:
            job.run("assay_local.one_record", task, environment)
        values = json.loads((beside / "values.json").read_bytes())
        analysis = json.loads((output / "analysis.json").read_bytes())
        for line in attributions(analysis, values, output / "explanations_shap"):
            console.say(line)
    return DONE


def check(options: Options, console: Console) -> int:
    """Say what would be done, how many model calls that is, and how long it takes, without doing it.

    Raises:
        Problem, AssayError: what the job would end with.
    """
    with _job(options) as (job, environment):
        task = Task("check")
        with console.following(task.steps), task:
            job.run("assay_local.explanation_check", task, environment)
            task.detail = ""
        found = Checked.model_validate_json((job.root / "checked.json").read_bytes())
    for line in planned(found):
        console.say(line)
    return DONE


# The job's folders


@contextmanager
def _job(options: Options) -> Iterator[tuple[SideJob, dict[str, str]]]:
    """A job that is ready to run, and the environment of its program."""
    text = _text(options.config)
    content = _content(text)
    if content and "dataset_uri" not in content and options.dataset is None:
        raise Problem("which data? Say --dataset FILE: the configuration names none by dataset_uri")
    if options.dataset is not None and not options.dataset.exists():
        raise Problem(f"--dataset {options.dataset}: no such file or folder")
    with ExitStack() as stack:
        job = stack.enter_context(side_job())
        folders: dict[str, str] = {}
        for number, (address, place) in enumerate(input_places(content, options)):
            folders[address] = f"at-{number}"
            job.put(folders[address], place)
        if "dataset_uri" not in content and options.dataset is not None:
            job.put("data", options.dataset)
        environment = _who_is_asked(options, content, job, stack)
        folder = job.root / "processing/input/config"
        folder.mkdir(parents=True)
        (folder / "analysis_config.json").write_text(json.dumps(content) if content else text, encoding="utf-8")
        _write_inputs(job, folders)
        yield job, environment


def _who_is_asked(options: Options, content: Json, job: SideJob, stack: ExitStack) -> dict[str, str]:
    """Bring the archive, or the way to the endpoint; returns the environment that the latter takes."""
    predictor = content.get("predictor")
    if not isinstance(predictor, dict) or not asks_model(content):
        return {}
    if options.model is not None:
        job.put_archive(archive_of(options.model, Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        predictor.pop("endpoint_name", None)  # what is brought is what is asked
        return {}
    name = predictor.get("endpoint_name")
    if name is None and predictor.get("model_name") is None:
        raise Problem(
            f"{options.config}: predictor names neither endpoint_name nor model_name; say which archive it is with "
            "--model model.tar.gz"
        )
    if name is None:
        raise Problem(
            f"{options.config}: predictor.model_name {predictor['model_name']}: there is no AWS on this machine; "
            "say which archive it is with --model model.tar.gz"
        )
    if name in options.endpoints:
        return stack.enter_context(runtime_in_front_of(options.endpoints))
    found = own_aws()
    if not found:
        raise Problem(
            f"{options.config}: predictor.endpoint_name {name}: no AWS credentials are set; say where its container "
            f"answers with --endpoint {name}=http://localhost:8080/invocations, or which archive it serves with "
            "--model model.tar.gz"
        )
    return found


def _text(config: Path) -> str:
    try:
        return config.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise Problem(f"Unable to load analysis configuration as JSON. {config}: {why}") from error


def _content(text: str) -> Json:
    """What the text holds; nothing where the job will say what is wrong with it."""
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def asks_model(content: Json) -> bool:
    methods = content.get("methods")
    asked = set(methods) if isinstance(methods, dict) else set()
    brought = "predicted_label" in content or "predicted_label_dataset_uri" in content
    return bool(asked & {"shap", "pdp"}) or ("post_training_bias" in asked and not brought)


def input_places(content: Json, options: Options) -> Iterator[tuple[str, Path]]:
    """Each address that the configuration names, and where it lies on this machine."""
    named = {key: content.get(key) for key in ADDRESSES}
    methods = content.get("methods")
    shap = methods.get("shap") if isinstance(methods, dict) else None
    named["methods.shap.baseline"] = shap.get("baseline") if isinstance(shap, dict) else None
    for key, address in named.items():
        if not isinstance(address, str):
            continue
        if key == "dataset_uri" and options.dataset is not None:
            yield address, options.dataset
        else:
            where = f"{options.config}: {key}"
            yield address, local_place(address, options.config.resolve().parent, options.folders, where)


def _write_inputs(job: SideJob, folders: Mapping[str, str]) -> None:
    """As SageMaker tells a job which address lies in which folder."""
    inputs = [
        {"InputName": name, "S3Input": {"S3Uri": address, "LocalPath": f"/opt/ml/processing/input/{name}"}}
        for address, name in folders.items()
    ]
    file = job.root / "config/processingjobconfig.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"ProcessingInputs": inputs}), encoding="utf-8")


def _write_into(job: SideJob, output: Path) -> None:
    """Results lie where they shall lie as soon as they are there: what is interrupted leaves what was done."""
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--output {output}: {error.strerror}") from error
    for old in ("failure.json", "analysis.json"):
        (output / old).unlink(missing_ok=True)  # or they would be taken for this job's
    (job.root / "processing").mkdir(exist_ok=True)
    (job.root / "processing/output").symlink_to(output.resolve(), target_is_directory=True)


def own_aws() -> dict[str, str]:
    """The caller's own AWS credentials and region; empty where there are none."""
    found = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    home = Path.home() / ".aws"
    for name, file in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        if name not in found and (home / file).exists():
            found[name] = str(home / file)
    known = {"AWS_ACCESS_KEY_ID", "AWS_SHARED_CREDENTIALS_FILE", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"}
    return found if known & set(found) else {}


# What a person reads


def importance(analysis: Json) -> Iterator[str]:
    """The features that matter most, of each label."""
    for label, found in (analysis.get("explanations") or {}).get("kernel_shap", {}).items():
        values = {name: value for name, value in found["global_shap_values"].items() if isinstance(value, float)}
        order = sorted(values, key=lambda name: -abs(values[name]))
        yield f"\n{label}: the features that matter most"
        yield from (f"  {name:<24} {values[name]:10.4g}" for name in order[:SHOWN])
        if len(order) > SHOWN:
            yield f"  and {len(order) - SHOWN} more"


def failures(analysis: Json) -> Iterator[tuple[str, str]]:
    """Analyses that have no result, and why."""
    explanations = analysis.get("explanations") or {}
    if "error" in explanations:
        yield "shap", explanations["error"]
    for name in ("pdp", "asymmetric_shapley_value"):
        found = explanations.get(name) or []
        parts = [found] if isinstance(found, dict) else found
        failed = [one for one in parts if "error" in one]
        if len(failed) == len(parts) and len({one["error"] for one in failed}) == 1:
            yield name, failed[0]["error"]
        else:
            yield from ((f"{name} of {one['feature_name']}", one["error"]) for one in failed)
    for name in ("pre_training_bias", "post_training_bias"):
        facets = (analysis.get(f"{name}_metrics") or {}).get("facets", {})
        metrics = [metric for values in facets.values() for value in values for metric in value["metrics"]]
        if metrics and all(metric.get("error") for metric in metrics):
            yield name, metrics[0]["error"]


def attributions(analysis: Json, values: Json, folder: Path) -> Iterator[str]:
    """What each feature of the record did to each label's score."""
    for label, found in analysis["explanations"]["kernel_shap"].items():
        told = dict(local_values(folder, label, list(values), list(analysis["explanations"]["kernel_shap"])))
        expected = found["expected_value"]
        yield f"{label}: {expected + sum(told.values()):.6g}, of which the baseline has {expected:.6g}"
        for name in sorted(told, key=lambda name: -abs(told[name])):
            value = values.get(name)
            yield f"  {name:<24} {'' if value is None else shortened(str(value)):<24} {told[name]:+.6g}"


def local_values(folder: Path, label: str, features: list[str], labels: list[str]) -> Iterator[tuple[str, float]]:
    """The attributions of the one row; of a text those of its pieces."""
    if (folder / "out.csv").exists():
        with (folder / "out.csv").open(encoding="utf-8", newline="") as stream:
            cells = list(csv.reader(stream))[1]  # by place: two columns may have one name
        start = labels.index(label) * len(features)
        yield from zip(features, map(float, cells[start : start + len(features)]), strict=True)
        return
    record = json.loads((folder / "out.jsonl").read_text(encoding="utf-8").splitlines()[0])
    for feature in record["explanations"]:
        for place, one in enumerate(feature["attributions"]):
            piece = one.get("description", {}).get("partial_text")
            name = feature["feature_name"] if piece is None else f"{feature['feature_name']}[{place}] {piece}"
            yield name, one["attribution"][labels.index(label)]


def shortened(text: str, most: int = 24) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def planned(found: Checked) -> Iterator[str]:
    yield ""
    yield f"  {'data':<20} {found.data}"
    if found.model is not None:
        yield f"  {'model':<20} {found.model}"
    calls = sum(one.model_calls for one in found.analyses)
    for one in found.analyses:
        asked = f"; {one.model_calls:,} model calls at most" if one.model_calls else "; no model call"
        yield f"  {one.name:<20} {one.how}{asked}"
    for text in found.not_built:
        yield f"  {'not done':<20} {text}"
    for text in found.without_effect:
        yield f"  {'without effect':<20} {text}"
    for text in found.refused:
        yield f"  {'AWS would refuse':<20} {text}"
    if found.call_seconds is not None and calls:
        each = f"{found.call_seconds * 1e6:,.3g} µs"
        took = duration(found.begin_seconds + calls * found.call_seconds)
        yield f"  {'time':<20} {took} at most on this machine: {calls:,} model calls at {each}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def standard_input() -> str:
    if sys.stdin.isatty():
        raise Problem("--record: reads one record from standard input; expected a pipe or a file: … --record < row.csv")
    return sys.stdin.read()
