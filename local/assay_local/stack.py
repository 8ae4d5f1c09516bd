"""Deploy a SAM template to the embedded AWS, and read back from it what moto's CloudFormation drops.

The template is translated by aws-sam-translator and created as a stack, so names, ARNs, roles, queues, rules and
topics are real. moto ignores queue policies, layers, schedules, the bucket's versioning and its EventBridge switch:
these are read from the translated template here, with their references resolved by moto itself.
"""

import copy
import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from moto.cloudformation.exceptions import ValidationError
from moto.cloudformation.models import cloudformation_backends
from moto.cloudformation.parsing import clean_json, get_model_map, parse_condition
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sqs.models import sqs_backends
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from assay_local.clients import session
from assay_local.resource_policy import Policy

Json = dict[str, Any]


class TemplateError(Exception):
    """AWS would refuse this template, or part of it has no counterpart on a laptop."""


@dataclass(frozen=True)
class Function:
    logical_id: str
    name: str
    arn: str
    role_arn: str
    handler: str
    code: Path
    layers: tuple[Path, ...]
    environment: Mapping[str, str]
    timeout: int
    """seconds"""
    memory: int
    """MiB"""
    log_group: str
    policies: tuple[Policy, ...]
    """who may invoke it (AWS::Lambda::Permission)"""


@dataclass(frozen=True)
class EventSource:
    """An event source mapping: a queue that feeds a function."""

    function: str
    """logical id"""
    queue: str
    batch_size: int
    concurrency: int
    partial_failures: bool
    """ReportBatchItemFailures"""


@dataclass(frozen=True)
class Schedule:
    name: str
    arn: str
    function: str
    """logical id"""
    seconds: int
    input: str | None
    enabled: bool


@dataclass(frozen=True)
class Stack:
    name: str
    region: str
    account: str
    outputs: Mapping[str, str]
    resources: Mapping[str, str]
    """logical id → physical id: a bucket's name, a queue's URL, a topic's ARN"""
    functions: Mapping[str, Function]
    event_sources: tuple[EventSource, ...]
    schedules: tuple[Schedule, ...]
    topics: tuple[str, ...]
    queue_policies: Mapping[str, tuple[Policy, ...]]
    """by queue name"""
    event_buckets: tuple[str, ...]
    """buckets that send their events to EventBridge"""
    versioned_buckets: tuple[str, ...]


def deploy(template: Path, parameters: Mapping[str, str], *, name: str, region: str) -> Stack:
    """Create the template's stack in moto's backends of this process."""
    source = read(template)
    check_parameters(source.get("Parameters", {}), parameters)
    translated = translate(with_local_code(source), parameters, region)
    return create(translated, template.parent, parameters, name=name, region=region)


# Translate


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags (!Ref, !Sub), on a loader of its own: the safe loader stays as it is."""


TemplateLoader.add_multi_constructor("!", intrinsics_multi_constructor)


def read(template: Path) -> Json:
    # The loader is a SafeLoader.
    source = yaml.load(template.read_text(encoding="utf-8"), Loader=TemplateLoader)  # noqa: S506
    if not isinstance(source, dict):
        raise TemplateError(f"{template}: not a template")
    return source


def check_parameters(declared: Mapping[str, Json], given: Mapping[str, str]) -> None:
    """CloudFormation's checks of parameters, which moto leaves out."""
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(f"parameters {unknown} do not exist in the template, which has {sorted(declared)}")
    for name, rules in declared.items():
        if name not in given and "Default" not in rules:
            raise TemplateError(f"parameter {name} has no value and no default")
        value = str(given.get(name, rules.get("Default")))
        if rules.get("Type") == "CommaDelimitedList":
            values = [part.strip() for part in value.split(",")]
        else:
            values = [value]
        for one in values:
            check_parameter(name, one, rules)


def check_parameter(name: str, value: str, rules: Json) -> None:
    allowed = [str(v) for v in rules.get("AllowedValues", [])]
    if allowed and value not in allowed:
        raise TemplateError(f"parameter {name} is {value!r}: expected one of {allowed}")
    if "AllowedPattern" in rules and not re.fullmatch(str(rules["AllowedPattern"]), value):
        raise TemplateError(f"parameter {name} is {value!r}: expected the pattern {rules['AllowedPattern']}")
    sizes: dict[str, float] = {"Length": len(value)}
    if rules.get("Type") == "Number":
        sizes["Value"] = number(value)
    for bound, size in sizes.items():
        if f"Min{bound}" in rules and size < float(rules[f"Min{bound}"]):
            raise TemplateError(f"parameter {name} is {value!r}: Min{bound} is {rules[f'Min{bound}']}")
        if f"Max{bound}" in rules and size > float(rules[f"Max{bound}"]):
            raise TemplateError(f"parameter {name} is {value!r}: Max{bound} is {rules[f'Max{bound}']}")


