"""Leases: who, of many processes, does a piece of work now.

A row with an expiry and a counter, not a session's advisory lock: a frozen holder (SIGSTOP, a network cut) keeps its
session, and with it the lock, for as long as it likes, and the work stands still. A lease ends by itself within
`ttl_s`. What the late holder still does is refused by the counter (store/checkpoints.py) or by Kafka's own fencing.
Time is PostgreSQL's for all, and for the holder its own monotonic clock from before it asked.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from uuid import uuid4

from schema.errors import EsbError
from store.database import Database

_log = logging.getLogger(__name__)

_TAKE = """
insert into leases as l (name, holder, token, expires_at)
values ($1, $2, 1, clock_timestamp() + $3 * interval '1 second')
on conflict (name) do update
  set holder = excluded.holder, token = l.token + 1, expires_at = excluded.expires_at
  where l.expires_at < clock_timestamp()
returning token
"""
_RENEW = """
update leases set expires_at = clock_timestamp() + $3 * interval '1 second'
where holder = $1 and name = any($2) returning name
"""
_RELEASE = "update leases set expires_at = '-infinity' where name = $1 and holder = $2 and token = $3"


class Lease:
    """A lease in hand. `token`: larger than every earlier holder's. `lost` is set when it is no longer ours."""

    def __init__(self, name: str, token: int, until: float) -> None:
        self.name = name
        self.token = token
        self.lost = asyncio.Event()
        self.until = until

    @property
    def valid(self) -> bool:
        """Whether it is surely ours at this moment."""
        return not self.lost.is_set() and time.monotonic() < self.until


class Leases:
    """All leases this process holds. `ttl_s`: seconds after which a holder that says nothing has lost its lease."""

    def __init__(self, database: Database, *, ttl_s: float = 10.0) -> None:
        self._database = database
        self.ttl_s = ttl_s
        self._holder = uuid4().hex
        self._held: dict[str, Lease] = {}
        self._renewer: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Lease | None]:
        """The lease while the block runs, or None: another holder has it. Raises LOG_UNAVAILABLE."""
        lease = await self._take(name)
        if lease is None:
            yield None
            return
        try:
            yield lease
        finally:
            lease.lost.set()
            del self._held[name]
            await self._release(lease)

    async def close(self) -> None:
        """Stop renewing. What is still held runs out. May be called twice."""
        if self._renewer is not None:
            self._renewer.cancel()
            await asyncio.wait([self._renewer])

    async def _take(self, name: str) -> Lease | None:
        if name in self._held:
            return None
        asked = time.monotonic()
        async with self._database.writing() as connection:
            token = await connection.fetchval(_TAKE, name, self._holder, self.ttl_s)
        if token is None:
            return None
        lease = self._held[name] = Lease(name, token, asked + self.ttl_s)
        if self._renewer is None or self._renewer.done():
            self._renewer = asyncio.create_task(self._renew_all(), name="leases")
        return lease

    async def _renew_all(self) -> None:
        while self._held:
            await asyncio.sleep(self.ttl_s / 3)
            held, asked = list(self._held.values()), time.monotonic()
            kept: set[str] | None = None
            try:
                async with self._database.writing(self.ttl_s / 3) as connection:
                    rows = await connection.fetch(
                        _RENEW, self._holder, [lease.name for lease in held], self.ttl_s, timeout=self.ttl_s / 3
                    )
                kept = {row["name"] for row in rows}
            except EsbError as error:
                _log.warning("leases not renewed: %s", error.message)
            for lease in held:
                if kept is not None and lease.name in kept:
                    lease.until = asked + self.ttl_s
                elif kept is not None or time.monotonic() > lease.until:
                    lease.lost.set()

    async def _release(self, lease: Lease) -> None:
        # Nothing is lost when it cannot be told: it runs out.
        with contextlib.suppress(EsbError):
            async with self._database.writing() as connection:
                await connection.execute(_RELEASE, lease.name, self._holder, lease.token)
