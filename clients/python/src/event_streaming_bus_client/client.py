"""A gateway spoken to over HTTP and WebSocket, with a bearer token."""

import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import httpx
import websockets

from event_streaming_bus_client.errors import RETRYABLE, GatewayError
from event_streaming_bus_client.identifiers import event_id
from event_streaming_bus_client.waiting import pause

Token: TypeAlias = str | Callable[[], Awaitable[str]]
"""A bearer token, or where to get one: asked before each request and each connection."""

Event: TypeAlias = Mapping[str, Any]
"""An event to publish, in the words of the schema's `EventInput`: eventType, payload, aggregateType, aggregateId …"""

_PUBLISH = """mutation($e: [EventInput!]!, $a: Boolean, $c: AppendCondition) {
  publishEvents(events: $e, atomic: $a, condition: $c) {
    receipts { index eventId stream position sequenceNumber cursor recordedAt duplicate }
    rejections { index eventId code message details } } }"""
_BAD_MESSAGE, _EXPIRED = 4400, 4403
_REFUSED = frozenset({_BAD_MESSAGE, 4401, 4406, 4409})


class Report(NamedTuple):
    """What became of a batch, in the schema's words, in the order of the events."""

    receipts: list[dict[str, Any]]
    rejections: list[dict[str, Any]]

    def error(self) -> GatewayError | None:
        """The first rejection as what it would have been on its own."""
        for each in self.rejections:
            code = each["code"]
            return GatewayError(code, each["message"], retryable=code in RETRYABLE, details=each["details"])
        return None


class Client:
    """Use as a context: `async with Client("http://127.0.0.1:8000", token) as bus: …`

    `tries`: how often a request is sent before a failure that may pass is raised. `timeout`: seconds for one of them.
    """

    def __init__(self, url: str, token: Token, *, tries: int = 8, timeout: float = 30.0) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._tries = tries
        self._http = httpx.AsyncClient(base_url=self._url, timeout=timeout)

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def query(self, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of a query, or of a mutation that may be repeated. Raises GatewayError."""
        failures = 0
        while True:
            try:
                return await self._ask(document, variables or {})
            except GatewayError as error:
                failures += 1
                if not error.retryable or failures >= self._tries:
                    raise
                await pause(failures, first=0.1, most=5.0, least=error.retry_after)

    async def publish(
        self, events: Sequence[Event], *, atomic: bool = True, condition: Mapping[str, Any] | None = None
    ) -> Report:
        """Publish a batch: whole, or each event for itself. Sent again where the outcome stayed unknown, and committed
        once all the same, since every event has an id before the first try. `condition`: an `AppendCondition`.

        Raises GatewayError for what concerns the batch as such; refused events are in the report.
        """
        said = [{"eventId": event_id(), **event} for event in events]
        failures = 0
        while True:
            data = await self.query(_PUBLISH, {"e": said, "a": atomic, "c": condition})
            report = Report(**data["publishEvents"])
            failures += 1
            # of a batch that goes one by one only some may have failed: what was committed is known by its id
            if failures >= self._tries or not any(each["code"] in RETRYABLE for each in report.rejections):
                return report
            await pause(failures, first=0.1, most=5.0)

    async def subscribe(
        self, document: str, variables: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[dict[str, Any]]:
        """The `data` of each message of a subscription. After a cut it goes on behind the last one that was taken:
        nothing is missed, nothing comes twice. Raises GatewayError for what ends it."""
        place: dict[str, Any] = {}
        failures = 0
        while True:
            try:
                async with contextlib.aclosing(self._messages(document, variables or {}, place)) as messages:
                    async for data in messages:
                        failures = 0
                        yield data
                return
            except (OSError, TimeoutError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
                closed = error.rcvd if isinstance(error, websockets.ConnectionClosed) else None
                if closed is not None and self._is_final(closed.code):
                    code = "BAD_INPUT" if closed.code == _BAD_MESSAGE else "UNAUTHENTICATED"
                    raise GatewayError(code, f"the socket was closed: {closed.code} {closed.reason}") from None
                wait = 0.0
            except GatewayError as error:
                if not error.retryable:
                    raise
                wait = error.retry_after
                place["cursor"] = error.details.get("cursor", place.get("cursor"))
            failures += 1
            await pause(failures, first=0.25, most=10.0, least=wait)

    async def _ask(self, document: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {await self._bearer()}"}
        try:
            answer = await self._http.post(
                "/graphql", json={"query": document, "variables": dict(variables)}, headers=headers
            )
            body = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise GatewayError("UNREACHABLE", f"no answer from {self._url}: {error!r}", retryable=True) from error
        if body.get("errors"):
            raise GatewayError.of(body["errors"][0])
        if "data" not in body:  # a problem (RFC 9457), as before GraphQL was reached
            code = body.get("code") or "INTERNAL"
            raise GatewayError(code, body.get("detail") or f"HTTP {answer.status_code}", retryable=code in RETRYABLE)
        return dict(body["data"])

    async def _messages(
        self, document: str, variables: Mapping[str, Any], place: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        protocol = websockets.Subprotocol("graphql-transport-ws")
        address = "ws" + self._url.removeprefix("http") + "/graphql"
        async with websockets.connect(address, subprotocols=[protocol], max_size=None) as socket:
            hello = {"authorization": f"Bearer {await self._bearer()}", "cursors": True, "progress": True}
            await socket.send(json.dumps({"type": "connection_init", "payload": hello}))
            payload: dict[str, Any] = {"query": document, "variables": dict(variables)}
            if place.get("cursor"):
                payload["extensions"] = {"resume": {"cursor": place["cursor"]}}
            await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
            async for text in socket:
                message = json.loads(text)
                match message["type"]:
                    case "next":
                        result = message["payload"]
                        if result.get("errors"):
                            raise GatewayError.of(result["errors"][0])
                        yield result["data"]
                        place["cursor"] = (result.get("extensions") or {}).get("cursor", place.get("cursor"))
                    case "error":
                        raise GatewayError.of(message["payload"][0])
                    case "ping":
                        # says where it stands before there was any result
                        cursors = (message.get("payload") or {}).get("cursors") or {}
                        place["cursor"] = cursors.get("1", place.get("cursor"))
                        await socket.send('{"type":"pong"}')
                    case "complete":
                        return

    def _is_final(self, close_code: int) -> bool:
        """Whether the next connection would be closed the same way. Not for an expired token where there are others."""
        return close_code in _REFUSED or (close_code == _EXPIRED and isinstance(self._token, str))

    async def _bearer(self) -> str:
        return self._token if isinstance(self._token, str) else await self._token()
