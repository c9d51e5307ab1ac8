"""When events of a replay are due."""

from datetime import UTC, datetime, timedelta

import pytest

from processors.replays.pace import Pace

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def test_without_a_speed_everything_is_due_at_once() -> None:
    pace = Pace(0, None, 100.0)
    assert [pace.due(after(n)) for n in (0, 10, -10, 10**6)] == [100.0] * 4


@pytest.mark.parametrize(("speed", "expected"), [(1, [100, 110, 160]), (10, [100, 101, 106]), (0.5, [100, 120, 220])])
def test_events_are_as_far_apart_as_they_happened_at_the_speed(speed: float, expected: list[float]) -> None:
    pace = Pace(speed, None, 100.0)
    assert [pace.due(after(n)) for n in (0, 10, 60)] == expected


def test_what_happened_before_an_earlier_event_is_due_at_once_and_sets_no_clock_back() -> None:
    pace = Pace(1, None, 100.0)
    for seconds in (0, 10, 5):
        pace.due(after(seconds))
        pace.passed(after(seconds))
    assert pace.clock == after(10).timestamp()
    assert pace.due(after(-50)) == 100.0


def test_a_replay_that_went_on_counts_from_where_it_was_not_from_when() -> None:
    pace = Pace(2, after(10).timestamp(), 1000.0)
    assert pace.due(after(10)) == 1000.0
    assert pace.due(after(30)) == 1010.0
