"""Events through admission into the Kafka engine, over bare aiokafka ``send_batch`` of the same bytes.

Both sides write batches of 1,000 events of ~600 bytes, keyed by aggregate, with acks=all by an idempotent producer and
the same codec, to six partitions of one broker. The peer's bytes, keys and partitions are made beforehand: it is Kafka
itself and nothing else.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec
from aiokafka import AIOKafkaProducer

from gateway.heap import settle_heap
from processors.admission.admission import Admission
from processors.admission.canonical import ContentHash
from schema.cursor import CursorCodec
from schema.errors import ErrorCode
from schema.identifier import IdentifierSource
from schema.input import ClientContext, EventInput
from schema.principal import Action, Grant, Principal
from schema.stream import Route, Stream, StreamEngine
from store.log.kafka import KafkaLog
from store.log.partitioner import partition
from store.log.port import Command, Draft
from store.topics import Topics
from tests.benchmarks.harness import compare, finish
from tests.services.external import environment

BATCH = 1000
BATCHES = 30
PARTITIONS = 6
WRITERS = 2
PRINCIPAL = Principal(tenant="bench", subject="load", client="bench", grants=(Grant(Action.PUBLISH),))


class OneStream:
    """A tenant with one stream: what admission asks the registry, the pins and the logs for."""

    def __init__(self, stream: Stream, log: KafkaLog) -> None:
        self.streams: Sequence[Stream] = (stream,)
        self.routes: Sequence[Route] = ()
        self._log = log

    async def view(self, tenant: str) -> "OneStream":
        return self

    async def refresh(self, tenant: str) -> "OneStream":
        return self

    async def pin_aggregate_type(self, tenant: str, aggregate_type: str, stream_key: int) -> int:
        return stream_key

    async def of(self, stream: Stream) -> KafkaLog:
        return self._log

    async def epoch(self, tenant: str) -> int:
        return 1

    def published(self, engine: StreamEngine, events: int, seconds: float) -> None:
        """Nothing is recorded."""

    def rejected(self, code: ErrorCode, events: int) -> None:
        raise AssertionError(code)


def inputs() -> list[EventInput]:
    """A batch: payloads differ, as they do in life, or compression would flatter."""
    return [
        EventInput(
            event_type="telemetry.read",
            aggregate_id=f"device-{random.randrange(5000)}",
            aggregate_type="Device",
            payload=msgspec.Raw(b'{"reading":%d,"text":"%s"}' % (n, random.randbytes(110).hex().encode())),
        )
        for n in range(BATCH)
    ]


async def main() -> None:
    with environment("ESB_KAFKA_SERVERS") as settings:
        await run(settings["ESB_KAFKA_SERVERS"])


async def run(servers: str) -> None:
    """Measure, and print the line."""
    settle_heap()  # both sides run as the gateway does
    name = f"bench-{uuid4().hex}"
    stream = Stream(
        key=1,
        tenant="bench",
        stream_id="str_1",
        stream_name=name,
        topic_name=name,
        engine=StreamEngine.KAFKA,
        partitions=PARTITIONS,
        event_patterns=("telemetry.*",),
    )
    await Topics(servers).create(stream)
    log = KafkaLog(stream, servers)
    only = OneStream(stream, log)
    admission = Admission(
        views=only,
        pins=only,
        logs=only,
        codec=CursorCodec(b"k" * 32),
        hashes=ContentHash(b"h" * 32),
        recorder=only,
        identifiers=IdentifierSource(),
    )
    batches = [inputs() for _ in range(BATCHES)]
    drafts = [await drafted(admission, batch) for batch in batches]
    producer = AIOKafkaProducer(
        bootstrap_servers=servers, enable_idempotence=True, compression_type="snappy", max_batch_size=512 * 1024
    )
    await producer.start()
    try:
        prepared = [by_partition(batch) for batch in drafts]
        compared = await compare(
            lambda: rate(lambda one: publish(admission, one), batches),
            {"send_batch": lambda: rate(lambda one: send(producer, stream.topic, one), prepared)},
        )
        appending = await compare(
            lambda: rate(lambda one: append(log, one), drafts),
            {"send_batch": lambda: rate(lambda one: send(producer, stream.topic, one), prepared)},
        )
    finally:
        await producer.stop()
        await log.close()
    finish(
        "kafka-append",
        compared.summary(),
        unit="events/s",
        ratio_without_admission=round(appending.ratio("send_batch"), 3),
        body_bytes=round(sum(len(draft.body) for draft in drafts[0]) / BATCH),
    )


async def rate(send_one: Any, batches: Sequence[Any]) -> float:
    """Events a second with `WRITERS` concurrent callers."""
    waiting = iter(batches)

    async def work() -> None:
        for batch in waiting:
            await send_one(batch)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(WRITERS)))
    return BATCH * len(batches) / (time.perf_counter() - began)


async def publish(admission: Admission, batch: list[EventInput]) -> None:
    """Ours."""
    report = await admission.publish(PRINCIPAL, batch, client=ClientContext(), atomic=False)
    assert len(report.receipts) == BATCH, report.rejections[:3]


async def append(log: KafkaLog, drafts: list[Draft]) -> None:
    """Ours below admission."""
    outcomes = await log.append([Command(events=[draft]) for draft in drafts])
    assert all(isinstance(outcome, list) for outcome in outcomes)


async def send(producer: AIOKafkaProducer, topic: str, batch: dict[int, list[tuple[bytes, bytes]]]) -> None:
    """The peer."""
    answers = []
    for number, records in batch.items():
        builder = producer.create_batch()
        for key, value in records:
            builder.append(timestamp=None, key=key, value=value)
        answers.append(await producer.send_batch(builder, topic, partition=number))
    for answer in answers:
        await answer


async def drafted(admission: Admission, batch: list[EventInput]) -> list[Draft]:
    """The batch as admission hands it to the log."""
    drafting = admission._drafting(PRINCIPAL, ClientContext())
    return [await drafting.draft(said) for said in batch]


def by_partition(drafts: list[Draft]) -> dict[int, list[tuple[bytes, bytes]]]:
    """The peer's records, placed."""
    placed: dict[int, list[tuple[bytes, bytes]]] = {}
    for draft in drafts:
        key = str(draft.envelope.aggregate_id).encode()
        placed.setdefault(partition(key, PARTITIONS), []).append((key, draft.body))
    return placed


if __name__ == "__main__":
    asyncio.run(main())
