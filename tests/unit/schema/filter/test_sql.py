from typing import Any

import pytest

from schema.filter.sql import compile_sql
from schema.filter.typed import parse_filter


def sql(document: dict[str, Any], *before: Any) -> tuple[str, bool, list[Any]]:
    parameters = list(before)
    compiled = compile_sql(parse_filter(document), parameters)
    return compiled.text, compiled.exact, parameters


@pytest.mark.parametrize(
    ("document", "text", "constants"),
    [
        ({}, "TRUE", []),
        ({"or": []}, "FALSE", []),
        ({"aggregateId": {"eq": "o1"}}, "e.aggregate_id = $1::text", ["o1"]),
        ({"eventType": {"in": ["b", "a"]}}, "e.event_type = ANY($1::text[])", [["a", "b"]]),
        ({"eventType": {"startsWith": "ab"}}, "(e.event_type >= $1::text AND e.event_type < $2::text)", ["ab", "ac"]),
        (
            {"eventType": {"startsWith": "a\ud7ff"}},
            "(e.event_type >= $1::text AND e.event_type < $2::text)",
            ["a\ud7ff", "a\ue000"],
        ),
        ({"eventType": {"startsWith": "\U0010ffff"}}, "e.event_type >= $1::text", ["\U0010ffff"]),
        (
            {"eventType": {"pattern": "order.*"}},
            "(e.event_type >= $1::text AND e.event_type < $2::text AND ('.' || e.event_type) ~ $3::text)",
            ["order", "order/", r"^(?:\.order\.[^.]*)$"],
        ),
        ({"not": {"userId": {"exists": True}, "aggregateId": {"exists": False}}}, None, None),
        ({"sequenceNumber": {"gt": 3}}, "e.sequence_number > $1::bigint", [3]),
        ({"payload": [{"path": "a", "eq": "x"}]}, None, [["payload", "a"], '"x"']),
    ],
)
def test_columns_stay_bare_constants_travel_apart(document: dict[str, Any], text: str | None, constants: Any) -> None:
    written, exact, parameters = sql(document)
    assert exact
    assert text is None or written == text
    assert constants is None or parameters == constants


def test_parameters_go_on_after_those_already_there() -> None:
    text, _, parameters = sql({"eventType": {"eq": "x"}, "aggregateId": {"eq": "y"}}, 41, 42)
    assert text == "(e.aggregate_id = $3::text AND e.event_type = $4::text)"
    assert parameters == [41, 42, "y", "x"]


def test_the_body_is_parsed_once_and_only_where_needed() -> None:
    text, _, _ = sql({"eventType": {"eq": "x"}, "payload": [{"path": "a", "gt": 1}, {"path": "b", "lt": 1}]})
    assert text.count("::jsonb AS d") == 1
    assert text.startswith("(e.event_type = $1::text AND (SELECT ")


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"expression": "event.payload.a > event.payload.b"}, "TRUE"),
        ({"eventType": {"eq": "x"}, "expression": "event.payload.a / 2 == 1"}, "e.event_type = $1::text"),
        ({"not": {"payload": [{"path": "a", "gt": 2**53 + 1}]}}, None),
        ({"payload": [{"path": "a", "eq": [1]}]}, None),
    ],
)
def test_what_sql_cannot_say_alike_is_left_to_python(document: dict[str, Any], text: str | None) -> None:
    written, exact, parameters = sql(document)
    assert not exact
    assert text is None or written == text
    for number in range(1, len(parameters) + 1):
        assert f"${number}::" in written


def test_no_caller_text_reaches_the_statement() -> None:
    trap = "x') OR TRUE; DROP TABLE events; --$1"
    documents: list[dict[str, Any]] = [
        {"eventType": {"eq": trap, "startsWith": trap}},
        {"payload": [{"path": trap.replace(".", ""), "eq": trap, "contains": trap, "in": [trap, [trap, 1]]}]},
        {"expression": f'event.payload["{trap}"].startsWith("{trap}") || "{trap}" in event.metadata'},
        {"eventType": {"pattern": "x'); DROP.*"}},
    ]
    for document in documents:
        text, _, _ = sql(document)
        assert "DROP" not in text
