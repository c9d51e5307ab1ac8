"""The token in GraphiQL's page under `esb serve --dev`, so that a newcomer's first query works."""

from starlette.requests import HTTPConnection

from gateway.auth.token_issuer import TokenIssuer
from gateway.settings import Settings, is_loopback

_TTL_S = 12 * 3600.0


class DevelopmentToken:
    """Gives a token to pages opened on this very machine, and to no other.

    Three things must hold: development mode; the gateway listens, and the browser sits, on loopback; the Host header is
    loopback too, or a page whose name was made to point here (DNS rebinding) could read the token. A request with an
    Origin is a script asking, not a person opening the page.
    """

    def __init__(self, settings: Settings, issuer: TokenIssuer) -> None:
        self._enabled = settings.dev and is_loopback(settings.host)
        self._tenant = settings.dev_tenant
        self._issuer = issuer

    def for_page(self, connection: HTTPConnection) -> str | None:
        """An admin token of the development tenant, or None."""
        host = connection.headers.get("host", "").lower()
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        here = connection.client is not None and is_loopback(connection.client.host)
        if not (self._enabled and here and is_loopback(name)) or "origin" in connection.headers:
            return None
        return self._issuer.issue(self._tenant, ["admin"], _TTL_S, subject="developer")
