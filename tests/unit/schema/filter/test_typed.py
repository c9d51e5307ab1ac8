from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from schema.errors import ErrorCode, EsbError
from schema.event import Envelope, Event, decode_body, encode_body
from schema.filter.document import to_document
from schema.filter.normal import fingerprint
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter


def event(payload: Any = None, **fields: Any) -> Event:
    values: dict[str, Any] = {
        "event_id": "evt_1",
        "event_type": "order.item.added",
        "event_version": "1.0",
        "source_capability": None,
        "aggregate_id": "o1",
        "aggregate_type": "Order",
        "timestamp": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "correlation_id": None,
        "causation_id": None,
        "tenant_id": "acme",
        "user_id": None,
        "schema_version": None,
    }
    documents = {"metadata": msgspec.Raw(b"{}"), "payload": msgspec.Raw(msgspec.json.encode(payload))}
    return decode_body(encode_body(Envelope(**{**values, **fields}, **documents)))


def matches(document: dict[str, Any], payload: Any = None, **fields: Any) -> bool:
    return compile_filter(parse_filter(document))(event(payload, **fields))


def test_nothing_asked_is_everything() -> None:
    assert matches({})
    assert matches({"and": []})
    assert not matches({"or": []})
    assert not matches({"not": {}})


def test_both_spellings_mean_the_same() -> None:
    camel = {"eventType": {"startsWith": "order"}, "aggregateId": {"eq": "o1"}}
    snake = {"event_type": {"starts_with": "order"}, "aggregate_id": {"eq": "o1"}}
    assert fingerprint(parse_filter(camel)) == fingerprint(parse_filter(snake))
    assert matches(camel)


def test_a_missing_value_fails_every_leaf_ne_included() -> None:
    assert not matches({"userId": {"ne": "x"}})
    assert matches({"not": {"userId": {"ne": "x"}}})
    assert matches({"userId": {"exists": False}})
    assert not matches({"payload": [{"path": "a", "ne": 1}]}, {})
    assert not matches({"payload": [{"path": "a.b", "exists": True}]}, {"a": 1})


def test_null_in_a_document_is_a_value() -> None:
    assert matches({"payload": [{"path": "a", "eq": None}]}, {"a": None})
    assert matches({"payload": [{"path": "a", "ne": 1}]}, {"a": None})
    assert matches({"payload": [{"path": "a", "exists": True}]}, {"a": None})
    assert not matches({"payload": [{"path": "a", "eq": None}]}, {})
    assert matches({"payload": [{"path": "a", "contains": None}]}, {"a": [None]})


@pytest.mark.parametrize(
    ("match", "value", "expected"),
    [
        ({"eq": 1}, 1.0, True),
        ({"eq": 1}, True, False),
        ({"eq": 0}, False, False),
        ({"eq": True}, 1, False),
        ({"in": [0, 2]}, False, False),
        ({"in": ["a", 1]}, True, False),
        ({"eq": [1, {"a": True}]}, [1.0, {"a": True}], True),
        ({"eq": [True]}, [1], False),
        ({"gt": 5}, "9", False),
        ({"gt": "5"}, 9, False),
        ({"gte": 0}, True, False),
        ({"lt": "b"}, "a", True),
        ({"lt": "a"}, "Z", True),
        ({"gt": "\uffff"}, "\U0001f600", True),  # by code point; UTF-16 would say no
        ({"eq": 2**53 + 1}, 2**53, False),
        ({"gt": 2**53}, 2**53 + 1, True),
        ({"contains": "b"}, "abc", True),
        ({"contains": "b"}, ["a", "b"], True),
        ({"contains": 1}, [True], False),
        ({"contains": "b"}, {"b": 1}, False),
        ({"startsWith": "a"}, ["a"], False),
        ({"gt": 1, "lt": 3}, 2, True),
        ({"gt": 1, "lt": 3}, 3, False),
    ],
)
def test_values_compare_by_type_and_value(match: dict[str, Any], value: Any, expected: bool) -> None:
    assert matches({"payload": [{"path": "x", **match}]}, {"x": value}) is expected


