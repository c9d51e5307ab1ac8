"""Finds what a request proves itself with: an Authorization header, or a ticket in the URL."""

import time

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive

from gateway.auth.authenticator import Authenticator
from gateway.auth.origins import Origins
from gateway.auth.tickets import Tickets
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header (RFC 6750, section 2.1); raises UNAUTHENTICATED where there is none."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise EsbError(ErrorCode.UNAUTHENTICATED, "send a token: Authorization: Bearer …")
    return token


class Credentials:
    """Turns a request into its Principal."""

    def __init__(self, authenticator: Authenticator, tickets: Tickets, origins: Origins) -> None:
        self._authenticator = authenticator
        self._tickets = tickets
        self._origins = origins

    async def of_request(self, connection: HTTPConnection) -> Principal:
        """The caller of a plain request: by its header only, so that a ticket in a copied link does nothing."""
        return await self._authenticator.principal(bearer(connection.headers.get("authorization")))

    async def of_stream(self, connection: HTTPConnection) -> Principal:
        """The caller of a WebSocket or an EventSource: Origin checked, then header, else `?ticket=`.

        Raises FORBIDDEN, UNAUTHENTICATED.
        """
        self._origins.check(connection.headers)
        ticket = connection.query_params.get("ticket")
        if ticket is not None and "authorization" not in connection.headers:
            principal = await self._tickets.redeem(ticket, time.time())
            self._authenticator.still(principal)
            return principal
        return await self.of_request(connection)

    async def renewed(self, held: Principal, authorization: str | None) -> Principal:
        """The same caller with a fresh token (`Bearer …`), for a connection that stays open.

        Raises UNAUTHENTICATED, FORBIDDEN where it is another caller's, TIMEOUT.
        """
        principal = await self._authenticator.principal(bearer(authorization))
        if (principal.tenant, principal.subject) != (held.tenant, held.subject):
            raise EsbError(ErrorCode.FORBIDDEN, "the new token is not of the same tenant and subject as the old one")
        return principal

    def while_valid(self, principal: Principal, receive: Receive) -> Receive:
        """The same ASGI `receive`, which raises UNAUTHENTICATED once the caller's token does not hold any more."""

        async def checked() -> Message:
            message = await receive()
            self.still(principal)
            return message

        return checked

    def still(self, principal: Principal) -> None:
        """Raise UNAUTHENTICATED when the caller's token has expired or was revoked since it came in."""
        self._authenticator.still(principal)
