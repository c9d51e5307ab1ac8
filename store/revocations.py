"""Revocations in PostgreSQL: what every process reads, and who made them when and why."""

from schema.revocation import Revocation, RevocationKind, RevocationRequest
from store.database import Connection, Database

CHUNK = 5_000
_SECONDS = 0.5

# One at a time, so that numbers become visible in their order: who has read up to a number has missed none before it.
_LOCK = "select pg_advisory_xact_lock(1163084297, 0)"
_FORGET = "delete from revocations where expires_at < clock_timestamp()"
_PUT = """
insert into revocations (tenant, kind, value, before, revoked_by, reason, expires_at)
select $1, $2, $3, $4, $5, $6, $7
where (select count(*) from revocations where tenant = $1 and kind = $2) < $8
returning number, revoked_at
"""
_SINCE = """
select number, tenant, kind, value, before, revoked_at, revoked_by, reason, expires_at
from revocations where number > $1 and expires_at > clock_timestamp() order by number limit $2
"""


class RevocationRows:
    """The table of revocations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, request: RevocationRequest, most: int) -> Revocation | None:
        """Record one; None when `most` of its kind stand in its tenant already. Raises LOG_UNAVAILABLE."""
        async with self._database.writing() as connection, connection.transaction():
            return await _put(connection, request, most)

    async def since(self, number: int) -> list[Revocation]:
        """Those made after that one and still needed, in order, at most CHUNK. Raises LOG_UNAVAILABLE, quickly."""
        async with self._database.writing(_SECONDS) as connection:
            rows = await connection.fetch(_SINCE, number, CHUNK, timeout=2 * _SECONDS)
        return [
            Revocation(
                number=row["number"],
                tenant=row["tenant"],
                kind=RevocationKind(row["kind"]),
                value=row["value"],
                before=row["before"],
                revoked_at=row["revoked_at"],
                by=row["revoked_by"],
                reason=row["reason"],
                expires_at=row["expires_at"],
            )
            for row in rows
        ]


async def _put(connection: Connection, request: RevocationRequest, most: int) -> Revocation | None:
    await connection.execute(_LOCK)
    await connection.execute(_FORGET)
    kind, by = request.kind.value, request.by
    row = await connection.fetchrow(
        _PUT, request.tenant, kind, request.value, request.before, by, request.reason, request.expires_at, most
    )
    if row is None:
        return None
    return Revocation(
        tenant=request.tenant,
        kind=request.kind,
        value=request.value,
        before=request.before,
        expires_at=request.expires_at,
        by=by,
        reason=request.reason,
        number=row["number"],
        revoked_at=row["revoked_at"],
    )
