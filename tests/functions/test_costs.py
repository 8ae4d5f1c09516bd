"""What a run cost: by its jobs' own times and the table of prices; what has no price says so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from assay.events import Upload
from assay.names import Stage
from assay.summary import Costs, JobTime, Spent, Summary
from assay_aws.prices import NO_PRICES, Prices, known_prices
from publish_summary.costs import costs
from publish_summary.notice import costs_in_words

BEGAN = datetime(2026, 11, 12, 8, 20, tzinfo=UTC)
TABLE = Prices(
    as_of=date(2026, 11, 1), source="a test", usd_per_hour={"eu-west-1": {"ml.a.large": 0.36, "ml.b.large": 7.2}}
)


def job(stage: Stage, seconds: float | None, instance_type: str = "ml.a.large") -> JobTime:
    return JobTime(
        name=stage,
        stage=stage,
        status="Completed",
        instance_type=instance_type,
        started_at=BEGAN,
        ended_at=None if seconds is None else BEGAN + timedelta(seconds=seconds),
    )


def said(found: Costs, **fields: str) -> str:
    upload = Upload(bucket="b", key="models/m/model.tar.gz", version="v")
    summary = Summary.model_validate(
        {"run": "r", "model": "m", "upload": upload, "verdict": "pass", "headline": "", "costs": found, **fields}
    )
    return costs_in_words(found, summary)


JOBS = (job("evaluation", 100), job("explanation", 50, "ml.b.large"))


def test_each_stage_and_the_total_have_their_price() -> None:
    found = costs(JOBS, (job("evaluation", 1000),), (job("evaluation", 500),), "eu-west-1", TABLE)
    assert found is not None
    assert found.evaluation == Spent(seconds=100, usd=0.01)
    assert found.explanation == Spent(seconds=50, usd=0.1)
    assert found.total == Spent(seconds=150, usd=0.11)
    assert found.champion == Spent(seconds=1000, usd=0.1)
    assert (found.prices_of, found.unpriced) == (date(2026, 11, 1), ())
    assert found.previous == Spent(seconds=500, usd=0.05)


def test_the_last_run_and_the_champions_stand_beside_each_once() -> None:

    def told(**others: str) -> str:
        champions = (job("evaluation", 1000),) if "champion" in others else ()
        previous = (job("evaluation", 500),) if "previous" in others else ()
        found = costs(JOBS, champions, previous, "eu-west-1", TABLE)
        assert found is not None
        return said(found, **others)

    ours = "2 min, $0.110 (evaluation $0.010, explanation $0.100)"
    assert told() == ours
    assert told(champion="c") == f"{ours}; the champion's run 17 min, $0.100"
    assert told(previous="p") == f"{ours}; the last run 8 min, $0.050"
    assert told(champion="c", previous="p") == f"{ours}; the last run 8 min, $0.050; the champion's run 17 min, $0.100"
    assert told(champion="c", previous="c") == f"{ours}; the last run, which is the champion's, 17 min, $0.100"


def test_what_has_no_price_is_named_and_nothing_is_made_up() -> None:
    found = costs((*JOBS[:1], job("explanation", 50, "ml.c.large")), (), (), "eu-west-1", TABLE)
    assert found is not None
    assert found.evaluation == Spent(seconds=100, usd=0.01)
    assert (found.explanation, found.total) == (Spent(seconds=50), Spent(seconds=150))
    assert found.unpriced == ("ml.c.large in eu-west-1",)
    assert said(found) == "2 min; no price is known of ml.c.large in eu-west-1"
    elsewhere = costs(JOBS[:1], (), (), "us-east-1", TABLE)
    assert elsewhere is not None
    assert elsewhere.unpriced == ("ml.a.large in us-east-1",)
    without = costs(JOBS[:1], (), (), "us-east-1", NO_PRICES)
    assert without is not None
    assert (without.unpriced, said(without)) == (elsewhere.unpriced, "2 min")


@pytest.mark.parametrize("jobs", [(), (job("evaluation", None),)])
def test_what_never_ran_cost_nothing(jobs: tuple[JobTime, ...]) -> None:
    assert costs(jobs, JOBS, JOBS, "eu-west-1", TABLE) is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(45, "45 s, $0.004"), (59.7, "1 min, $0.006"), (12_000, "3 h 20 min, $1.20"), (1, "1 s, below $0.001")],
)
def test_time_and_money_are_said_as_people_say_them(seconds: float, words: str) -> None:
    found = costs((job("evaluation", seconds),), (), (), "eu-west-1", TABLE)
    assert found is not None
    assert said(found) == words


def test_the_table_can_be_read_and_prices_are_dated() -> None:
    assert known_prices().source
    with pytest.raises(ValidationError, match="prices without as_of"):
        Prices(source="somewhere", usd_per_hour={"eu-west-1": {"ml.a.large": 1}})
    with pytest.raises(ValidationError):
        Prices(as_of=date(2026, 1, 1), source="somewhere", usd_per_hour={"eu-west-1": {"ml.a.large": 0}})
    assert NO_PRICES.usd_per_hour == {}
