import json
import math

import pytest
from pydantic import ValidationError

from assay.evaluation import Metric


def test_zero_is_a_value_and_not_a_missing_one() -> None:
    assert Metric(value=0.0).value == 0.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_nan_and_no_infinity_reach_a_file(value: float) -> None:
    with pytest.raises(ValidationError):
        Metric(value=value)


def test_a_metric_without_a_value_says_why() -> None:
    with pytest.raises(ValidationError, match="the reason why it has none"):
        Metric()
    assert json.loads(Metric(reason="only one class").to_json())["reason"] == "only one class"