def number(value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise TemplateError(f"{value!r} is not a number") from error


CHECKOUT = "checkout"
"""The bucket of S3 addresses that stand for folders beside the template: the translator takes nothing else."""


def with_local_code(source: Json) -> Json:
    source = copy.deepcopy(source)
    owners = [("CodeUri", source.get("Globals", {}).get("Function", {}))]
    for resource in source.get("Resources", {}).values():
        owners += [("CodeUri", resource.get("Properties", {})), ("ContentUri", resource.get("Properties", {}))]
    for key, owner in owners:
        if isinstance(owner.get(key), str) and not owner[key].startswith("s3://"):
            owner[key] = f"s3://{CHECKOUT}/{owner[key]}"
    return source


def translate(source: Json, parameters: Mapping[str, str], region: str) -> Json:
    """SAM to CloudFormation."""
    logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)  # it warns that nobody collects its metrics
    translator = Translator({}, Parser(), boto_session=session(region))
    try:
        translated: Json = translator.translate(source, dict(parameters))
    except InvalidDocumentException as error:
        raise TemplateError("; ".join(cause.message for cause in error.causes) or error.message) from error
    return translated


# Create


def create(translated: Json, folder: Path, parameters: Mapping[str, str], *, name: str, region: str) -> Stack:
    account = DEFAULT_ACCOUNT_ID
    backend = cloudformation_backends[account][region]
    try:
        created = backend.create_stack(name, json.dumps(for_moto(translated)), dict(parameters))
    except KeyError as error:
        raise TemplateError(f"{name}: no resource or parameter {error} to refer to") from error
    except ValidationError as error:
        raise TemplateError(f"{name}: {error.message}") from error
    if created.status != "CREATE_COMPLETE":
        raise TemplateError(f"{name}: {created.status}")
    check_rules(translated.get("Rules", {}), created.resource_map)
    template = ResolvedTemplate(translated, created.resource_map)
    functions = read_functions(template, folder)
    return Stack(
        name=name,
        region=region,
        account=account,
        outputs={output["OutputKey"]: str(output["OutputValue"]) for output in created.outputs or []},
        resources=template.physical_ids(),
        functions=functions,
        event_sources=tuple(read_event_sources(template, functions, account, region)),
        schedules=tuple(read_schedules(template, functions, account, region)),
        topics=tuple(template.physical_id(id) for id, _ in template.resources("AWS::SNS::Topic")),
        queue_policies=read_queue_policies(template),
        event_buckets=tuple(buckets(template, sends_events)),
        versioned_buckets=tuple(buckets(template, is_versioned)),
    )


def check_rules(rules: Mapping[str, Json], resource_map: Any) -> None:
    """The template's own assertions on its parameters, which moto does not check."""

    def holds(condition: Any) -> bool:
        return bool(parse_condition(condition, resource_map, resource_map.lazy_condition_map))

    for name, rule in rules.items():
        if holds(rule.get("RuleCondition", ALWAYS)):
            for assertion in rule["Assertions"]:
                if not holds(assertion["Assert"]):
                    raise TemplateError(f"rule {name}: {assertion.get('AssertDescription', assertion['Assert'])}")


ALWAYS = {"Fn::Equals": ["", ""]}


def for_moto(translated: Json) -> Json:
    """The template without what moto cannot create: local code, layers, the bucket's switch, types it does not know.

    What is left out either is done here (policies of queues, schedules) or does nothing on a laptop (alarms).
    """
    template = copy.deepcopy(translated)
    resources = template["Resources"]
    for logical_id, resource in list(resources.items()):
        properties = resource.get("Properties", {})
        if resource["Type"] == LAYER or resource["Type"] not in get_model_map():
            del resources[logical_id]
        elif resource["Type"] == "AWS::Lambda::Function":
            properties.pop("Layers", None)
            properties["Code"] = {"ZipFile": "runs in a process of its own"}
        elif resource["Type"] == "AWS::S3::Bucket":
            properties.pop("NotificationConfiguration", None)
    return template


