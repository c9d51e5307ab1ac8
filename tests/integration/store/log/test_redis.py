"""What the Redis engine keeps and forgets, on a real Redis."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from schema.cursor import Cursor
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from schema.stream import StreamEngine
from store.log.port import Receipt
from store.log.redis import RedisLog
from tests.conformance.engines import own_stream
from tests.relaying import commands, draft

BEGINNING = Cursor(0, 0)
NODE = 100  # entries Redis trims at once (stream-node-max-entries): "about" means up to that many more


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    made = Redis.from_url(redis_url)
    yield made
    await made.aclose()


@pytest.fixture
async def log(client: Redis) -> AsyncIterator[RedisLog]:
    made = RedisLog(own_stream(StreamEngine.REDIS), client, max_entries=500)
    yield made
    await client.delete(made._stream.topic)


async def placed(log: RedisLog, numbers: range) -> list[Receipt]:
    receipts = []
    for outcome in await log.append(commands(log._stream, numbers)):
        assert isinstance(outcome, list), outcome
        receipts += outcome
    return receipts


async def expired(log: RedisLog, start: Cursor) -> bool:
    (found,) = await asyncio.gather(log.read(start, 10), return_exceptions=True)
    return isinstance(found, EsbError) and found.code is ErrorCode.CURSOR_EXPIRED


async def later(client: Redis, than_ms: int) -> None:
    """Until Redis' clock is past a millisecond: in the same one, it gives a stream that is new again the same ids."""
    async with asyncio.timeout(30):
        while (now := await client.time())[0] * 1000 + now[1] // 1000 <= than_ms:
            pass


async def test_it_keeps_the_newest_and_tells_who_missed_the_rest(log: RedisLog, client: Redis) -> None:
    empty = await log.head()
    first = await placed(log, range(400))
    assert not await expired(log, empty)
    assert not await expired(log, first[0].cursor)
    await placed(log, range(400, 2000))

    assert 500 <= await client.xlen(log._stream.topic) <= 500 + NODE
    assert await expired(log, empty)
    assert await expired(log, first[0].cursor)
    kept = (await log.read(BEGINNING, 1000)).events
    assert [event.payload_document["number"] for event in kept][-500:] == list(range(1500, 2000))
    assert not await expired(log, (await log.read(BEGINNING, 1)).cursor)


async def test_a_slow_tail_is_told_that_it_was_overtaken(log: RedisLog) -> None:
    await placed(log, range(10))
    tail = log.tail(BEGINNING)
    assert len((await anext(tail)).events) == 10
    await placed(log, range(10, 2000))
    with pytest.raises(EsbError) as caught:
        await anext(tail)
    assert caught.value.code is ErrorCode.CURSOR_EXPIRED


async def test_a_stream_that_was_wiped_is_an_expired_cursor(log: RedisLog, client: Redis) -> None:
    (receipt,) = await placed(log, range(1))
    await client.delete(log._stream.topic)
    assert await expired(log, receipt.cursor)
    await later(client, receipt.cursor.at_ms)
    await placed(log, range(1))
    assert await expired(log, receipt.cursor)
    assert len((await log.read(BEGINNING, 10)).events) == 1


async def test_a_cursor_without_this_stream_starts_at_its_time(log: RedisLog, client: Redis) -> None:
    before = await placed(log, range(20))
    await later(client, before[-1].cursor.at_ms)
    after = await placed(log, range(20, 40))
    start = Cursor(0, 0, after[0].cursor.at_ms)
    batch = await log.read(start, 100)

    assert [event.event_id for event in batch.events] == [receipt.event_id for receipt in after]
    ahead = await log.read(Cursor(0, 0, after[-1].cursor.at_ms + 60_000), 100)
    assert ahead.events == []
    (receipt,) = await placed(log, range(40, 41))
    assert [event.event_id for event in (await log.read(ahead.cursor, 10)).events] == [receipt.event_id]


async def test_foreign_entries_are_passed_over(log: RedisLog, client: Redis) -> None:
    good, other = draft(log._stream, 1, "a").body, draft(log._stream, 2, "a").body
    for fields in ({"event": good}, {"x": "y"}, {"event": b"{"}, {"event": other.replace(b"t", b"\xff")}):
        await client.xadd(log._stream.topic, fields)
    await client.xadd(log._stream.topic, {"event": other})

    events: list[Event] = list((await log.read(BEGINNING, 10)).events)
    assert [event.payload_document["number"] for event in events] == [1, 2]


async def test_a_key_of_another_type_is_unavailable_not_a_stack_trace(log: RedisLog, client: Redis) -> None:
    await client.set(log._stream.topic, "something else")
    with pytest.raises(EsbError) as caught:
        await placed(log, range(1))
    assert caught.value.code is ErrorCode.LOG_UNAVAILABLE
