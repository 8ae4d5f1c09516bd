"""`assay validate`: what is wrong with a policy, its data and its model, what they can decide, and what that costs."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from assay import drift
from assay.errors import BadModel
from assay.evaluation import EvaluationReport, Metric, ModelFacts
from assay.layout import ARCHIVE_NAME
from assay.not_yet import check_is_built
from assay.policy import InstanceTypes, Policy, read_policy
from assay.power import power, power_in_words
from assay.verdict import BIAS, GateOutcome, Scope, judge, judged_interval
from assay_aws.policy_file import parse_yaml
from assay_local import application
from assay_local.console import Console
from assay_local.local_policy import lies_in, local_place
from assay_local.problem import Problem
from assay_local.rehearsed import Rehearsed
from assay_local.run import archive_of
from assay_local.side_job import side_job
from assay_local.steps import Task

VALID, NOT_VALID = 0, 2
MOST_CLASSES = 12
"""Whose numbers are listed one by one."""
CLASSES_TOGETHER = 3
"""From how many on they share a line."""


@dataclass(frozen=True)
class Options:
    policy: Path
    model: Path | None = None
    folders: Mapping[str, Path] | None = None
    """s3://bucket/prefix → where a copy of it lies."""
    usd_per_hour: float | None = None
    """Of the jobs' instances."""


class Expected(NamedTuple):
    """What can be said of a gate, on all rows or a part of them, before the evaluation."""

    outcome: GateOutcome
    sentence: str
    hopeless: bool = False
    """It can never pass, so no model can."""
    samples: int | None = None
    """Of a plain rate: how many it will be measured on."""


def validate(options: Options, console: Console) -> int:
    """Check, and say what was found; 0 when nothing stands in the way of an evaluation that may pass.

    Raises:
        Problem, AssayError: what stands in the way of one, in the job's own words.
    """
    policy = policy_in(options.policy)
    places = dict(data_places(policy, options))
    with ExitStack() as stack:
        job = stack.enter_context(side_job())
        job.put_policy(policy)
        for name, place in places.items():
            if place is not None:
                job.put(name, place)
        checked = None not in places.values()
        asked_here = policy.model.predictor == "in_process"
        if options.model is not None and asked_here:
            job.put_archive(archive_of(options.model, Path(stack.enter_context(tempfile.TemporaryDirectory()))))
        task = Task("rehearsal" if options.model and asked_here else "data")
        with console.following(task.steps), task:
            try:
                job.run("assay_local.rehearsal", task)
            except BadModel as error:  # the job knows the file by its name in S3 alone
                raise BadModel(f"{options.model}: {str(error).removeprefix(f'{ARCHIVE_NAME}: ')}") from error
            task.detail = ""
        found = Rehearsed.model_validate_json((job.root / "rehearsal.json").read_bytes())
    expected = list(expectations(policy, found))
    tell(options, policy, found, checked, expected, console)
    return NOT_VALID if any(one.hopeless for one in expected) else VALID


def policy_in(file: Path) -> Policy:
    """The policy in a file, as the first step would take it."""
    try:
        content = file.read_bytes()
    except FileNotFoundError as error:
        raise Problem(f"policy {file}: no such file; `assay init MODEL DATA` writes one") from error
    except OSError as error:
        raise Problem(f"policy {file}: {error.strerror}") from error
    policy = read_policy(parse_yaml(content, str(file)), str(file))
    check_is_built(policy)
    return policy


def data_places(policy: Policy, options: Options) -> Iterator[tuple[str, Path | None]]:
    """The job's inputs and where they lie here; None: in S3, and there is no copy here."""
    folders = options.folders or {}
    for name, key in (("dataset", "source"), ("annotations", "annotations")):
        address = getattr(policy.data, key)
        if address is None:
            continue
        if address.startswith("s3://") and not any(lies_in(address, prefix) for prefix in folders):
            yield name, None
            continue
        yield name, local_place(address, options.policy.resolve().parent, folders, f"{options.policy}: data.{key}")


def expectations(policy: Policy, found: Rehearsed) -> Iterator[Expected]:
    """What the data can decide of each gate, and the gates that no model can pass."""
    if found.report is None:
        return
    outcomes = judge(policy.gates, found.report).gates
    for outcome in outcomes:
        if outcome.slice is None or outcome.slice in found.slices:
            yield expected(outcome, policy, found, found.report)
        else:
            known = ", ".join(found.slices) or "none: see evaluate.slices"
            yield Expected(outcome, f"can never pass: no slice {outcome.slice!r}; there are {known}", hopeless=True)