def test_paths_walk_objects_and_lists() -> None:
    items = {"items": [{"sku": "a"}, {"sku": "b"}], "0": "zero", "01": "key"}
    assert matches({"payload": [{"path": "items.1.sku", "eq": "b"}]}, items)
    assert matches({"payload": [{"path": "0", "eq": "zero"}]}, items)
    assert not matches({"payload": [{"path": "items.2", "exists": True}]}, items)
    assert not matches({"payload": [{"path": "items.-1", "exists": True}]}, items)
    assert not matches({"payload": [{"path": "items.01", "exists": True}]}, items)


def test_times_compare_as_moments() -> None:
    assert matches({"timestamp": {"gte": "2026-01-01T13:00:00+01:00", "lt": "2026-01-01T12:00:00.000001Z"}})
    assert not matches({"timestamp": {"gt": "2026-01-01T12:00:00Z"}})


@pytest.mark.parametrize(
    ("document", "path", "problem"),
    [
        ({"evenType": {"eq": "x"}}, "where", "did you mean 'eventType'"),
        ({"eventType": {"eq": 5}}, "where.eventType.eq", "a text"),
        ({"eventType": {}}, "where.eventType", "at least one"),
        ({"eventType": {"eq": None}}, "where.eventType", "at least one"),
        ({"eventType": {"pattern": "user*"}}, "where.eventType.pattern", "stand alone"),
        ({"eventType": {"eq": "a"}, "event_type": {"eq": "a"}}, "where", "twice"),
        ({"eventType": {"eq": "\0"}}, "where.eventType.eq", "U+0000"),
        ({"eventType": {"gt": "a"}}, "where.eventType", "unknown key"),
        ({"sequenceNumber": {"gt": 1.5}}, "where.sequenceNumber.gt", "whole number"),
        ({"sequenceNumber": {"gt": 2**53}}, "where.sequenceNumber.gt", "whole number"),
        ({"sequenceNumber": {"eq": True}}, "where.sequenceNumber.eq", "whole number"),
        ({"timestamp": {"gt": "yesterday"}}, "where.timestamp.gt", "a time"),
        ({"timestamp": {"gt": "2026-01-01T00:00:00"}}, "where.timestamp.gt", "a time"),
        ({"payload": [{"path": "a"}]}, "where.payload[0]", "at least one"),
        ({"payload": [{"path": "a..b", "eq": 1}]}, "where.payload[0].path", "between dots"),
        ({"payload": [{"path": "a", "gt": True}]}, "where.payload[0].gt", "order"),
        ({"payload": [{"path": "a", "eq": float("nan")}]}, "where.payload[0].eq", "finite"),
        ({"payload": [{"path": "a", "eq": 2**63}]}, "where.payload[0].eq", "2^63"),
        ({"payload": [{"path": "a", "in": 1}]}, "where.payload[0].in", "a list"),
        ({"and": [{}, {"or": {"eq": 1}}]}, "where.and[1].or", "a list"),
        ({"expression": "event.payload.("}, "where.expression", "character 15"),
        ({"expression": "1 + 2"}, "where.expression", "never true"),
        ({"eventId": {"in": ["x"] * 1001}}, "where.eventId.in", "at most 1000"),
        ({"and": [{"eventId": {"eq": "x"}}] * 257}, "where.and", "at most 256"),
        ({"or": [{"and": [{"eventId": {"eq": "x"}}] * 100}] * 3}, "where.or[2].and[56].eventId", "at most 256"),
        ([], "where", "an object"),
    ],
)
def test_what_means_nothing_is_refused_by_path(document: Any, path: str, problem: str) -> None:
    with pytest.raises(EsbError) as refused:
        parse_filter(document)
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert refused.value.details is not None
    assert refused.value.details["path"] == path
    assert problem in refused.value.message


def test_a_document_is_read_back_with_the_same_meaning() -> None:
    document = {
        "and": [
            {"eventType": {"in": ["a", "b"]}},
            {"timestamp": {"lt": "2026-01-01T00:00:00+01:00"}},
            {"or": [{"payload": [{"path": "a.0", "eq": None}]}, {"not": {"expression": "event.payload.x > 1"}}]},
        ],
        "userId": {"exists": False},
    }
    where = parse_filter(document)
    shown = to_document(where)
    assert fingerprint(parse_filter(shown)) == fingerprint(where)
    assert parse_filter(msgspec.json.decode(msgspec.json.encode(shown))) == where
