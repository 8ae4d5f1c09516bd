"""A template is refused where AWS would refuse it, and where a laptop cannot do what it asks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from assay_local.cloud import Cloud, TemplateError
from assay_local.stack import check_parameters

Variant = Callable[..., Path]


def deploy(template: Path, **parameters: str) -> None:
    with Cloud(template, parameters, schedules=False, programs={"double": "double"}):
        pass


def test_a_visibility_shorter_than_the_function_is_refused(variant: Variant) -> None:
    with pytest.raises(TemplateError, match="Queue visibility timeout: 9 seconds is less than Function timeout: 10"):
        deploy(variant(), Visibility="9")


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"Prefx": "a"}, r"parameters \['Prefx'\] do not exist in the template"),
        ({"Prefix": "Tiny"}, "parameter Prefix is 'Tiny': expected the pattern"),
        ({"Visibility": "soon"}, "'soon' is not a number"),
        ({"Prefix": "asleep"}, "rule Awake: who is asleep has no image"),
    ],
)
def test_a_parameter_is_checked(variant: Variant, parameters: dict[str, str], said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        deploy(variant(), **parameters)


RULES = yaml.safe_load("""
Choice: {Type: String, AllowedValues: [assay, clarify], Default: assay}
Size: {Type: Number, MinValue: 1, MaxValue: 10, Default: 5}
Name: {Type: String, MinLength: 2, MaxLength: 4, Default: abc}
Arns: {Type: CommaDelimitedList, AllowedPattern: "arn:.*", Default: "arn:a, arn:b"}
Needed: {Type: String}
""")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"Choice": "none"}, r"expected one of \['assay', 'clarify'\]"),
        ({"Size": "11"}, "MaxValue is 10"),
        ({"Size": "0"}, "MinValue is 1"),
        ({"Name": "a"}, "MinLength is 2"),
        ({"Name": "abcde"}, "MaxLength is 4"),
        ({"Arns": "arn:a,b"}, "parameter Arns is 'b'"),
    ],
)
def test_a_parameter_out_of_its_bounds_is_refused(given: dict[str, str], said: str) -> None:
    check_parameters(RULES, {"Needed": "x"})
    with pytest.raises(TemplateError, match=said):
        check_parameters(RULES, {"Needed": "x"} | given)


def test_a_parameter_without_default_must_be_given() -> None:
    with pytest.raises(TemplateError, match="parameter Needed has no value and no default"):
        check_parameters(RULES, {})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("TOPIC_ARN: !Ref Topic", "TOPIC_ARN: !Ref Topik", "Topik"),
        ("Arn: !GetAtt StartQueue.Arn}", "Arn: !Ref Topic}", "only queues are served on a laptop"),
        ("!GetAtt JobRole.Arn", "!GetAtt JobRole.Arm", "Arm"),
        ("{Id: start,", "{Id: start, InputPath: $.detail,", "InputPath is not applied on a laptop"),
        ("rate(2 minutes)", "cron(0 * * * ? *)", "expected a rate such as"),
        ("CodeUri: functions/", "CodeUri: s3://somewhere/else.zip", "expected a folder beside the template"),
        ("Type: AWS::Serverless::LayerVersion", "Type: AWS::Serverless::LayerVersin", "no such layer"),
    ],
)
def test_what_cannot_work_is_refused_at_deployment(variant: Variant, old: str, new: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        deploy(variant((old, new)))


def test_a_refused_template_leaves_room_for_the_next(variant: Variant) -> None:
    template = variant()
    with pytest.raises(TemplateError):
        deploy(template, Prefix="Tiny")
    deploy(template, Prefix="other")
