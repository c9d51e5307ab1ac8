"""Writing to Kafka exactly once: each write is one transaction that holds the records and how far they reach.

The transactional id names the work, not the process. Whoever opens a writer under it fences every earlier one and
settles its open transaction, before it asks how far the work got (KIP-98, KIP-129).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from schema.stream import Compression
from store.log.kafka_append import discard, unavailable
from store.log.kafka_client import running, start
from store.log.kafka_records import Record, pack

# Offsets can only be committed for a partition that exists. The name has no dot, so it is nobody's stream.
MARKER_TOPIC = "esb-relay"
_MARKER = TopicPartition(MARKER_TOPIC, 0)

# How long readers of committed records may have to wait behind a writer that died.
_TRANSACTION_TIMEOUT_MS = 30_000
_RETRY_S = 0.2


class Progress(NamedTuple):
    """How far a work got: everything before `position` is written. `note`: what the writer said beside it."""

    position: int
    note: str


class Addressed(NamedTuple):
    """Records for one topic."""

    topic: str
    compression: Compression
    records: Sequence[Record]


class TransactionalWriter:
    """Writes transactions. Made by `open_writer`; after any error it must be closed and another one opened."""

    def __init__(self, producer: AIOKafkaProducer, servers: str, work: str, deadline_s: float) -> None:
        self._producer = producer
        self._servers = servers
        self._work = work
        self._deadline_s = deadline_s

    async def progress(self) -> Progress | None:
        """What the last committed transaction said; None: Kafka knows of none, or forgot (it keeps it seven days)."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers, request_timeout_ms=int(self._deadline_s * 1000))
        try:
            async with asyncio.timeout(self._deadline_s), running(admin, deadline_s=self._deadline_s):
                offsets = await self._offsets(admin)
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        found = offsets.get(_MARKER)
        return None if found is None or found.offset < 0 else Progress(found.offset, found.metadata)

    async def write(self, addressed: Sequence[Addressed], progress: Progress) -> None:
        """Commit the records and the progress as one. After LOG_UNAVAILABLE the next writer's `progress` tells."""
        answers: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._producer.begin_transaction()
                for topic, compression, records in addressed:
                    for batches in pack(records, compression, transactional=True):
                        for packed in batches:
                            answers.append(
                                await self._producer.send_batch(packed.builder, topic, partition=packed.partition)
                            )
                mark = {_MARKER: OffsetAndMetadata(progress.position, progress.note)}
                await self._producer.send_offsets_to_transaction(mark, self._work)
                for answer in answers:
                    await answer
                await self._producer.commit_transaction()
        except (KafkaError, OSError, TimeoutError, AssertionError) as error:
            for answer in answers:
                answer.cancel()
            raise unavailable(error) from error

    async def _offsets(self, admin: AIOKafkaAdminClient) -> dict[Any, Any]:
        while True:
            try:
                found: dict[Any, Any] = await admin.list_consumer_group_offsets(self._work, partitions=[_MARKER])
                return found
            except KafkaError as error:
                # A coordinator that is being elected, or makes its topic at the very first use.
                if not error.retriable:
                    raise
            await asyncio.sleep(_RETRY_S)


@contextlib.asynccontextmanager
async def open_writer(servers: str, work: str, *, deadline_s: float) -> AsyncIterator[TransactionalWriter]:
    """The only living writer of `work` (transactional id and group at once). Raises LOG_UNAVAILABLE."""
    producer = AIOKafkaProducer(
        bootstrap_servers=servers,
        transactional_id=work,
        transaction_timeout_ms=_TRANSACTION_TIMEOUT_MS,
        request_timeout_ms=int(deadline_s * 1000),
    )
    try:
        try:
            await start(producer, deadline_s=deadline_s)
        except (KafkaError, OSError, TimeoutError) as error:
            raise unavailable(error) from error
        yield TransactionalWriter(producer, servers, work, deadline_s)
    finally:
        await discard(producer)
