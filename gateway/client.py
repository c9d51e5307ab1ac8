"""What a connection tells of its sender."""

from starlette.requests import HTTPConnection

from schema.input import ClientContext

_MAX_CHARS = 256


def client_context(connection: HTTPConnection) -> ClientContext:
    """Address, user agent and `X-Session-Id` header of a request; they go to metadata where the publisher is silent.

    The address is the peer's, or what a believed proxy says of it (setting `proxies`).
    """
    headers = connection.headers
    return ClientContext(
        ip_address=connection.client.host if connection.client else None,
        user_agent=_plain(headers.get("user-agent")),
        session_id=_plain(headers.get("x-session-id")),
    )


def _plain(text: str | None) -> str | None:
    if not text:
        return None
    short = text[:_MAX_CHARS]
    return short if short.isprintable() else "".join(filter(str.isprintable, short)) or None
