"""The shape of publishing over HTTP: statuses, bodies, refusals. What is committed is tested end to end."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount

from gateway.auth.authenticator import Authenticator
from gateway.auth.credentials import Credentials
from gateway.auth.origins import Origins
from gateway.auth.roles import Roles
from gateway.auth.tickets import Tickets
from gateway.auth.token_issuer import TokenIssuer
from gateway.request_context import RequestContext
from gateway.rest.guard import Guard, esb_error, http_exception
from gateway.rest.publishing import MAX_EVENT_BODY, PublishingApi
from gateway.telemetry.tracing import Tracing
from processors.admission.ports import AppendConditionInput, PublishReport, Rejection
from schema.cursor import Cursor, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.input import ClientContext, EventInput
from schema.principal import Principal
from store.log.port import Receipt

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ISSUER = TokenIssuer(b"k" * 32, Roles())
EVENT = {"event_type": "user.created", "payload": {"n": 1}}


class Admitting:
    """Takes every event; refuses the types `refuse.CODE`, knows `user.known` already, and falls over `user.broken`."""

    def __init__(self) -> None:
        self.clients: list[ClientContext] = []
        self.conditions: list[AppendConditionInput | None] = []

    async def publish_one(self, principal: Principal, said: EventInput, *, client: ClientContext) -> Receipt:
        self.clients.append(client)
        if said.event_type == "user.broken":
            raise RuntimeError("secret detail")
        if said.event_type.startswith("refuse."):
            raise EsbError(ErrorCode(said.event_type.removeprefix("refuse.")), "no")
        return self._receipt(1, said)

    async def publish(
        self,
        principal: Principal,
        inputs: Sequence[EventInput],
        *,
        client: ClientContext,
        atomic: bool = True,
        condition: AppendConditionInput | None = None,
    ) -> PublishReport:
        self.conditions.append(condition)
        rejections = [
            Rejection(i, said.event_id, ErrorCode(said.event_type.removeprefix("refuse.")), "no")
            for i, said in enumerate(inputs)
            if said.event_type.startswith("refuse.")
        ]
        if atomic and rejections:
            return PublishReport([], rejections)
        refused = {rejection.index for rejection in rejections}
        taken = [(i, self._receipt(i + 1, said)) for i, said in enumerate(inputs) if i not in refused]
        return PublishReport(taken, rejections)

    def _receipt(self, place: int, said: EventInput) -> Receipt:
        cursor = Cursor(1, place + 1)
        known = said.event_type == "user.known"
        return Receipt("evt_1", "user-events", place, None, None, place, cursor, NOW, known)


class NoTickets:
    async def put(self, digest: bytes, tenant: str, principal: str, ttl_s: float, most: int) -> bool:
        return True

    async def take(self, digest: bytes) -> str | None:
        return None


@pytest.fixture
def admitting() -> Admitting:
    return Admitting()


@pytest.fixture
async def http(admitting: Admitting) -> AsyncIterator[httpx.AsyncClient]:
    authenticator = Authenticator(signing_key=b"k" * 32, roles=Roles())
    guard = Guard(Credentials(authenticator, Tickets(NoTickets()), Origins(())), Tracing())
    app = Starlette(
        routes=[Mount("/api/v1", routes=PublishingApi(admitting, CursorCodec(b"c" * 32)).routes(guard))],
        middleware=[Middleware(RequestContext)],
        exception_handlers={EsbError: esb_error, HTTPException: http_exception},
    )
    headers = {"authorization": f"Bearer {ISSUER.issue('acme', ['admin'], 60)}", "user-agent": "test/1"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://esb", headers=headers) as client:
        yield client


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    body: dict[str, Any] = response.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def test_one_event_is_answered_with_its_place(http: httpx.AsyncClient, admitting: Admitting) -> None:
    response = await http.post("/api/v1/events", json=EVENT, headers={"x-session-id": "ses_1"})
    assert (response.status_code, response.headers["location"]) == (201, "/api/v1/events/evt_1")
    body = response.json()
    cursor = body.pop("cursor")
    assert CursorCodec(b"c" * 32).decode("acme", cursor) == Cursor(1, 2)
    assert body == {
        "event_id": "evt_1",
        "stream": "user-events",
        "position": 1,
        "partition": None,
        "offset": None,
        "sequence_number": 1,
        "recorded_at": "2026-01-02T00:00:00Z",
        "duplicate": False,
    }
    assert admitting.clients == [ClientContext(ip_address="127.0.0.1", user_agent="test/1", session_id="ses_1")]


async def test_an_event_that_was_there_already_is_200(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/v1/events", json=EVENT | {"event_type": "user.known"})
    assert (response.status_code, response.json()["duplicate"]) == (200, True)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("FORBIDDEN", 403),
        ("UNKNOWN_STREAM", 404),
        ("SEQUENCE_CONFLICT", 409),
        ("DUPLICATE_CONFLICT", 409),
        ("SCHEMA_VIOLATION", 422),
        ("RATE_LIMITED", 429),
        ("LOG_UNAVAILABLE", 503),
        ("TIMEOUT", 504),
    ],
)
async def test_a_refusal_has_its_status(http: httpx.AsyncClient, code: str, status: int) -> None:
    response = await http.post("/api/v1/events", json=EVENT | {"event_type": f"refuse.{code}"})
    assert_problem(response, status, code)


async def test_without_a_token_nothing_is_read(http: httpx.AsyncClient) -> None:
    for header in ("", "Basic abc", "Bearer", "Bearer x.y.z"):
        response = await http.post("/api/v1/events", content=b"{", headers={"authorization": header})
        assert_problem(response, 401, "UNAUTHENTICATED")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"null", "object"),
        (b'{"event_type": "a.b"}', "payload"),
        (b'{"payload": {}}', "event_type"),
        (b'{"event_type": 7, "payload": {}}', "$.event_type"),
        (b'{"event_type": "a", "payload": {}, "timestamp": "yesterday"}', "$.timestamp"),
        (b'{"event_type": "a", "payload": {}, "expected_sequence": 1.5}', "$.expected_sequence"),
        (b'{"event_type": "a", "payload": {}, "position": 3}', "`position` is assigned by the server"),
        (b'{"event_type": "a", "payload": {}, "recorded_at": "x"}', "`recorded_at` is assigned by the server"),
        (b'{"event_type": "a", "payload": {}, "eventVersion": "1"}', "eventVersion"),
        (b'{"event_type": "\xff", "payload": {}}', ""),
        (b'{"event_type": "a", "payload": NaN}', "JSON"),
        (b'{"event_type": "a", "payload": ' + b"[" * 100_000 + b"}", ""),
    ],
)
async def test_what_is_no_event_is_said_to_be_none(http: httpx.AsyncClient, body: bytes, said: str) -> None:
    response = await http.post("/api/v1/events", content=body, headers={"content-type": "application/json"})
    assert said in assert_problem(response, 400, "BAD_INPUT")["detail"]


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {"content-type": "application/json", "content-encoding": "gzip"}],
)
async def test_another_content_type_is_415(http: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await http.post("/api/v1/events", content=json.dumps(EVENT), headers=headers)
    assert_problem(response, 415, "BAD_INPUT")


@pytest.mark.parametrize(
    "kind", ["application/json; charset=utf-8", "application/cloudevents+json", "APPLICATION/JSON"]
)
async def test_json_by_any_of_its_names(http: httpx.AsyncClient, kind: str) -> None:
    response = await http.post("/api/v1/events", content=json.dumps(EVENT), headers={"content-type": kind})
    assert response.status_code == 201


async def test_an_announced_size_is_refused_before_it_arrives(http: httpx.AsyncClient) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    headers = {"content-type": "application/json"}
    response = await http.post("/api/v1/events", content=body(), headers=headers)
    assert_problem(response, 413, "PAYLOAD_TOO_LARGE")
    assert sent <= MAX_EVENT_BODY + 2 * 65536
    assert response.headers["connection"] == "close"
    sent = 0
    headers["content-length"] = str(MAX_EVENT_BODY + 1)
    assert_problem(await http.post("/api/v1/events", content=body(), headers=headers), 413, "PAYLOAD_TOO_LARGE")
    assert sent == 0


async def test_what_nobody_foresaw_shows_only_its_request_id(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await http.post(
        "/api/v1/events", json=EVENT | {"event_type": "user.broken"}, headers={"x-request-id": "my-id.1"}
    )
    body = assert_problem(response, 500, "INTERNAL")
    assert body["request_id"] == "my-id.1"
    assert "secret" not in response.text


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", "ü"])
async def test_a_request_id_that_cannot_be_trusted_is_replaced(http: httpx.AsyncClient, given: str) -> None:
    response = await http.post("/api/v1/events", json=EVENT, headers={"x-request-id": given.encode()})
    assert len(response.headers["x-request-id"]) == 16


async def test_unknown_paths_and_methods_are_problems(http: httpx.AsyncClient) -> None:
    assert_problem(await http.get("/api/v1/nothing"), 404, "NOT_FOUND")
    response = await http.get("/api/v1/events")
    assert_problem(response, 405, "BAD_INPUT")
    assert response.headers["allow"] == "POST"


def batch(*kinds: str, **more: Any) -> dict[str, Any]:
    return {"events": [EVENT | {"event_type": kind} for kind in kinds], **more}


async def test_a_batch_is_reported_in_order(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/v1/events/batch", json=batch("a.b", "user.known"))
    body = response.json()
    assert response.status_code == 200
    assert [(r["index"], r["duplicate"]) for r in body["receipts"]] == [(0, False), (1, True)]
    assert body["rejections"] == []


async def test_part_of_a_batch_may_be_refused(http: httpx.AsyncClient) -> None:
    said = batch("refuse.FORBIDDEN", "a.b", "c.d", "refuse.SEQUENCE_CONFLICT", atomic=False)
    said["events"].insert(1, {"event_type": "a.b"})
    said["events"].insert(0, "no event")
    response = await http.post("/api/v1/events/batch", json=said)
    body = response.json()
    assert response.status_code == 207
    assert [r["index"] for r in body["receipts"]] == [3, 4]
    assert [(r["index"], r["code"]) for r in body["rejections"]] == [
        (0, "BAD_INPUT"),
        (1, "FORBIDDEN"),
        (2, "BAD_INPUT"),
        (5, "SEQUENCE_CONFLICT"),
    ]


async def test_a_refused_atomic_batch_is_a_problem_with_both_lists(
    http: httpx.AsyncClient, admitting: Admitting
) -> None:
    response = await http.post("/api/v1/events/batch", json=batch("a.b", "refuse.SEQUENCE_CONFLICT"))
    body = assert_problem(response, 409, "SEQUENCE_CONFLICT")
    assert body["receipts"] == []
    assert [(r["index"], r["code"]) for r in body["rejections"]] == [(1, "SEQUENCE_CONFLICT")]
    broken = batch("a.b")
    broken["events"].append({"payload": 1})
    response = await http.post("/api/v1/events/batch", json=broken)
    assert [r["index"] for r in assert_problem(response, 400, "BAD_INPUT")["rejections"]] == [1]
    assert len(admitting.conditions) == 1, "the broken batch must not reach admission"


async def test_a_batch_of_nothing_but_broken_events_is_reported(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/v1/events/batch", json={"events": [{}, {}], "atomic": False})
    assert response.status_code == 207
    assert [r["index"] for r in response.json()["rejections"]] == [0, 1]


async def test_a_condition_is_parsed(http: httpx.AsyncClient, admitting: Admitting) -> None:
    said = batch("a.b", condition={"none_matching": {"aggregate_id": {"eq": "x"}}, "after": "abc"})
    assert (await http.post("/api/v1/events/batch", json=said)).status_code == 200
    (condition,) = admitting.conditions
    assert condition is not None
    assert condition.after == "abc"
    said["condition"]["none_matching"] = {"nonsense": {"eq": "x"}}
    assert_problem(await http.post("/api/v1/events/batch", json=said), 400, "BAD_INPUT")


@pytest.mark.parametrize(
    "said",
    [{"events": []}, {}, {"events": {}}, {"events": [EVENT], "atomic": "yes"}, {"events": [EVENT], "extra": 1}],
)
async def test_what_is_no_batch_is_said_to_be_none(http: httpx.AsyncClient, said: dict[str, Any]) -> None:
    assert_problem(await http.post("/api/v1/events/batch", json=said), 400, "BAD_INPUT")


async def test_a_flood_of_broken_events_is_cut_short(http: httpx.AsyncClient) -> None:
    async with asyncio.timeout(5):
        response = await http.post("/api/v1/events/batch", json={"events": [1] * 100_000, "atomic": False})
    assert_problem(response, 413, "PAYLOAD_TOO_LARGE")
