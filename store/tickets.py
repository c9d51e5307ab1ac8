"""Tickets: single-use stand-ins for a token, kept in PostgreSQL so that every process can redeem every ticket once."""

from store.database import Database

_ISSUE = """
with expired as (delete from tickets where expires_at < clock_timestamp())
insert into tickets (digest, tenant, principal, expires_at)
select $1, $2, $3, clock_timestamp() + make_interval(secs => $4)
where (select count(*) from tickets where tenant = $2 and expires_at >= clock_timestamp()) < $5
returning true
"""
_REDEEM = "delete from tickets where digest = $1 returning principal, expires_at >= clock_timestamp() as fresh"


class TicketRows:
    """The table of tickets. Only digests are kept: who reads the table cannot redeem what it holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, digest: bytes, tenant: str, principal: str, ttl_s: float, most: int) -> bool:
        """Keep a ticket for `ttl_s` seconds; False when the tenant already has `most` unredeemed ones."""
        async with self._database.writing() as connection:
            return bool(await connection.fetchval(_ISSUE, digest, tenant, principal, ttl_s, most))

    async def take(self, digest: bytes) -> str | None:
        """The principal of a ticket, which is gone after this; None: unknown, used before, or expired."""
        async with self._database.writing() as connection:
            row = await connection.fetchrow(_REDEEM, digest)
        return row["principal"] if row is not None and row["fresh"] else None
