"""Writing to one Kafka topic: concurrent calls gathered into large batches by one idempotent producer.

Order: one task submits, so the batches of a partition leave in the order of the calls. After any failure the producer
is thrown away with all it still holds: it would retry for ever (aiokafka never expires an idempotent producer's
batches), and a batch its owner has long given up would land behind newer ones.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed, UnknownTopicOrPartitionError

from schema.errors import ErrorCode, EsbError
from schema.stream import Compression
from store.log.kafka_client import start, stop
from store.log.kafka_records import BATCH_BYTES, Packed, Record, pack

FLUSH_BYTES = 8 * BATCH_BYTES
IN_FLIGHT = 2


class Placements(NamedTuple):
    """Where records came to rest, by index: offset, and the time the topic keeps in milliseconds since 1970.

    `failures`: why nothing is known of a record; its offset is -1.
    """

    offsets: list[int]
    times_ms: list[int]
    failures: dict[int, Exception]

    @classmethod
    def unknown(cls, count: int, why: Exception) -> "Placements":
        """Of so many records nothing is known."""
        return cls([-1] * count, [0] * count, dict.fromkeys(range(count), why))

    def part(self, start: int, end: int) -> "Placements":
        """Those of the records `start` to `end`, counted from 0 again."""
        failures = {index - start: why for index, why in self.failures.items() if start <= index < end}
        return Placements(self.offsets[start:end], self.times_ms[start:end], failures)


class _Call(NamedTuple):
    records: Sequence[Record]
    size: int
    answer: asyncio.Future[Placements]


class KafkaAppender:
    """Appends records to one topic. Connects at the first call, disconnects after `idle_s` seconds without one.

    `deadline_s`: how long a call may take, waiting included. `max_waiting_bytes`: calls beyond it are refused.
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        partitions: int,
        compression: Compression,
        *,
        deadline_s: float = 10.0,
        idle_s: float = 60.0,
        max_waiting_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        self._servers = servers
        self._topic = topic
        self._partitions = partitions
        self._compression = compression
        self._deadline_s = deadline_s
        self._idle_s = idle_s
        self._max_waiting_bytes = max_waiting_bytes
        self._waiting: deque[_Call] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._submitter: asyncio.Task[None] | None = None
        self._settling: set[asyncio.Task[None]] = set()
        self._producer: AIOKafkaProducer | None = None
        self._closed = False

    async def append(self, records: Sequence[Record]) -> Placements:
        """Where each record is, or why it is not known to be anywhere. Raises RATE_LIMITED when too much waits, and
        LOG_UNAVAILABLE after the deadline: the records may or may not have been written then.
        """
        size = sum([len(record[2]) for record in records])
        if self._closed:
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "the gateway is stopping")
        if self._waiting and self._waiting_bytes + size > self._max_waiting_bytes:
            raise EsbError(ErrorCode.RATE_LIMITED, "too many events wait for Kafka", retry_after_ms=1000)
        call = _Call(records, size, asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        self._waiting_bytes += size
        self._wake.set()
        if self._submitter is None or self._submitter.done():
            self._submitter = asyncio.create_task(self._submit_all(), name=f"kafka-append:{self._topic}")
        try:
            async with asyncio.timeout(self._deadline_s):
                return await call.answer
        except TimeoutError:
            raise unavailable(TimeoutError(f"no answer within {self._deadline_s:g} s")) from None

    async def close(self) -> None:
        """Answer what was submitted, refuse the rest, disconnect. May be called twice."""
        self._closed = True
        if self._submitter is not None:
            self._submitter.cancel()
            await asyncio.wait([self._submitter])
        for call in self._waiting:
            _answer(call, Placements.unknown(len(call.records), ProducerClosed()))
        self._waiting.clear()
        if self._settling:
            await asyncio.wait(self._settling)
        await self._disconnect()

    async def _submit_all(self) -> None:
        while True:
            self._wake.clear()
            while self._waiting:
                await self._slots.acquire()
                await self._submit(self._take())
            try:
                async with asyncio.timeout(self._idle_s):
                    await self._wake.wait()
            except TimeoutError:
                if not self._settling and not self._waiting:
                    await self._disconnect()
                    if not self._waiting:
                        return

    def _take(self) -> list[_Call]:
        calls: list[_Call] = []
        taken = 0
        while self._waiting and (not calls or taken + self._waiting[0].size <= FLUSH_BYTES):
            call = self._waiting.popleft()
            self._waiting_bytes -= call.size
            if not call.answer.done():
                calls.append(call)
                taken += call.size
        return calls

    async def _submit(self, calls: list[_Call]) -> None:
        """Hand the calls' records to the producer. `_settle` then owns the slot and answers."""
        records = calls[0].records if len(calls) == 1 else [record for call in calls for record in call.records]
        placements = Placements.unknown(len(records), ProducerClosed())
        sent: dict[asyncio.Future[Any], Packed] = {}
        failure: Exception | None = None
        try:
            async with asyncio.timeout(self._deadline_s):
                producer = await self._connected()
                for batches in pack(records, self._compression):
                    for packed in batches:
                        answer = await producer.send_batch(packed.builder, self._topic, partition=packed.partition)
                        sent[answer] = packed
        except Exception as error:
            failure = error
            placements = Placements.unknown(len(records), error)
        finally:
            settling = asyncio.create_task(self._settle(calls, records, placements, sent, failure))
            self._settling.add(settling)
            settling.add_done_callback(self._settling.discard)

    async def _settle(
        self,
        calls: list[_Call],
        records: Sequence[Record],
        placements: Placements,
        sent: dict[asyncio.Future[Any], Packed],
        failure: Exception | None,
    ) -> None:
        try:
            if sent:
                await asyncio.wait(sent, timeout=self._deadline_s)
            for answer, packed in sent.items():
                failure = _place(answer, packed, records, placements) or failure
            if failure is not None:
                await self._disconnect()
        finally:
            self._slots.release()
            start = 0
            for call in calls:
                end = start + len(call.records)
                _answer(call, placements if len(calls) == 1 else placements.part(start, end))
                start = end

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._servers,
                enable_idempotence=True,
                request_timeout_ms=int(self._deadline_s * 1000),
            )
            try:
                await start(producer, deadline_s=self._deadline_s)
                if len(await producer.partitions_for(self._topic)) < self._partitions:
                    raise UnknownTopicOrPartitionError(self._topic)
            except BaseException:
                await discard(producer)
                raise
            self._producer = producer
        return self._producer

    async def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await discard(producer)


