"""Projections asked for: by whom, as of when, by the page, however long keys are."""

from datetime import UTC, datetime
from typing import Any

import pytest

from processors.projections.queries import Moment
from schema.errors import ErrorCode, EsbError
from schema.principal import Action, Grant, Principal
from store.projections import reading
from tests.projecting import World, counting, declared
from tests.world import ADMIN

READER = Principal(tenant="acme", grants=(Grant(Action.READ),))
ELSEWHERE = Principal(tenant="acme", grants=(Grant(Action.READ, "other"), Grant(Action.MANAGE, "other")))


async def pages(world: World, size: int, **asked: Any) -> list[str]:
    found, after = [], None
    while True:
        page = await world.queries.rows(
            ADMIN,
            "totals",
            **{"where": None, "order": None, "descending": False, "at": None, **asked},
            first=size,
            after=after,
        )
        found += [row.key for row in page.rows]
        if not page.has_next:
            return found
        after = page.cursors[-1]


async def test_long_keys_and_values_go_from_page_to_page(world: World) -> None:
    name = {"on": "sale", "operations": [{"set": {"path": "name", "expression": "event.payload.who"}}]}
    version = (await world.create(declared(reducers=[name], indexes=["name"]))).active
    keys = [f"{'é' * 250}{number}" for number in range(5)]
    await world.sell_all([(key, 1) for key in keys])
    await world.apply(version)
    assert await pages(world, 2) == keys
    assert await pages(world, 2, order="name", descending=True) == keys[::-1]


async def test_rows_as_of_a_cursor_and_a_time(world: World) -> None:
    version = (await world.create()).active
    first = await world.sell("ann", 1)
    await world.apply(version)
    between = datetime.now(UTC)
    await world.sell("ann", 2)
    await world.apply(version)
    text = world.live._codec.encode("acme", first)
    for moment in (Moment(cursor=text), Moment(recorded_at=between)):
        found = await world.queries.row(ADMIN, "totals", "ann", moment)
        assert found is not None
        assert found[0].value == '{"total":1}'
        assert await world.queries.count(ADMIN, "totals", None, moment) == 1
    assert await world.queries.row(ADMIN, "totals", "ann", Moment(recorded_at=datetime(2020, 1, 1, tzinfo=UTC))) is None


async def test_a_moment_that_is_not_applied_yet_is_waited_for(world: World) -> None:
    await world.create()
    place = await world.sell("ann", 7)
    found = await world.queries.row(ADMIN, "totals", "ann", Moment(cursor=world.live._codec.encode("acme", place)))
    assert found is not None
    assert found[0].value == '{"total":7}'


async def test_without_history_the_past_is_refused(world: World) -> None:
    await world.create(declared(history=False))
    with pytest.raises(EsbError, match="no history"):
        await world.queries.row(ADMIN, "totals", "ann", Moment(recorded_at=datetime.now(UTC)))


async def test_too_many_rows_need_an_index(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SCANNED", 3)
    version = (await world.create(counting())).active
    await world.sell_all([(f"c{number}", number) for number in range(5)])
    await world.apply(version)
    assert len(await pages(world, 2)) == 5
    assert await pages(world, 2, order="total", descending=True) == ["c4", "c3", "c2", "c1", "c0"]
    for asked in ({"order": "count"}, {"order": "total", "at": Moment(recorded_at=datetime.now(UTC))}):
        with pytest.raises(EsbError) as refused:
            await pages(world, 2, **asked)
        assert refused.value.code is ErrorCode.TOO_COMPLEX
    assert await world.queries.count(ADMIN, "totals", None, None) is None


async def test_who_may_not_read_the_streams_finds_nothing(world: World) -> None:
    version = (await world.create()).active
    await world.sell("ann", 1)
    await world.apply(version)
    assert await world.queries.find(READER, "totals") is not None
    assert await world.queries.find(ELSEWHERE, "totals") is None
    assert await world.queries.list(ELSEWHERE) == []
    assert await world.queries.row(ELSEWHERE, "totals", "ann", None) is None


@pytest.mark.parametrize("said", [declared(), declared(name="all", streams=None)])
async def test_who_may_not_manage_the_streams_changes_nothing(world: World, said: Any) -> None:
    await world.create()
    for principal in (READER, ELSEWHERE):
        for change in (world.admin.create, world.admin.update):
            with pytest.raises(EsbError) as refused:
                await change(principal, said)
            assert refused.value.code is ErrorCode.FORBIDDEN
    with pytest.raises(EsbError):
        await world.admin.delete(READER, "totals")
    assert (await world.find()).candidate is None


@pytest.mark.parametrize(
    ("said", "where"),
    [
        ({"name": ""}, "name"),
        ({"name": "a b"}, "name"),
        ({"streams": []}, "streams"),
        ({"key": "event.payload.("}, "key"),
        ({"key": "state.x"}, "key"),
        ({"reducers": []}, "reducers"),
        ({"indexes": ["a..b"]}, "indexes"),
        ({"indexes": ["a", "a"]}, "indexes"),
        ({"indexes": ["a.+1"]}, "indexes"),
        ({"indexes": [str(number) for number in range(9)]}, "indexes"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(world: World, said: Any, where: str) -> None:
    with pytest.raises(EsbError, match=where) as refused:
        await world.create(declared(**said))
    assert refused.value.code is ErrorCode.BAD_INPUT
    assert await world.registry.all(world.tenant.key) == []
