from typing import Any

import pytest

from schema.filter.normal import fingerprint
from schema.filter.python import compile_filter
from schema.filter.typed import parse_filter


def print_of(document: dict[str, Any]) -> bytes:
    return fingerprint(parse_filter(document))


A: dict[str, Any] = {"eventType": {"eq": "a"}}
B: dict[str, Any] = {"payload": [{"path": "x", "gt": 1}]}


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"and": [A, B]}, {"and": [B, A, A]}),
        ({**A, **B}, {"and": [A, {"and": [B]}]}),
        ({"not": {"not": A}}, A),
        ({"not": {"and": [A, B]}}, {"or": [{"not": A}, {"not": B}]}),
        ({"and": [A, {"or": []}]}, {"or": []}),
        ({"or": [A, {}]}, {}),
        ({"eventType": {"in": ["a"]}}, A),
        ({"eventType": {"in": ["b", "a", "b"]}}, {"eventType": {"in": ["a", "b"]}}),
        ({"eventType": {"pattern": "a"}}, A),
        ({"eventType": {"pattern": "**"}}, {"eventType": {"exists": True}}),
        ({"expression": "event.event_type == 'a'"}, A),
        ({"expression": " ( 'a' )==event.event_type "}, A),
        ({"expression": "event.payload.x > 1 && event.event_type == 'a'"}, {**A, **B}),
        ({"expression": "!(event.payload.x == 1)"}, {"payload": [{"path": "x", "ne": 1.0}]}),
        ({"expression": "event.payload.x+1 > 2"}, {"expression": "(event.payload.x + 1) > 2"}),
    ],
)
def test_one_meaning_has_one_fingerprint(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert print_of(left) == print_of(right)
    assert compile_filter(parse_filter(left)) is compile_filter(parse_filter(right))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"payload": [{"path": "x", "eq": 1}]}, {"payload": [{"path": "x", "eq": True}]}),
        ({"payload": [{"path": "x", "eq": 0}]}, {"payload": [{"path": "x", "eq": False}]}),
        ({"payload": [{"path": "x", "eq": "1"}]}, {"payload": [{"path": "x", "eq": 1}]}),
        ({"payload": [{"path": "x.y", "eq": 1}]}, {"expression": "event.payload['x.y'] == 1"}),
        ({"expression": "event.payload.x / 2 == 1"}, {"expression": "event.payload.x / 2.0 == 1"}),
        (
            {"expression": "event.payload.x == [timestamp('2026-01-01T00:00:00Z')]"},
            {"expression": "event.payload.x == ['2026-01-01T00:00:00+00:00']"},
        ),
        ({"payload": [{"path": "x", "eq": 2**53 + 1}]}, {"payload": [{"path": "x", "eq": 2.0**53}]}),
    ],
)
def test_other_meanings_have_other_fingerprints(left: dict[str, Any], right: dict[str, Any]) -> None:
    assert print_of(left) != print_of(right)
    assert compile_filter(parse_filter(left)) is not compile_filter(parse_filter(right))
