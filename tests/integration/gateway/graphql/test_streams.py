"""Streams and routes over GraphQL: made, shown, changed, deleted."""

from typing import Any

from tests.integration.gateway.graphql.conftest import World

FIELDS = (
    "id streamId streamName topicName engine partitions replicationFactor retentionPolicy { timeMs sizeBytes }"
    " compression cleanupPolicy eventPatterns"
)
CREATE = f"mutation($s: StreamInput!) {{ createStream(stream: $s) {{ {FIELDS} }} }}"
PATCH = f'mutation($p: StreamPatch!) {{ updateStream(name: "made", patch: $p) {{ {FIELDS} }} }}'
ROUTE = "mutation($r: RouteInput!) { createRoute(route: $r) { id name where stream priority } }"
EXPLAIN = "query($e: EventInput!) { explainRoute(event: $e) { stream { streamName } why } }"


async def test_a_stream_is_made_with_the_contracts_defaults(world: World) -> None:
    made = (await world.data(CREATE, {"s": {"streamName": "made"}}))["createStream"]
    assert made.pop("id") == made.pop("streamId")
    assert made == {
        "streamName": "made", "topicName": "made", "engine": "LEDGER", "partitions": 4, "replicationFactor": 1,
        "retentionPolicy": {"timeMs": None, "sizeBytes": None}, "compression": "SNAPPY",
        "cleanupPolicy": "DELETE", "eventPatterns": [],
    }  # fmt: skip
    assert await world.code(CREATE, {"s": {"streamName": "made"}}) == "ALREADY_EXISTS"
    assert await world.code(CREATE, {"s": {"streamName": "No Name !"}}) == "BAD_INPUT"
    assert await world.code(CREATE, {"s": {"streamName": "fast", "engine": "KAFKA"}}) == "UNSUPPORTED_BY_ENGINE"
    assert await world.code(CREATE, {"s": {"streamName": "mine"}}, role="publisher") == "FORBIDDEN"


async def test_a_patch_changes_what_it_gives_and_nothing_else(world: World) -> None:
    said: dict[str, Any] = {
        "streamName": "made",
        "retentionPolicy": {"timeMs": 5000, "sizeBytes": 9},
        "eventPatterns": ["a.*"],
    }
    before = (await world.data(CREATE, {"s": said}))["createStream"]
    after = (await world.data(PATCH, {"p": {"compression": "ZSTD", "retentionPolicy": {"timeMs": None}}}))[
        "updateStream"
    ]
    assert after == before | {"compression": "ZSTD", "retentionPolicy": {"timeMs": None, "sizeBytes": 9}}
    assert (await world.data(PATCH, {"p": {}}))["updateStream"] == after


async def test_streams_are_shown_by_page_by_name_and_by_id(world: World) -> None:
    await world.publish(1, 2, 3)
    query = """query($n: Int, $a: String) { streams(first: $n, after: $a) {
      nodes { id streamName eventCount } pageInfo { hasNextPage endCursor } } }"""
    first = (await world.data(query, {"n": 1}))["streams"]
    rest = (await world.data(query, {"n": 1, "a": first["pageInfo"]["endCursor"]}))["streams"]
    shown = first["nodes"] + rest["nodes"]
    assert [(s["streamName"], s["eventCount"]) for s in shown] == [("order-events", 0), ("user-events", 3)]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    one = """query($i: ID!) { node(id: $i) {
      id ... on Stream { streamName head events(first: 1, order: DESC) { nodes { position } } } } }"""
    found = (await world.data(one, {"i": shown[1]["id"]}))["node"]
    assert (found["streamName"], found["events"]["nodes"]) == ("user-events", [{"position": 3}])
    async with world.opened() as client:
        await client.subscribe("subscription($f: From) { events(from: $f) { position } }", f={"cursor": found["head"]})
        await world.publish(4)
        assert (await client.next())["data"]["events"]["position"] == 4
    assert await world.data(one, {"i": shown[1]["id"]}, tenant="other") == {"node": None}
    assert await world.data('{ stream(name: "none") { id } }') == {"stream": None}
    assert await world.data('{ stream(name: "order-events") { id } }', role="users-only") == {"stream": None}


async def test_a_deleted_stream_takes_nothing_more_and_keeps_what_it_has(world: World) -> None:
    await world.publish(1)
    gone = await world.data('mutation { deleteStream(name: "user-events") { stream { streamName } } }')
    assert gone["deleteStream"]["stream"]["streamName"] == "user-events"
    publish = "mutation($e: EventInput!) { publishEvent(event: $e) { position } }"
    assert await world.code(publish, {"e": {"eventType": "user.created", "payload": {}}}) == "UNKNOWN_STREAM"
    assert (await world.data("{ events { nodes { position stream } } }"))["events"]["nodes"] == [
        {"position": 1, "stream": "user-events"}
    ]
    assert await world.code('mutation { deleteStream(name: "none") { stream { id } } }') == "UNKNOWN_STREAM"


async def test_routes_decide_where_no_pattern_does(world: World) -> None:
    event = {"eventType": "misc.thing", "payload": {"size": 5}}
    assert await world.code(EXPLAIN, {"e": event}) == "UNKNOWN_STREAM"
    where = {"payload": [{"path": "size", "gte": 3}]}
    made = (await world.data(ROUTE, {"r": {"name": "large", "where": where, "stream": "order-events", "priority": 3}}))[
        "createRoute"
    ]
    assert (made["name"], made["stream"], made["priority"]) == ("large", "order-events", 3)
    explained = (await world.data(EXPLAIN, {"e": event}))["explainRoute"]
    assert explained["stream"]["streamName"] == "order-events"
    assert "large" in explained["why"]
    shown = "query($i: ID!) { node(id: $i) { id ... on Route { where } } routes { id } }"
    assert await world.data(shown, {"i": made["id"]}) == {
        "node": {"id": made["id"], "where": made["where"]}, "routes": [{"id": made["id"]}],
    }  # fmt: skip
    assert (
        await world.code(ROUTE, {"r": {"name": "x", "where": {"expression": "(>"}, "stream": "order-events"}})
        == "BAD_INPUT"
    )
    await world.data("mutation($i: ID!) { deleteRoute(id: $i) { route { id } } }", {"i": made["id"]})
    assert await world.code(EXPLAIN, {"e": event}) == "UNKNOWN_STREAM"
    assert (
        await world.code("mutation($i: ID!) { deleteRoute(id: $i) { route { id } } }", {"i": made["id"]}) == "NOT_FOUND"
    )


async def test_a_condition_guards_a_batch(world: World) -> None:
    query = """mutation($e: [EventInput!]!, $c: AppendCondition) { publishEvents(events: $e, condition: $c) {
      receipts { position cursor } rejections { index code } } }"""
    event = {"eventType": "user.created", "payload": {}}
    (receipt,) = await world.publish(1)
    none = {"eventType": {"eq": "user.created"}}
    free = await world.data(query, {"e": [event], "c": {"noneMatching": none, "after": receipt["cursor"]}})
    assert len(free["publishEvents"]["receipts"]) == 1
    taken = (await world.data(query, {"e": [event], "c": {"noneMatching": none, "after": receipt["cursor"]}}))[
        "publishEvents"
    ]
    assert (taken["receipts"], taken["rejections"][0]["code"]) == ([], "CONDITION_FAILED")
    assert (await world.data(query, {"e": [event], "c": {"noneMatching": none}}))["publishEvents"]["rejections"]
