"""What an hour of a processing instance costs: one table for all, filled by `assay prices`."""

from __future__ import annotations

from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assay.base import Record


class Prices(Record):
    """`prices.json`: on-demand prices of processing instances, as of a day."""

    schema_version: Literal[1] = 1
    as_of: date | None = None
    source: str
    """Where the prices are from, for whoever checks them."""
    usd_per_hour: dict[str, dict[str, Annotated[float, Field(gt=0)]]] = {}
    """Region → instance type → price."""

    @model_validator(mode="after")
    def _are_dated(self) -> Prices:
        if self.usd_per_hour and self.as_of is None:
            raise ValueError("prices without as_of: expected the day that they were read")
        return self


NO_PRICES = Prices(source="none")


@cache
def known_prices() -> Prices:
    return Prices.model_validate_json(Path(__file__).with_name("prices.json").read_bytes())
