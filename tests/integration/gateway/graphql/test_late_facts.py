"""Two times: when it happened (`timestamp`) and when we learned it (`recordedAt`); both can be asked about, and what is
learned late changes the one answer and never the other."""

from datetime import datetime, timedelta
from typing import Any

from tests.integration.gateway.graphql.conftest import World

HAPPENED = "2025-03-01T{:02d}:00:00Z".format
QUERY = """query($w: EventFilter) { events(where: $w, streams: ["user-events"]) {
  nodes { n: value(path: "payload.n") timestamp recordedAt position } asOf } }"""


async def known(world: World, **where: Any) -> list[int]:
    found = await world.data(QUERY, {"w": where})
    return [node["n"] for node in found["events"]["nodes"]]


async def test_what_had_happened_by_then_and_what_was_known_by_then(world: World) -> None:
    """Facts of 8, 10 and 14 o'clock arrive in order; then one of 9 o'clock arrives late."""
    for hour in (8, 10, 14):
        await world.publish(hour, timestamp=HAPPENED(hour))
    learned = (await world.data(QUERY, {"w": {}}))["events"]["nodes"][-1]["recordedAt"]
    noon = {"timestamp": {"lte": HAPPENED(12)}}
    as_known_then = {"recordedAt": {"lte": learned}}
    assert await known(world, **noon) == [8, 10]
    await world.publish(9, timestamp=HAPPENED(9))
    assert await known(world, **noon) == [8, 10, 9]  # as we know it now: in the order it was learned
    assert await known(world, **noon, **as_known_then) == [8, 10]  # as we knew it then
    assert await known(world, **as_known_then) == [8, 10, 14]
    assert await known(world, recordedAt={"gt": learned}) == [9]
    assert await known(world, timestamp={"gte": HAPPENED(9), "lt": HAPPENED(14)}) == [10, 9]
    assert await known(world, timestamp={"gt": HAPPENED(9)}, recordedAt={"gt": learned}) == []


async def test_the_order_of_learning_is_the_log_whatever_happened_when(world: World) -> None:
    hours = (20, 3, 3, 17, 1)
    for hour in hours:
        await world.publish(hour, timestamp=HAPPENED(hour))
    nodes = (await world.data(QUERY, {"w": {}}))["events"]["nodes"]
    assert [node["n"] for node in nodes] == list(hours)
    recorded = [datetime.fromisoformat(node["recordedAt"]) for node in nodes]
    assert recorded == sorted(recorded)
    assert [node["timestamp"] for node in nodes] == [HAPPENED(hour) for hour in hours]


async def test_a_time_is_compared_to_the_microsecond_and_in_any_zone(world: World) -> None:
    await world.publish(1, timestamp="2025-03-01T12:00:00.000001+02:00")
    assert await known(world, timestamp={"gt": "2025-03-01T10:00:00Z"}) == [1]
    assert await known(world, timestamp={"lte": "2025-03-01T10:00:00Z"}) == []
    assert await known(world, timestamp={"lte": "2025-03-01T05:00:00.000001-05:00"}) == [1]
    (node,) = (await world.data(QUERY, {"w": {}}))["events"]["nodes"]
    at = datetime.fromisoformat(node["recordedAt"])
    assert await known(world, recordedAt={"gte": at.isoformat(), "lte": at.isoformat()}) == [1]
    assert await known(world, recordedAt={"lt": at.isoformat()}) == []
    assert await known(world, recordedAt={"gt": (at - timedelta(microseconds=1)).isoformat()}) == [1]


async def test_a_subscription_from_a_time_goes_by_when_it_was_learned(world: World) -> None:
    await world.publish(14, timestamp=HAPPENED(14))
    nodes = (await world.data(QUERY, {"w": {}}))["events"]["nodes"]
    since = (datetime.fromisoformat(nodes[0]["recordedAt"]) + timedelta(microseconds=1)).isoformat()
    await world.publish(9, timestamp=HAPPENED(9))
    async with world.opened() as client:
        await client.subscribe(
            'subscription($t: DateTime!) { events(from: {time: $t}) { n: value(path: "payload.n") } }', t=since
        )
        assert (await client.next())["data"]["events"] == {"n": 9}
        await world.publish(8, timestamp=HAPPENED(8))
        assert (await client.next())["data"]["events"] == {"n": 8}
