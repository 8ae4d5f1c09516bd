"""What an explanation may cost, `explain.max_cost`, as time: its instance's price is known, so money buys seconds."""

from __future__ import annotations

from collections.abc import Sequence

from assay.errors import BadPolicy
from assay.run import Run
from assay_aws.jobs import DescribedJob
from assay_aws.prices import Prices, known_prices
from assay_aws.settings import ExplanationSettings

SECONDS_PER_HOUR = 3600
LEAST_SECONDS = 120
"""Less is over before a job has fetched its image and loaded its model."""
FOR_ATTRIBUTIONS = 0.75
"""The share of a job's time after which no further sample is begun; the rest is for its start, partial dependence and
the reports. What is not done at the end of all of it is stopped."""


def within_budget(
    run: Run,
    instance_type: str,
    evaluation: DescribedJob,
    former: Sequence[DescribedJob],
    settings: ExplanationSettings,
) -> tuple[ExplanationSettings, float | None]:
    """The settings with the time that `explain.max_cost` has left, and the seconds after which no sample is begun.

    On a laptop nothing costs anything, so nothing is bounded.

    Raises:
        BadPolicy: a price is not known, or what is left buys no job.
    """
    if run.policy is None or run.policy.explain.max_cost is None or evaluation.is_on_a_laptop:
        return settings, None
    seconds = seconds_for(run.policy.explain.max_cost, instance_type, evaluation.region, known_prices(), former)
    limit = min(seconds, settings.job_time_limit_seconds)
    return settings.model_copy(update={"job_time_limit_seconds": limit}), FOR_ATTRIBUTIONS * limit


def seconds_for(
    max_cost: str, instance_type: str, region: str, prices: Prices, former: Sequence[DescribedJob] = ()
) -> int:
    """How long the next attempt at an explanation may take.

    Args:
        max_cost: of all attempts, `5 USD`.
        instance_type: of the next.
        region: where they run.
        prices: of all regions.
        former: the attempts before it.

    Raises:
        BadPolicy: a price is not known, or what is left buys no job.
    """
    usd_per_hour = prices.usd_per_hour.get(region, {})
    for needed in [instance_type, *(job.instance_type for job in former)]:
        if needed not in usd_per_hour:
            raise BadPolicy(
                f"explain.max_cost: nothing is explained, as no price is known of {needed} in {region or 'this region'}"
                "; `assay prices` reads AWS's, and the next deployment takes them along"
            )
    money = float(max_cost.removesuffix(" USD"))
    spent = sum(job.seconds * usd_per_hour[job.instance_type] for job in former) / SECONDS_PER_HOUR
    seconds = int((money - spent) / usd_per_hour[instance_type] * SECONDS_PER_HOUR)
    if seconds < LEAST_SECONDS:
        before = f" after ${spent:.4g} for attempts before" if former else ""
        raise BadPolicy(
            f"explain.max_cost: {max_cost} buy {max(seconds, 0)} s of {instance_type} in {region}{before}, "
            f"a job needs at least {LEAST_SECONDS} s"
        )
    return seconds
