"""Streams, routes and pins in a real database, also when two processes want the same at once."""

import asyncio
from collections.abc import AsyncIterator, Callable

import asyncpg
import pytest

from schema.errors import ErrorCode, EsbError
from schema.identifier import IdentifierSource
from schema.stream import Retention, Route, Stream, StreamEngine
from store.registry import Registry, StreamCache, TenantView, cache
from store.signals.memory import memory_signals
from store.signals.port import EVERYTHING, streams_topic
from store.signals.postgres import postgres_signals

IDS = IdentifierSource()


def stream(name: str, tenant: str = "acme", topic: str | None = None, patterns: tuple[str, ...] = ()) -> Stream:
    return Stream(
        key=0,
        tenant=tenant,
        stream_id=IDS.stream_id(),
        stream_name=name,
        topic_name=topic or name,
        engine=StreamEngine.LEDGER,
        retention_policy=Retention(time_ms=1000),
        event_patterns=patterns,
    )


def route(name: str, to: str, priority: int = 0) -> Route:
    return Route(
        route_id="rte_" + IDS.ulid(),
        tenant="acme",
        name=name,
        stream=to,
        where={"eventType": {"eq": name}},
        priority=priority,
    )


@pytest.fixture
async def process(database_url: str) -> AsyncIterator[Callable[[], Registry]]:
    """Makes registries, as several processes would have them."""
    made: list[Registry] = []

    def make() -> Registry:
        made.append(Registry(database_url))
        return made[-1]

    yield make
    for registry in made:
        await registry.close()


@pytest.fixture
def registry(process: Callable[[], Registry]) -> Registry:
    return process()


def outcomes(results: list[object]) -> list[str]:
    return sorted(
        "made" if isinstance(r, Stream) else r.code.value for r in results if isinstance(r, Stream | EsbError)
    )


async def test_what_was_created_is_there_as_it_was_said(registry: Registry) -> None:
    wanted = stream("orders", topic="apg.order.events", patterns=("order.**", "cart.*"))
    made = await registry.create(wanted)
    assert made.key > 0
    assert made.created > 0
    assert await registry.streams("acme") == [made]
    assert await registry.stream("acme", "orders") == made
    assert await registry.by_id("acme", made.stream_id) == made
    assert await registry.streams("globex") == []
    assert await registry.by_id("globex", made.stream_id) is None


async def test_of_many_that_create_one_name_at_once_one_wins(process: Callable[[], Registry]) -> None:
    for number in range(3):
        results = await asyncio.gather(
            *(process().create(stream(f"s{number}", topic=f"t{number}-{n}")) for n in range(4)), return_exceptions=True
        )
        assert outcomes(results) == ["ALREADY_EXISTS"] * 3 + ["made"]


async def test_of_many_that_want_topics_kafka_would_confuse_one_wins(process: Callable[[], Registry]) -> None:
    wanted = [
        stream("one", "a", "b.c"),
        stream("two", "a", "b_c"),
        stream("three", "a_b", "c"),
        stream("four", "a", "b.c"),
    ]
    results = await asyncio.gather(*(process().create(each) for each in wanted), return_exceptions=True)
    assert outcomes(results) == ["ALREADY_EXISTS"] * 3 + ["made"]


async def test_a_first_stream_of_a_new_tenant_may_be_created_by_two_at_once(process: Callable[[], Registry]) -> None:
    results = await asyncio.gather(*(process().create(stream(name, "fresh")) for name in ("a", "b", "c")))
    assert len(await process().streams("fresh")) == len(results) == 3


async def test_a_deleted_name_or_topic_never_comes_back(registry: Registry) -> None:
    await registry.create(stream("orders", topic="t.one"))
    gone = await registry.delete("acme", "orders")
    assert gone is not None
    assert gone.deleted
    assert await registry.streams("acme") == []
    assert await registry.delete("acme", "orders") is None
    with pytest.raises(EsbError, match="never comes back") as refused:
        await registry.create(stream("orders", topic="other"))
    assert refused.value.code is ErrorCode.ALREADY_EXISTS
    with pytest.raises(EsbError, match=r"the topic 'acme\.t_one'"):
        await registry.create(stream("orders2", topic="t_one"))


async def test_a_patch_changes_what_is_given(registry: Registry) -> None:
    made = await registry.create(stream("orders", patterns=("order.**",)))
    changed = await registry.patch("acme", "orders", {"retention_size_bytes": 5})
    assert changed is not None
    assert changed.retention_policy == Retention(time_ms=1000, size_bytes=5)
    assert changed.event_patterns == made.event_patterns
    assert await registry.patch("acme", "orders", {}) == changed
    assert await registry.patch("globex", "orders", {"retention_size_bytes": 6}) is None
    assert await registry.stream("acme", "orders") == changed


async def test_two_patches_at_once_both_count(process: Callable[[], Registry]) -> None:
    await process().create(stream("orders"))
    await asyncio.gather(
        process().patch("acme", "orders", {"retention_size_bytes": 5}),
        process().patch("acme", "orders", {"retention_time_ms": 6}),
    )
    found = await process().stream("acme", "orders")
    assert found is not None
    assert found.retention_policy == Retention(time_ms=6, size_bytes=5)


