"""What the Kafka engine keeps beyond the conformance suite, on a real broker."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.admin.records_to_delete import RecordsToDelete

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import MAX_EVENT_BYTES, Event
from schema.stream import CleanupPolicy, Compression, Retention, Stream, StreamEngine
from store.log.kafka import KafkaLog
from store.log.kafka_pool import ReaderPool
from store.log.port import Command, Receipt, Refusal
from store.topics import Topics
from tests.conformance.engines import own_stream
from tests.relaying import commands, draft

BEGINNING = Cursor(0, 0)


@pytest.fixture
async def log(kafka_servers: str) -> AsyncIterator[KafkaLog]:
    stream = own_stream(StreamEngine.KAFKA)
    await Topics(kafka_servers).create(stream)
    made = KafkaLog(stream, kafka_servers)
    yield made
    await made.close()


async def placed(log: KafkaLog, sent: list[Command]) -> list[Receipt]:
    receipts = []
    for outcome in await log.append(sent):
        assert isinstance(outcome, list), outcome
        receipts += outcome
    return receipts


async def test_thousands_of_commands_in_one_append_keep_each_aggregates_order(log: KafkaLog) -> None:
    sent = commands(log._stream, range(5000), aggregates=50)
    receipts = await placed(log, sent)
    events: list[Event] = list((await log.read(BEGINNING, 5000)).events)

    assert [receipt.event_id for receipt in receipts] == [command.events[0].envelope.event_id for command in sent]
    by_place = {(event.partition, event.offset): event for event in events}
    assert len(by_place) == 5000
    for receipt in receipts:
        event = by_place[receipt.partition, receipt.offset]
        assert (event.event_id, event.recorded_at) == (receipt.event_id, receipt.recorded_at)
    for aggregate in range(50):
        numbers = [event.payload_document["number"] for event in events if event.aggregate_id == f"thing-{aggregate}"]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("compression", list(Compression))
async def test_the_largest_event_and_many_large_ones_fit(kafka_servers: str, compression: Compression) -> None:
    stream = msgspec.structs.replace(own_stream(StreamEngine.KAFKA), compression=compression)
    await Topics(kafka_servers).create(stream)
    log = KafkaLog(stream, kafka_servers)
    body = draft(stream, 1, "a").body
    large = body.replace(b'"number"', b'"' + b"x" * (MAX_EVENT_BYTES - len(body)) + b'"')
    sent = [draft(stream, number, "a") for number in range(5)]
    for one in sent:
        one.body = large
    try:
        receipts = await placed(log, [Command(events=[one]) for one in sent])
        batch = await log.read(BEGINNING, 10)
    finally:
        await log.close()

    assert [receipt.offset for receipt in receipts] == [0, 1, 2, 3, 4]
    assert [event.body for event in batch.events] == [large] * 5


async def test_refusals_touch_no_neighbour(log: KafkaLog) -> None:
    stream = log._stream
    versioned = draft(stream, 3, "a")
    versioned.expected_sequence = 0
    outcomes = await log.append(
        [
            *commands(stream, [1]),
            Command(events=[draft(stream, 2), draft(stream, 2)]),
            Command(events=[versioned]),
            Command(events=[]),
            *commands(stream, [4]),
        ]
    )

    assert [type(outcome) for outcome in outcomes] == [list, Refusal, Refusal, list, list]
    assert {outcome.code for outcome in outcomes if isinstance(outcome, Refusal)} == {ErrorCode.UNSUPPORTED_BY_ENGINE}
    assert len((await log.read(BEGINNING, 10)).events) == 2


async def test_a_missing_partition_starts_at_the_cursors_time(log: KafkaLog) -> None:
    earlier = await placed(log, commands(log._stream, range(20)))
    while time.time_ns() // 1_000_000 <= max(receipt.cursor.at_ms for receipt in earlier):
        pass
    later = await placed(log, commands(log._stream, range(20, 40)))
    start = Cursor(0, 0, min(receipt.cursor.at_ms for receipt in later))

    assert {event.event_id for event in (await log.read(start, 100)).events} == {one.event_id for one in later}
    # A publisher's cursor knows its own partition; the others go by its time, so nothing of theirs is skipped.
    after_first = {event.event_id for event in (await log.read(later[0].cursor, 100)).events}
    # What was sent with it may be a millisecond older in another partition.
    first_ms = later[0].cursor.at_ms
    assert {one.event_id for one in later[1:] if one.cursor.at_ms >= first_ms} <= after_first
    assert later[0].event_id not in after_first


async def test_what_lies_before_a_place_is_all_there_up_to_it(log: KafkaLog) -> None:
    await placed(log, commands(log._stream, range(100), aggregates=9))
    end = await log.head()
    await placed(log, commands(log._stream, range(100, 200), aggregates=9))
    place, found = end, list[tuple[int, int]]()
    while True:
        place, events = await log.before(place, 20)
        if not events:
            break
        found = [(event.partition or 0, event.offset or 0) for event in events] + found

    assert place == Cursor(0, 0, 0, ((log._stream.key, (0,) * log._stream.partitions),))
    assert sorted(found) == [
        (partition, offset) for partition, to in enumerate(dict(end.kafka)[log._stream.key]) for offset in range(to)
    ]
    for partition in range(log._stream.partitions):
        assert (mine := [offset for of, offset in found if of == partition]) == sorted(mine)


async def test_readers_are_used_again_and_go_when_nobody_comes(log: KafkaLog) -> None:
    await placed(log, commands(log._stream, range(30)))
    end = await log.head()
    (first,) = [reader for _, reader in log._readers._idle]
    for _ in range(3):
        # One that came to the end, or was cut off in the middle, reads from anywhere.
        assert len((await log.read(BEGINNING, 7)).events) == 7
        assert len((await log.read(BEGINNING, 100)).events) == 30
        assert (await log.read(end, 100)).events == []
    assert [reader for _, reader in log._readers._idle] == [first]

    read = await asyncio.gather(*(log.read(BEGINNING, 100) for _ in range(10)))
    assert {len(batch.events) for batch in read} == {30}
    assert len(log._readers) <= 4
    cut = asyncio.create_task(log.read(BEGINNING, 100))
    await asyncio.sleep(0)
    before = len(log._readers)
    cut.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cut
    assert len(log._readers) == before

    await log._readers.close()
    assert not len(log._readers)
    log._readers = ReaderPool(log._connect, idle_s=0.0)
    await log.head()
    assert log._readers._reaping is not None
    await log._readers._reaping
    assert not len(log._readers)
    assert len((await log.read(BEGINNING, 100)).events) == 30


async def test_what_retention_took_is_an_expired_cursor(log: KafkaLog, kafka_servers: str) -> None:
    receipts = [one for one in await placed(log, commands(log._stream, range(200))) if one.partition == 0]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_servers)
    await admin.start()
    await admin.delete_records({TopicPartition(log._stream.topic, 0): RecordsToDelete(before_offset=5)})
    await admin.close()
    key = log._stream.key

    for start in (Cursor(0, 0, 0, ((key, (4, 0, 0)),)), receipts[2].cursor):
        with pytest.raises(EsbError) as caught:
            await log.read(start, 10)
        assert caught.value.code is ErrorCode.CURSOR_EXPIRED
        with pytest.raises(EsbError) as caught:
            await anext(log.tail(start))
        assert caught.value.code is ErrorCode.CURSOR_EXPIRED
    assert (await log.read(Cursor(0, 0, 0, ((key, (5, 0, 0)),)), 10)).events
    with pytest.raises(EsbError) as caught:
        await log.read(Cursor(0, 0, 0, ((key, (10_000, 0, 0)),)), 10_000)
    assert caught.value.code is ErrorCode.CURSOR_INVALID


async def test_a_tail_ends_cheaply_and_many_run_side_by_side(log: KafkaLog) -> None:
    async def first() -> list[Event]:
        found: list[Event] = []
        async with aclosing(log.tail(BEGINNING)) as tail:  # type: ignore[type-var]
            async for batch in tail:
                found += batch.events
                if len(found) == 20:
                    return found
        raise AssertionError

    async with asyncio.timeout(20):
        tails = [asyncio.create_task(first()) for _ in range(10)]
        await placed(log, commands(log._stream, range(20)))
        for tail in tails:
            assert len({event.event_id for event in await tail}) == 20
        quiet = asyncio.create_task(anext(log.tail(await log.head())))
        await asyncio.sleep(0.3)
        quiet.cancel()
        with pytest.raises(asyncio.CancelledError):
            await quiet


async def test_too_much_waiting_is_refused_at_once(log: KafkaLog) -> None:
    log._appender._max_waiting_bytes = 1000
    outcomes = await asyncio.gather(
        *[log.append(commands(log._stream, range(10))) for _ in range(5)], return_exceptions=True
    )

    refused = [outcome for outcome in outcomes if isinstance(outcome, EsbError)]
    assert {error.code for error in refused} == {ErrorCode.RATE_LIMITED}
    assert all(error.retry_after_ms for error in refused)
    assert 0 < len(refused) < 5


async def test_a_stream_without_a_topic_is_unavailable_in_time(kafka_servers: str) -> None:
    log = KafkaLog(own_stream(StreamEngine.KAFKA), kafka_servers, deadline_s=1.0)
    async with asyncio.timeout(5):
        with pytest.raises(EsbError) as caught:
            await log.append(commands(log._stream, [1]))
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
    await log.close()
    await log.close()


async def settings(servers: str, topic: str) -> dict[str, str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        return {entry[0]: entry[1] for entry in response.resources[0][4]}
    finally:
        await admin.close()


async def test_topics_are_as_the_stream_says_and_follow_it(kafka_servers: str) -> None:
    topics = Topics(kafka_servers)
    stream: Stream = msgspec.structs.replace(
        own_stream(StreamEngine.KAFKA),
        retention_policy=Retention(time_ms=3_600_000, size_bytes=1_000_000),
        compression=Compression.LZ4,
    )
    assert not await topics.exists(stream.topic)
    await topics.create(stream)
    found = await settings(kafka_servers, stream.topic)
    assert (found["retention.ms"], found["retention.bytes"]) == ("3600000", "1000000")
    assert (found["compression.type"], found["cleanup.policy"]) == ("lz4", "delete")
    assert found["message.timestamp.type"] == "LogAppendTime"

    await topics.alter(
        msgspec.structs.replace(stream, retention_policy=Retention(), cleanup_policy=CleanupPolicy.COMPACT)
    )
    found = await settings(kafka_servers, stream.topic)
    assert (found["retention.ms"], found["retention.bytes"], found["cleanup.policy"]) == ("-1", "-1", "compact")
    relayed = msgspec.structs.replace(own_stream(StreamEngine.LEDGER))
    assert await topics.ensure(relayed)
    assert not await topics.ensure(relayed)
    assert (await settings(kafka_servers, relayed.topic))["message.timestamp.type"] == "CreateTime"


async def test_topics_that_exist_or_are_confusable_are_told(kafka_servers: str) -> None:
    topics = Topics(kafka_servers)
    stream = own_stream(StreamEngine.KAFKA)
    await topics.create(stream)

    assert await topics.exists(stream.topic)
    assert await topics.exists(stream.topic.replace(".", "_"))
    with pytest.raises(EsbError) as caught:
        await topics.create(stream)
    assert caught.value.code is ErrorCode.ALREADY_EXISTS
    with pytest.raises(EsbError) as caught:
        await topics.create(msgspec.structs.replace(own_stream(StreamEngine.KAFKA), replication_factor=99))
    assert caught.value.code is ErrorCode.BAD_INPUT
    with pytest.raises(EsbError) as caught:
        await topics.alter(own_stream(StreamEngine.KAFKA))
    assert caught.value.code is ErrorCode.NOT_FOUND


async def test_no_kafka_is_unavailable_not_a_stack_trace() -> None:
    topics = Topics("127.0.0.1:1", deadline_s=2.0)
    with pytest.raises(EsbError) as caught:
        await topics.exists("any")
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
