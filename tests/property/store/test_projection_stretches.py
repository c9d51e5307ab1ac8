"""Folded by PostgreSQL or by Python: the same rows, the same history of them, or PostgreSQL says it must not."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.projections.applying import Step
from schema.projections.declared import parse_declaration
from store.log.port import Command
from store.migrate import upgrade
from store.projections.registry import Version
from store.projections.stretching import Went
from tests.events import draft
from tests.projecting import World, projecting
from tests.services.postgres import READER, Databases

FIELDS = ("n", "m")
WHOLE = st.one_of(st.integers(-5, 5), st.integers(-(10**15) + 1, 10**15 - 1))
PLAIN = st.one_of(WHOLE, st.sampled_from([True, False, None, "", "a", "é", 1.5, -0.25, "x" * 300]))
ODD = st.sampled_from([10**15, -(2**63), 1e300, "a\\b", "\n", [1], {"x": 1}, 0.1 + 0.2])


def events(odd: bool) -> Any:
    value = st.one_of(PLAIN, ODD) if odd else PLAIN
    return st.lists(
        st.tuples(
            st.sampled_from(["sale", "sale", "sale.big", "other"]),
            st.fixed_dictionaries(
                {"who": st.sampled_from(["a", "b", "ü", 7]) if not odd else st.sampled_from(["a", None, 1.5, "", "b"])},
                optional={"n": WHOLE if not odd else value, "m": value, "deep": st.fixed_dictionaries({"x": value})},
            ),
        ),
        min_size=1,
        max_size=12,
    )


def said(path: str) -> Any:
    return st.one_of(
        st.just({"expression": f"event.payload.{path}"}),
        st.integers(-3, 3).map(lambda value: {"value": value}),
    )


def operations() -> Any:
    """Fields whose operations may stand together: each field has a kind of its own."""
    number = st.sampled_from(["increment", "min", "max"]).flatmap(
        lambda kind: said("n").map(lambda one: {kind: {"path": f"{kind}_n", **one}})
    )
    put = st.one_of(said("m"), said("deep.x"), st.sampled_from([{"value": "t"}, {"value": None}])).map(
        lambda one: {"set": {"path": "put", **one}}
    )
    return st.lists(st.one_of(number, put), min_size=1, max_size=4)


REDUCERS = st.lists(
    st.builds(
        lambda on, where, todo: {"on": on, "operations": todo, **({"where": where} if where else {})},
        st.sampled_from(["sale", "sale.**", "**"]),
        st.sampled_from([None, None, "event.payload.n > 0", "has(event.payload.m)"]),
        operations(),
    ),
    min_size=1,
    max_size=3,
)


class Outcome(NamedTuple):
    rows: dict[str, Any]
    changes: list[tuple[int, str, Any]]
    position: int
    stopped: bool


async def outcome(world: World, version: Version) -> Outcome:
    async with world.database.writing() as connection:
        rows = await connection.fetch(f"select key, value from projection_{version.key}")
        changes = await connection.fetch(
            f"select position, key, value from projection_{version.key}_changes order by position"
        )
    found = await world.registry.work(version.key)
    assert found is not None
    return Outcome(
        {row["key"]: json.loads(row["value"]) for row in rows},
        [(row["position"], row["key"], json.loads(row["value"])) for row in changes],
        found.version.position,
        found.version.error is not None,
    )


class Both:
    """Two versions of one declaration: one folded in stretches as far as that goes, one by Python alone."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def compare(
        self, batches: list[list[tuple[str, Any]]], reducers: Any, history: bool, key: str
    ) -> Went | None:
        world = self.world
        declaration = parse_declaration(
            {"name": "p", "streams": ["user-events"], "key": key, "reducers": reducers, "history": history}
        )
        log = await world.logs.get("acme")
        start = await world.reader.head(world.tenant)
        versions = []
        for _ in range(2):
            made = await world.registry.create(world.tenant.key, f"prj_{start}_{len(versions)}", declaration, None)
            await world.registry.delete(world.tenant.key, "p")
            async with world.database.writing() as connection:
                await connection.execute(
                    "update projection_versions set retired_at = null, position = $2 where key = $1",
                    made.active.key,
                    start,
                )
            versions.append(made.active._replace(position=start))
        went = None
        leaping, plain = versions
        for batch in batches:
            drafts = [draft(world.stream, type=kind, payload=payload) for kind, payload in batch]
            await log.append([Command(events=drafts)])
            folding = world.stretching.folding(leaping)
            found = await world.registry.work(leaping.key)
            assert folding is not None
            assert found is not None
            if found.version.error is None:
                done = await world.stretching.move(found.version, folding, await world.reader.head(world.tenant))
                went = done.went
                if went is not Went.MOVED:
                    await world.apply(leaping)
            assert await world.apply(plain) in (Step.AT_END, Step.STOPPED, Step.OVERTAKEN)
            ours, theirs = await outcome(world, leaping), await outcome(world, plain)
            assert ours == theirs, (reducers, batches)
        await world.registry.sweep(grace_s=-1)
        return went


