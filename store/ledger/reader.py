"""Reading events back, as one tenant: by id, by place, by filter.

As the role that row-level security binds: a mistake in a query cannot show one tenant's events to another.
"""

from collections.abc import Collection
from datetime import datetime

from schema.event import NEVER, Event
from schema.filter.ast import Filter
from store.database import Connection, Database
from store.ledger.rows import INDEXED_COLUMNS, LEDGER_COLUMNS, StreamNames, indexed_events, ledger_events
from store.ledger.walk import INDEXED, LEDGER, Ask, Order, Scan, walk
from store.tenants import Tenant

_HEAD = "select position, recorded_at from events where tenant = $1 order by position desc limit 1"
_PLACE_HEAD = "select coalesce(max(place), 0) + 1 from indexed_events"
_BY_IDS = f"""
select {LEDGER_COLUMNS} from event_ids i join events e on e.tenant = i.tenant and e.position = i.position
where i.event_id = any($1) and i.tenant = $2
"""
_INDEXED_BY_IDS = f"""
select {INDEXED_COLUMNS} from indexed_events e where e.event_id = any($1) and e.tenant = $2 order by e.place
"""
_COUNT = "select count(*) from events where tenant = $1 and stream = $2"
_INDEXED_COUNT = "select count(*) from indexed_events where tenant = $1 and stream = $2"
# Walks the primary key back from each partition's newest row: as many steps as were indexed since `before`.
_OFFSETS = """
select coalesce((
  select i."offset" + 1 from indexed_events i
  where i.stream = $1 and i.partition = p and i.place < $3 order by i."offset" desc limit 1), 0)
from generate_series(0, $2 - 1) p order by p
"""
# recorded_at never goes back along positions, so halving finds the first one not older, with an index probe a step.
_POSITION_AT = """
with recursive halving(low, high) as (
  select (select coalesce(min(position), 1) from events where tenant = $1), $3::bigint
  union all
  select case when e.recorded_at < $2 then e.position + 1 else h.low end,
         case when e.recorded_at < $2 then h.high else e.position end
  from halving h join events e on e.tenant = $1 and e.position = (h.low + h.high) / 2
  where h.low < h.high
)
select low from halving order by high - low limit 1
"""


class EventReader:
    """Reads one tenant's committed events. Every method may raise LOG_UNAVAILABLE and TIMEOUT."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._names = StreamNames()

    async def by_id(self, tenant: Tenant, event_id: str) -> Event | None:
        """The event with this id, of the ledger or of an indexed Kafka stream."""
        return (await self.by_ids(tenant, [event_id])).get(event_id)

    async def by_ids(self, tenant: Tenant, event_ids: Collection[str]) -> dict[str, Event]:
        """The events that exist, by id. An id that is known twice means the ledger's, then the first one indexed."""
        async with self._database.reading(tenant.key) as connection:
            rows = await connection.fetch(_BY_IDS, list(event_ids), tenant.key)
            found = {event.event_id: event for event in await ledger_events(rows, self._names, connection)}
            missing = [event_id for event_id in event_ids if event_id not in found]
            if missing:
                rows = await connection.fetch(_INDEXED_BY_IDS, missing, tenant.key)
                for event in await indexed_events(rows, self._names, connection):
                    found.setdefault(event.event_id, event)
        return found

    async def end(self, tenant: Tenant) -> tuple[int, datetime]:
        """The next position, and when the last event was recorded (1970 where there is none)."""
        async with self._database.reading(tenant.key) as connection:
            return await _end(connection, tenant)

    async def head(self, tenant: Tenant) -> int:
        """The next position of the tenant's log."""
        return (await self.end(tenant))[0]

    async def position_at(self, tenant: Tenant, recorded_at: datetime) -> int:
        """The first position recorded at this time or later; the next position where there is none."""
        async with self._database.reading(tenant.key) as connection:
            end, _ = await _end(connection, tenant)
            found: int = await connection.fetchval(_POSITION_AT, tenant.key, recorded_at, end)
        return found

    async def scan(
        self,
        tenant: Tenant,
        *,
        streams: Collection[int] | None,
        where: Filter | None,
        start: int,
        end: int,
        limit: int,
        order: Order = Order.ASCENDING,
    ) -> Scan:
        """Up to `limit` matching ledger events of positions [start, end), of all or of these streams (by key).

        Stops after about two seconds of looking: `reached` says how far it came, never beyond the log's end."""
        async with self._database.reading(tenant.key) as connection:
            end = min(end, (await _end(connection, tenant))[0])
            ask = Ask(tenant.key, streams, where, start, end, limit, order)
            return await walk(connection, LEDGER, self._names, ask)

    async def scan_indexed(
        self,
        tenant: Tenant,
        *,
        streams: Collection[int] | None,
        where: Filter | None,
        start: int,
        end: int,
        limit: int,
        order: Order = Order.ASCENDING,
    ) -> Scan:
        """The same over the Kafka engine's indexed events; places instead of positions (see `place_head`)."""
        async with self._database.reading(tenant.key) as connection:
            end = min(end, await connection.fetchval(_PLACE_HEAD))
            ask = Ask(tenant.key, streams, where, start, end, limit, order)
            return await walk(connection, INDEXED, self._names, ask)

    async def place_head(self, tenant: Tenant) -> int:
        """The next place of the tenant's indexed events."""
        async with self._database.reading(tenant.key) as connection:
            head: int = await connection.fetchval(_PLACE_HEAD)
        return head

    async def offsets_before(self, tenant: Tenant, stream: int, partitions: int, place: int) -> tuple[int, ...]:
        """The next offset of each of a Kafka stream's partitions, as the index stood at that place; 0 where nothing was
        indexed yet."""
        async with self._database.reading(tenant.key) as connection:
            rows = await connection.fetch(_OFFSETS, stream, partitions, place)
        return tuple(row[0] for row in rows)

    async def count(self, tenant: Tenant, stream: int, *, indexed: bool) -> int:
        """How many events of a stream the ledger holds, or of a Kafka stream the index."""
        async with self._database.reading(tenant.key) as connection:
            number: int = await connection.fetchval(_INDEXED_COUNT if indexed else _COUNT, tenant.key, stream)
        return number


async def _end(connection: Connection, tenant: Tenant) -> tuple[int, datetime]:
    row = await connection.fetchrow(_HEAD, tenant.key)
    return (row["position"] + 1, row["recorded_at"]) if row else (1, NEVER)
