"""`assay prices`: the table of prices by which runs are costed, read from AWS's Price List.

Untested against AWS itself: the shape of its answers is the one that its documentation and others' readers show.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from pydantic import Field

from assay.base import Foreign
from assay_aws.prices import Prices
from assay_local import application
from assay_local.console import Console
from assay_local.place import as_problems, readable
from assay_local.problem import Problem

ENDPOINT_REGION = "us-east-1"
"""One of the few that answer for all regions."""
SERVICE, COMPONENT, HOURS = "AmazonSageMaker", "Processing", "Hrs"
SOURCE = "AWS Price List Query API: AmazonSageMaker, component Processing, on demand"
STANDARD_OUTPUT = Path("-")


class _Attributes(Foreign):
    instance: str = Field("", alias="instanceName")
    """`ml.m5.xlarge`; `instanceType` is `ml.m5.xlarge-Processing`."""
    usage: str = Field("", alias="usagetype")
    """`USE1-Processing:ml.m5.xlarge`."""


class _Product(Foreign):
    attributes: _Attributes


class _Dimension(Foreign):
    unit: str
    per_unit: dict[str, float] = Field(alias="pricePerUnit")
    """Currency → price; AWS writes `"0.2300000000"`."""


class _Term(Foreign):
    dimensions: dict[str, _Dimension] = Field(alias="priceDimensions")


class _Terms(Foreign):
    on_demand: dict[str, _Term] = Field(default={}, alias="OnDemand")


class Offer(Foreign):
    """A line of the Price List: a product and what it costs."""

    product: _Product
    terms: _Terms

    def usd_per_hour(self) -> Iterator[float]:
        for term in self.terms.on_demand.values():
            for dimension in term.dimensions.values():
                if dimension.unit == HOURS and dimension.per_unit.get("USD", 0.0) > 0:
                    yield dimension.per_unit["USD"]


def write_prices(regions: Sequence[str], output: Path, console: Console) -> int:
    """Replace the table by today's prices of these regions; Problem when AWS does not tell them."""
    application.make_importable("functions")
    from publish_summary.headline import count

    if output != STANDARD_OUTPUT and not output.parent.is_dir():
        raise Problem(
            f"{output}: there is no such folder; run it in the checkout that you deploy from, or say where with "
            "--output FILE (- for standard output)"
        )
    regions = regions or [own_region()]
    found = {region: by_instance(offers(region)) for region in sorted(set(regions))}
    usd = {region: only_one(prices) for region, prices in found.items()}
    for region, known in usd.items():
        if not known:
            raise Problem(
                f"AWS's Price List has no processing instances in {region}; expected a region such as eu-west-1"
            )
    table = Prices(as_of=datetime.now(UTC).date(), source=SOURCE, usd_per_hour=usd)
    if output == STANDARD_OUTPUT:
        print(table.to_json(), end="")
        return 0
    with readable(str(output), "not a table of prices; remove it to write one"):
        before = Prices.model_validate_json(output.read_bytes()).usd_per_hour if output.is_file() else {}
    output.write_text(table.to_json(), encoding="utf-8")
    for region, known in usd.items():
        span = f"${min(known.values()):.4g} to ${max(known.values()):.4g} an hour"
        console.say(f"{region}: {count(len(known), 'instance type')}, {span}")
        for instance in sorted(set(found[region]) - set(known)):
            several = ", ".join(f"${price:.4g}" for price in sorted(found[region][instance]))
            console.say(f"{region}: left out {instance}, as AWS names several prices: {several}", "yellow")
    for region in sorted(set(before) - set(usd)):
        console.say(f"{region}: no longer in it, as the table is of one day; name it with --region, too", "yellow")
    console.say(f"{output}: prices of {table.as_of}; the next `make deploy` takes them along", "bold green")
    return 0


def own_region() -> str:
    region = boto3.Session().region_name
    if region is None:
        raise Problem("which region? Say it with --region eu-west-1, with AWS_DEFAULT_REGION or by AWS_PROFILE")
    return region


def offers(region: str) -> list[Offer]:
    asked = {"component": COMPONENT, "regionCode": region}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in asked.items()]
    where = f"AWS's Price List of {region}"
    with as_problems("pricing:GetProducts", where):
        client: Any = boto3.client("pricing", region_name=ENDPOINT_REGION)
        pages = client.get_paginator("get_products").paginate(ServiceCode=SERVICE, Filters=filters)
        lines = [line for page in pages for line in page["PriceList"]]
    with readable(where, "not as expected"):
        return [Offer.model_validate_json(line) for line in lines]


def by_instance(offers: Iterable[Offer]) -> dict[str, set[float]]:
    """Instance type → dollars an hour; one number, unless AWS offers it twice."""
    prices: dict[str, set[float]] = {}
    for offer in offers:
        instance = offer.product.attributes.instance
        # beside plain processing there are usages such as a managed tool's, at prices of their own
        if instance and offer.product.attributes.usage.endswith(f"{COMPONENT}:{instance}"):
            prices.setdefault(instance, set()).update(offer.usd_per_hour())
    return {instance: found for instance, found in sorted(prices.items()) if found}


def only_one(prices: Mapping[str, set[float]]) -> dict[str, float]:
    return {instance: next(iter(found)) for instance, found in prices.items() if len(found) == 1}
