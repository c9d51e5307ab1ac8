import pytest

from processors.admission.routing import Router
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.stream import Route, Stream, StreamEngine
from tests.unit.processors.admission.events import event


def stream(key: int, name: str, *patterns: str) -> Stream:
    return Stream(
        key=key,
        tenant="t",
        stream_id=f"str_{key}",
        stream_name=name,
        topic_name=name,
        engine=StreamEngine.LEDGER,
        event_patterns=patterns,
    )


def route(name: str, to: str, where: dict[str, object], priority: int = 0) -> Route:
    return Route(route_id=name, tenant="t", name=name, stream=to, where=where, priority=priority)


def taken(router: Router, event_type: str, named: str | None = None, made: Event | None = None) -> str:
    def look() -> Event:
        assert made is not None, "the event was looked into without need"
        return made

    return router.route(named, event_type, look).stream.stream_name


def test_a_named_stream_wins_and_must_exist():
    router = Router([stream(1, "a", "x.*"), stream(2, "b")], [])
    assert taken(router, "x.y", named="b") == "b"
    with pytest.raises(EsbError) as refused:
        taken(router, "x.y", named="c")
    assert refused.value.code is ErrorCode.UNKNOWN_STREAM


def test_the_most_literal_pattern_wins_then_the_oldest_stream():
    router = Router(
        [
            stream(4, "late", "order.*"),
            stream(3, "old", "order.*"),
            stream(2, "all", "**"),
            stream(5, "one", "order.paid"),
        ],
        [],
    )
    assert taken(router, "order.paid") == "one"
    assert taken(router, "order.made") == "old"
    assert taken(router, "order.item.added") == "all"


def test_routes_are_asked_by_priority_after_patterns():
    big = {"payload": [{"path": "amount", "gt": 100}]}
    router = Router(
        [stream(1, "orders", "order.*"), stream(2, "big"), stream(3, "rest"), stream(4, "pay-events")],
        [route("r1", "rest", {"eventType": {"pattern": "pay.**"}}, 1), route("r2", "big", big, 9)],
    )
    assert taken(router, "order.made", made=event(amount=1000)) == "orders"
    assert taken(router, "pay.done", made=event("pay.done", amount=1000)) == "big"
    assert taken(router, "pay.done", made=event("pay.done", amount=1)) == "rest"


def test_a_route_to_a_deleted_stream_is_passed_over():
    router = Router([stream(4, "pay-events")], [route("r1", "gone", {"eventType": {"pattern": "pay.**"}})])
    assert taken(router, "pay.done", made=event("pay.done")) == "pay-events"


def test_the_first_segment_names_the_default_and_without_it_the_stream_is_unknown():
    router = Router([stream(1, "user-events")], [])
    assert taken(router, "user.created") == "user-events"
    assert taken(router, "user") == "user-events"
    with pytest.raises(EsbError) as refused:
        taken(router, "users.created")
    assert refused.value.code is ErrorCode.UNKNOWN_STREAM


def test_the_reason_is_said():
    router = Router([stream(1, "orders", "order.*")], [])
    assert "order.*" in router.route(None, "order.made", lambda: event()).why
