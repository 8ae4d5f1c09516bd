"""What a run's jobs cost, by their own start and end and the table of prices beside this file."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from assay.base import Record
from assay.summary import Costs, JobTime, Spent

SECONDS_PER_HOUR = 3600


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


def costs(jobs: Sequence[JobTime], champions: Sequence[JobTime], region: str, prices: Prices) -> Costs | None:
    """Each stage's, the total, and the champion's total; None where no job of ours ran.

    The champion's jobs are counted at the same prices, so that a difference is not that of two price tables.
    """
    usd_per_hour = prices.usd_per_hour.get(region, {})
    ran = [job for job in jobs if job.seconds is not None]
    total = spent(ran, usd_per_hour)
    if total is None:
        return None
    return Costs(
        evaluation=spent([job for job in ran if job.stage == "evaluation"], usd_per_hour),
        explanation=spent([job for job in ran if job.stage == "explanation"], usd_per_hour),
        total=total,
        champion=spent(champions, usd_per_hour),
        prices_of=prices.as_of,
        unpriced=tuple(
            sorted({f"{job.instance_type} in {region}" for job in ran if job.instance_type not in usd_per_hour})
        ),
    )


def spent(jobs: Sequence[JobTime], usd_per_hour: dict[str, float]) -> Spent | None:
    """The sum over jobs, one instance each; None where none ran."""
    ran = [(job.instance_type, job.seconds) for job in jobs if job.seconds is not None]
    if not ran:
        return None
    known = all(instance in usd_per_hour for instance, _ in ran)
    dollars = sum(usd_per_hour[instance] * seconds for instance, seconds in ran) / SECONDS_PER_HOUR if known else None
    return Spent(seconds=sum(seconds for _, seconds in ran), usd=None if dollars is None else round(dollars, 6))