class ResolvedTemplate:
    """The translated template with parameters, conditions, references and functions resolved by moto."""

    def __init__(self, translated: Json, resource_map: Any) -> None:
        self.raw: dict[str, Json] = translated["Resources"]
        self._map = resource_map

    def resolve(self, value: Any) -> Any:
        return clean_json(copy.deepcopy(value), self._map)

    def resources(self, type: str) -> Iterator[tuple[str, Json]]:
        """Logical id and resolved properties of each resource of a type whose condition holds."""
        for logical_id, resource in self.raw.items():
            condition = resource.get("Condition")
            if resource["Type"] == type and (condition is None or self._map.lazy_condition_map[condition]):
                properties = dict(resource.get("Properties", {}))
                properties.pop("Layers", None)  # references to layers, which moto does not have
                yield logical_id, self.resolve(properties)

    def physical_ids(self) -> dict[str, str]:
        ids = {id: getattr(self._map[id], "physical_resource_id", None) for id in self._map}
        return {logical: str(physical) for logical, physical in ids.items() if physical is not None}

    def physical_id(self, logical_id: str) -> str:
        return str(self._map[logical_id].physical_resource_id)

    def attribute(self, logical_id: str, name: str) -> str:
        return str(self.resolve({"Fn::GetAtt": [logical_id, name]}))


# Read back


def read_functions(template: ResolvedTemplate, folder: Path) -> dict[str, Function]:
    layers = {id: folder / raw_code(properties["Content"]) for id, properties in template.resources(LAYER)}
    permissions = list(template.resources("AWS::Lambda::Permission"))
    functions = {}
    for logical_id, properties in template.resources("AWS::Lambda::Function"):
        name, arn = template.physical_id(logical_id), template.attribute(logical_id, "Arn")
        references = template.raw[logical_id]["Properties"].get("Layers", [])
        functions[logical_id] = Function(
            logical_id=logical_id,
            name=name,
            arn=arn,
            role_arn=properties["Role"],
            handler=properties["Handler"],
            code=folder / raw_code(properties["Code"]),
            layers=tuple(layer_folders(logical_id, references, layers)),
            environment={k: text(v) for k, v in properties.get("Environment", {}).get("Variables", {}).items()},
            timeout=int(properties.get("Timeout", 3)),
            memory=int(properties.get("MemorySize", 128)),
            log_group=properties.get("LoggingConfig", {}).get("LogGroup", f"/aws/lambda/{name}"),
            policies=tuple(permission_policy(p, arn) for _, p in permissions if p["FunctionName"] in (name, arn)),
        )
    return functions


def layer_folders(function: str, references: list[Any], layers: Mapping[str, Path]) -> Iterator[Path]:
    for reference in references:
        if isinstance(reference, dict) and reference.get("Ref") in layers:
            yield layers[reference["Ref"]]
        elif isinstance(reference, dict) and "Ref" in reference:
            raise TemplateError(f"{function}: layer {reference['Ref']}: no such layer in the template")
        # A public layer, by its ARN, has no folder here: the environment's packages stand in.


LAYER = "AWS::Lambda::LayerVersion"


def raw_code(code: Json) -> str:
    if code.get("S3Bucket") != CHECKOUT:
        raise TemplateError(f"code {code}: expected a folder beside the template")
    return str(code["S3Key"])


def permission_policy(permission: Json, function_arn: str) -> Policy:
    """AWS::Lambda::Permission as the statement it becomes in the function's policy."""
    condition = {}
    if "SourceArn" in permission:
        condition["ArnLike"] = {"AWS:SourceArn": permission["SourceArn"]}
    if "SourceAccount" in permission:
        condition["StringEquals"] = {"AWS:SourceAccount": permission["SourceAccount"]}
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": permission["Principal"]},
        "Action": permission["Action"],
        "Resource": function_arn,
        "Condition": condition,
    }
    return {"Statement": [statement]}


