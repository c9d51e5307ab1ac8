"""Gives every request an id, and turns what nobody foresaw into an answer without a stack trace."""

import re
from secrets import token_hex

import structlog
from starlette.datastructures import MutableHeaders
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with its request id set."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = given.decode() if _REQUEST_ID.match(given) else token_hex(8)
        logs.request_id.set(request_id)
        logs.tenant.set(None)
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
                started = True
                message.setdefault("headers", [])  # optional in ASGI; a WebSocket is mostly accepted without
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            return
        except Exception:
            _log.exception("request failed", path=scope["path"])
            await _answer(scope, receive, send_with_id, started)


async def _answer(scope: Scope, receive: Receive, send: Send, started: bool) -> None:
    """Say INTERNAL in the protocol's way. A response already begun cannot be taken back: it is cut, or the client would
    take it for whole."""
    if scope["type"] == "http" and not started:
        await problem(internal())(scope, receive, send)
    elif scope["type"] == "http":
        raise ResponseCut
    else:
        await send({"type": "websocket.close", "code": 1011})


class ResponseCut(Exception):
    """A response failed after it had begun; the server closes the connection."""
