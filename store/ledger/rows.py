"""Rows of the events tables as events."""

from collections.abc import Iterable
from typing import Any

from schema.event import Event, decode_body
from store.database import Connection

LEDGER_COLUMNS = "e.stream, e.position, e.sequence_number, e.recorded_at, e.body"
INDEXED_COLUMNS = 'e.stream, e.partition, e."offset", e.recorded_at, e.body, e.place'


class StreamNames:
    """Stream keys to names, remembered for ever: neither ever changes."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    async def of(self, keys: Iterable[int], connection: Connection) -> dict[int, str]:
        """The names of at least these keys, as far as the connection's tenant may see them."""
        missing = {key for key in keys if key not in self._names}
        if missing:
            rows = await connection.fetch("select key, stream_name from streams where key = any($1)", list(missing))
            self._names.update((row["key"], row["stream_name"]) for row in rows)
        return self._names


async def ledger_events(rows: list[Any], names: StreamNames, connection: Connection) -> list[Event]:
    """Events of rows of LEDGER_COLUMNS."""
    known = await names.of((row["stream"] for row in rows), connection)
    events = []
    for stream, position, sequence_number, recorded_at, body in rows:
        event = decode_body(body.encode())
        event.stream = known[stream]
        event.position = position
        event.sequence_number = sequence_number
        event.recorded_at = recorded_at
        events.append(event)
    return events


async def indexed_events(rows: list[Any], names: StreamNames, connection: Connection) -> list[Event]:
    """Events of rows of INDEXED_COLUMNS."""
    known = await names.of((row["stream"] for row in rows), connection)
    events = []
    for stream, partition, offset, recorded_at, body, _ in rows:
        event = decode_body(body.encode())
        event.stream = known[stream]
        event.partition = partition
        event.offset = offset
        event.recorded_at = recorded_at
        events.append(event)
    return events
