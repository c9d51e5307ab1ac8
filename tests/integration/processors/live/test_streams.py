"""Live subscriptions over a Kafka and a Redis stream beside the ledger: one cursor over all, cut and resumed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from processors.live.items import CaughtUp, Delivered
from processors.live.live import Live, LiveLimits
from processors.live.request import Edge, LiveRequest, Start
from schema.cursor import Cursor, CursorCodec
from schema.errors import ErrorCode, EsbError
from schema.event import Event
from store.log.port import Command
from tests.conformance import engines
from tests.conformance.engines import Subject
from tests.events import draft, stream
from tests.unit.processors.live.world import READER, TENANT, MemoryLedger

CODEC = CursorCodec(b"k" * 32)


class Logs(MemoryLedger):
    """The ledger in memory, the others real."""

    def __init__(self, others: dict[int, Any]) -> None:
        super().__init__()
        self.others = others

    async def of(self, asked: Any) -> Any:
        return self.others[asked.key]


@pytest.fixture(
    params=[
        pytest.param("kafka", marks=pytest.mark.needs("kafka_servers")),
        pytest.param("redis", marks=pytest.mark.needs("redis_url")),
    ]
)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    service = {"kafka": "kafka_servers", "redis": "redis_url"}[request.param]
    async with AsyncExitStack() as stack:
        opened = getattr(engines, request.param)({service: request.getfixturevalue(service)})
        yield await stack.enter_async_context(opened)


async def publish(subject: Subject, numbers: range) -> None:
    commands = [Command(events=[draft(subject.stream, f"a{n % 7}", payload={"n": n})]) for n in numbers]
    for begin in range(0, len(commands), 20):
        await subject.log.append(commands[begin : begin + 20])


def number(event: Event) -> int:
    return int(event.payload_document["n"])


async def test_cut_and_resumed_sees_each_record_and_each_ledger_event_once(subject: Subject) -> None:
    logs = Logs({subject.stream.key: subject.log})
    live = Live(logs, logs, logs, CODEC, limits=LiveLimits(poll_seconds=0.05, ring_bytes=60_000))
    await live.start()
    ledger_stream = stream(77, "s77", TENANT)
    seen: list[Event] = []
    start: Start = Edge.BEGINNING
    cuts = 0

    async def read() -> None:
        nonlocal start, cuts
        while len(seen) < 700:
            asked = LiveRequest(principal=READER, streams=(ledger_stream, subject.stream), start=start, max_events=17)
            async with await live.subscribe(asked) as subscription:
                steps = 6
                async for items in subscription:
                    for item in items:
                        seen.extend([item.event] if isinstance(item, Delivered) else [])
                        start = CODEC.decode(TENANT, CODEC.encode(TENANT, item.cursor))
                    steps -= 1
                    if not steps or len(seen) >= 700:
                        break
            cuts += 1

    await publish(subject, range(200))
    live.on_commit(logs.commit(100, stream_key=77))
    reading = asyncio.create_task(read())
    await publish(subject, range(200, 500))
    for _ in range(10):
        live.on_commit(logs.commit(10, stream_key=77))
        await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await reading
    others = [event for event in seen if event.position is None]
    assert [event.position for event in seen if event.position is not None] == list(range(1, 201))
    assert sorted(map(number, others)) == list(range(500))
    for remainder in range(7):
        mine = [number(event) for event in others if number(event) % 7 == remainder]
        assert mine == sorted(mine), "order within an aggregate"
    assert cuts > 5
    await live.stop()


async def test_live_subscribers_share_one_tail_and_miss_nothing_after_the_acknowledgement(subject: Subject) -> None:
    logs = Logs({subject.stream.key: subject.log})
    live = Live(logs, logs, logs, CODEC)
    await live.start()
    await publish(subject, range(5))
    asked = LiveRequest(principal=READER, streams=(subject.stream,))
    many = [await live.subscribe(asked) for _ in range(5)]
    await publish(subject, range(5, 25))

    async def read(subscription: Any) -> list[int]:
        found: list[int] = []
        told = 0
        async with asyncio.timeout(30):
            while len(found) < 20:
                for item in await anext(subscription):
                    told += isinstance(item, CaughtUp)
                    found.extend([number(item.event)] if isinstance(item, Delivered) else [])
        assert told == 1
        return sorted(found)

    assert await asyncio.gather(*map(read, many)) == [list(range(5, 25))] * 5
    assert len(live._tailers) == 1
    assert live._tailers.get(subject.stream.stream_id) is not None
    for subscription in many:
        await subscription.aclose()
    await live.stop()


@pytest.mark.needs("kafka_servers")
async def test_after_a_restart_those_who_come_back_share_what_is_read_of_kafka(kafka_servers: str) -> None:
    async with engines.kafka({"kafka_servers": kafka_servers}) as subject:
        logs = Logs({subject.stream.key: subject.log})
        live = Live(logs, logs, logs, CODEC)
        await live.start()
        await publish(subject, range(100))
        place = (await subject.log.read(Cursor(0, 0), 10)).cursor
        await publish(subject, range(100, 1500))
        asked = LiveRequest(principal=READER, streams=(subject.stream,), start=place)
        for _ in range(3):
            seen: list[int] = []
            async with asyncio.timeout(60), await live.subscribe(asked) as subscription:
                async for items in subscription:
                    seen += [number(item.event) for item in items if isinstance(item, Delivered)]
                    if len(seen) >= 1490:
                        break
            assert len(set(seen)) == len(seen) == 1490
            for remainder in range(7):
                assert (mine := [one for one in seen if one % 7 == remainder]) == sorted(mine)
        tailer = live._tailers.get(subject.stream.stream_id)
        assert tailer is not None
        assert tailer.ring.next_index - tailer.ring.first_index == 1500, "the ring holds all of it"
        await live.stop()


async def test_a_cursor_beyond_the_head_is_refused(subject: Subject) -> None:
    logs = Logs({subject.stream.key: subject.log})
    live = Live(logs, logs, logs, CODEC)
    await live.start()
    await publish(subject, range(3))
    head = await subject.log.head()
    beyond = head._replace(
        kafka=tuple((key, tuple(offset + 9 for offset in offsets)) for key, offsets in head.kafka),
        redis=tuple((key, f"{int(entry.split('-')[0]) + 9_000}-0") for key, entry in head.redis),
    )
    with pytest.raises(EsbError) as caught:
        await live.subscribe(LiveRequest(principal=READER, streams=(subject.stream,), start=beyond))
    assert caught.value.code == ErrorCode.CURSOR_INVALID
    await live.stop()
