"""Which web pages may talk to us (RFC 6454).

CORS keeps other pages from reading our answers, but a WebSocket handshake and an EventSource are not held by it before
they are open: there the Origin is checked here.
"""

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from schema.errors import ErrorCode, EsbError


class Origins:
    """The pages that may call: those of the same host, and the ones the installation names (`*`: all)."""

    def __init__(self, allowed: Collection[str]) -> None:
        self._allowed = frozenset(origin.lower() for origin in allowed)

    def check(self, headers: Mapping[str, str]) -> None:
        """Raise FORBIDDEN for a page of an origin that may not call. Callers that are no browser send no Origin.

        Only host and port are compared with ours: behind a proxy that ends TLS we do not know our own scheme.
        """
        origin = headers.get("origin")
        if origin is None or "*" in self._allowed or origin.lower() in self._allowed:
            return
        host = headers.get("host")
        if host is None or urlsplit(origin).netloc.lower() != host.lower():
            raise EsbError(
                ErrorCode.FORBIDDEN, "pages of this origin may not call here; see the setting allowed_origins"
            )

    def cors(self) -> list[Middleware]:
        """Starlette's CORS middleware for the named origins; none where none is named."""
        if not self._allowed:
            return []
        return [
            Middleware(
                CORSMiddleware,
                allow_origins=sorted(self._allowed),
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                # Bearer tokens, never cookies: so no allow_credentials.
                allow_headers=[
                    "authorization",
                    "content-type",
                    "last-event-id",
                    "traceparent",
                    "x-graphql-event-stream-token",
                    "x-request-id",
                ],
                expose_headers=["location", "retry-after", "x-request-id"],
                max_age=600,
            )
        ]
