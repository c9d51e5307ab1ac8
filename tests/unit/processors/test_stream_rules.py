"""Every field of a stream has its limits, and a refusal that names it."""

import pytest
from msgspec import UNSET

from processors import stream_rules as rules
from schema.errors import ErrorCode, EsbError
from schema.stream import Retention
from schema.stream_input import RetentionInput


@pytest.mark.parametrize("name", ["a", "user-events", "0", "a.b_c-d", "x" * 128])
def test_names_that_can_be(name: str) -> None:
    rules.check_name(name, "stream_name")


@pytest.mark.parametrize(
    "name", ["", "A", "-a", ".a", "_a", "a b", "a/b", "a\n", "ä", "a" * 129, "a\0", "a%2f", "..", "a*", "a,b"]
)
def test_names_that_cannot_be_are_refused_by_field(name: str) -> None:
    with pytest.raises(EsbError) as refused:
        rules.check_name(name, "stream_name")
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.details == {"field": "stream_name"}


@pytest.mark.parametrize("topic", ["apg.user.events", "A_b-1", "x" * 184])
def test_topics_that_kafka_takes(topic: str) -> None:
    rules.check_topic(topic)


@pytest.mark.parametrize("topic", ["", ".", "..", "a b", "a/b", "ä", "x" * 185, "a\n", "a:b"])
def test_topics_that_kafka_refuses(topic: str) -> None:
    with pytest.raises(EsbError) as refused:
        rules.check_topic(topic)
    assert refused.value.details == {"field": "topic_name"}


def test_the_longest_tenant_and_topic_fit_kafkas_limit() -> None:
    assert len("t" * 64 + "." + "x" * 184) == 249


def test_a_retention_changes_only_where_something_is_said() -> None:
    now = Retention(time_ms=1000, size_bytes=2000)
    assert rules.retention(UNSET, now) == now
    assert rules.retention(RetentionInput(), now) == now
    assert rules.retention(RetentionInput(time_ms=5), now) == Retention(time_ms=5, size_bytes=2000)
    assert rules.retention(RetentionInput(size_bytes=None), now) == Retention(time_ms=1000)
    assert rules.retention(None, now) == Retention()


@pytest.mark.parametrize("value", [0, -1, 2**53])
def test_a_retention_out_of_range_is_refused_by_field(value: int) -> None:
    with pytest.raises(EsbError) as refused:
        rules.retention(RetentionInput(size_bytes=value), Retention())
    assert refused.value.details == {"field": "retention_policy.size_bytes"}


def test_patterns_stand_once_and_a_wrong_one_is_named() -> None:
    assert rules.patterns(["user.*", "order.**", "user.*"]) == ("user.*", "order.**")
    with pytest.raises(EsbError, match=r"event_patterns\[1\]") as refused:
        rules.patterns(["user.*", "order.x*"])
    assert refused.value.details is not None
    assert refused.value.details["field"] == "event_patterns"
    with pytest.raises(EsbError, match="at most 100"):
        rules.patterns([f"a.b{n}" for n in range(101)])
