"""The relay on a real ledger and a real Kafka: what an outside consumer of committed records sees."""

import asyncio
import json
from datetime import timedelta

import pytest
from aiokafka import AIOKafkaProducer
from confluent_kafka.admin import AdminClient

from schema.event import encode_event
from schema.stream import StreamEngine
from store.log.partitioner import partition
from tests.relaying import START, World, assert_exactly_once, consume, rows, unique, world


async def until_relayed(place: World, tenant: str, last: int) -> None:
    async with asyncio.timeout(40):
        while True:
            async with place.database.writing() as connection:
                at = await connection.fetchval("select position from checkpoints where name = $1", f"relay:{tenant}")
            if (at or 0) > last:
                return
            await asyncio.sleep(0.02)


async def test_topics_hold_the_whole_envelopes_with_their_places(database_url: str, kafka_servers: str) -> None:
    tenant = unique()
    async with world(database_url) as place:
        things, others = await place.stream(tenant, "things"), await place.stream(tenant, "others")
        await place.publish(things, range(1, 101))
        await place.publish(others, range(101, 151))
        leases = place.leases()
        relay = place.relay(kafka_servers, leases)
        await relay.start()
        await until_relayed(place, tenant, 150)
        found = await consume(kafka_servers, things.topic, 3, 100)
        found_others = await consume(kafka_servers, others.topic, 3, 50)
        await relay.stop()
        await leases.close()
        log = await place.logs.get(tenant)
        committed = (await log.read((await log.head())._replace(position=1), 1000)).events

    by_position = {int(dict(record.headers)["position"]): record for record in found + found_others}
    assert sorted(by_position) == list(range(1, 151))
    for event in committed:
        record = by_position[event.position]
        assert record.value == encode_event(event)
        assert record.key == (event.aggregate_id.encode() if event.aggregate_id else None)
        assert record.timestamp == int(event.recorded_at.timestamp() * 1000)
        if record.key:
            assert record.partition == partition(record.key, 3)
        value = json.loads(record.value)
        assert (value["position"], value["sequence_number"]) == (event.position, event.sequence_number)


async def test_the_watermark_is_each_streams_running_maximum_across_restarts(
    database_url: str, kafka_servers: str
) -> None:
    tenant = unique()
    times = [5, 3, 9, 9, 1, 12, 2, 30, 4, 31]
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        for start in range(0, len(times), 2):
            await place.publish(stream, times[start : start + 2])
            leases = place.leases()
            relay = place.relay(kafka_servers, leases)
            await relay.start()
            await until_relayed(place, tenant, start + 2)
            await relay.stop()
            await leases.close()
        found = await consume(kafka_servers, stream.topic, 3, len(times))

    headers = sorted((dict(record.headers) for record in found), key=lambda header: int(header["position"]))
    base = int(START.timestamp())
    expected = [None] + [(base + max(times[:end])) * 1_000_000 for end in range(1, len(times))]
    assert [int(h["watermark"]) if "watermark" in h else None for h in headers] == expected
    assert {h["epoch"] for h in headers} == {b"1"}


async def test_a_lost_checkpoint_repeats_nothing(database_url: str, kafka_servers: str) -> None:
    """The relay died between Kafka's commit and PostgreSQL's: what Kafka knows counts."""
    tenant = unique()
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        for end in (50, 100, 150):
            await place.publish(stream, range(end - 49, end + 1))
            leases = place.leases()
            relay = place.relay(kafka_servers, leases)
            await relay.start()
            await until_relayed(place, tenant, end)
            await relay.stop()
            await leases.close()
            await rows(database_url, "update checkpoints set position = 0, state = '{}'")
        found = await consume(kafka_servers, stream.topic, 3, 150)

    assert_exactly_once(found, 150)
    for record in found:
        header = dict(record.headers)
        before = START + timedelta(seconds=int(header["position"]) - 1)
        assert header.get("watermark") == (b"%d" % (int(before.timestamp()) * 1_000_000) if before > START else None)


async def test_forgotten_group_offsets_repeat_nothing(database_url: str, kafka_servers: str) -> None:
    """Kafka forgets a quiet group's offsets after seven days: PostgreSQL's checkpoint counts then."""
    tenant = unique()
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        for end in (50, 100):
            await place.publish(stream, range(end - 49, end + 1))
            leases = place.leases()
            relay = place.relay(kafka_servers, leases)
            await relay.start()
            await until_relayed(place, tenant, end)
            await relay.stop()
            await leases.close()
            created = (
                await rows(database_url, "select (extract(epoch from created_at) * 1000000)::bigint from tenants")
            )[0][0]
            await delete_group(kafka_servers, f"esb-relay.{tenant}.{created}")
        found = await consume(kafka_servers, stream.topic, 3, 100)

    assert_exactly_once(found, 100)


