"""`assay prices`: the table of prices by which runs are costed, read from AWS's Price List.

Untested against AWS itself: the shape of its answers is the one that its documentation and others' readers show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
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
    usd = {region: of_region(region) for region in sorted(set(regions))}
    table = Prices(as_of=datetime.now(UTC).date(), source=SOURCE, usd_per_hour=usd)
    if output == STANDARD_OUTPUT:
        print(table.to_json(), end="")
        return 0
    before = Prices.model_validate_json(output.read_bytes()).usd_per_hour if output.is_file() else {}
    output.write_text(table.to_json(), encoding="utf-8")
    for region, found in usd.items():
        console.say(
            f"{region}: {len(found)} instance types, {min(found.values()):.4g} to {max(found.values()):.4g} $/h"
        )
    for region in sorted(set(before) - set(usd)):
        console.say(f"{region}: no longer in it, as the table is of one day; name it with --region, too", "yellow")
    console.say(f"{output}: prices of {table.as_of}; the next `make deploy` takes them along", "bold green")
    return 0


def own_region() -> str:
    region = boto3.Session().region_name
    if region is None:
        raise Problem("which region? Say it with --region eu-west-1, with AWS_DEFAULT_REGION or by AWS_PROFILE")
    return region


def of_region(region: str) -> dict[str, float]:
    """Instance type → dollars an hour."""
    prices = by_instance(offers(region))
    if not prices:
        raise Problem(f"AWS's Price List has no processing instances in {region}; expected a region such as eu-west-1")
    return prices


def offers(region: str) -> list[Offer]:
    asked = {"component": COMPONENT, "regionCode": region}
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in asked.items()]
    where = f"AWS's Price List of {region}"
    with as_problems("pricing:GetProducts", where), readable(where):
        client: Any = boto3.client("pricing", region_name=ENDPOINT_REGION)
        pages = client.get_paginator("get_products").paginate(ServiceCode=SERVICE, Filters=filters)
        return [Offer.model_validate(json.loads(line)) for page in pages for line in page["PriceList"]]


def by_instance(offers: Iterable[Offer]) -> dict[str, float]:
    """Of each instance type its price; Problem when one has two."""
    prices: dict[str, float] = {}
    for offer in offers:
        instance = offer.product.attributes.instance
        # beside plain processing there are usages such as a managed tool's, at prices of their own
        if not instance or not offer.product.attributes.usage.endswith(f"{COMPONENT}:{instance}"):
            continue
        for price in offer.usd_per_hour():
            if prices.setdefault(instance, price) != price:
                raise Problem(
                    f"AWS's Price List has two prices of {instance}, {prices[instance]} and {price} $/h: "
                    "expected one; fill the table in by hand"
                )
    return dict(sorted(prices.items()))
