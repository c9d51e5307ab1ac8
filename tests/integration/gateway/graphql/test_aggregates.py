"""Aggregates over a real gateway: defined, read now and as of moments, by id, by who may; followed live and resumed."""

import asyncio
from typing import Any

from tests.integration.gateway.graphql.conftest import World

DEFINE = "mutation($a: AggregateTypeInput!) { defineAggregate(aggregate: $a) { id type stream revision reducers } }"
ASK = """query($t: String!, $i: ID!, $m: Moment) { aggregate(type: $t, id: $i, at: $m) {
  id aggregateType aggregateId version state asOf cursor
  history(first: 10, order: DESC) { nodes { sequenceNumber } } } }"""
NODE = (
    "query($i: ID!) { node(id: $i) { __typename id ... on Aggregate { version state } ... on AggregateType { type } } }"
)
FOLLOW = """subscription($t: String!, $i: ID!, $f: From) { aggregate(type: $t, id: $i, from: $f) {
  id version state cursor } }"""
SUMS = [{"on": "user.*", "operations": [{"increment": {"path": "sum", "expression": "event.payload.n"}}]}]
USER: dict[str, Any] = {"type": "User", "reducers": SUMS}


async def ask(world: World, at: Any = None, id: str = "u1", type: str = "User", **token: Any) -> Any:
    return (await world.data(ASK, {"t": type, "i": id, "m": at}, **token))["aggregate"]


async def test_now_and_as_of_every_kind_of_moment(world: World) -> None:
    made = (await world.data(DEFINE, {"a": USER}))["defineAggregate"]
    assert (made["type"], made["stream"], made["revision"], made["reducers"]) == ("User", None, 1, SUMS)
    receipts = await world.publish(1, timestamp="2026-01-01T10:00:00Z")
    receipts += await world.publish(2, timestamp="2026-01-01T12:00:00Z")
    receipts += await world.publish(4, timestamp="2026-01-01T11:00:00Z")
    now = await ask(world)
    assert (now["id"], now["version"], now["state"]) == ("User:u1", 3, {"sum": 7})
    assert [node["sequenceNumber"] for node in now["history"]["nodes"]] == [3, 2, 1]
    assert now["cursor"] == receipts[-1]["cursor"]
    then = await ask(world, {"sequenceNumber": 2})
    assert (then["id"], then["version"], then["state"]) == ("User:u1@2", 2, {"sum": 3})
    assert [node["sequenceNumber"] for node in then["history"]["nodes"]] == [2, 1]
    assert await ask(world, {"cursor": receipts[1]["cursor"]}) == then
    assert (await ask(world, {"recordedAt": now["asOf"]}))["state"] == {"sum": 7}
    assert await ask(world, {"recordedAt": "2020-01-01T00:00:00Z"}) is None
    assert await ask(world, {"sequenceNumber": 0}) is None
    late = await ask(world, {"happenedAt": "2026-01-01T11:30:00Z"})
    assert (late["id"], late["version"], late["state"]) == ("User:u1@2026-01-01T11:30:00Z", 3, {"sum": 5})
    assert [node["sequenceNumber"] for node in late["history"]["nodes"]] == [3, 1]
    for shown in (now, then, late):
        found = (await world.data(NODE, {"i": shown["id"]}))["node"]
        assert (found["__typename"], found["version"], found["state"]) == (
            "Aggregate",
            shown["version"],
            shown["state"],
        )
    assert (await world.data(NODE, {"i": made["id"]}))["node"] == {
        "__typename": "AggregateType",
        "id": made["id"],
        "type": "User",
    }


async def test_ids_that_look_like_other_ids(world: World) -> None:
    for name in ("a@5", "b:c", "100%", "%40"):
        await world.publish(1, aggregate=name)
        shown = await ask(world, id=name)
        found = (await world.data(NODE, {"i": shown["id"]}))["node"]
        assert found["id"] == shown["id"]
        assert (await ask(world, {"sequenceNumber": 1}, id=name))["id"] == f"{shown['id']}@1"
    assert (await world.data(NODE, {"i": "User:nobody"}))["node"] is None
    assert (await world.data(NODE, {"i": "nothing"}))["node"] is None


