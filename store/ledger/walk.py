"""Walking a log under a filter, in windows and under a budget, so that no statement and no snapshot grows old.

Windows grow while an index answers quickly and shrink when rows have to be looked through; the caller goes on from
where a walk stopped.
"""

import time
from collections.abc import Awaitable, Callable, Collection
from enum import Enum
from typing import Any, NamedTuple

from schema.event import Event
from schema.filter.ast import Filter
from store.database import Connection
from store.ledger.rows import INDEXED_COLUMNS, LEDGER_COLUMNS, StreamNames, indexed_events, ledger_events
from store.ledger.where import Where

# Small: until a partition has statistics, PostgreSQL fetches and sorts a window whole, whatever the limit.
_FIRST_WINDOW = 500
_LEAST_WINDOW = 500
_BUDGET_SECONDS = 2.0
_QUICK_SECONDS = 0.03
_SLOW_SECONDS = 0.2


class Order(Enum):
    """Along which way a walk goes."""

    ASCENDING = "asc"
    DESCENDING = "desc"


class Scan(NamedTuple):
    """What a walk found, in its order. Ascending: everything before `reached` was looked at, go on with start=reached.
    Descending: everything from `reached` on was, go on with end=reached. `places`: each event's position, or place.
    """

    events: list[Event]
    reached: int
    places: list[int]


class Ask(NamedTuple):
    """What to look for: up to `limit` events of places [start, end), of these streams (by key; None: all)."""

    tenant: int
    streams: Collection[int] | None
    where: Filter | None
    start: int
    end: int
    limit: int
    order: Order


class Table(NamedTuple):
    """A table of events: its name, what to select, the column that orders it, and how its rows become events."""

    name: str
    select: str
    place: str
    decode: Callable[[list[Any], StreamNames, Connection], Awaitable[list[Event]]]


LEDGER = Table("events", f"select {LEDGER_COLUMNS} from events e", "position", ledger_events)
INDEXED = Table("indexed_events", f"select {INDEXED_COLUMNS} from indexed_events e", "place", indexed_events)


async def walk(connection: Connection, table: Table, names: StreamNames, ask: Ask) -> Scan:
    """Look through the table as asked, for about two seconds."""
    statement, where, values = _statement(table, ask)
    deadline = time.monotonic() + _BUDGET_SECONDS
    window = max(ask.limit, _FIRST_WINDOW)
    low, high = min(ask.start, ask.end), ask.end
    ascending = ask.order is Order.ASCENDING
    events: list[Event] = []
    places: list[int] = []
    while low < high and len(events) < ask.limit:
        first, last = (low, min(low + window, high)) if ascending else (max(high - window, low), high)
        wanted = ask.limit - len(events)
        began = time.monotonic()
        rows = await connection.fetch(statement, ask.tenant, first, last, wanted, *values)
        for event, row in zip(await table.decode(rows, names, connection), rows, strict=True):
            if where.keeps(event):
                events.append(event)
                places.append(row[table.place])
        if len(rows) == wanted:
            # Cut off by the limit: only what lies before the last row was surely looked at.
            first = last = rows[-1][table.place] + ascending
        low, high = (last, high) if ascending else (low, first)
        now = time.monotonic()
        if now > deadline:
            break
        window = _next(window, now - began)
    return Scan(events, low if ascending else high, places)


def _statement(table: Table, ask: Ask) -> tuple[str, Where, list[Any]]:
    """The statement of one window ($1 tenant, $2 and $3 its places, $4 how many), and the values from $5 on."""
    values: list[Any] = [None] * 4
    where = Where(ask.where, values)
    place = f"e.{table.place}"
    text = f"{table.select} where e.tenant = $1 and {place} >= $2 and {place} < $3 and {where.text}"
    if ask.streams is not None:
        values.append(list(ask.streams))
        text += f" and e.stream = any(${len(values)}::int[])"
    return f"{text} order by {place} {ask.order.value} limit $4", where, values[4:]


def _next(window: int, seconds: float) -> int:
    if seconds < _QUICK_SECONDS:
        return window * 8
    return max(window // 2, _LEAST_WINDOW) if seconds > _SLOW_SECONDS else window