async def delete_group(servers: str, group: str) -> None:
    # The client must outlive the call: its thread resolves the future.
    client = AdminClient({"bootstrap.servers": servers})
    await asyncio.to_thread(client.delete_consumer_groups([group])[group].result, 20)


async def test_another_installations_progress_is_not_taken_for_ours(
    database_url: str, kafka_servers: str, databases: object
) -> None:
    """A new database meets a Kafka that knows a tenant of the same name: its log begins at position 1 again."""
    tenant = unique()
    async with world(database_url) as place:
        first = await place.stream(tenant, "first")
        await place.publish(first, range(1, 21))
        leases = place.leases()
        relay = place.relay(kafka_servers, leases)
        await relay.start()
        await until_relayed(place, tenant, 20)
        await relay.stop()
        await leases.close()
        await rows(
            database_url, "truncate tenants, streams, events, event_ids, checkpoints, leases restart identity cascade"
        )
    async with world(database_url) as place:
        second = await place.stream(tenant, "second")
        await place.publish(second, range(1, 11))
        leases = place.leases()
        relay = place.relay(kafka_servers, leases)
        await relay.start()
        await until_relayed(place, tenant, 10)
        found = await consume(kafka_servers, second.topic, 3, 10)
        await relay.stop()
        await leases.close()

    assert_exactly_once(found, 10)


async def test_many_tenants_take_turns_in_few_slots(database_url: str, kafka_servers: str) -> None:
    tenants = [unique() for _ in range(7)]
    async with world(database_url) as place:
        streams = [await place.stream(tenant, partitions=1) for tenant in tenants]
        for stream in streams:
            await place.publish(stream, range(1, 11))
        leases = place.leases()
        relay = place.relay(kafka_servers, leases, slots=2, idle_s=0.2)
        await relay.start()
        most = 0
        async with asyncio.timeout(60):
            while relay.lag() > 0 or most == 0:
                most = max(most, len(relay._rota.serving))
                await asyncio.sleep(0.01)
        for stream in streams:
            assert_exactly_once(await consume(kafka_servers, stream.topic, 1, 10), 10)
        async with asyncio.timeout(20):
            while relay._rota.serving:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await relay.stop()
        await leases.close()

    assert most <= 2


async def test_a_signal_relays_before_the_poll(database_url: str, kafka_servers: str) -> None:
    tenant = unique()
    async with world(database_url) as place:
        stream = await place.stream(tenant)
        leases = place.leases()
        relay = place.relay(kafka_servers, leases, poll_s=3600)
        await relay.start()
        await asyncio.sleep(0.3)
        await place.publish(stream, range(1, 11))
        relay.on_signal(f"log:{tenant}")
        await until_relayed(place, tenant, 10)
        await relay.stop()
        await relay.stop()
        await leases.close()


async def test_stopping_leaves_no_transaction_open(
    database_url: str, kafka_servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An open one would hold up every reader of committed records until it times out, half a minute later."""
    tenant, about_to_commit, commit = unique(), asyncio.Event(), AIOKafkaProducer.commit_transaction

    async def slow_commit(producer: AIOKafkaProducer) -> None:
        await producer.flush()
        about_to_commit.set()
        await asyncio.sleep(0.2)
        await commit(producer)

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", slow_commit)
    async with world(database_url) as place:
        stream = await place.stream(tenant, partitions=1)
        await place.publish(stream, range(1, 101))
        leases = place.leases()
        relay = place.relay(kafka_servers, leases)
        await relay.start()
        async with asyncio.timeout(20):
            await about_to_commit.wait()
        await relay.stop()
        await leases.close()
        found = await consume(kafka_servers, stream.topic, 1, 100, within_s=5)

    assert_exactly_once(found, 100)


async def test_kafka_streams_are_not_relayed(database_url: str, kafka_servers: str) -> None:
    tenant = unique()
    async with world(database_url) as place:
        await place.stream(tenant, engine=StreamEngine.KAFKA)
        leases = place.leases()
        relay = place.relay(kafka_servers, leases)
        await relay.start()
        await asyncio.sleep(0.5)
        assert relay._rota.serving == frozenset()
        await relay.stop()
        await leases.close()
