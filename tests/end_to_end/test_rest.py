"""REST, tickets and the event socket on a running gateway, as a client without GraphQL sees them."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import websockets

from gateway.auth.token_issuer import TokenIssuer
from gateway.cli.access import token_issuer
from gateway.settings import load_settings
from tests.services.gateway import GatewayProcess

EVENT = {"event_type": "user.created", "aggregate_type": "User", "aggregate_id": "u1", "payload": {"n": 1}}


@pytest.fixture(scope="module")
def issuer(gateway: GatewayProcess) -> TokenIssuer:
    """The installation's own, so that each test's tokens cost no process."""

    async def made() -> TokenIssuer:
        settings = load_settings(
            data_dir=gateway.data_dir, postgres_url=gateway.environment.get("ESB_POSTGRES_URL") or None
        )
        async with token_issuer(settings) as issuer:
            return issuer

    return asyncio.run(made())


class Tenant:
    """A tenant of the test's own, with a stream for its events."""

    def __init__(self, gateway: GatewayProcess, issuer: TokenIssuer) -> None:
        self.gateway = gateway
        self.issuer = issuer
        self.name = f"t_{uuid4().hex[:12]}"
        self.http = self.client("admin")
        made = self.http.post("/streams", json={"stream_name": "user-events", "event_patterns": ["user.**"]})
        assert made.status_code == 201, made.text
        self.stream: dict[str, Any] = made.json()

    def client(self, role: str) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.issuer.issue(self.name, [role], 600)}"}
        return httpx.Client(base_url=f"{self.gateway.url}/api/v1", headers=headers, timeout=30)

    @property
    def events(self) -> str:
        return f"/streams/{self.stream['stream_id']}/events"


@pytest.fixture
def acme(gateway: GatewayProcess, issuer: TokenIssuer) -> Iterator[Tenant]:
    tenant = Tenant(gateway, issuer)
    yield tenant
    tenant.http.close()


@pytest.fixture
def other(gateway: GatewayProcess, issuer: TokenIssuer) -> Iterator[Tenant]:
    tenant = Tenant(gateway, issuer)
    yield tenant
    tenant.http.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.text
    return response.status_code, response.json()["code"]


def test_what_is_published_is_read_back_as_it_was_said(acme: Tenant) -> None:
    published = acme.http.post("/events", json=EVENT, headers={"user-agent": "test/1"})
    assert published.status_code == 201
    read = acme.http.get(published.headers["location"].removeprefix("/api/v1")).json()
    assert EVENT.items() <= read.items()
    assert (read["tenant_id"], read["user_id"], read["stream"]) == (acme.name, "local", "user-events")
    assert read["metadata"] == {"ip_address": "127.0.0.1", "user_agent": "test/1"}
    receipt = published.json()
    for field in ("event_id", "position", "sequence_number", "cursor", "recorded_at"):
        assert read[field] == receipt[field], field


def test_a_retry_is_200_and_other_content_409(acme: Tenant) -> None:
    said = EVENT | {"event_id": "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3"}
    first, again = acme.http.post("/events", json=said), acme.http.post("/events", json=said)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"duplicate": True}
    assert problem(acme.http.post("/events", json=said | {"payload": 2})) == (409, "DUPLICATE_CONFLICT")


def test_batches_whole_or_in_part(acme: Tenant) -> None:
    bad = EVENT | {"expected_sequence": 77}
    refused = acme.http.post("/events/batch", json={"events": [EVENT, bad]})
    assert problem(refused) == (409, "SEQUENCE_CONFLICT")
    assert (refused.json()["receipts"], [r["index"] for r in refused.json()["rejections"]]) == ([], [1])
    assert acme.http.get(acme.events).json()["events"] == []
    part = acme.http.post("/events/batch", json={"events": [{}, EVENT, bad, EVENT], "atomic": False})
    assert part.status_code == 207
    assert [(r["index"], r["sequence_number"]) for r in part.json()["receipts"]] == [(1, 1), (3, 2)]
    assert [(r["index"], r["code"]) for r in part.json()["rejections"]] == [(0, "BAD_INPUT"), (2, "SEQUENCE_CONFLICT")]


def test_a_condition_guards_a_batch(acme: Tenant) -> None:
    first = acme.http.post("/events", json=EVENT).json()
    said = {"events": [EVENT], "condition": {"none_matching": {"aggregate_id": {"eq": "u1"}}}}
    assert problem(acme.http.post("/events/batch", json=said)) == (412, "CONDITION_FAILED")
    said["condition"]["after"] = first["cursor"]  # type: ignore[index]
    assert acme.http.post("/events/batch", json=said).status_code == 200
    assert problem(acme.http.post("/events/batch", json=said)) == (412, "CONDITION_FAILED")


def test_pages_forth_and_back_with_a_filter(acme: Tenant) -> None:
    events = [EVENT | {"payload": {"n": n}} for n in range(25)]
    assert acme.http.post("/events/batch", json={"events": events}).status_code == 200
    for order, expected in (("asc", list(range(10, 25))), ("desc", list(range(24, 9, -1)))):
        where = json.dumps({"payload": [{"path": "n", "gte": 10}]})
        found: list[int] = []
        after: str | None = None
        while True:
            asked = {"limit": "4", "order": order, "where": where} | ({"after": after} if after else {})
            page = acme.http.get(acme.events, params=asked).json()
            found += [event["payload"]["n"] for event in page["events"]]
            after = page["after"]
            if after is None:
                break
        assert found == expected


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "BAD_INPUT"),
        ("limit=1001", "BAD_INPUT"),
        ("limit=-1", "BAD_INPUT"),
        ("limit=²", "BAD_INPUT"),
        ("limit=x", "BAD_INPUT"),
        ("order=sideways", "BAD_INPUT"),
        ("where=%7B", "BAD_INPUT"),
        ("where=[]", "BAD_INPUT"),
        ('where={"nothing":{"eq":1}}', "BAD_INPUT"),
        ("after=nonsense", "CURSOR_INVALID"),
    ],
)
def test_a_question_that_means_nothing_is_400(acme: Tenant, query: str, code: str) -> None:
    assert problem(acme.http.get(f"{acme.events}?{query}")) == (400, code)


