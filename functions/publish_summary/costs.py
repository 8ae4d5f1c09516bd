"""What a run's jobs cost, by their own start and end and the table of prices."""

from __future__ import annotations

from collections.abc import Sequence

from assay.summary import Costs, JobTime, Spent
from assay_aws.prices import Prices

SECONDS_PER_HOUR = 3600


def costs(
    jobs: Sequence[JobTime], champions: Sequence[JobTime], previous: Sequence[JobTime], region: str, prices: Prices
) -> Costs | None:
    """Each stage's, the total, the champion's total and that of the last run; None where no job of ours ran.

    Other runs' jobs are counted at the same prices, so that a difference is not that of two price tables.
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
        previous=spent(previous, usd_per_hour),
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