def expected(outcome: GateOutcome, policy: Policy, found: Rehearsed, report: EvaluationReport) -> Expected:
    gate = outcome.gate
    stops = gate.on_inconclusive in (None, "fail")
    if outcome.metric in drift.GATES and outcome.result == "not applicable":
        return Expected(outcome, "is decided beside the champion's explanation; there is none the first time")
    metric = metric_of(outcome, report)
    if metric is None and outcome.slice is None:
        return Expected(outcome, f"can never pass: {outcome.reason}", hopeless=True)
    if gate.max_worse is not None:
        return Expected(outcome, "is decided beside the champion; there is none the first time")
    if metric is not None and metric.value is not None and judged_interval(gate, metric) is None:
        return Expected(outcome, "can never pass: it has no interval; set `judge: estimate`", hopeless=stops)
    n = samples_of(outcome, policy, found)
    if n is None:
        return Expected(outcome, "its interval depends on the scores: not known beforehand")
    if n == 0:
        return Expected(outcome, "can never pass: the data has no such sample", hopeless=True)
    sentence = power_in_words(gate, n)
    if sentence is None:
        return Expected(outcome, "always passes")
    decides = power(gate, n)
    return Expected(outcome, sentence, decides is not None and not decides.passes and stops, n)


def metric_of(outcome: GateOutcome, report: EvaluationReport) -> Metric | None:
    """The number among those of the samples that were tried."""
    if outcome.facet is not None:
        return report.bias.get(outcome.facet, {}).get(outcome.metric.removeprefix(BIAS))
    if outcome.of is not None:
        return report.per_class.get(outcome.metric, {}).get(outcome.of)
    return report.metrics.get(outcome.metric)


def samples_of(outcome: GateOutcome, policy: Policy, found: Rehearsed) -> int | None:
    """On how many samples a plain rate will be measured; None: it is none, or its rows do not count the same."""
    if policy.data.weight is not None:
        return None
    supports = found.supports if outcome.slice is None else found.slices[outcome.slice]
    if outcome.metric == "accuracy" and outcome.of is None:
        return sum(supports.values())
    if outcome.metric == "recall":
        return supports.get(outcome.of or positive_of(policy, found) or "")
    return None


def positive_of(policy: Policy, found: Rehearsed) -> str | None:
    """The positive class of two, by its name for people."""
    names = list(found.supports)
    if len(names) != 2:
        return None
    positive = policy.data.positive
    return str(positive) if positive is not None and str(positive) in names else names[1] if positive is None else None


# What a person reads


def tell(
    options: Options,
    policy: Policy,
    found: Rehearsed,
    checked: bool,
    gates: Sequence[Expected],
    console: Console,
) -> None:
    console.say()
    lines = [("policy", f"{options.policy}: {policy.task}")]
    lines += zip(("data", "classes"), data_lines(policy, found, checked), strict=False)
    if found.model is None:
        why = "say which with --model" if policy.model.predictor == "in_process" else "it is asked through an endpoint"
        lines.append(("model", f"not checked: {why}"))
    else:
        lines.append(("model", model_line(found.model)))
    if policy.registry is not None:
        where = "by a stack whose ModelPackageGroup allows it, and whose ServingImageUri serves it; not on this machine"
        lines.append(("registry", f"{policy.registry.group}, {where}"))
    if found.report is not None:
        lines.append(("tried", tried_line(found.report)))
        lines += [("", f"{finding.severity}: {finding.text}") for finding in serious(found.report)]
    for title, text in lines:
        console.say(f"  {title:<10} {text}")
    tell_gates(policy, found, gates, console)
    for line in spending(options, policy, found):
        console.say(line)
    hopeless = [one for one in gates if one.hopeless]
    console.say()
    if hopeless:
        s = "" if len(hopeless) == 1 else "s"
        console.say(f"Not valid: no model can pass {len(hopeless)} gate{s}.", "bold red")
    elif found.model is None or not checked:
        console.say("Valid, as far as it was checked.", "bold green")
    else:
        console.say("Valid.", "bold green")


def data_lines(policy: Policy, found: Rehearsed, checked: bool) -> Iterator[str]:
    if not checked:
        yield f"not checked: {policy.data.source} is not on this machine; --map s3://…=PATH says where a copy lies"
        return
    counts = found.supports or found.labels
    yield f"{found.rows or 0:,} samples" + (f" of {len(counts)} classes" if counts else "")
    if len(counts) > 1:
        listed = sorted(counts.items(), key=lambda pair: pair[1]) if len(counts) > MOST_CLASSES else counts.items()
        shown = ", ".join(f"{name} {count:,}" for name, count in list(listed)[:MOST_CLASSES])
        yield shown if len(counts) <= MOST_CLASSES else f"the smallest {shown}"


def model_line(model: ModelFacts) -> str:
    def tensors(found: Sequence[Any]) -> str:
        return ", ".join(f"{one.name} {sizes(one.shape)} {one.dtype}" for one in found)

    return f"{model.format} by {model.runtime}: {tensors(model.inputs)} → {tensors(model.outputs)}"


def sizes(shape: Sequence[int | None]) -> str:
    return " × ".join("any" if size is None else str(size) for size in shape[1:]) or "one value"


