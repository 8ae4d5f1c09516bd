from __future__ import annotations

from evaluator.speed import CALLS, SECONDS, speed_of


class Clock:
    """Moves when the model is asked."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.calls, self._seconds = 0.0, 0, seconds

    def ask(self) -> None:
        self.now += self._seconds[min(self.calls, len(self._seconds) - 1)]
        self.calls += 1

    def __call__(self) -> float:
        return self.now


def test_the_rate_and_the_latency_of_a_single_sample() -> None:
    clock = Clock(9.0, *[0.001] * 47, 0.02, 0.02, 0.02)  # the first call prepares, and does not count
    speed = speed_of("images", 300, 1.5, clock.ask, clock)
    assert (speed.per_second, speed.unit, clock.calls) == (200.0, "images", 1 + CALLS)
    assert (speed.latency_p50_ms, speed.latency_p95_ms) == (1.0, 11.45)  # linear between the 47th and the 48th of 50


def test_a_slow_model_is_asked_for_two_seconds_and_at_least_once() -> None:
    clock = Clock(0.3)
    assert speed_of("rows", 1, 1.0, clock.ask, clock).latency_p50_ms == 300
    assert clock.calls == 1 + 7
    clock = Clock(10 * SECONDS)
    assert speed_of("rows", 1, 1.0, clock.ask, clock).latency_p95_ms == 20_000
    assert clock.calls == 1 + 1


def test_without_a_sample_to_ask_about_there_is_no_latency() -> None:
    speed = speed_of("texts", 5, 2.0)
    assert (speed.per_second, speed.latency_p50_ms, speed.latency_p95_ms) == (2.5, None, None)
    assert speed_of("texts", 5, 0.0).per_second > 0