async def test_routes_by_priority_then_age(registry: Registry) -> None:
    await registry.create(stream("orders"))
    low, high, late = route("low", "orders"), route("high", "orders", 9), route("late", "orders")
    for each in (low, high, late):
        await registry.create_route(each)
    assert await registry.routes("acme") == [high, low, late]
    with pytest.raises(EsbError, match="'low' exists already") as refused:
        await registry.create_route(route("low", "orders"))
    assert refused.value.code is ErrorCode.ALREADY_EXISTS
    with pytest.raises(EsbError) as unknown:
        await registry.create_route(route("other", "nowhere"))
    assert unknown.value.code is ErrorCode.UNKNOWN_STREAM
    assert await registry.delete_route("acme", low.route_id) == low
    assert await registry.delete_route("acme", low.route_id) is None
    assert await registry.delete_route("globex", high.route_id) is None
    assert await registry.routes("acme") == [high, late]


async def test_an_aggregate_type_is_pinned_by_the_first_for_all(process: Callable[[], Registry]) -> None:
    keys = [(await process().create(stream(f"s{n}"))).key for n in range(4)]
    for number in range(5):
        said = await asyncio.gather(*(process().pin_aggregate_type("acme", f"type{number}", key) for key in keys))
        assert len(set(said)) == 1
        assert said[0] in keys
        assert await process().pin_aggregate_type("acme", f"type{number}", keys[0]) == said[0]


async def test_a_cache_learns_of_another_process_by_signal(process: Callable[[], Registry], database_url: str) -> None:
    signals, others = postgres_signals(database_url), postgres_signals(database_url)
    await asyncio.gather(signals.start(), others.start())
    here, there = StreamCache(process(), signals), process()
    assert (await here.view("acme")).streams == ()
    heard = asyncio.Event()
    signals.listen(lambda topic: heard.set() if topic == streams_topic("acme") else None)
    made = await there.create(stream("orders"))
    others.notify(streams_topic("acme"))
    async with asyncio.timeout(1):
        await heard.wait()
    assert (await here.view("acme")).streams == (made,)
    await asyncio.gather(signals.stop(), others.stop())


async def test_a_view_is_kept_while_nothing_changes_and_refreshed_when_asked(process: Callable[[], Registry]) -> None:
    views, other = StreamCache(process(), memory_signals()), process()
    first = await views.view("acme")
    assert await views.refresh("acme") is first
    made = await other.create(stream("orders"))
    assert await views.view("acme") is first, "nothing was signalled yet"
    assert (await views.refresh("acme")).streams == (made,)
    await other.create_route(route("r", "orders"))
    views.on_signal(EVERYTHING)
    assert [rule.name for rule in (await views.view("acme")).routes] == ["r"]


async def test_without_signals_a_view_is_asked_for_again_after_a_while(
    process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    views, other = StreamCache(process(), memory_signals()), process()
    await views.view("acme")
    made = await other.create(stream("orders"))
    monkeypatch.setattr(cache, "_POLL_S", 0.0)
    assert (await views.view("acme")).streams == (made,)


async def test_callers_that_come_together_share_a_question_that_is_not_older_than_they(
    process: Callable[[], Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = process()
    views = StreamCache(registry, memory_signals())
    asked = 0
    ask = registry.configuration

    async def counted(tenant: str) -> object:
        nonlocal asked
        asked += 1
        return await ask(tenant)

    monkeypatch.setattr(registry, "configuration", counted)
    seen = await asyncio.gather(*(views.refresh("acme") for _ in range(100)))
    assert len({id(view) for view in seen}) == 1
    assert asked <= 2


async def test_while_the_database_is_away_the_old_view_serves_and_no_view_is_an_error(
    process: Callable[[], Registry], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await process().create(stream("orders"))
    registry = process()
    views = StreamCache(registry, memory_signals())
    assert (await views.view("acme")).streams == (made,)
    administrator = await asyncpg.connect(database_url)
    await administrator.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'esb-registry'"
        " and datname = current_database()"
    )
    await administrator.close()
    assert (await views.refresh("acme")).streams == (made,), "a killed connection is replaced without a word"

    async def away(tenant: str) -> TenantView:
        raise EsbError(ErrorCode.LOG_UNAVAILABLE, "away")

    monkeypatch.setattr(registry, "configuration", away)
    views.on_signal(streams_topic("acme"))
    assert (await views.view("acme")).streams == (made,)
    with pytest.raises(EsbError):
        await views.view("globex")


async def test_a_database_that_does_not_answer_is_log_unavailable() -> None:
    registry = Registry("postgresql://esb@127.0.0.1:1/esb")
    with pytest.raises(EsbError) as refused:
        await registry.streams("acme")
    assert refused.value.code is ErrorCode.LOG_UNAVAILABLE
    await registry.close()