@pytest.mark.parametrize("event_id", ["evt_none", "%00", "%ff", "x" * 5000, "%ed%a0%80"])
def test_an_id_of_no_event_is_404(acme: Tenant, event_id: str) -> None:
    assert problem(acme.http.get(f"/events/{event_id}")) == (404, "NOT_FOUND")


def test_tenants_do_not_see_each_other(acme: Tenant, other: Tenant) -> None:
    receipt = acme.http.post("/events", json=EVENT).json()
    assert problem(other.http.get(f"/events/{receipt['event_id']}")) == (404, "NOT_FOUND")
    assert problem(other.http.get(acme.events)) == (404, "NOT_FOUND")
    assert problem(other.http.delete(f"/streams/{acme.stream['stream_id']}")) == (404, "NOT_FOUND")
    assert problem(other.http.get(f"{other.events}?after={receipt['cursor']}")) == (400, "CURSOR_INVALID")
    assert problem(other.http.post("/events", json=EVENT | {"tenant_id": acme.name})) == (403, "FORBIDDEN")


def test_roles_are_held(acme: Tenant) -> None:
    with acme.client("reader") as reader, acme.client("publisher") as publisher:
        assert problem(reader.post("/events", json=EVENT)) == (403, "FORBIDDEN")
        assert problem(reader.post("/streams", json={"stream_name": "mine"})) == (403, "FORBIDDEN")
        assert publisher.post("/events", json=EVENT).status_code == 201
        assert problem(publisher.get(acme.events)) == (403, "FORBIDDEN")
        assert reader.get(acme.events).status_code == 200


def test_streams_are_configured_as_the_specification_writes_them(acme: Tenant) -> None:
    said = {
        "stream_name": "orders",
        "compression": "zstd",
        "cleanup_policy": "COMPACT",
        "retention_policy": {"time_ms": 5},
    }
    made = acme.http.post("/streams", json=said)
    assert made.status_code == 201
    shown = made.json()
    assert (shown["compression"], shown["cleanup_policy"], shown["engine"]) == ("zstd", "compact", "ledger")
    path = made.headers["location"].removeprefix("/api/v1")
    assert acme.http.get(path).json() == shown
    changed = acme.http.patch(path, json={"event_patterns": ["order.*"]}).json()
    assert changed == shown | {"event_patterns": ["order.*"]}
    assert problem(acme.http.patch(path, json={"partitions": 8})) == (400, "BAD_INPUT")
    assert problem(acme.http.post("/streams", json=said)) == (409, "ALREADY_EXISTS")
    assert problem(acme.http.post("/streams", json={"stream_name": "x", "compression": "fast"})) == (400, "BAD_INPUT")
    names, after = [], ""
    while after is not None:
        page = acme.http.get("/streams", params={"limit": 1, "after": after}).json()
        names += [stream["stream_name"] for stream in page["streams"]]
        after = page["after"]
    assert names == ["orders", "user-events"]
    assert acme.http.delete(path).status_code == 200
    assert problem(acme.http.get(path)) == (404, "NOT_FOUND")


def test_routing_rules_decide_and_explain(acme: Tenant) -> None:
    said = {"name": "vip", "where": {"payload": [{"path": "vip", "eq": True}]}, "stream": "user-events", "priority": 3}
    made = acme.http.post("/routes", json=said)
    assert made.status_code == 201
    assert acme.http.get("/routes").json()["routes"] == [made.json()]
    event = {"event_type": "order.placed", "payload": {"vip": True}}
    explained = acme.http.post("/routes/explain", json=event).json()
    assert explained["stream"] == "user-events"
    assert "vip" in explained["why"]
    assert acme.http.delete(f"/routes/{made.json()['route_id']}").status_code == 200
    assert problem(acme.http.post("/routes/explain", json=event)) == (404, "UNKNOWN_STREAM")


async def test_the_event_socket_goes_on_from_a_cursor_by_ticket(acme: Tenant) -> None:
    for n in range(3):
        acme.http.post("/events", json=EVENT | {"payload": {"n": n}})
    ws = acme.gateway.url.replace("http", "ws") + "/ws/events/user-events"

    async def read(count: int, query: str) -> list[dict[str, Any]]:
        ticket = acme.http.post("/tickets").json()["ticket"]
        async with websockets.connect(f"{ws}?ticket={ticket}&{query}") as socket, asyncio.timeout(10):
            return [json.loads(await socket.recv()) for _ in range(count)]

    first = (await read(1, "from=beginning"))[0]
    assert first["payload"] == {"n": 0}
    rest = await read(2, f"from={first['cursor']}")
    assert [event["payload"]["n"] for event in rest] == [1, 2]
    chosen = await read(1, 'from=beginning&where={"payload":[{"path":"n","eq":2}]}')
    assert chosen[0] == rest[1]


async def test_a_socket_ends_with_its_token(acme: Tenant) -> None:
    ws = acme.gateway.url.replace("http", "ws") + "/ws/events/user-events"
    token = acme.issuer.issue(acme.name, ["reader"], 1)
    async with websockets.connect(ws, additional_headers={"authorization": f"Bearer {token}"}) as socket:
        async with asyncio.timeout(5):
            await socket.wait_closed()
        assert socket.close_code == 4403
