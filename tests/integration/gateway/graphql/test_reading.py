"""Queries on a real ledger: pages that stay pinned, causes and effects, only what the caller may read."""

from typing import Any

from schema.cursor import Cursor
from tests.integration.gateway.graphql.conftest import World
from tests.world import CODEC

PAGE = """query($n: Int, $a: String, $o: Order, $w: EventFilter, $s: [String!], $c: Cursor) {
  events(first: $n, after: $a, order: $o, where: $w, streams: $s, consistentWith: $c) {
    edges { cursor node { position } } nodes { position payload }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } asOf
  }
}"""


async def pages(world: World, n: int, **variables: Any) -> list[dict[str, Any]]:
    found, after = [], None
    while True:
        page = (await world.data(PAGE, {"n": n, "a": after, **variables}))["events"]
        found.append(page)
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def positions(found: list[dict[str, Any]]) -> list[int]:
    return [node["position"] for page in found for node in page["nodes"]]


async def test_pages_follow_each_other_in_both_orders(world: World) -> None:
    await world.publish(*range(25))
    assert positions(await pages(world, 10)) == list(range(1, 26))
    assert positions(await pages(world, 10, o="DESC")) == list(range(25, 0, -1))
    assert positions(await pages(world, 25)) == list(range(1, 26))
    assert [len(page["nodes"]) for page in await pages(world, 25)] == [25]


async def test_a_read_sees_what_was_there_at_its_first_page_and_hands_over(world: World) -> None:
    await world.publish(*range(5))
    first = (await world.data(PAGE, {"n": 3}))["events"]
    await world.publish(*range(4))
    second = (await world.data(PAGE, {"n": 3, "a": first["pageInfo"]["endCursor"]}))["events"]
    assert positions([first, second]) == [1, 2, 3, 4, 5]
    assert (second["pageInfo"]["hasNextPage"], second["pageInfo"]["hasPreviousPage"]) == (False, True)
    assert first["asOf"] == second["asOf"]
    async with world.opened() as client:
        await client.subscribe("subscription($f: From) { events(from: $f) { position } }", f={"cursor": first["asOf"]})
        assert [(await client.next())["data"]["events"]["position"] for _ in range(4)] == [6, 7, 8, 9]


async def test_every_edge_can_be_gone_on_from(world: World) -> None:
    await world.publish(*range(7))
    for order, expected in (("ASC", [4, 5, 6, 7]), ("DESC", [4, 3, 2, 1])):
        page = (await world.data(PAGE, {"n": 7, "o": order}))["events"]
        cursor = page["edges"][2]["cursor"]
        rest = (await world.data(PAGE, {"n": 7, "o": order, "a": cursor}))["events"]
        assert positions([rest]) == expected
    assert await world.code(PAGE, {"o": "ASC", "a": cursor}) == "BAD_INPUT"
    assert await world.code(PAGE, {"a": page["asOf"]}) == "CURSOR_INVALID"
    assert await world.code(PAGE, {"a": cursor}, tenant="other") == "CURSOR_INVALID"


async def test_filters_reach_the_ledger(world: World) -> None:
    await world.publish(*range(20))
    found = await pages(
        world, 4, w={"payload": [{"path": "n", "gte": 11}], "not": {"payload": [{"path": "n", "eq": 15}]}}
    )
    assert [node["payload"]["n"] for page in found for node in page["nodes"]] == [11, 12, 13, 14, 16, 17, 18, 19]
    assert positions(await pages(world, 5, w={"eventType": {"pattern": "order.*"}})) == []
    between = {
        "recordedAt": {"gt": "2020-01-01T00:00:00Z"},
        "or": [{"sequenceNumber": {"lte": 2}}, {"expression": "event.payload.n == 7"}],
    }
    assert positions(await pages(world, 5, w=between)) == [1, 2, 8]


async def test_streams_choose_and_unknown_ones_are_named(world: World) -> None:
    await world.publish(1)
    await world.publish(2, kind="order.placed")
    assert positions(await pages(world, 5, s=["order-events"])) == [2]
    assert positions(await pages(world, 5, s=["order-events", "user-events"])) == [1, 2]
    assert await world.code(PAGE, {"s": ["none"]}) == "UNKNOWN_STREAM"
    assert await world.code(PAGE, {"s": []}) == "BAD_INPUT"


