"""Streams as their administrators see them: who may, what is refused, and creations that die half way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from processors.stream_admin import RetentionInput, StreamAdmin, StreamInput, StreamPatch
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Grant, Principal
from schema.stream import CleanupPolicy, Compression, Retention, Stream, StreamEngine
from store.registry import Registry, StreamCache
from store.registry.creation import confusable
from store.signals.memory import memory_signals

ADMIN = Principal(tenant="acme", grants=tuple(Grant(action) for action in Action))
READER = Principal(tenant="acme", grants=(Grant(Action.READ),))
OF_ORDERS = Principal(tenant="acme", grants=(Grant(Action.MANAGE, "order*"), Grant(Action.PUBLISH, "order*")))
STRANGER = Principal(tenant="globex", grants=ADMIN.grants)


class Killed(BaseException):
    """The process ends here."""


class BrokerTopics:
    """The topics of a broker, and the moment at which the process that talks to it dies."""

    def __init__(self) -> None:
        self.topics: dict[str, Stream | None] = {}
        self.dies_before_making = self.dies_after_making = self.refuses = False

    async def exists(self, topic: str) -> bool:
        return confusable(topic) in {confusable(name) for name in self.topics}

    async def ensure(self, stream: Stream) -> bool:
        if self.refuses:
            raise EsbError(ErrorCode.LOG_UNAVAILABLE, "the broker is away")
        if self.dies_before_making:
            raise Killed
        made = stream.topic not in self.topics
        self.topics.setdefault(stream.topic, stream)
        if self.dies_after_making:
            raise Killed
        return made

    async def alter(self, stream: Stream) -> None:
        if stream.topic not in self.topics:
            raise EsbError(ErrorCode.NOT_FOUND, "no such topic")
        self.topics[stream.topic] = stream


@pytest.fixture
async def registry(database_url: str) -> AsyncIterator[Registry]:
    registry = Registry(database_url)
    yield registry
    await registry.close()


def admin_of(registry: Registry, topics: BrokerTopics | None = None) -> StreamAdmin:
    signals = memory_signals()
    engines = {StreamEngine.KAFKA} if topics else set()
    return StreamAdmin(registry, StreamCache(registry, signals), signals, topics, engines=engines)


@pytest.fixture
def topics() -> BrokerTopics:
    return BrokerTopics()


@pytest.fixture
def admin(registry: Registry, topics: BrokerTopics) -> StreamAdmin:
    return admin_of(registry, topics)


async def refused(work: object) -> EsbError:
    with pytest.raises(EsbError) as caught:
        await work  # type: ignore[misc]
    return caught.value


async def test_a_stream_is_made_with_its_topic_and_shown_at_once(admin: StreamAdmin, topics: BrokerTopics) -> None:
    made = await admin.create(ADMIN, StreamInput(stream_name="orders", event_patterns=["order.**", "order.**"]))
    assert made.topic_name == "orders"
    assert made.event_patterns == ("order.**",)
    assert set(topics.topics) == {"acme.orders"}
    assert list(await admin.list(ADMIN)) == [made]
    assert await admin.get(ADMIN, "orders") == made
    assert list(await admin.list(STRANGER)) == []
    assert await admin.get(STRANGER, "orders") is None


async def test_rights_are_asked_on_the_stream(admin: StreamAdmin) -> None:
    said = StreamInput(stream_name="orders")
    for nobody in (READER, Principal(tenant="acme", grants=(Grant(Action.PUBLISH),))):
        assert (await refused(admin.create(nobody, said))).code is ErrorCode.FORBIDDEN
    await admin.create(OF_ORDERS, said)
    assert (await refused(admin.create(OF_ORDERS, StreamInput(stream_name="users")))).code is ErrorCode.FORBIDDEN
    await admin.create(ADMIN, StreamInput(stream_name="users"))
    assert [stream.stream_name for stream in await admin.list(OF_ORDERS)] == ["orders"]
    assert [stream.stream_name for stream in await admin.list(READER)] == ["orders", "users"]
    assert await admin.get(OF_ORDERS, "users") is None
    for forbidden in (
        admin.patch(READER, "orders", StreamPatch()),
        admin.delete(READER, "orders"),
        admin.delete(OF_ORDERS, "users"),
        admin.create_route(OF_ORDERS, name="r", where={}, stream="users"),
    ):
        assert (await refused(forbidden)).code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"stream_name": "Orders"}, "stream_name"),
        ({"topic_name": "a/b"}, "topic_name"),
        ({"topic_name": ""}, "topic_name"),
        ({"partitions": 0}, "partitions"),
        ({"partitions": 10**9}, "partitions"),
        ({"replication_factor": 0}, "replication_factor"),
        ({"retention_policy": RetentionInput(time_ms=-5)}, "retention_policy.time_ms"),
        ({"event_patterns": ["order..x"]}, "event_patterns"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_made(
    admin: StreamAdmin, topics: BrokerTopics, said: dict[str, object], field: str
) -> None:
    error = await refused(admin.create(ADMIN, StreamInput(**{"stream_name": "orders", **said})))  # type: ignore[arg-type]
    assert error.code is ErrorCode.BAD_INPUT
    assert error.details is not None
    assert error.details["field"] == field
    assert topics.topics == {}
    assert list(await admin.list(ADMIN)) == []


async def test_an_engine_that_is_not_configured_is_said_so(registry: Registry, admin: StreamAdmin) -> None:
    for engine, at in ((StreamEngine.REDIS, admin), (StreamEngine.KAFKA, admin_of(registry))):
        error = await refused(at.create(ADMIN, StreamInput(stream_name="s", engine=engine)))
        assert error.code is ErrorCode.UNSUPPORTED_BY_ENGINE
    assert (await admin.create(ADMIN, StreamInput(stream_name="s", engine=StreamEngine.KAFKA))).partitions == 4


async def test_a_topic_that_is_somebody_elses_is_refused(admin: StreamAdmin, topics: BrokerTopics) -> None:
    topics.topics["acme.apg_orders"] = None
    error = await refused(admin.create(ADMIN, StreamInput(stream_name="orders", topic_name="apg.orders")))
    assert error.code is ErrorCode.ALREADY_EXISTS
    assert await admin.get(ADMIN, "orders") is None
    await admin.create(ADMIN, StreamInput(stream_name="orders"))
    error = await refused(admin.create(ADMIN, StreamInput(stream_name="others", topic_name="orders")))
    assert error.code is ErrorCode.ALREADY_EXISTS


@pytest.mark.parametrize("death", ["dies_before_making", "dies_after_making", "refuses"])
async def test_a_creation_that_ended_half_way_is_finished_by_the_same_call(
    registry: Registry, topics: BrokerTopics, death: str
) -> None:
    setattr(topics, death, True)
    said = StreamInput(stream_name="orders", topic_name="apg.orders")
    with pytest.raises((Killed, EsbError)):
        await admin_of(registry, topics).create(ADMIN, said)
    after = admin_of(registry, topics)
    assert list(await after.list(ADMIN)) == [], "nobody sees a stream without its topic"
    setattr(topics, death, False)
    other = StreamInput(stream_name="thief", topic_name="apg_orders")
    assert (await refused(after.create(ADMIN, other))).code is ErrorCode.ALREADY_EXISTS
    made = await after.create(ADMIN, said)
    assert set(topics.topics) == {made.topic}
    assert (await refused(after.create(ADMIN, said))).code is ErrorCode.ALREADY_EXISTS


async def test_of_two_gateways_that_create_the_same_stream_one_wins(database_url: str, topics: BrokerTopics) -> None:
    registries = [Registry(database_url) for _ in range(4)]
    said = StreamInput(stream_name="orders")
    results = await asyncio.gather(
        *(admin_of(registry, topics).create(ADMIN, said) for registry in registries), return_exceptions=True
    )
    assert sum(isinstance(result, Stream) for result in results) == 1
    assert [r.code for r in results if isinstance(r, EsbError)] == [ErrorCode.ALREADY_EXISTS] * 3
    assert set(topics.topics) == {"acme.orders"}
    for registry in registries:
        await registry.close()


async def test_a_patch_changes_only_what_is_given_here_and_at_the_broker(
    admin: StreamAdmin, topics: BrokerTopics
) -> None:
    said = StreamInput(
        stream_name="orders", retention_policy=RetentionInput(time_ms=1000, size_bytes=2000), event_patterns=["order.*"]
    )
    made = await admin.create(ADMIN, said)
    changed = await admin.patch(ADMIN, "orders", StreamPatch(retention_policy=RetentionInput(time_ms=5)))
    assert changed.retention_policy == Retention(time_ms=5, size_bytes=2000)
    assert (changed.event_patterns, changed.compression) == (made.event_patterns, made.compression)
    assert topics.topics["acme.orders"] == changed
    assert await admin.get(ADMIN, "orders") == changed
    more = StreamPatch(
        retention_policy=None,
        compression=Compression.ZSTD,
        cleanup_policy=CleanupPolicy.COMPACT,
        event_patterns=[],
    )
    changed = await admin.patch(ADMIN, "orders", more)
    assert changed.retention_policy == Retention()
    assert changed.event_patterns == ()
    assert (changed.compression, changed.cleanup_policy) == (Compression.ZSTD, CleanupPolicy.COMPACT)
    assert await admin.patch(ADMIN, "orders", StreamPatch()) == changed


async def test_of_two_patches_that_cross_the_broker_ends_with_both(admin: StreamAdmin, topics: BrokerTopics) -> None:
    await admin.create(ADMIN, StreamInput(stream_name="orders"))
    alter, crossed = topics.alter, False

    async def slow(stream: Stream) -> None:
        nonlocal crossed
        if not crossed:
            crossed = True
            await admin.patch(ADMIN, "orders", StreamPatch(compression=Compression.ZSTD))
        await alter(stream)

    topics.alter = slow  # type: ignore[method-assign]
    await admin.patch(ADMIN, "orders", StreamPatch(cleanup_policy=CleanupPolicy.COMPACT))
    configured = topics.topics["acme.orders"]
    assert configured is not None
    assert (configured.compression, configured.cleanup_policy) == (Compression.ZSTD, CleanupPolicy.COMPACT)


async def test_a_patch_that_cannot_be_is_refused(admin: StreamAdmin) -> None:
    await admin.create(ADMIN, StreamInput(stream_name="orders"))
    for patch in (
        StreamPatch(event_patterns=["a..b"]),
        StreamPatch(retention_policy=RetentionInput(size_bytes=0)),
        StreamPatch(compression=None),  # type: ignore[arg-type]
        StreamPatch(event_patterns=None),  # type: ignore[arg-type]
    ):
        assert (await refused(admin.patch(ADMIN, "orders", patch))).code is ErrorCode.BAD_INPUT
    assert (await refused(admin.patch(ADMIN, "nowhere", StreamPatch()))).code is ErrorCode.UNKNOWN_STREAM


async def test_a_stream_from_before_there_was_a_kafka_can_be_patched(registry: Registry, topics: BrokerTopics) -> None:
    await admin_of(registry).create(ADMIN, StreamInput(stream_name="orders"))
    changed = await admin_of(registry, topics).patch(ADMIN, "orders", StreamPatch(compression=Compression.ZSTD))
    assert changed.compression is Compression.ZSTD


async def test_a_deleted_stream_is_gone_for_good(admin: StreamAdmin) -> None:
    await admin.create(ADMIN, StreamInput(stream_name="orders"))
    assert (await admin.delete(ADMIN, "orders")).deleted
    assert await admin.get(ADMIN, "orders") is None
    for again in (admin.delete(ADMIN, "orders"), admin.patch(ADMIN, "orders", StreamPatch())):
        assert (await refused(again)).code is ErrorCode.UNKNOWN_STREAM
    error = await refused(admin.create(ADMIN, StreamInput(stream_name="orders")))
    assert error.code is ErrorCode.ALREADY_EXISTS
    assert "never comes back" in error.message


async def test_routes_are_made_asked_in_order_and_deleted(admin: StreamAdmin) -> None:
    await admin.create(ADMIN, StreamInput(stream_name="orders"))
    where = {"payload": [{"path": "amount", "gt": 100}], "event_type": {"pattern": "order.**"}}
    low = await admin.create_route(ADMIN, name="low", where=where, stream="orders")
    high = await admin.create_route(ADMIN, name="high", where={}, stream="orders", priority=5)
    assert list(await admin.routes(ADMIN)) == [high, low]
    assert list(await admin.routes(READER)) == [high, low]
    assert list(await admin.routes(STRANGER)) == []
    for bad in (
        {"name": "Bad Name", "where": {}, "stream": "orders"},
        {"name": "r", "where": {"eventTyp": {"eq": "x"}}, "stream": "orders"},
        {"name": "r", "where": {}, "stream": "orders", "priority": 2**31},
    ):
        assert (await refused(admin.create_route(ADMIN, **bad))).code is ErrorCode.BAD_INPUT  # type: ignore[arg-type]
    assert (await refused(admin.delete_route(STRANGER, low.route_id))).code is ErrorCode.NOT_FOUND
    assert (await refused(admin.delete_route(READER, low.route_id))).code is ErrorCode.FORBIDDEN
    assert await admin.delete_route(ADMIN, low.route_id) == low
    assert (await refused(admin.delete_route(ADMIN, low.route_id))).code is ErrorCode.NOT_FOUND
    assert list(await admin.routes(ADMIN)) == [high]


async def test_at_a_real_broker_a_stream_gets_its_topic_and_a_foreign_one_is_refused(
    registry: Registry, kafka_servers: str
) -> None:
    from store.topics import Topics

    broker = Topics(kafka_servers)
    admin = StreamAdmin(registry, StreamCache(registry, signals := memory_signals()), signals, broker, engines=set())
    tenant = Principal(tenant=f"t{id(registry) % 10**9}", grants=ADMIN.grants)
    made = await admin.create(tenant, StreamInput(stream_name="orders", topic_name="apg.orders"))
    assert await broker.exists(made.topic)
    changed = await admin.patch(tenant, "orders", StreamPatch(retention_policy=RetentionInput(time_ms=60_000)))
    assert changed.retention_policy.time_ms == 60_000
    stray = Stream(
        key=0, tenant=tenant.tenant, stream_id="", stream_name="x", topic_name="stray", engine=StreamEngine.LEDGER
    )
    await broker.ensure(stray)
    error = await refused(admin.create(tenant, StreamInput(stream_name="mine", topic_name="stray")))
    assert error.code is ErrorCode.ALREADY_EXISTS
