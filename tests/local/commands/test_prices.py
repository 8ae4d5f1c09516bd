"""`assay prices`: from the Price List's answers, in their documented shape, to the table that costs runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from assay_aws.prices import Prices
from tests.local.conftest import Assay

Json = dict[str, Any]
TABLE = Path("layers/aws/assay_aws/prices.json")


def offer(instance: str, price: str, *, usage: str = "", unit: str = "Hrs", term: str = "OnDemand") -> str:
    """A line as GetProducts gives it: JSON in a string."""
    sku = "2ABCDEFGHJKLMNPQ"
    product = {
        "productFamily": "ML Instance",
        "attributes": {
            "regionCode": "eu-west-1",
            "servicecode": "AmazonSageMaker",
            "component": "Processing",
            "instanceName": instance,
            "instanceType": f"{instance}-Processing",
            "usagetype": usage or f"EU-Processing:{instance}",
            "operation": "RunInstance",
            "vCpu": "4",
        },
        "sku": sku,
    }
    dimension = {
        "unit": unit,
        "endRange": "Inf",
        "description": f"${price} per hour",
        "appliesTo": [],
        "rateCode": f"{sku}.JRTCKXETXF.6YS6EN2CT7",
        "beginRange": "0",
        "pricePerUnit": {"USD": price},
    }
    terms = {
        term: {
            f"{sku}.JRTCKXETXF": {
                "priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension},
                "sku": sku,
                "effectiveDate": "2026-11-01T00:00:00Z",
                "offerTermCode": "JRTCKXETXF",
                "termAttributes": {},
            }
        }
    }
    return json.dumps({"product": product, "serviceCode": "AmazonSageMaker", "terms": terms, "version": "1"})


def asked(region: str, token: str | None = None) -> Json:
    filters = [
        {"Type": "TERM_MATCH", "Field": "component", "Value": "Processing"},
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region},
    ]
    return {"ServiceCode": "AmazonSageMaker", "Filters": filters, **({} if token is None else {"NextToken": token})}


@pytest.fixture
def price_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stubber]:
    """What AWS will be asked, in this order, and what it answers: botocore checks both against its own model."""
    monkeypatch.chdir(tmp_path)
    Path("layers/aws/assay_aws").mkdir(parents=True)
    client = boto3.client("pricing", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")

    def made(service: str, *, region_name: str) -> Any:
        assert (service, region_name) == ("pricing", "us-east-1")
        return client

    monkeypatch.setattr("assay_local.prices.boto3.client", made)
    with Stubber(client) as stubber:
        yield stubber


def test_each_region_s_prices_are_written(assay: Assay, price_list: Stubber) -> None:
    first = {"FormatVersion": "aws_v1", "PriceList": [offer("ml.m5.xlarge", "0.2570000000")], "NextToken": "t"}
    more = [
        offer("ml.c5.xlarge", "0.2300000000"),
        offer("ml.c5.xlarge", "0.1500000000", term="Reserved"),
        offer("ml.c5.xlarge", "0.0000000000"),
        offer("ml.c5.xlarge", "0.0100000000", unit="GB"),
        offer("ml.m5.4xlarge", "1.1000000000", usage="EU-Processing_DW:ml.m5.4xlarge"),
    ]
    price_list.add_response("get_products", first, asked("eu-west-1"))
    price_list.add_response("get_products", {"PriceList": more}, asked("eu-west-1", "t"))
    price_list.add_response("get_products", {"PriceList": [offer("ml.m5.xlarge", "0.23")]}, asked("us-east-1"))
    code, out, err = assay("prices", "--region", "us-east-1", "--region", "eu-west-1")
    assert (code, err) == (0, "")
    table = Prices.model_validate_json(TABLE.read_bytes())
    assert table.usd_per_hour == {
        "eu-west-1": {"ml.c5.xlarge": 0.23, "ml.m5.xlarge": 0.257},
        "us-east-1": {"ml.m5.xlarge": 0.23},
    }
    assert table.as_of == datetime.now(UTC).date()
    assert table.source == "AWS Price List Query API: AmazonSageMaker, component Processing, on demand"
    assert "eu-west-1: 2 instance types, $0.23 to $0.257 an hour\n" in out
    price_list.assert_no_pending_responses()


def test_an_instance_with_two_prices_is_left_out_and_named(assay: Assay, price_list: Stubber) -> None:
    lines = [offer("ml.a", "0.2"), offer("ml.b", "0.3"), offer("ml.a", "0.1"), offer("ml.b", "0.3")]
    price_list.add_response("get_products", {"PriceList": lines}, asked("us-east-1"))
    _, out, _ = assay("prices", "--region", "us-east-1")
    assert "us-east-1: 1 instance type, $0.3 to $0.3 an hour\n" in out
    assert "us-east-1: left out ml.a, as AWS names several prices: $0.1, $0.2\n" in out
    assert Prices.model_validate_json(TABLE.read_bytes()).usd_per_hour == {"us-east-1": {"ml.b": 0.3}}


def test_a_region_that_is_no_longer_in_the_table_is_said(assay: Assay, price_list: Stubber) -> None:
    old = Prices(as_of=datetime(2026, 1, 1, tzinfo=UTC).date(), source="by hand", usd_per_hour={"eu-north-1": {"x": 1}})
    TABLE.write_text(old.to_json())
    price_list.add_response("get_products", {"PriceList": [offer("ml.m5.xlarge", "0.23")]}, asked("us-east-1"))
    _, out, _ = assay("prices", "--region", "us-east-1")
    assert "eu-north-1: no longer in it, as the table is of one day" in out
    assert set(Prices.model_validate_json(TABLE.read_bytes()).usd_per_hour) == {"us-east-1"}


def test_the_table_can_be_printed(assay: Assay, price_list: Stubber) -> None:
    price_list.add_response("get_products", {"PriceList": [offer("ml.m5.xlarge", "0.23")]}, asked("us-east-1"))
    code, out, _ = assay("prices", "--region", "us-east-1", "--output", "-")
    assert code == 0
    assert Prices.model_validate_json(out).usd_per_hour == {"us-east-1": {"ml.m5.xlarge": 0.23}}
    assert not TABLE.exists()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ([], "AWS's Price List has no processing instances in eu-west-9; expected a region such as eu-west-1"),
        (['{"product": {}}'], "AWS's Price List of eu-west-9: not as expected: product.attributes: Field required"),
    ],
)
def test_an_answer_that_is_no_price_leaves_the_table_as_it_is(
    assay: Assay, price_list: Stubber, lines: list[str], sentence: str
) -> None:
    TABLE.write_text("as it was")
    price_list.add_response("get_products", {"PriceList": lines}, asked("eu-west-9"))
    code, _, err = assay("prices", "--region", "eu-west-9")
    assert (code, err.count("\n")) == (2, 1)
    assert sentence in err
    assert TABLE.read_text() == "as it was"


def test_without_permission_it_names_the_action(assay: Assay, price_list: Stubber) -> None:
    message = "User: arn:aws:iam::1:user/ann is not authorized to perform: pricing:GetProducts"
    price_list.add_client_error("get_products", "AccessDeniedException", message)
    code, _, err = assay("prices", "--region", "eu-west-1")
    assert (code, err) == (
        2,
        f"assay: access denied: pricing:GetProducts on AWS's Price List of eu-west-1: {message}\n",
    )


def test_without_credentials_it_says_so(assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    code, _, err = assay("prices", "--region", "eu-west-1", "--output", "-")
    assert code == 2
    assert err.startswith("assay: AWS's Price List of eu-west-1: no AWS credentials were found; log in")
    code, _, err = assay("prices", "--output", "-")
    assert (code, "which region? Say it with --region" in err) == (2, True)


def test_outside_of_a_checkout_it_asks_where(assay: Assay, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = assay("prices", "--region", "eu-west-1")
    assert code == 2
    assert "there is no such folder; run it in the checkout that you deploy from, or say where with --output" in err
