"""Gives every request an id, and turns what nobody foresaw into an answer without a stack trace."""

import re
from collections.abc import Awaitable
from random import getrandbits

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.problems import internal, problem
from gateway.telemetry import logs

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}\Z")

_log = structlog.get_logger(__name__)


class RequestContext:
    """ASGI middleware: `X-Request-Id` is taken over where it is sane, made where it is not, and always answered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Run the application with its request id set."""
        if scope["type"] not in ("http", "websocket"):
            return self._app(scope, receive, send)
        return self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        named = _Named(given.decode() if _REQUEST_ID.match(given) else _made(), send)
        logs.request_id.set(named.request_id)
        logs.tenant.set(None)
        kind, path = scope["type"], scope["path"]
        try:
            answer = self._app(scope, receive, named.send)
            del scope  # an open socket does without it: two kilobytes
            await answer
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("request failed", path=path)
            await _answer(kind, receive, named)


def _made() -> str:
    return f"{getrandbits(64):016x}"  # a name, not a secret


class _Named:
    """ASGI's `send`, with the request's id in the answer."""

    __slots__ = ("_send", "request_id", "started")

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.started = False
        self._send = send

    def send(self, message: Message) -> Awaitable[None]:
        """Send it."""
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            self.started = True
            # optional in ASGI; a WebSocket is mostly accepted without
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.request_id.encode())]
        return self._send(message)


async def _answer(kind: str, receive: Receive, named: _Named) -> None:
    """Say INTERNAL in the protocol's way. A response already begun cannot be taken back: it is cut, or the client would
    take it for whole."""
    if kind == "http" and not named.started:
        await problem(internal())({"type": kind}, receive, named.send)
    elif kind == "http":
        raise ResponseCut
    else:
        await named.send({"type": "websocket.close", "code": 1011})


class ResponseCut(Exception):
    """A response failed after it had begun; the server closes the connection."""
