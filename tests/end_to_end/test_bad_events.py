"""Every field of a published event, by every way in: what cannot be is refused by its own code, nothing half done."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.api import Api, new_tenant
from tests.end_to_end.refusals import STATUS, graphql_error, problem, tells_nothing_of_insides
from tests.services.gateway import GatewayProcess

PUBLISH = "mutation($e: EventInput!) { publishEvent(event: $e) { eventId } }"
PUBLISH_ALL = """mutation($e: [EventInput!]!, $a: Boolean) {
  publishEvents(events: $e, atomic: $a) { receipts { index } rejections { index code message } } }"""

NO_TEXT: list[Any] = [True, 1.5, [], {}, [1], {"a": 1}]
NO_FREE_TEXT = [*NO_TEXT, "", "a\x00b", "a\nb", "a" * 257]
NO_VERSION = [*NO_TEXT, "", " ", "-1", "1 0", "1" * 65, "é"]
LIKE_ANY = {"aggregate_type": "A", "aggregate_id": "a"}

REFUSED: dict[str, list[Any]] = {
    "event_type": [*NO_TEXT, None, 7, "", " ", ".a", "a.", "a..b", "1a", "a b", "ä", "a" * 256, "a\x00", "a\n"],
    "event_id": [
        *NO_TEXT,
        7,
        "",
        "evt_",
        "evt_1",
        "01J2X3Y4Z5A6B7C8D9E0F1G2H3",
        "evt_01j2x3y4z5a6b7c8d9e0f1g2h3",
        "evt_81J2X3Y4Z5A6B7C8D9E0F1G2H3",
        "evt_01J2X3Y4Z5A6B7C8D9E0F1G2HU",
        "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3\n",
    ],
    "event_version": NO_VERSION,
    "schema_version": NO_VERSION,
    "source_capability": NO_FREE_TEXT,
    "aggregate_id": [*NO_FREE_TEXT, None],
    "aggregate_type": [*NO_TEXT, None, "", " ", "a b", "ä", "a" * 129, "a\x00"],
    "timestamp": [
        *NO_TEXT,
        1700000000,
        "",
        "now",
        "2025-01-26",
        "2025-01-26T10:30:00",
        "2025-13-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00+14:00",
        "2999-01-01T00:00:00Z",
        "2025-01-26T25:00:00Z",
    ],
    "correlation_id": NO_FREE_TEXT,
    "causation_id": NO_FREE_TEXT,
    "user_id": NO_FREE_TEXT,
    "metadata": [True, 1.5, 7, "text", [], [1]],
    "expected_sequence": [True, 1.5, -1, "1", [], {}, 2**63, 10**30],
    "tenant_id": NO_TEXT,
    "stream": NO_TEXT,
    "position": [1],
    "sequence_number": [1],
    "recorded_at": ["2025-01-26T10:30:00Z"],
    "cursor": ["x"],
    "nonsense": [1],
}
OTHER_CODES: list[tuple[str, Any, str]] = [
    ("tenant_id", "another", "FORBIDDEN"),
    ("stream", "nope", "UNKNOWN_STREAM"),
    ("stream", "", "UNKNOWN_STREAM"),
    ("stream", "a\x00b", "UNKNOWN_STREAM"),
    ("event_type", "nowhere.to", "UNKNOWN_STREAM"),
    ("expected_sequence", 5, "SEQUENCE_CONFLICT"),
    ("payload", "x" * 921_600, "PAYLOAD_TOO_LARGE"),
]
REFUSED_DOCUMENTS = {
    "depth": "[" * 200 + "]" * 200,
    "great depth": "[" * 50_000 + "]" * 50_000,
    "surrogate": r'"\ud83d"',
    "NUL": r'{"a": "\u0000"}',
    "NUL in a name": r'{"a\u0000": 1}',
    "infinite": "1e999",
    "infinite integer": "1" * 400,
    "tiny": "1e-20000",
    "NaN": "NaN",
    "unquoted": "{a: 1}",
    "cut off": '{"a": ',
    "not UTF-8": b'"\xff"',
}


@pytest.fixture(scope="module")
def api(gateway: GatewayProcess) -> Iterator[Api]:
    made = Api(gateway, new_tenant("bad"))
    made.create_stream()
    try:
        yield made
        assert made.events() == [], "something that was refused is there"
    finally:
        made.close()


def event(field: str, value: Any) -> dict[str, Any]:
    beside = LIKE_ANY if field.startswith(("aggregate", "expected")) else {}
    return {"event_type": "user.x", "payload": {}, **beside, field: value}


def camel(said: dict[str, Any]) -> dict[str, Any]:
    return {"".join([first, *(rest.title() for rest in more)]): value for (first, *more), value in _parts(said)}


def _parts(said: dict[str, Any]) -> list[tuple[list[str], Any]]:
    return [(name.split("_"), value) for name, value in said.items()]


def codes(api: Api, said: dict[str, Any]) -> set[str]:
    """The codes by which the four ways in refuse one event."""
    found = {problem(api.post("/api/v1/events", said))}
    found.add(problem(api.post("/api/v1/events/batch", {"events": [said]})))
    each = api.post("/api/v1/events/batch", {"events": [said, said], "atomic": False})
    tells_nothing_of_insides(each.text)
    assert (each.status_code, each.headers["content-type"]) == (207, "application/json")
    report = each.json()
    assert [rejection["index"] for rejection in report["rejections"]] == [0, 1]
    found.update(rejection["code"] for rejection in report["rejections"])
    graphql = camel(said)
    for query, variables in ((PUBLISH, {"e": graphql}), (PUBLISH_ALL, {"e": [graphql], "a": False})):
        answer = api.post("/graphql", {"query": query, "variables": variables})
        if "errors" in answer.json():
            found.add(graphql_error(answer))
        else:
            rejections = answer.json()["data"]["publishEvents"]["rejections"]
            found.update(rejection["code"] for rejection in rejections)
    return found


@pytest.mark.parametrize("field", REFUSED)
def test_a_field_that_cannot_be_is_bad_input_by_every_way_in(api: Api, field: str) -> None:
    for value in REFUSED[field]:
        assert codes(api, event(field, value)) == {"BAD_INPUT"}, value


@pytest.mark.parametrize(("field", "value", "code"), OTHER_CODES, ids=lambda value: str(value)[:20])
def test_what_means_something_else_has_its_own_code(api: Api, field: str, value: Any, code: str) -> None:
    assert codes(api, event(field, value)) == {code}


@pytest.mark.parametrize("document", REFUSED_DOCUMENTS.values(), ids=REFUSED_DOCUMENTS)
@pytest.mark.parametrize("field", ["payload", "metadata"])
def test_a_document_that_cannot_be_stored_is_refused(api: Api, field: str, document: str | bytes) -> None:
    raw = document if isinstance(document, bytes) else document.encode()
    said = b'{"event_type":"user.x","payload":1,"%b":%b}' % (field.encode(), raw)
    assert problem(api.post("/api/v1/events", said)) == "BAD_INPUT"
    variables = said.replace(b"event_type", b"eventType")
    body = b'{"query":%b,"variables":{"e":%b}}' % (json.dumps(PUBLISH).encode(), variables)
    assert graphql_error(api.post("/graphql", body)) == "BAD_INPUT"


@pytest.mark.parametrize("literal", ['"\\u0000"', "[" * 200 + "]" * 200, "{a: 1e999}"])
def test_a_payload_written_into_the_document_is_no_way_around(api: Api, literal: str) -> None:
    query = f'mutation {{ publishEvent(event: {{eventType: "user.x", payload: {literal}}}) {{ eventId }} }}'
    assert graphql_error(api.post("/graphql", {"query": query})) == "BAD_INPUT"


BATCHES: list[tuple[Any, str]] = [
    ({"events": []}, "BAD_INPUT"),
    ({}, "BAD_INPUT"),
    ({"events": {}}, "BAD_INPUT"),
    ({"events": "x"}, "BAD_INPUT"),
    ({"events": [1]}, "BAD_INPUT"),
    ({"events": [None]}, "BAD_INPUT"),
    ([], "BAD_INPUT"),
    ("x", "BAD_INPUT"),
    (None, "BAD_INPUT"),
    ({"events": [event("payload", 1)], "atomic": "yes"}, "BAD_INPUT"),
    ({"events": [event("payload", 1)], "more": 1}, "BAD_INPUT"),
    ({"events": [event("payload", 1)], "condition": {}}, "BAD_INPUT"),
    ({"events": [event("payload", 1)], "condition": {"none_matching": {"x": 1}}}, "BAD_INPUT"),
    ({"events": [event("payload", 1)], "condition": {"none_matching": {}, "after": "x"}}, "CURSOR_INVALID"),
    ({"events": [event("payload", 1)], "condition": {"none_matching": {}}, "atomic": False}, "BAD_INPUT"),
    ({"events": [event("payload", 1), event("event_type", "")]}, "BAD_INPUT"),
    ({"events": [event("payload", 1)] * 10_001}, "PAYLOAD_TOO_LARGE"),
    ({"events": [event("payload", 1)] * 10_001 + [1]}, "PAYLOAD_TOO_LARGE"),
    ({"events": [event("payload", "x" * 900_000)] * 11}, "PAYLOAD_TOO_LARGE"),
    ({"events": [event("event_id", "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3"), event("stream", "nope")]}, "UNKNOWN_STREAM"),
]


@pytest.mark.parametrize(("body", "code"), BATCHES, ids=lambda value: str(value)[:40])
def test_a_batch_that_cannot_be_is_refused_whole(api: Api, body: Any, code: str) -> None:
    assert problem(api.post("/api/v1/events/batch", body)) == code


def test_a_refused_batch_names_the_event(api: Api) -> None:
    body = {"events": [event("payload", 1), event("event_type", "")]}
    answer = api.post("/api/v1/events/batch", body).json()
    assert [(each["index"], each["code"]) for each in answer["rejections"]] == [(1, "BAD_INPUT")]
    assert answer["receipts"] == []


def test_every_code_has_a_status_of_its_own_kind() -> None:
    assert all(400 <= status < 500 for status in STATUS.values())
