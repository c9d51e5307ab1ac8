"""The event streams that clients have reserved, by the token each was given.

The token says which stream is meant; it proves nothing. Every request that names one authenticates by itself, and only
callers with the rights of the one who reserved it are let through: to all others it is unknown. Reservations live in
this process; the workers of one gateway pass requests on (gateway.neighbours), but behind a balancer over several
machines all requests with one token have to reach the same one.
"""

import asyncio
from collections import Counter
from functools import partial
from typing import NamedTuple

import msgspec
from starlette.types import Receive, Scope, Send

from gateway.graphql.connections import Connections
from gateway.graphql.operations import Operations
from gateway.graphql.shared_stream import SharedStream
from schema.errors import ErrorCode, EsbError
from schema.principal import Principal


class _Reserved(NamedTuple):
    owner: Principal
    stream: SharedStream
    expiry: asyncio.TimerHandle


class Reservations:
    """One instance a process."""

    def __init__(self, operations: Operations, connections: Connections) -> None:
        self._operations = operations
        self._connections = connections
        self._reserved: dict[str, _Reserved] = {}
        self._waiting: Counter[str] = Counter()

    def make(self, token: str, principal: Principal) -> None:
        """Reserve a stream by a new token. Raises RATE_LIMITED when the tenant has too many that nobody has opened."""
        limits, tenant = self._connections.limits, principal.tenant
        if self._waiting[tenant] >= limits.reservations_per_tenant:
            raise EsbError(
                ErrorCode.RATE_LIMITED,
                f"{limits.reservations_per_tenant} reserved event streams of this tenant wait to be opened",
                retry_after_ms=int(limits.reservation_s * 1000),
            )
        stream = SharedStream(self._operations, self._connections, partial(self._forget, token))
        expiry = asyncio.get_running_loop().call_later(limits.reservation_s, self._expire, token)
        self._reserved[token] = _Reserved(_rights(principal), stream, expiry)
        self._waiting[tenant] += 1

    def find(self, token: str, principal: Principal) -> SharedStream:
        """The stream of a token. Raises NOT_FOUND, also for what is somebody else's."""
        return self._find(token, principal).stream

    async def open(self, token: str, principal: Principal, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the reserved stream, until it ends. Raises NOT_FOUND, and ALREADY_EXISTS where it is open already."""
        reserved = self._find(token, principal)
        if not reserved.stream.opened:
            reserved.expiry.cancel()
            self._no_longer_waits(principal.tenant)
        await reserved.stream.serve(scope, receive, send, principal)

    def close(self) -> None:
        """Forget what was reserved and not opened. May be called twice."""
        for token in [token for token, reserved in self._reserved.items() if not reserved.stream.opened]:
            self._reserved[token].expiry.cancel()
            self._expire(token)

    def _find(self, token: str, principal: Principal) -> _Reserved:
        reserved = self._reserved.get(token)
        if reserved is None or reserved.owner != _rights(principal):
            raise EsbError(ErrorCode.NOT_FOUND, "there is no such event stream; reserve one by PUT")
        return reserved

    def _expire(self, token: str) -> None:
        self._no_longer_waits(self._reserved[token].owner.tenant)
        self._forget(token)

    def _forget(self, token: str) -> None:
        self._reserved.pop(token, None)

    def _no_longer_waits(self, tenant: str) -> None:
        self._waiting[tenant] -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]


def _rights(principal: Principal) -> Principal:
    """What two tokens of one caller have in common."""
    return msgspec.structs.replace(principal, expires_at=float("inf"), token_id=None, issued_at=None)
