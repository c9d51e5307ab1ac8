"""The indexer: Kafka streams' records into rows that queries can find.

One process at a time indexes a stream, under a lease, with a reader that is assigned every partition: there is no
consumer group to rebalance. The position is kept with the rows, not in Kafka.
"""

import logging
from collections.abc import Collection
from typing import Any

from processors.rota import Rota, Turn
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from store.checkpoints import Checkpoint
from store.kafka_index import Dead, IndexedStream, KafkaIndex
from store.leases import Leases
from store.log.foreign import NotAnEvent
from store.log.kafka import event_of
from store.log.kafka_read import KafkaReader, open_reader

_log = logging.getLogger(__name__)

PREFIX = "indexer:"
_BATCH = 2000
_WAIT_S = 1.0


class Indexer:
    """Indexes every tenant's Kafka streams.

    `slots`: streams indexed at once by this process, each with a consumer of its own; others take turns.
    """

    def __init__(
        self,
        servers: str,
        index: KafkaIndex,
        leases: Leases,
        *,
        slots: int = 64,
        poll_s: float = 1.0,
        deadline_s: float = 10.0,
    ) -> None:
        self._servers = servers
        self._index = index
        self._deadline_s = deadline_s
        self._streams: dict[str, IndexedStream] = {}
        self._behind: dict[str, int] = {}
        self._dead = 0
        self._rota = Rota(PREFIX, leases, self._due, self._serve, slots=slots, poll_s=poll_s)

    async def start(self) -> None:
        """Begin. May be called twice."""
        await self._rota.start()

    async def stop(self) -> None:
        """End, and give the leases back. May be called twice."""
        await self._rota.stop()

    def lag(self) -> int:
        """Records not yet indexed of the streams this process indexes."""
        return sum(self._behind.values())

    def dead_letters(self) -> int:
        """Records this process has put to the dead letters since it started."""
        return self._dead

    async def _due(self) -> Collection[str]:
        self._streams = dict(await self._index.streams())
        return self._streams.keys()

    async def _serve(self, name: str, turn: Turn) -> None:
        of = self._streams[name]
        checkpoint = await self._index.claim(turn.lease)
        try:
            async with open_reader(
                self._servers, of.stream.topic, of.stream.partitions, deadline_s=self._deadline_s
            ) as reader:
                await self._seek(reader, checkpoint, of)
                while not turn.over:
                    before = list(reader.offsets)
                    records = await reader.poll(_BATCH, _WAIT_S)
                    self._behind[name] = reader.behind()
                    if records or before != reader.offsets:
                        checkpoint = await self._advance(turn, of, checkpoint, records, reader)
        finally:
            self._behind.pop(name, None)

    async def _seek(self, reader: KafkaReader, checkpoint: Checkpoint, of: IndexedStream) -> None:
        try:
            await reader.seek(checkpoint.state.get("offsets", ()), 0)
        except EsbError as error:
            if error.code is not ErrorCode.CURSOR_EXPIRED:
                raise
            # They are gone from the log itself. What is left is indexed; the log's readers see the same.
            _log.error("records of stream %r were deleted by retention before they were indexed", of.stream.stream_name)
            await reader.seek((), 0)

    async def _advance(
        self, turn: Turn, of: IndexedStream, checkpoint: Checkpoint, records: list[Any], reader: KafkaReader
    ) -> Checkpoint:
        found: list[tuple[Any, Event]] = []
        dead: list[Dead] = []
        for record in records:
            try:
                found.append((record, event_of(record, of.stream)))
            except NotAnEvent as error:
                dead.append(Dead(record, str(error)))
        after = Checkpoint(checkpoint.position + len(found), {"offsets": list(reader.offsets)})
        refused = await self._index.save(turn.lease, of, found, dead, after)
        if refused or dead:
            self._dead += refused + len(dead)
            _log.warning("%d records of stream %r are dead letters", refused + len(dead), of.stream.stream_name)
        return after
