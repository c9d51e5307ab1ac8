"""Causes and effects as a tree, also where it is none: loops, causes nobody knows, and causes one may not see."""

from typing import Any

from tests.integration.gateway.graphql.conftest import World

ID = "evt_{:026d}".format
EVENT = """query($i: ID!) { event(eventId: $i) { cause { eventId cause { eventId cause { eventId cause { eventId } } } }
  effects(first: 5) { nodes { eventId effects(first: 5) { nodes {
    eventId effects(first: 5) { nodes { eventId } } } } } } } }"""


def chain(node: dict[str, Any] | None) -> list[str]:
    """The causes, nearest first, as far as they were asked for."""
    found = []
    while node := node and node.get("cause"):
        found.append(node["eventId"])
    return found


def branches(node: dict[str, Any]) -> Any:
    """The effects as {id: effects of it}, as far as they were asked for."""
    return {each["eventId"]: branches(each) for each in node.get("effects", {"nodes": []})["nodes"]}


async def test_a_conversation_is_a_tree(world: World) -> None:
    """A root, two effects of it in another stream, each with its own."""
    for number, cause, kind in ((1, None, "user.created"), (2, 1, "order.placed"), (3, 1, "order.placed"),
                                (4, 2, "user.thanked"), (5, 3, "user.thanked"), (6, 3, "user.thanked")):  # fmt: skip
        more = {} if cause is None else {"causationId": ID(cause)}
        await world.publish(number, kind=kind, eventId=ID(number), correlationId="talk", **more)
    await world.publish(9, correlationId="other talk")
    found = await world.data(
        '{ correlation(correlationId: "talk") { nodes { eventId causationId stream cause { eventId } } } }'
    )
    nodes = found["correlation"]["nodes"]
    assert [node["eventId"] for node in nodes] == [ID(n) for n in range(1, 7)]
    assert all((node["cause"] or {}).get("eventId") == node["causationId"] for node in nodes)
    assert {node["stream"] for node in nodes} == {"user-events", "order-events"}
    root = (await world.data(EVENT, {"i": ID(1)}))["event"]
    assert branches(root) == {ID(2): {ID(4): {}}, ID(3): {ID(5): {}, ID(6): {}}}
    assert chain((await world.data(EVENT, {"i": ID(6)}))["event"]) == [ID(3), ID(1)]


async def test_a_conversation_in_some_streams(world: World) -> None:
    await world.publish(1, eventId=ID(1), correlationId="talk")
    await world.publish(2, eventId=ID(2), correlationId="talk", causationId=ID(1))
    await world.publish(3, eventId=ID(3), kind="order.placed", correlationId="talk", causationId=ID(1))
    query = """query($s: [String!]) { correlation(correlationId: "talk", streams: $s) {
      nodes { eventId effects(streams: $s) { nodes { eventId } } } } }"""
    for streams, all_, effects in (
        (["order-events"], [3], []),
        (["user-events"], [1, 2], [2]),
        (["user-events", "order-events"], [1, 2, 3], [2, 3]),
        (None, [1, 2, 3], [2, 3]),
    ):
        nodes = (await world.data(query, {"s": streams}))["correlation"]["nodes"]
        assert [node["eventId"] for node in nodes] == [ID(n) for n in all_]
        of_root = [node["effects"]["nodes"] for node in nodes if node["eventId"] == ID(1)]
        assert of_root == ([[{"eventId": ID(n)} for n in effects]] if 1 in all_ else [])
    assert await world.code(query, {"s": ["none"]}) == "UNKNOWN_STREAM"
    assert await world.code(query, {"s": ["order-events"]}, role="users-only") == "FORBIDDEN"


async def test_later_pages_stay_in_their_streams(world: World) -> None:
    await world.publish(1, eventId=ID(1))
    for number in range(2, 8):
        kind = "order.placed" if number % 2 else "user.thanked"
        await world.publish(number, kind=kind, eventId=ID(number), causationId=ID(1))
    query = """query($i: ID!, $a: String) { event(eventId: $i) {
      effects(first: 2, after: $a, streams: ["order-events"]) { nodes { eventId } pageInfo { endCursor hasNextPage } }
    } }"""
    seen, after = [], None
    while True:
        page = (await world.data(query, {"i": ID(1), "a": after}))["event"]["effects"]
        seen += [node["eventId"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert seen == [ID(3), ID(5), ID(7)]


async def test_loops_end_where_the_question_ends(world: World) -> None:
    """An event that is its own cause, and two that are each other's."""
    await world.publish(1, eventId=ID(1), causationId=ID(1))
    await world.publish(2, eventId=ID(2), causationId=ID(3))
    await world.publish(3, eventId=ID(3), causationId=ID(2))
    own = (await world.data(EVENT, {"i": ID(1)}))["event"]
    assert chain(own) == [ID(1)] * 4
    assert branches(own) == {ID(1): {ID(1): {ID(1): {}}}}
    each = (await world.data(EVENT, {"i": ID(2)}))["event"]
    assert chain(each) == [ID(3), ID(2), ID(3), ID(2)]
    assert branches(each) == {ID(3): {ID(2): {ID(3): {}}}}


async def test_a_cause_nobody_knows_is_null_until_it_is_published(world: World) -> None:
    """Causes may come late, from another service, or be no event of this bus at all."""
    await world.publish(2, eventId=ID(2), causationId=ID(1))
    await world.publish(3, eventId=ID(3), causationId="ticket 4711 \u2028 of another system")
    query = "query($i: ID!) { event(eventId: $i) { causationId cause { eventId } } }"
    for number in (2, 3):
        shown = (await world.data(query, {"i": ID(number)}))["event"]
        assert (bool(shown["causationId"]), shown["cause"]) == (True, None)
    await world.publish(1, kind="order.placed", eventId=ID(1))
    assert (await world.data(query, {"i": ID(2)}))["event"]["cause"] == {"eventId": ID(1)}
    assert (await world.data(query, {"i": ID(2)}, role="users-only"))["event"] == {
        "causationId": ID(1),
        "cause": None,
    }