def tried_line(report: EvaluationReport) -> str:
    name = next((name for name in ("accuracy", "r2", "mae", "map50") if name in report.metrics), None)
    metric = None if name is None else report.metrics[name]
    value = "" if metric is None or metric.value is None else f", {name} {metric.value:.2f} on them"
    return f"{report.data.rows:,} samples, evaluated and measured{value}"


def serious(report: EvaluationReport) -> list[Any]:
    return [finding for finding in report.findings if finding.severity != "info"]


def tell_gates(policy: Policy, found: Rehearsed, gates: Sequence[Expected], console: Console) -> None:
    if not policy.gates:
        console.say(f"  {'gates':<10} none: a run is `not judged`, never a pass")
    elif found.report is None:
        console.say(f"  {'gates':<10} {len(policy.gates)}, not looked at without data and model")
    else:
        console.say("\nWhat the data can decide")
        for line, hopeless in gate_lines(gates):
            console.say(line, "red" if hopeless else "")


def gate_lines(gates: Sequence[Expected]) -> Iterator[tuple[str, bool]]:
    """A line a gate; of one on each class, those that none can pass and the smallest class that can."""
    for _, of_one in groupby(gates, key=lambda one: (id(one.outcome.gate), one.hopeless)):
        together = list(of_one)
        least = min(together, key=lambda one: one.samples or 0)
        if together[0].hopeless or len(together) < CLASSES_TOGETHER:
            for one in together:
                yield f"  {'✗' if one.hopeless else '·'} {gate_in_words(one)}: {one.sentence}", one.hopeless
        else:
            of = f"{len(together)} {'classes' if least.outcome.slice is None else 'slices'}"
            smallest = f"the smallest, {least.outcome.of or least.outcome.slice}, " if least.samples else ""
            yield f"  · {least.outcome.metric} of {of}, {least.outcome.limit}: {smallest}{least.sentence}", False


def gate_in_words(one: Expected) -> str:
    outcome = one.outcome
    return f"{Scope(outcome.metric, outcome.of, outcome.slice, outcome.facet)}, {outcome.limit}"


def spending(options: Options, policy: Policy, found: Rehearsed) -> Iterator[str]:
    """Minutes by what was measured here, and dollars by the price that was given: none is known to this program."""
    if found.sample_seconds is None or found.rows is None or found.report is None:
        return
    rest = max(found.rows - found.report.data.rows, 0) * found.sample_seconds
    jobs = [
        (
            "evaluation",
            first_instance_type(policy.evaluate.instance_type, "Evaluation"),
            found.begin_seconds + rest,
            f"{found.rows:,} samples at {in_time(found.sample_seconds)}, {in_time(found.begin_seconds)} for the rest",
        )
    ]
    if found.coalitions is not None and found.report.explain is not None:
        samples = explained_samples(policy, found)
        predictions = samples * found.coalitions * found.baseline_rows
        jobs.append(
            (
                "explanation",
                first_instance_type(policy.explain.instance_type, "Explanation"),
                predictions * found.sample_seconds,
                f"{samples:,} samples, {predictions:,} predictions at {in_time(found.sample_seconds)} at most",
            )
        )
    yield "\nWhat will be spent, by this machine's measure (an instance's start, and its speed, are its own)"
    for name, instance, seconds, how in jobs:
        cost = "" if options.usd_per_hour is None else f", {in_dollars(seconds / 3600 * options.usd_per_hour)}"
        yield f"  {name:<12} {in_minutes(seconds)} on {instance}{cost}: {how}"
    if options.usd_per_hour is None:
        yield "  dollars are told with --usd-per-hour PRICE, your region's for these instances"


def explained_samples(policy: Policy, found: Rehearsed) -> int:
    report = found.report
    assert report is not None and report.explain is not None
    by_chance = policy.explain.representative.samples
    if by_chance is None:
        by_chance = 0 if report.explain.kind == "images" else 100
    return min(policy.explain.chosen.samples + by_chance, found.rows or 0)


def first_instance_type(asked: InstanceTypes | None, stage: str) -> str:
    """The policy's, else the template's, which a deployer may have changed."""
    if asked is not None:
        return asked if isinstance(asked, str) else asked[0]
    text = (application.root() / "template.yaml").read_text(encoding="utf-8")
    document = yaml.load(text, Loader=_Plain)  # noqa: S506 - a SafeLoader
    default = document["Parameters"][f"{stage}InstanceType"]["Default"].partition(",")[0]
    return f"{default} (unless deployed otherwise)"


class _Plain(yaml.SafeLoader):
    """CloudFormation's tags (!Ref, !Sub) as nothing."""


_Plain.add_multi_constructor("!", lambda *_: None)


def in_minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return "under a minute" if minutes <= 1 else f"about {minutes:,} minutes"


def in_time(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def in_dollars(dollars: float) -> str:
    return "under 0.01 USD" if dollars < 0.01 else f"{dollars:.2f} USD"