async def discard(producer: AIOKafkaProducer, *, within_s: float = 5.0) -> None:
    """Stop a producer and forget what it holds. `stop` alone would wait for ever for a broker that is gone."""
    accumulator = producer._message_accumulator
    accumulator.fail_all(ProducerClosed())
    for queue in accumulator._batches.values():
        for batch in queue:
            batch._drain_waiter.exception()
    accumulator._batches.clear()
    await stop(producer, within_s=within_s)


def unavailable(cause: Exception) -> EsbError:
    """What a caller is told when Kafka did not answer, or not in time."""
    why = str(cause) or type(cause).__name__
    return EsbError(ErrorCode.LOG_UNAVAILABLE, f"Kafka is not available: {why}", retry_after_ms=1000)


def _place(
    answer: asyncio.Future[Any], packed: Packed, records: Sequence[Record], placements: Placements
) -> Exception | None:
    """Write down where a batch's records are; the reason where it is not known."""
    failure: Exception | None = None
    if not answer.done():
        answer.cancel()
        failure = TimeoutError("no answer in time")
    elif answer.cancelled():
        failure = ProducerClosed()
    elif (error := answer.exception()) is not None:
        failure = error if isinstance(error, Exception) else ProducerClosed()
    elif answer.result() is None or answer.result().offset < 0:
        failure = KafkaError("the broker no longer knows where it put a repeated batch")
    if failure is not None:
        placements.failures.update(dict.fromkeys(packed.indexes, failure))
        return failure
    offset, timestamp = answer.result().offset, answer.result().timestamp
    offsets, times_ms = placements.offsets, placements.times_ms
    for index in packed.indexes:
        offsets[index] = offset
        times_ms[index] = timestamp if timestamp != -1 else records[index][3]
        offset += 1
    if placements.failures:
        for index in packed.indexes:
            del placements.failures[index]
    return None


def _answer(call: _Call, placements: Placements) -> None:
    if not call.answer.done():
        call.answer.set_result(placements)