async def test_only_readable_streams_are_read(world: World) -> None:
    (mine,) = await world.publish(1)
    (secret,) = await world.publish(2, kind="order.placed", causationId=mine["eventId"])
    role = {"role": "users-only"}
    page = await world.data(PAGE, {"n": 5}, **role)
    assert [node["position"] for node in page["events"]["nodes"]] == [1]
    assert await world.code(PAGE, {"s": ["order-events"]}, **role) == "FORBIDDEN"
    one = "query($i: ID!) { event(eventId: $i) { eventId effects { nodes { eventId } } } node(id: $i) { id } }"
    assert await world.data(one, {"i": secret["eventId"]}, **role) == {"event": None, "node": None}
    assert (await world.data(one, {"i": mine["eventId"]}, **role))["event"]["effects"]["nodes"] == []
    assert (await world.data(one, {"i": mine["eventId"]}))["event"]["effects"]["nodes"] == [
        {"eventId": secret["eventId"]}
    ]
    assert await world.data(one, {"i": mine["eventId"]}, tenant="other") == {"event": None, "node": None}
    assert await world.code(PAGE, {}, role="publisher") == "FORBIDDEN"


async def test_an_event_shows_everything_it_has(world: World) -> None:
    (root,) = await world.publish(
        1, eventVersion="2.0", schemaVersion="7", metadata={"k": [1, None]}, timestamp="2025-01-26T10:30:00.123Z"
    )
    (child,) = await world.publish(2, causationId=root["eventId"], correlationId="c-1")
    query = """query($i: ID!) { event(eventId: $i) {
      id eventId eventType eventVersion sourceCapability aggregateId aggregateType sequenceNumber timestamp recordedAt
      correlationId causationId tenantId userId metadata payload schemaVersion erasedPaths stream position partition
      offset cursor n: value(path: "payload.n") k: value(path: "metadata.k.0") none: value(path: "payload.x.y")
      kind: value(path: "event_type") cause { eventId cause { eventId } }
      effects(first: 1) { nodes { eventId cause { eventId } } pageInfo { hasNextPage } } } }"""
    shown = (await world.data(query, {"i": root["eventId"]}))["event"]
    assert shown["recordedAt"].endswith("Z")
    del shown["recordedAt"]
    metadata = shown.pop("metadata")
    assert metadata["k"] == [1, None]
    assert metadata["ip_address"] == "127.0.0.1"
    assert shown == {
        "id": root["eventId"], "eventId": root["eventId"], "eventType": "user.created", "eventVersion": "2.0",
        "sourceCapability": None, "aggregateId": "u1", "aggregateType": "User", "sequenceNumber": 1,
        "timestamp": "2025-01-26T10:30:00.123000Z", "correlationId": None, "causationId": None, "tenantId": "acme",
        "userId": "local", "payload": {"n": 1}, "schemaVersion": "7", "erasedPaths": [], "stream": "user-events",
        "position": 1, "partition": None, "offset": None, "cursor": root["cursor"], "n": 1, "k": 1, "none": None,
        "kind": "user.created", "cause": None,
        "effects": {
            "nodes": [{"eventId": child["eventId"], "cause": {"eventId": root["eventId"]}}],
            "pageInfo": {"hasNextPage": False},
        },
    }  # fmt: skip
    assert (
        await world.code('query($i: ID!) { event(eventId: $i) { value(path: "nonsense.x") } }', {"i": root["eventId"]})
        == "BAD_INPUT"
    )
    found = await world.data('{ correlation(correlationId: "c-1") { nodes { eventId } } }')
    assert found["correlation"]["nodes"] == [{"eventId": child["eventId"]}]


async def test_causes_and_effects_of_a_page_are_read_together(world: World, monkeypatch: Any) -> None:
    roots = await world.publish(*range(5))
    for root in roots:
        await world.publish(1, 2, causationId=root["eventId"])
    reads = 0
    reading = world.database.reading

    def counted(tenant: int) -> Any:
        nonlocal reads
        reads += 1
        return reading(tenant)

    selection = "cause { eventId } effects(first: 2) { nodes { eventId } }"
    query = f"query($w: EventFilter) {{ events(where: $w) {{ nodes {{ {selection} }} }} }}"
    monkeypatch.setattr(world.database, "reading", counted)
    nodes = (await world.data(query, {"w": {"payload": [{"path": "n", "gte": 0}]}}))["events"]["nodes"]
    assert [len(node["effects"]["nodes"]) for node in nodes] == [2] * 5 + [0] * 10
    assert [node["cause"] and node["cause"]["eventId"] for node in nodes[5:]] == [
        r["eventId"] for r in roots for _ in range(2)
    ]
    assert reads < 10, "one read for all causes, one for all effects"


async def test_reading_ones_own_writes_waits_and_gives_up(world: World) -> None:
    (receipt,) = await world.publish(1)
    assert positions([(await world.data(PAGE, {"n": 5, "c": receipt["cursor"]}))["events"]]) == [1]
    ahead = CODEC.encode("acme", Cursor(1, 99))
    answer = await world.ask(PAGE, {"c": ahead})
    assert answer["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert answer["errors"][0]["extensions"]["retryable"]
    assert await world.code(PAGE, {"c": CODEC.encode("acme", Cursor(7, 1))}) == "CURSOR_INVALID"
    assert await world.code(PAGE, {"a": "nonsense"}) == "CURSOR_INVALID"
