"""What may be said wrong over WebSockets and event streams: refused in the protocol's own way, in JSON, by code."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from tests.end_to_end.api import Api, administrator, issue
from tests.end_to_end.refusals import STATUS, error_code, graphql_error, tells_nothing_of_insides
from tests.services.gateway import GatewayProcess

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

FOLLOW = "subscription($s: [String!], $w: EventFilter, $f: From, $o: Overflow, $b: Int) {" + (
    "events(streams: $s, where: $w, from: $f, overflow: $o, bufferBytes: $b) { eventId } }"
)
BATCHES = "subscription($n: Int, $ms: Int) { eventBatches(maxEvents: $n, maxWaitMs: $ms) { cursor } }"
_WAIT_S = 20


@pytest.fixture(scope="module")
def api(gateway: GatewayProcess) -> Iterator[Api]:
    for made in administrator(gateway):
        made.publish()
        yield made


def page_cursor(api: Api) -> str:
    return str(api.graphql("{ events(first: 1) { pageInfo { endCursor } } }")["events"]["pageInfo"]["endCursor"])


# ---- /ws/events/{stream_name}


def refused(api: Api, path: str, *, token: str | None = None, origin: str | None = None) -> str:
    """The code by which a handshake is refused, as an HTTP problem."""
    headers = {} if token == "" else {"authorization": f"Bearer {token or api.token}"}
    with pytest.raises(InvalidStatus) as caught:
        connect(
            f"{api.gateway.websocket_url}{path}",
            additional_headers=headers,
            origin=Origin(origin) if origin else None,
            proxy=None,
        )
    response = caught.value.response
    assert response.body is not None
    tells_nothing_of_insides(response.body.decode())
    assert response.headers["content-type"] == "application/problem+json"
    body = json.loads(response.body)
    assert response.status_code == body["status"] == STATUS[body["code"]]
    return str(body["code"])


def where(document: Any) -> str:
    return f"/ws/events/user-events?{urlencode({'where': json.dumps(document)})}"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/ws/events/nope", "UNKNOWN_STREAM"),
        ("/ws/events/%00", "UNKNOWN_STREAM"),
        ("/ws/events/user-events?from=", "CURSOR_INVALID"),
        ("/ws/events/user-events?from=nope", "CURSOR_INVALID"),
        ("/ws/events/user-events?from=%00", "CURSOR_INVALID"),
        (f"/ws/events/user-events?from={'A' * 600}", "CURSOR_INVALID"),
        ("/ws/events/user-events?where=%7B", "BAD_INPUT"),
        ("/ws/events/user-events?where=[]", "BAD_INPUT"),
        (where({"nope": 1}), "BAD_INPUT"),
        (where({"expression": "("}), "BAD_INPUT"),
        (where({"eventType": {"eq": 5}}), "BAD_INPUT"),
        ("/ws/nope", "NOT_FOUND"),
        ("/nope", "NOT_FOUND"),
    ],
)
def test_a_socket_of_events_that_cannot_be_opened(api: Api, path: str, code: str) -> None:
    assert refused(api, path) == code


def test_a_socket_of_events_for_nobody(api: Api) -> None:
    events = "/ws/events/user-events"
    assert refused(api, events, token="") == "UNAUTHENTICATED"
    assert refused(api, events, token="x.y.z") == "UNAUTHENTICATED"
    assert refused(api, f"{events}?ticket=nope", token="") == "UNAUTHENTICATED"
    assert refused(api, events, origin="https://evil.example") == "FORBIDDEN"
    assert refused(api, f"{events}?from={page_cursor(api)}") == "CURSOR_INVALID"
    assert refused(api, events, token=issue(api.gateway, api.tenant, "publisher")) == "FORBIDDEN"


def test_what_a_client_says_on_a_socket_of_events_means_nothing(api: Api) -> None:
    address = f"{api.gateway.websocket_url}/ws/events/user-events?{urlencode({'from': 'beginning'})}"
    with connect(address, additional_headers={"authorization": f"Bearer {api.token}"}, proxy=None) as socket:
        for said in ("", "{", b"\x00\xff", "x" * 100_000):
            socket.send(said)
        assert json.loads(socket.recv(_WAIT_S))["event_type"] == "user.seen"


# ---- graphql-transport-ws


@contextmanager
def opened(
    api: Api, *, initialised: bool = True, subprotocol: str = "graphql-transport-ws"
) -> Iterator[ClientConnection]:
    address = f"{api.gateway.websocket_url}/graphql"
    with connect(address, subprotocols=[Subprotocol(subprotocol)], proxy=None) as socket:
        if initialised:
            say(socket, {"type": "connection_init", "payload": {"authorization": f"Bearer {api.token}"}})
            assert json.loads(socket.recv(_WAIT_S)) == {"type": "connection_ack"}
        yield socket


def say(socket: ClientConnection, message: Any) -> None:
    socket.send(message if isinstance(message, str | bytes) else json.dumps(message))


def read_on(socket: ClientConnection) -> None:
    while True:
        socket.recv(_WAIT_S)


def closed(socket: ClientConnection) -> tuple[int, str]:
    """How the gateway closes; what it says before is not looked at."""
    with pytest.raises(ConnectionClosed) as caught:
        read_on(socket)
    assert caught.value.rcvd is not None
    tells_nothing_of_insides(caught.value.rcvd.reason)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def subscribe(query: str, variables: Any = None, **more: Any) -> dict[str, Any]:
    return {"id": "1", "type": "subscribe", "payload": {"query": query, "variables": variables, **more}}


NO_MESSAGES = [
    "",
    "{",
    "[]",
    "5",
    "null",
    b'{"type":"ping"}',
    {},
    {"type": 5},
    {"type": "nope"},
    {"type": "connection_ack"},
    {"type": "subscribe"},
    {"type": "subscribe", "id": "1"},
    {"type": "subscribe", "id": "", "payload": {"query": "{__typename}"}},
    {"type": "subscribe", "id": 5, "payload": {"query": "{__typename}"}},
    {"type": "subscribe", "id": "x" * 300, "payload": {"query": "{__typename}"}},
    {"type": "subscribe", "id": "1", "payload": 5},
    {"type": "subscribe", "id": "1", "payload": {"query": 5}},
    {"type": "subscribe", "id": "1", "payload": {"query": "{__typename}", "variables": []}},
    "[" * 50_000,
]


@pytest.mark.parametrize("message", NO_MESSAGES, ids=lambda message: str(message)[:50])
def test_what_is_no_message_closes_the_socket(api: Api, message: Any) -> None:
    with opened(api) as socket:
        say(socket, message)
        code, reason = closed(socket)
    assert (code, reason.startswith("Invalid message")) == (4400, True)


def test_what_is_said_before_or_beside_connection_init(api: Api) -> None:
    with opened(api, initialised=False) as socket:
        say(socket, subscribe("{__typename}"))
        assert closed(socket) == (4401, "Unauthorized")
    with opened(api) as socket:
        say(socket, {"type": "connection_init"})
        assert closed(socket)[0] == 4429
    with opened(api, initialised=False) as socket:
        assert closed(socket) == (4408, "Connection initialisation timeout")
    with connect(f"{api.gateway.websocket_url}/graphql", proxy=None) as bare:
        assert closed(bare) == (4406, "Subprotocol not acceptable")
    with opened(api) as socket:
        for _ in range(2):
            say(socket, subscribe(FOLLOW))
        assert closed(socket) == (4409, "Subscriber for 1 already exists")


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (None, 4403),
        ({}, 4403),
        (5, 4400),
        ("x", 4400),
        ({"authorization": 5}, 4400),
        ({"authorization": "x"}, 4403),
        ({"authorization": "Bearer x.y.z"}, 4403),
        ({"authorization": "Bearer ÿ" * 1000}, 4403),
    ],
    ids=str,
)
def test_a_connection_init_that_names_nobody(api: Api, payload: Any, code: int) -> None:
    with opened(api, initialised=False) as socket:
        say(socket, {"type": "connection_init", "payload": payload})
        assert closed(socket)[0] == code


WRONG: list[tuple[str, Any, str]] = [
    ("{", None, "BAD_INPUT"),
    ("{nope}", None, "BAD_INPUT"),
    ("subscription{nope}", None, "BAD_INPUT"),
    (FOLLOW, {"s": 5}, "BAD_INPUT"),
    (FOLLOW, {"s": ["nope"]}, "UNKNOWN_STREAM"),
    (FOLLOW, {"w": {"nope": 1}}, "BAD_INPUT"),
    (FOLLOW, {"w": {"expression": "("}}, "BAD_INPUT"),
    (FOLLOW, {"f": {}}, "BAD_INPUT"),
    (FOLLOW, {"f": {"live": False}}, "BAD_INPUT"),
    (FOLLOW, {"f": {"beginning": False}}, "BAD_INPUT"),
    (FOLLOW, {"f": {"live": True, "beginning": True}}, "BAD_INPUT"),
    (FOLLOW, {"f": {"cursor": ""}}, "CURSOR_INVALID"),
    (FOLLOW, {"f": {"cursor": "nope"}}, "CURSOR_INVALID"),
    (FOLLOW, {"f": {"cursor": 5}}, "BAD_INPUT"),
    (FOLLOW, {"f": {"time": "yesterday"}}, "BAD_INPUT"),
    (FOLLOW, {"o": "NOPE"}, "BAD_INPUT"),
    (FOLLOW, {"o": "DROP_OLDEST"}, "BAD_INPUT"),
    (FOLLOW, {"b": 0}, "BAD_INPUT"),
    (FOLLOW, {"b": -1}, "BAD_INPUT"),
    (FOLLOW, {"b": 2**31}, "BAD_INPUT"),
    (BATCHES, {"n": 0}, "BAD_INPUT"),
    (BATCHES, {"n": 100_000}, "BAD_INPUT"),
    (BATCHES, {"ms": -1}, "BAD_INPUT"),
    (BATCHES, {"ms": 10**9}, "BAD_INPUT"),
    ("subscription{a:events{eventId} b:events{eventId}}", None, "BAD_INPUT"),
]


@pytest.mark.parametrize(("query", "variables", "code"), WRONG, ids=lambda value: str(value)[:40])
def test_a_subscription_that_cannot_be(api: Api, query: str, variables: Any, code: str) -> None:
    with opened(api) as socket:
        say(socket, subscribe(query, variables))
        answer = json.loads(socket.recv(_WAIT_S))
        assert (answer["type"], answer["id"]) == ("error", "1")
        assert error_code(answer["payload"][0]) == code
        say(socket, {"type": "ping"})  # and nothing else suffers
        assert json.loads(socket.recv(_WAIT_S)) == {"type": "pong"}
    body = {"query": query, "variables": variables}
    streamed = api.post("/graphql", body, accept="text/event-stream")
    assert code in streamed.text
    tells_nothing_of_insides(streamed.text)


def test_a_resumption_from_what_is_no_cursor(api: Api) -> None:
    for cursor in ("", "nope", page_cursor(api), "A" * 600):
        with opened(api) as socket:
            say(socket, subscribe(FOLLOW, extensions={"resume": {"cursor": cursor}}))
            answer = json.loads(socket.recv(_WAIT_S))
            assert error_code(answer["payload"][0]) == "CURSOR_INVALID", cursor
    headers = {"accept": "text/event-stream", "last-event-id": "nope"}
    streamed = api.http.get(f"/graphql?query={quote('subscription{events{eventId}}')}", headers=headers)
    assert "CURSOR_INVALID" in streamed.text


def test_an_event_stream_for_nobody(api: Api) -> None:
    address = f"/graphql?query={quote('subscription{events{eventId}}')}&ticket=nope"
    answer = api.http.get(address, headers={"accept": "text/event-stream", "authorization": ""})
    assert (answer.status_code, graphql_error(answer)) == (401, "UNAUTHENTICATED")


def test_more_operations_than_a_connection_carries(api: Api) -> None:
    with opened(api) as socket:
        for number in range(201):
            say(socket, {**subscribe(FOLLOW), "id": str(number)})
        answer = json.loads(socket.recv(_WAIT_S))
        assert (answer["id"], error_code(answer["payload"][0])) == ("200", "RATE_LIMITED")