async def test_only_who_may(world: World) -> None:
    await world.data(DEFINE, {"a": USER})
    await world.publish(1)
    await world.publish(2, kind="order.placed")
    assert (await ask(world, role="reader"))["version"] == 1
    assert await world.code(DEFINE, {"a": USER}, role="reader") == "FORBIDDEN"
    assert await world.code(DEFINE, {"a": {"type": "New"}}, role="users-only") == "FORBIDDEN"
    assert await world.code(ASK, {"t": "Order", "i": "u1"}, role="users-only") == "FORBIDDEN"
    assert (await ask(world, role="users-only"))["version"] == 1
    assert await ask(world, tenant="other") is None
    assert (await world.data('{ aggregateType(type: "User") { revision } }', tenant="other"))["aggregateType"] is None
    assert (
        await world.code(ASK, {"t": "User", "i": "u1", "m": {"cursor": (await ask(world))["cursor"]}}, tenant="other")
        == "CURSOR_INVALID"
    )


async def test_bad_input_is_told_where_it_stands(world: World) -> None:
    for said in (
        {"type": "a b"},
        {"type": "User", "snapshotEvery": 0},
        {"type": "User", "snapshotMaxAgeMs": 5},
        {"type": "User", "plugin": "missing"},
        {"type": "User", "plugin": "x", "reducers": SUMS},
        {"type": "User", "reducers": [{"on": "a", "operations": [{"drop": True}]}]},
    ):
        assert await world.code(DEFINE, {"a": said}) == "BAD_INPUT", said
    assert await world.code(ASK, {"t": "User", "i": "u1", "m": {"sequenceNumber": -1}}) == "BAD_INPUT"
    await world.data(DEFINE, {"a": USER})
    await world.publish(1)
    await world.data(
        DEFINE,
        {
            "a": {
                "type": "User",
                "reducers": [{"on": "**", "operations": [{"set": {"path": "x", "expression": "event.payload.gone"}}]}],
            }
        },
    )
    answer = await world.ask(ASK, {"t": "User", "i": "u1"})
    error = answer["errors"][0]
    assert error["extensions"]["code"] == "BAD_INPUT"
    assert error["extensions"]["details"]["sequenceNumber"] == 1
    assert "reducers[0].operations[0]" in error["message"]


async def test_the_state_live_and_resumed_where_it_was_left(world: World) -> None:
    await world.data(DEFINE, {"a": USER})
    await world.publish(1, 2)
    async with world.opened({"cursors": True}) as client:
        await client.subscribe(FOLLOW, t="User", i="u1")
        first = await client.next()
        assert (first["data"]["aggregate"]["version"], first["data"]["aggregate"]["state"]) == (2, {"sum": 3})
        await world.publish(9, aggregate="another")
        await world.publish(4)
        second = await client.next()
        assert (second["data"]["aggregate"]["version"], second["data"]["aggregate"]["state"]) == (3, {"sum": 7})
        assert second["extensions"]["cursor"] == second["data"]["aggregate"]["cursor"]
    await world.publish(8, 16)
    async with world.opened() as client:
        cursor = second["data"]["aggregate"]["cursor"]
        await client.subscribe(FOLLOW, t="User", i="u1", f={"live": True}, extensions={"resume": {"cursor": cursor}})
        seen = [(await client.next())["data"]["aggregate"]["state"]["sum"] for _ in range(3)]
        assert seen == [7, 15, 31]
    await world.idle()


async def test_an_aggregate_that_is_not_there_yet(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(FOLLOW, t="User", i="u1")
        while not world.services.live.subscriptions:  # noqa: ASYNC110 - it is asked, not told
            await asyncio.sleep(0.01)
        await world.publish(5)
        got = (await client.next())["data"]["aggregate"]
        assert (got["version"], got["state"]) == (1, {"n": 5})
    await world.idle()


async def test_from_the_beginning_a_state_an_event_and_none_left_out(world: World) -> None:
    await world.data(DEFINE, {"a": USER})
    await world.publish(*range(1, 6))
    async with world.opened() as client:
        await client.subscribe(FOLLOW, t="User", i="u1", f={"beginning": True})
        assert [(await client.next())["data"]["aggregate"]["version"] for _ in range(5)] == [1, 2, 3, 4, 5]
    await world.idle()
