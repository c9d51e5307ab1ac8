"""One tenant log's turn at the relay.

In this order: open the writer (it fences whoever relayed before and settles its open transaction), only then ask how
far the work got. What Kafka committed counts; PostgreSQL's checkpoint is behind it by at most the last transaction, and
carries what Kafka forgets after seven quiet days.
"""

import logging
import time
from collections.abc import Sequence

import asyncpg

from processors.rota import Turn
from schema.event import Place, splice_place
from schema.stream import Stream
from store.checkpoints import Checkpoint, Checkpoints
from store.log.kafka_records import Record
from store.log.kafka_transactions import Addressed, Progress, TransactionalWriter, open_writer
from store.log.partitioner import Sticky, partition
from store.relay_source import RelaySource, TenantLog
from store.topics import Topics

_log = logging.getLogger(__name__)

_POLL_S = 1.0


class RelayLog:
    """Relays one tenant's log while it has the turn. `deadline_s` bounds a transaction."""

    def __init__(
        self,
        log: TenantLog,
        servers: str,
        source: RelaySource,
        topics: Topics,
        checkpoints: Checkpoints,
        deadline_s: float,
    ) -> None:
        self._log = log
        self._servers = servers
        self._source = source
        self._topics = topics
        self._checkpoints = checkpoints
        self._deadline_s = deadline_s
        self._streams: dict[int, Stream] = {}
        self._stickies: dict[int, Sticky] = {}
        self._watermarks: dict[int, int] = {}

    async def serve(self, turn: Turn, idle_s: float) -> None:
        """Relay until the turn is over or nothing came for `idle_s` seconds. Raises LOG_UNAVAILABLE and Fenced."""
        checkpoint = await self._checkpoints.claim(turn.lease)
        # The creation time is in the name: a new installation may meet what an old one left in the same Kafka, and its
        # log begins at position 1 again.
        work = f"esb-relay.{self._log.name}.{self._log.created_us}"
        async with open_writer(self._servers, work, deadline_s=self._deadline_s) as writer:
            position = await self._resume(checkpoint, await writer.progress())
            busy_at = time.monotonic()
            while not turn.over:
                rows = await self._source.events(self._log.tenant, position)
                if rows:
                    position = await self._relay(writer, rows)
                    await self._checkpoints.save(turn.lease, self._checkpoint(position))
                    busy_at = time.monotonic()
                elif time.monotonic() - busy_at > idle_s:
                    return
                else:
                    await turn.rest(_POLL_S)

    async def _resume(self, checkpoint: Checkpoint, progress: Progress | None) -> int:
        """The next position, with the streams' watermarks as they were there."""
        saved = max(checkpoint.position, 1)
        self._watermarks = {int(key): at for key, at in checkpoint.state.get("watermarks", {}).items()}
        target = saved
        if progress is not None and progress.note == str(self._log.epoch):
            target = max(saved, progress.position)
        if target > self._log.last + 1:
            # Someone put an older copy of the log in place without a new epoch. Repeating is the lesser evil.
            _log.error("the log of %r ends before what was relayed; relaying again from there", self._log.name)
            target = min(saved, self._log.last + 1)
        position = saved
        while position < target:
            rows = [row for row in await self._source.events(self._log.tenant, position) if row["position"] < target]
            for row in rows:
                self._advance(row)
            position = rows[-1]["position"] + 1 if rows else target
        return target

    async def _relay(self, writer: TransactionalWriter, rows: Sequence[asyncpg.Record]) -> int:
        """One transaction; the next position."""
        by_stream: dict[int, list[Record]] = {}
        for row in rows:
            key = row["stream"]
            stream = self._streams.get(key) or await self._learn(key)
            by_stream.setdefault(key, []).append(self._record(stream, row))
        position: int = rows[-1]["position"] + 1
        addressed = [
            Addressed(self._streams[key].topic, self._streams[key].compression, records)
            for key, records in by_stream.items()
        ]
        await writer.write(addressed, Progress(position, str(self._log.epoch)))
        return position

    def _record(self, stream: Stream, row: asyncpg.Record) -> Record:
        place = Place(
            stream=stream.stream_name,
            position=row["position"],
            sequence_number=row["sequence_number"],
            recorded_at=row["recorded_at"],
        )
        value = splice_place(place, row["body"])
        headers = [("position", b"%d" % row["position"]), ("epoch", b"%d" % self._log.epoch)]
        watermark = self._advance(row)
        if watermark is not None:
            headers.append(("watermark", b"%d" % watermark))
        at_ms = int(row["recorded_at"].timestamp() * 1000)
        if row["aggregate_id"] is None:
            return self._stickies[stream.key].next(len(value)), None, value, at_ms, headers
        key = row["aggregate_id"].encode()
        return partition(key, stream.partitions), key, value, at_ms, headers

    def _advance(self, row: asyncpg.Record) -> int | None:
        """The stream's running maximum of `timestamp` over the records before this one, in microseconds since 1970;
        None at its first. It then takes this one in."""
        before = self._watermarks.get(row["stream"])
        if before is None or row["ts_us"] > before:
            self._watermarks[row["stream"]] = row["ts_us"]
        return before

    async def _learn(self, key: int) -> Stream:
        """The stream of a key seen for the first time in this turn; its topic is there afterwards."""
        stream = (await self._source.streams(self._log))[key]
        await self._topics.ensure(stream)
        self._stickies[key] = Sticky(stream.partitions)
        self._streams[key] = stream
        return stream

    def _checkpoint(self, position: int) -> Checkpoint:
        return Checkpoint(position, {"watermarks": {str(key): at for key, at in self._watermarks.items()}})