def read_event_sources(
    template: ResolvedTemplate, functions: Mapping[str, Function], account: str, region: str
) -> Iterator[EventSource]:
    for logical_id, properties in template.resources("AWS::Lambda::EventSourceMapping"):
        arn = str(properties["EventSourceArn"])
        if ":sqs:" not in arn:
            raise TemplateError(f"{logical_id}: event source {arn}: only queues are polled on a laptop")
        if "FilterCriteria" in properties:
            raise TemplateError(f"{logical_id}: FilterCriteria are not applied on a laptop")
        if not is_true(properties.get("Enabled", True)):
            continue
        function = function_named(functions, properties["FunctionName"])
        queue = sqs_backends[account][region].get_queue(arn.rsplit(":", 1)[-1])
        visibility = int(queue.visibility_timeout)  # type: ignore[attr-defined]
        if visibility < function.timeout:
            raise TemplateError(
                f"{logical_id}: Queue visibility timeout: {visibility} seconds is less than "
                f"Function timeout: {function.timeout} seconds"
            )
        # moto's own dispatch would receive each message once itself, and count that as a delivery.
        queue.lambda_event_source_mappings.clear()
        yield EventSource(
            function=function.logical_id,
            queue=queue.name,
            batch_size=int(properties.get("BatchSize", 10)),
            concurrency=int(properties.get("ScalingConfig", {}).get("MaximumConcurrency", 5)),
            partial_failures="ReportBatchItemFailures" in properties.get("FunctionResponseTypes", []),
        )


def read_schedules(
    template: ResolvedTemplate, functions: Mapping[str, Function], account: str, region: str
) -> Iterator[Schedule]:
    """Schedules in both of SAM's forms: a rule with a rate (Schedule) and EventBridge Scheduler's (ScheduleV2)."""
    for logical_id, properties in template.resources("AWS::Events::Rule"):
        if "ScheduleExpression" not in properties:
            continue
        for target in properties["Targets"]:
            yield Schedule(
                name=template.physical_id(logical_id),
                arn=template.attribute(logical_id, "Arn"),
                function=function_named(functions, target["Arn"]).logical_id,
                seconds=rate(properties["ScheduleExpression"]),
                input=target.get("Input"),
                enabled=properties.get("State", "ENABLED") == "ENABLED",
            )
    for logical_id, properties in template.resources("AWS::Scheduler::Schedule"):
        name = properties.get("Name", logical_id)
        yield Schedule(
            name=name,
            arn=f"arn:aws:scheduler:{region}:{account}:schedule/{properties.get('GroupName', 'default')}/{name}",
            function=function_named(functions, properties["Target"]["Arn"]).logical_id,
            seconds=rate(properties["ScheduleExpression"]),
            input=properties["Target"].get("Input"),
            enabled=properties.get("State", "ENABLED") == "ENABLED",
        )


UNITS = {"minute": 60, "hour": 3600, "day": 86400}


def rate(expression: str) -> int:
    """`rate(2 minutes)` in seconds."""
    found = re.fullmatch(r"rate\((\d+) (minute|hour|day)(s?)\)", expression)
    if not found or (found[1] == "1") == bool(found[3]) or int(found[1]) < 1:
        raise TemplateError(f"schedule {expression!r}: expected a rate such as rate(2 minutes)")
    return int(found[1]) * UNITS[found[2]]


def read_queue_policies(template: ResolvedTemplate) -> dict[str, tuple[Policy, ...]]:
    policies: dict[str, tuple[Policy, ...]] = {}
    for _, properties in template.resources("AWS::SQS::QueuePolicy"):
        for url in properties["Queues"]:
            queue = str(url).rsplit("/", 1)[-1]
            policies[queue] = (*policies.get(queue, ()), properties["PolicyDocument"])
    return policies


def buckets(template: ResolvedTemplate, wanted: Callable[[Json], bool]) -> Iterator[str]:
    for logical_id, properties in template.resources("AWS::S3::Bucket"):
        if wanted(properties):
            yield template.physical_id(logical_id)


def sends_events(bucket: Json) -> bool:
    switch = bucket.get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
    return is_true(switch.get("EventBridgeEnabled"))


def is_versioned(bucket: Json) -> bool:
    return bool(bucket.get("VersioningConfiguration", {}).get("Status") == "Enabled")


def function_named(functions: Mapping[str, Function], name: str) -> Function:
    for function in functions.values():
        if name in (function.name, function.arn):
            return function
    raise TemplateError(f"{name}: no such function in the template")


def is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def text(value: Any) -> str:
    """A value as CloudFormation hands it on: every one is text."""
    return str(value).lower() if isinstance(value, bool) else str(value)