@pytest.fixture(scope="module")
def both(databases: Databases) -> Iterator[tuple[asyncio.Runner, Both]]:
    with databases.fresh() as dsn:
        upgrade(dsn, READER)
        with asyncio.Runner() as runner:
            opened = projecting(dsn)
            world = runner.run(opened.__aenter__())
            yield runner, Both(world)
            runner.run(opened.__aexit__(None, None, None))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    reducers=REDUCERS,
    history=st.booleans(),
    odd=st.booleans(),
    key=st.sampled_from(["event.payload.who", "event.event_type"]),
)
def test_a_stretch_is_what_python_would_have_made(
    both: tuple[asyncio.Runner, Both], data: Any, reducers: Any, history: bool, odd: bool, key: str
) -> None:
    runner, compared = both
    batches = data.draw(st.lists(events(odd), min_size=1, max_size=3))
    runner.run(compared.compare(batches, reducers, history, key))


@pytest.mark.parametrize("history", [True, False])
def test_plain_events_are_moved_over_by_postgresql(both: tuple[asyncio.Runner, Both], history: bool) -> None:
    runner, compared = both
    reducers = [
        {
            "on": "sale",
            "operations": [
                {"increment": {"path": "total", "expression": "event.payload.n"}},
                {"increment": {"path": "count", "value": 1}},
                {"max": {"path": "most", "expression": "event.payload.n"}},
                {"set": {"path": "last", "expression": "event.payload.m"}},
            ],
        }
    ]
    batches = [[("sale", {"who": "ab"[k % 2], "n": k, "m": f"m{k % 3}"}) for k in range(10)] for _ in range(3)]
    assert runner.run(compared.compare(batches, reducers, history, "event.payload.who")) is Went.MOVED


@pytest.mark.parametrize(
    "odd", [{"n": 1.5}, {"n": "7"}, {"n": 10**15}, {"n": None}, {}, {"n": 1, "who": ""}, {"n": 1, "who": None}]
)
def test_an_event_that_is_not_plain_is_left_to_python(both: tuple[asyncio.Runner, Both], odd: Any) -> None:
    runner, compared = both
    reducers = [{"on": "sale", "operations": [{"increment": {"path": "total", "expression": "event.payload.n"}}]}]
    batches = [[("sale", {"who": "a", "n": 1}), ("sale", {"who": "a", **odd})]]
    assert runner.run(compared.compare(batches, reducers, True, "event.payload.who")) is Went.NOT_PLAIN


@pytest.mark.parametrize(
    "operations",
    [
        [{"append": {"path": "x", "value": 1}}],
        [{"remove": {"path": "x"}}],
        [{"drop": True}],
        [{"merge": {"path": "", "expression": "event.payload"}}],
        [{"set": {"path": "x.y", "value": 1}}],
        [{"increment": {"path": "x", "expression": "event.payload.n * 2"}}],
        [{"increment": {"path": "x", "value": 1.5}}],
        [{"increment": {"path": "x", "value": 1}}, {"set": {"path": "x", "value": 1}}],
        [{"set": {"path": "x", "expression": "state.y"}}],
    ],
)
def test_what_is_not_plain_is_not_compiled(both: tuple[asyncio.Runner, Both], operations: Any) -> None:
    _, compared = both
    declaration = parse_declaration(
        {"name": "p", "key": "event.payload.who", "reducers": [{"on": "x", "operations": operations}]}
    )
    version = Version(1, 1, 1, 1, declaration, None, 1, None, 1, False, False, None)  # type: ignore[arg-type]
    assert compared.world.stretching.folding(version) is None
