"""The opening handshake (RFC 6455, section 4): from an HTTP request to an ASGI scope, and the answers to it."""

import email.utils
import logging
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

_log = logging.getLogger("websockets.server")

_Headers = Iterable[tuple[bytes, bytes]]


class Handshake:
    """One handshake, from its request to its answer; nothing of it is kept while the socket is open. `asked`: the
    request has come.

    Parameters
    ----------
    headers:
        What the server puts into every answer.
    """

    def __init__(self, headers: _Headers) -> None:
        self.asked = False
        self._headers = headers
        self._response: Response | None = None
        self._denial: tuple[int, _Headers] | None = None
        self._body = bytearray()

    @property
    def denying(self) -> bool:
        """Whether the application has begun another answer."""
        return self._denial is not None

    def read(self, head: bytes) -> Request | bytes:
        """A whole request; or the answer that refuses it."""
        protocol = ServerProtocol(logger=_log)
        protocol.receive_data(head)
        for request in protocol.events_received():
            assert isinstance(request, Request)
            response = protocol.accept(request)
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                self._response = response
                return request
            protocol.send_response(response)
        return b"".join(protocol.data_to_send())

    def accept(self, headers: _Headers, subprotocol: str | None) -> bytes:
        """The answer that accepts, with the application's headers."""
        response = self._response
        assert response is not None
        del response.headers["Date"]  # the server's own are among its headers
        for name, value in (*self._headers, *headers):
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        if subprotocol:
            response.headers["Sec-WebSocket-Protocol"] = subprotocol
        return response.serialize()

    def deny(self, status: int, headers: _Headers) -> None:
        """The application answers as HTTP does; the body follows. Raises RuntimeError for a status that is none."""
        if not 100 <= status < 600:
            raise RuntimeError(f"{status} is no status of an HTTP answer")
        self._denial = status, headers

    def denied(self, body: bytes, *, more: bool) -> bytes:
        """The answer when its body is whole; nothing before."""
        assert self._denial is not None
        self._body += body
        return b"" if more else refusal(*self._denial, bytes(self._body))


def refusal(status: int, headers: _Headers = (), body: bytes = b"") -> bytes:
    """An HTTP answer in the place of a handshake."""
    said = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers])
    for name, value in (
        ("Date", email.utils.formatdate(usegmt=True)),
        ("Connection", "close"),
        ("Content-Length", str(len(body))),
        ("Content-Type", "text/plain; charset=utf-8"),
    ):
        said.setdefault(name, value)
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return Response(status, phrase, said, body).serialize()


def scope_of(request: Request, root_path: str, **more: Any) -> dict[str, Any]:
    """The ASGI scope of a request. `more`: what the request does not say."""
    path, _, query = request.path.partition("?")
    offered = [name.strip() for line in request.headers.get_all("Sec-WebSocket-Protocol") for name in line.split(",")]
    return {
        "type": "websocket",
        "http_version": "1.1",
        "root_path": root_path,
        "path": root_path + unquote(path),
        "raw_path": (root_path + path).encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in request.headers.raw_items()],
        "subprotocols": offered,
        **more,
    }
