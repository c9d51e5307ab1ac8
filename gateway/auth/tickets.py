"""Tickets: how a browser proves who it is where it cannot set a header (WebSocket, EventSource).

The state is a row in PostgreSQL rather than a signed text with a list of used ones: redeeming is one DELETE …
RETURNING, so of two processes only one can win; the text in the URL, which proxies write into their logs, says nothing
about its owner; and revoking is deleting. It costs one small write when a ticket is made.
"""

from hashlib import sha256
from secrets import token_urlsafe
from typing import Protocol

import msgspec

from gateway.auth.claims import Unauthenticated
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal

_PREFIX = "tkt_"


class TicketStore(Protocol):
    """Where tickets wait to be redeemed."""

    async def put(self, digest: bytes, tenant: str, principal: str, ttl_s: float, most: int) -> bool:
        """Keep a ticket; False when the tenant has too many."""

    async def take(self, digest: bytes) -> str | None:
        """Remove a ticket and give what it stood for, once."""


class Ticket(msgspec.Struct, frozen=True):
    """What `POST /api/v1/tickets` answers: put `ticket` into the URL as `?ticket=`, within `expires_in_ms`, once."""

    ticket: str
    expires_in_ms: int


class Tickets:
    """Makes and redeems tickets. `ttl_s`: seconds from making to redeeming. `per_tenant`: how many may wait."""

    def __init__(self, store: TicketStore, *, ttl_s: float = 30, per_tenant: int = 1000) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._per_tenant = per_tenant

    async def issue(self, principal: Principal) -> Ticket:
        """A ticket for the caller; never valid longer than its token. Raises RATE_LIMITED when too many wait."""
        text = _PREFIX + token_urlsafe(24)
        said = msgspec.json.encode(principal).decode()
        if not await self._store.put(_digest(text), principal.tenant, said, self._ttl_s, self._per_tenant):
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"{self._per_tenant} tickets of this tenant wait to be redeemed",
                retry_after_ms=int(self._ttl_s * 1000),
            )
        return Ticket(text, int(self._ttl_s * 1000))

    async def redeem(self, ticket: str, now: float) -> Principal:
        """The caller a ticket was made for, with the token's own expiry. Raises UNAUTHENTICATED the second time.

        `now`: seconds since 1970.
        """
        said = await self._store.take(_digest(ticket)) if ticket.startswith(_PREFIX) else None
        if said is None:
            raise EsbError(ErrorCode.UNAUTHENTICATED, "the ticket is unknown, was used before, or has expired")
        principal = msgspec.json.decode(said, type=Principal)
        if principal.expires_at <= now:
            raise Unauthenticated("it has expired")
        return principal


def _digest(ticket: str) -> bytes:
    return sha256(ticket.encode()).digest()
