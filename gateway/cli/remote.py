"""The command line's connection to a running gateway: GraphQL, REST batches, and a subscription that resumes."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import httpx
import orjson
import websockets
from websockets.asyncio.client import ClientConnection

from schema.errors import ErrorCode, EsbError, bad_input

_TIMEOUT_S = 60.0
# After a restart a gateway lets all its clients in one after the other: who gives up early is last again.
_OPEN_TIMEOUT_S = 90.0
_LONGEST_PAUSE_S = 10.0
_TRIES = 8
# the gateway says why before it closes; trying again with the same token or query would be refused again
_FINAL_CLOSE_CODES = frozenset({4400, 4401, 4403, 4406, 4409})


class Remote:
    """A gateway at `url` (http or https), spoken to with one bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = _checked_url(url)
        if not token.isascii() or not token.isprintable():
            raise EsbError(ErrorCode.UNAUTHENTICATED, "the token is not one: it holds characters no token has")
        self._token = token
        headers = {"authorization": f"Bearer {token}", "user-agent": "esb-cli"}
        self._http = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=_TIMEOUT_S)

    async def __aenter__(self) -> "Remote":
        """Use as a context: the connections close with it."""
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def graphql(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """The `data` of an operation; raises EsbError with the first error's code, LOG_UNAVAILABLE out of reach."""
        body = await self._post("/graphql", {"query": query, "variables": variables or {}})
        if errors := body.get("errors"):
            raise _error(errors[0]["message"], errors[0].get("extensions") or {})
        return dict(body["data"])

    async def publish_batch(self, events: list[dict[str, Any]], *, atomic: bool) -> dict[str, Any]:
        """The report of POST /api/v1/events/batch: {"receipts", "rejections"}. Tries again where that may help: give
        every event an `event_id`, so that a batch whose answer was lost is not committed twice."""
        for attempt in range(_TRIES):
            try:
                return await self._post("/api/v1/events/batch", {"events": events, "atomic": atomic})
            except EsbError as error:
                if not error.retryable or attempt == _TRIES - 1:
                    raise
                await asyncio.sleep((error.retry_after_ms or 250 * 2**attempt) / 1000)
        raise AssertionError("unreachable")

    async def follow(
        self, query: str, variables: dict[str, Any], on_pause: Callable[[str, float], None] | None = None
    ) -> AsyncGenerator[dict[str, Any]]:
        """The `data` of each message of a subscription, for ever: after a cut it goes on from the last cursor, so
        that nothing is missed or repeated. `on_pause` is told why and for how long (seconds) it waits."""
        cursor: str | None = None
        pause = 0.5
        while True:
            try:
                async with contextlib.aclosing(self._messages(query, variables, cursor)) as messages:
                    async for payload in messages:
                        pause = 0.5
                        cursor = (payload.get("extensions") or {}).get("cursor", cursor)
                        yield payload["data"]
                return
            except (OSError, TimeoutError, websockets.InvalidHandshake, websockets.ConnectionClosed) as error:
                if isinstance(error, websockets.ConnectionClosed):
                    _raise_if_final(error)
                if on_pause:
                    on_pause(self._cut(error), pause)
            except EsbError as error:
                if not error.retryable:
                    raise
                cursor = (error.details or {}).get("cursor", cursor)
                if on_pause:
                    on_pause(error.message, pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _cut(self, error: Exception) -> str:
        if isinstance(error, websockets.ConnectionClosed):
            return f"the connection was cut ({error.rcvd.reason or error.rcvd.code if error.rcvd else 'no goodbye'})"
        if isinstance(error, websockets.InvalidHandshake):
            return f"{self._url} refuses: {error}"
        return f"no answer from {self._url}"

    async def _messages(
        self, query: str, variables: dict[str, Any], cursor: str | None
    ) -> AsyncGenerator[dict[str, Any]]:
        address = "ws" + self._url.removeprefix("http") + "/graphql"
        async with websockets.connect(
            address,
            subprotocols=[websockets.Subprotocol("graphql-transport-ws")],
            max_size=None,
            open_timeout=_OPEN_TIMEOUT_S,
        ) as socket:
            await _send(
                socket,
                {"type": "connection_init", "payload": {"authorization": f"Bearer {self._token}", "cursors": True}},
            )
            acknowledged = orjson.loads(await asyncio.wait_for(socket.recv(), _OPEN_TIMEOUT_S))
            if acknowledged["type"] != "connection_ack":
                raise EsbError(ErrorCode.INTERNAL, f"the gateway answered {acknowledged['type']!r} to connection_init")
            payload: dict[str, Any] = {"query": query, "variables": variables}
            if cursor is not None:
                payload["extensions"] = {"resume": {"cursor": cursor}}
            await _send(socket, {"id": "1", "type": "subscribe", "payload": payload})
            async for text in socket:
                message = orjson.loads(text)
                match message["type"]:
                    case "next":
                        if errors := message["payload"].get("errors"):
                            raise _error(errors[0]["message"], errors[0].get("extensions") or {})
                        yield message["payload"]
                    case "error":
                        first = message["payload"][0]
                        raise _error(first["message"], first.get("extensions") or {})
                    case "ping":
                        await _send(socket, {"type": "pong"})
                    case "complete":
                        return

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            response = await self._http.post(
                path, content=orjson.dumps(body), headers={"content-type": "application/json"}
            )
        except httpx.HTTPError as error:
            raise EsbError(
                ErrorCode.LOG_UNAVAILABLE, f"no answer from {self._url}: {error}; is `esb serve` running there?"
            ) from None
        try:
            answer = orjson.loads(response.content)
        except ValueError:
            raise EsbError(ErrorCode.INTERNAL, f"{self._url}{path} answered {response.status_code}, not JSON") from None
        if "problem" in response.headers.get("content-type", "") and "receipts" not in answer:
            raise _error(answer.get("detail") or answer.get("title", "refused"), answer)
        return dict(answer)


def _checked_url(text: str) -> str:
    """Without a slash at the end; raises BAD_INPUT for what cannot be a gateway's address."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise bad_input(f"--url {text!r} is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise bad_input(f"--url looks like http://127.0.0.1:8000, not {text!r}")
    return text.rstrip("/")


async def _send(socket: ClientConnection, message: dict[str, Any]) -> None:
    await socket.send(orjson.dumps(message).decode())


def _error(message: str, extensions: dict[str, Any]) -> EsbError:
    try:
        code = ErrorCode(extensions.get("code", ""))
    except ValueError:
        code = ErrorCode.INTERNAL
    wait = extensions.get("retryAfterMs", extensions.get("retry_after_ms"))
    return EsbError(code, message, retry_after_ms=wait, details=extensions.get("details"))


def _raise_if_final(closed: websockets.ConnectionClosed) -> None:
    if closed.rcvd is not None and closed.rcvd.code in _FINAL_CLOSE_CODES:
        code = ErrorCode.BAD_INPUT if closed.rcvd.code == 4400 else ErrorCode.UNAUTHENTICATED
        raise EsbError(code, f"the gateway closed the socket: {closed.rcvd.code} {closed.rcvd.reason}")
