"""Requests for an event stream that another worker of this gateway holds are passed on to it.

GraphQL's single connection mode spreads one client over several requests (see gateway.graphql.shared_http), and the
kernel spreads those over the workers. A stream's token begins with the number of the worker that reserved it; every
worker listens on an address of its own on loopback, and whoever is asked for another's stream hands the request on and
the answer back, as it comes. Nothing is decided here: the other one authenticates and answers as if it had been asked.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from hmac import compare_digest

import httpx
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.graphql.endpoint import PATH
from gateway.graphql.operations import refusal
from gateway.graphql.stream_token import at_home, home_of, token_of
from gateway.http_protocol import ABORT
from schema.errors import ErrorCode, EsbError

_FORWARDED = b"x-esb-forwarded"
_HOP = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade", b"te", b"expect", _FORWARDED})
# a stream that is held open says something every twelve seconds
_TIMEOUT = httpx.Timeout(10.0, read=60.0, pool=None)
_SEND_S = 10.0


class Neighbours:
    """The ASGI application of one of several workers. `number`: its own. `addresses`: host and port of each. `secret`:
    known to all of them, and to nobody else; it vouches for whom a request comes from.
    """

    def __init__(self, app: ASGIApp, number: int, addresses: Sequence[tuple[str, int]], secret: bytes) -> None:
        self._app = app
        self._number = number
        self._addresses = addresses
        self._secret = secret
        self._client = httpx.AsyncClient(
            timeout=_TIMEOUT, trust_env=False, limits=httpx.Limits(max_connections=None, max_keepalive_connections=20)
        )

    async def close(self) -> None:
        """Let go of the connections to the others."""
        await self._client.aclose()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer, or have it answered. No coroutine itself: its frame would be kept as long as a socket is open."""
        if scope["type"] == "http" and scope["path"] == PATH:
            at_home(scope, self._number)
            token = token_of(HTTPConnection(scope))
            home = home_of(token) if token is not None else None
            if home is not None and home != self._number and home < len(self._addresses):
                return self._pass_on(home, scope, receive, send)
            if token is not None:
                self._look_through(scope)
        return self._app(scope, receive, send)

    def _look_through(self, scope: Scope) -> None:
        """A request that was passed on here comes from whom the other worker says."""
        for name, value in scope["headers"]:
            if name == _FORWARDED:
                secret, _, host = value.partition(b" ")
                if compare_digest(secret, self._secret):
                    scope["client"] = (host.decode("latin-1"), 0) if host else None

    async def _pass_on(self, home: int, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(home, scope, receive, send)
        except httpx.HTTPError:
            answer = refusal(
                EsbError(ErrorCode.LOG_UNAVAILABLE, "the event stream's worker does not answer; try again")
            )
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer.body)).encode())]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, home: int, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._client.send(self._request(home, scope, receive), stream=True)
        async with contextlib.aclosing(response):
            headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _HOP]
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            passing = asyncio.create_task(self._pass_back(response, scope, send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait((passing, leaving), return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (passing, leaving):
                    task.cancel()
                await asyncio.gather(passing, leaving, return_exceptions=True)

    def _request(self, home: int, scope: Scope, receive: Receive) -> httpx.Request:
        host, port = self._addresses[home]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        headers = [(name, value) for name, value in scope["headers"] if name not in _HOP]
        client = scope["client"][0].encode("latin-1") if scope["client"] else b""
        headers.append((_FORWARDED, self._secret + b" " + client))
        url = httpx.URL(scheme="http", host=host, port=port, raw_path=PATH.encode() + query)
        return self._client.build_request(scope["method"], url, headers=headers, content=_body(receive))

    async def _pass_back(self, response: httpx.Response, scope: Scope, send: Send) -> None:
        """The answer's body; who does not take it is cut off, for the other worker sees only us."""
        try:
            with contextlib.suppress(httpx.HTTPError):  # the other worker is gone: a stream's end without `complete`
                async for chunk in response.aiter_raw():
                    await _within(send, {"type": "http.response.body", "body": chunk, "more_body": True})
            await _within(send, {"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            abort = scope.get("extensions", {}).get(ABORT)
            if abort is not None:
                abort()


async def _within(send: Send, message: Message) -> None:
    async with asyncio.timeout(_SEND_S):
        await send(message)


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        yield message.get("body", b"")
        more = message.get("more_body", False)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
