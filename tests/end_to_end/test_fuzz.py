"""Random nonsense over real HTTP and WebSocket: envelopes, filters, expressions, cursors, documents, messages.

Each is answered by its own code, or taken whole and given back; nothing is ever a failure of ours, and the gateway goes
on."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.end_to_end.api import Api, administrator
from tests.end_to_end.refusals import STATUS, error_code, problem, tells_nothing_of_insides
from tests.property.schema.filtering import filters
from tests.services.gateway import GatewayProcess

FOLLOW = "subscription($w: EventFilter, $f: From) { events(where: $w, from: $f) { eventId } }"
FUZZ = settings(max_examples=400, deadline=None)

EVENTS = "query($w: EventFilter, $a: String) { events(where: $w, after: $a, first: 2) { nodes { payload } } }"
SENSIBLE: dict[str, Any] = {
    "event_id": "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3",
    "event_version": "1.0",
    "schema_version": "2",
    "source_capability": "billing",
    "aggregate_id": "a",
    "aggregate_type": "A",
    "timestamp": "2025-01-26T10:30:00+02:00",
    "correlation_id": "c",
    "causation_id": "d",
    "user_id": "ann",
    "metadata": {"a": 1},
    "expected_sequence": 0,
    "stream": "user-events",
}

text = st.text(st.characters(codec=None), max_size=12)
numbers = st.integers() | st.floats(allow_nan=False)
scalars = st.none() | st.booleans() | numbers | text
documents = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3))
envelopes = st.fixed_dictionaries(
    {"event_type": st.sampled_from(["user.seen", "user.x-y_z"]) | text, "payload": documents},
    optional={name: st.just(value) | documents for name, value in SENSIBLE.items()},
)
words = st.sampled_from(
    [
        "event",
        "payload",
        "n",
        "text",
        "metadata",
        ".",
        "[",
        "]",
        "(",
        ")",
        "&&",
        "||",
        "!",
        "==",
        "!=",
        "<",
        ">=",
        "+",
        "-",
        "*",
        "/",
        "%",
        "?",
        ":",
        "in",
        "has",
        "size",
        "int",
        "string",
        "'a'",
        '"b"',
        "1",
        "2.5",
        "1e400",
        "null",
        "true",
        "false",
        "state",
        "matches",
        "startsWith",
        "timestamp",
        "'2025-01-01T00:00:00Z'",
        ",",
        "\\",
        "\x00",
        "é",
    ]
)
expressions = st.lists(words, max_size=12).map(" ".join) | text
filter_words = st.sampled_from(
    [
        "and",
        "or",
        "not",
        "eventType",
        "payload",
        "expression",
        "path",
        "eq",
        "ne",
        "in",
        "gt",
        "exists",
        "pattern",
        "timestamp",
        "sequenceNumber",
        "nope",
    ]
)
graphql_words = st.sampled_from(
    ["{", "}", "query", "mutation", "subscription", "events", "nodes", "eventId", "$a", "@skip", "...", "#", "!", "="]
)
nonsense_filters = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(filter_words, inner, max_size=3), max_leaves=8
)


@pytest.fixture(scope="module")
def api(gateway: GatewayProcess) -> Iterator[Api]:
    for made in administrator(gateway):
        for number in range(5):
            made.publish(payload={"n": number, "text": "x"})
        yield made
        assert made.http.get("/readyz").json()["ready"]
        log = (gateway.folder / "log").read_text(errors="replace")
        assert "Traceback" not in log, log[log.index("Traceback") :][:3000]


def graphql(api: Api, query: str, variables: Any) -> str:
    """`ok`, or the code of the refusal."""
    answer = api.post("/graphql", {"query": query, "variables": variables})
    tells_nothing_of_insides(answer.text)
    assert answer.status_code in (200, 400, 413), answer.text
    body = answer.json()
    return error_code(body["errors"][0]) if "errors" in body else "ok"


@FUZZ
@given(said=envelopes)
def test_an_envelope_is_taken_whole_or_refused(api: Api, said: dict[str, Any]) -> None:
    answer = api.post("/api/v1/events", said)
    if answer.status_code in (200, 201):
        stored = api.http.get(answer.headers["location"]).json()
        assert stored["payload"] == json.loads(json.dumps(said["payload"]))
        assert stored["event_type"] == said["event_type"]
    else:
        assert problem(answer) in STATUS
    report = api.post("/api/v1/events/batch", {"events": [said], "atomic": False})
    assert report.status_code in (200, 207) or problem(report) == "BAD_INPUT", report.text
    tells_nothing_of_insides(report.text)


@FUZZ
@given(body=st.binary(max_size=60) | documents.map(lambda document: json.dumps(document).encode()))
def test_a_body_is_a_request_or_refused(api: Api, body: bytes) -> None:
    for path in ("events", "events/batch", "streams", "routes"):
        assert problem(api.post(f"/api/v1/{path}", body)) == "BAD_INPUT"
    answer = api.post("/graphql", body)
    tells_nothing_of_insides(answer.text)
    assert error_code(answer.json()["errors"][0]) == "BAD_INPUT"


@FUZZ
@given(where=filters | nonsense_filters)
def test_a_filter_is_understood_or_refused(api: Api, where: Any) -> None:
    assert graphql(api, EVENTS, {"w": where}) in ("ok", "BAD_INPUT", "TOO_COMPLEX")


@FUZZ
@given(expression=expressions)
def test_an_expression_is_understood_or_refused(api: Api, expression: str) -> None:
    code = graphql(api, EVENTS, {"w": {"expression": expression}})
    assert code in ("ok", "BAD_INPUT", "TOO_COMPLEX")


@FUZZ
@given(data=st.data())
def test_a_damaged_cursor_is_refused(api: Api, data: st.DataObject) -> None:
    page = api.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"]
    raw = bytearray(urlsafe_b64decode(page + "=" * (-len(page) % 4)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at] ^= data.draw(st.integers(1, 255))
    damaged = urlsafe_b64encode(raw).rstrip(b"=").decode()
    text_of = data.draw(st.sampled_from([damaged, damaged[:-1], damaged + "A"]) | text)
    if damaged != page:
        assert graphql(api, EVENTS, {"a": text_of}) in ("CURSOR_INVALID", "BAD_INPUT")


@FUZZ
@given(query=st.lists(words | graphql_words).map(" ".join))
def test_a_document_is_understood_or_refused(api: Api, query: str) -> None:
    assert graphql(api, query, None) in ("ok", "BAD_INPUT", "TOO_COMPLEX")


messages = st.fixed_dictionaries(
    {"type": st.sampled_from(["subscribe", "complete", "ping", "pong", "connection_init", "next"]) | text},
    optional={
        "id": st.sampled_from(["1", "2"]) | scalars,
        "payload": documents
        | st.fixed_dictionaries(
            {"query": st.sampled_from([FOLLOW, EVENTS, "{__typename}"])},
            optional={"variables": st.fixed_dictionaries({}, optional={"w": nonsense_filters, "f": documents})},
        ),
    },
)


@settings(FUZZ, max_examples=150)
@given(said=st.lists(messages | documents, min_size=1, max_size=4))
def test_a_socket_is_answered_or_closed(api: Api, said: list[Any]) -> None:
    address = f"{api.gateway.websocket_url}/graphql"
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {api.token}"}}))
        try:
            for message in said:
                socket.send(json.dumps(message))
            until_pong(socket)
        except ConnectionClosed as closed:
            refused = closed.rcvd is not None and closed.rcvd.code in (4400, 4401, 4409, 4429)
            assert refused, closed  # noqa: PT017 - it may as well stay open


def until_pong(socket: ClientConnection) -> None:
    socket.send('{"type":"ping","payload":{"last":true}}')
    while (answer := json.loads(socket.recv(20))) != {"type": "pong", "payload": {"last": True}}:
        if answer["type"] == "error":
            error_code(answer["payload"][0])
        tells_nothing_of_insides(json.dumps(answer))
