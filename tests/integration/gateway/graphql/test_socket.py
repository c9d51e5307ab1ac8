"""graphql-transport-ws on real sockets: its close codes, many operations at once, resuming, expiring, draining."""

import asyncio
import json
from typing import Any

import pytest
import websockets

from tests.integration.gateway.graphql.conftest import LIMITS, World

LIVE = "subscription($f: From, $w: EventFilter) { events(from: $f, where: $w) { eventId position payload cursor } }"
FEED = "subscription($f: From) { feed(from: $f) { __typename cursor ... on Event { payload } ... on Gap { dropped } } }"
BEGINNING = {"beginning": True}


async def test_events_arrive_as_they_are_committed(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(FEED)
        assert (await client.next())["data"]["feed"]["__typename"] == "CaughtUp"
        await world.publish(1, 2, 3)
        heard = [(await client.next())["data"]["feed"] for _ in range(3)]
    assert [item["payload"] for item in heard] == [{"n": 1}, {"n": 2}, {"n": 3}]
    await world.idle()


@pytest.mark.parametrize("selection", ["position", 'position cause { eventId } value(path: "payload.n")'])
async def test_the_past_and_what_follows_are_one(world: World, selection: str) -> None:
    """Once compiled, once by graphql-core."""
    await world.publish(*range(5))
    async with world.opened() as client:
        await client.subscribe(f"subscription($f: From) {{ events(from: $f) {{ {selection} }} }}", f=BEGINNING)
        for number in range(5):
            assert (await client.next())["data"]["events"]["position"] == number + 1
        await world.publish(*range(5))
        for number in range(5, 10):
            said = (await client.next())["data"]["events"]
            assert said["position"] == number + 1
            assert said.get("value", number - 5) == number - 5


async def test_a_filter_and_a_stream_choose(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(LIVE, id="a", f=BEGINNING, w={"aggregateId": {"eq": "u2"}})
        query = 'subscription { events(streams: ["order-events"], from: { beginning: true }) { payload } }'
        await client.subscribe(query, id="b")
        await world.publish(1)
        await world.publish(2, aggregate="u2")
        await world.publish(3, kind="order.placed")
        heard = sorted([await client.hear() for _ in range(2)], key=lambda message: str(message["id"]))
    assert [message["payload"]["data"]["events"]["payload"] for message in heard] == [{"n": 2}, {"n": 3}]


async def test_batches_carry_many(world: World) -> None:
    await world.publish(*range(250))
    selection = "events { payload } cursor dropped caughtUp"
    query = f"subscription {{ eventBatches(from: {{ beginning: true }}, maxEvents: 100) {{ {selection} }} }}"
    seen: list[Any] = []
    async with world.opened() as client:
        await client.subscribe(query)
        while len(seen) < 250:
            batch = (await client.next())["data"]["eventBatches"]
            assert len(batch["events"]) <= 100
            seen += [event["payload"]["n"] for event in batch["events"]]
    assert seen == list(range(250))


async def test_queries_and_mutations_go_over_the_socket_too(world: World) -> None:
    publish = "mutation($e: EventInput!) { publishEvent(event: $e) { position } }"
    async with world.opened() as client:
        await client.subscribe(publish, id="7", e={"eventType": "user.created", "payload": {}})
        heard = [await client.hear(), await client.hear()]
        assert heard[0]["payload"]["data"] == {"publishEvent": {"position": 1}}
        assert heard[1] == {"id": "7", "type": "complete"}
        await client.subscribe("{ nothing }", id="7")
        error = await client.hear()
        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", "BAD_INPUT")
        await client.subscribe("{ events(first: 0) { asOf } }", id="7")
        assert (await client.next())["errors"][0]["extensions"]["code"] == "BAD_INPUT"


async def test_each_message_carries_its_cursor_when_asked_for_and_the_request_may_resume(world: World) -> None:
    await world.publish(*range(6))
    async with world.opened({"cursors": True}) as client:
        await client.subscribe(LIVE, f=BEGINNING)
        messages = [await client.next() for _ in range(3)]
        assert [m["extensions"]["cursor"] for m in messages] == [m["data"]["events"]["cursor"] for m in messages]
    async with world.opened() as client:
        extensions = {"resume": {"cursor": messages[-1]["extensions"]["cursor"]}}
        await client.subscribe(LIVE, extensions=extensions, f=BEGINNING)
        resumed = await client.next()
    assert resumed["data"]["events"]["position"] == 4
    assert "extensions" not in resumed


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ({"f": {"cursor": "nonsense"}}, "CURSOR_INVALID"),
        ({"f": {"live": False}}, "BAD_INPUT"),
        ({"f": {"time": "2026-01-01T00:00:00"}}, "BAD_INPUT"),
        ({"f": {"live": True, "beginning": True}}, "BAD_INPUT"),
        ({"f": {}}, "BAD_INPUT"),
        ({"w": {"expression": "(>"}}, "BAD_INPUT"),
    ],
)
async def test_what_cannot_begin_says_why(world: World, variables: dict[str, Any], code: str) -> None:
    async with world.opened() as client:
        await client.subscribe(LIVE, **variables)
        error = await client.hear()
        assert (error["type"], error["payload"][0]["extensions"]["code"]) == ("error", code)
        await client.subscribe(LIVE, f=BEGINNING)
        await world.publish(1)
        assert (await client.next())["data"]["events"]["payload"] == {"n": 1}


async def test_foreign_cursors_and_streams_are_refused(world: World) -> None:
    (mine,) = await world.publish(1)
    async with world.opened(tenant="other") as client:
        await client.subscribe(LIVE, f={"cursor": mine["cursor"]})
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "CURSOR_INVALID"
    async with world.opened(role="users-only") as client:
        await client.subscribe('subscription { events(streams: ["order-events"]) { eventId } }')
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        await client.subscribe('subscription { events(streams: ["none"]) { eventId } }')
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        await client.subscribe(LIVE, f=BEGINNING)
        await world.publish(2, kind="order.placed")
        await world.publish(3)
        assert [(await client.next())["data"]["events"]["payload"]["n"] for _ in range(2)] == [1, 3]


async def test_dropping_needs_a_field_that_says_so(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe("subscription { events(overflow: DROP_OLDEST) { eventId } }")
        assert (await client.hear())["payload"][0]["extensions"]["code"] == "BAD_INPUT"
        await client.subscribe("subscription { feed(overflow: DROP_OLDEST) { __typename } }")
        assert (await client.next())["data"]["feed"]["__typename"] == "CaughtUp"


async def test_complete_ends_one_operation_and_its_id_is_free_again(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(FEED, id="a")
        await client.subscribe(FEED, id="b")
        for _ in range(2):
            await client.hear()
        await client.say("complete", id="a")
        await client.say("complete", id="never")
        await client.subscribe(FEED, id="a", f=BEGINNING)
        assert (await client.hear())["payload"]["data"]["feed"]["__typename"] == "CaughtUp"
        await world.publish(1)
        assert {(await client.hear())["id"] for _ in range(2)} == {"a", "b"}
    await world.idle()


async def test_ping_is_answered_with_its_payload(world: World) -> None:
    async with world.opened() as client:
        await client.say("ping", payload={"a": [1]})
        assert await client.hear() == {"type": "pong", "payload": {"a": [1]}}
        await client.say("ping")
        assert await client.hear() == {"type": "pong"}
        await client.say("pong")


async def close_code(world: World, *messages: Any, init: bool = True, **token: Any) -> int | None:
    async with world.socket() as raw:
        if init:
            await raw.send(
                json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {world.token(**token)}"}})
            )
        for message in messages:
            await raw.send(message if isinstance(message, str | bytes) else json.dumps(message))
        async with asyncio.timeout(5):
            await raw.wait_closed()
        return raw.close_code


SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": FEED}}


@pytest.mark.parametrize(
    ("messages", "init", "code"),
    [
        ([], False, 4408),
        ([SUBSCRIBE], False, 4401),
        ([{"type": "connection_init"}], False, 4403),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer x.y.z"}}], False, 4403),
        ([{"type": "connection_init", "payload": {"authorization": 5}}], False, 4400),
        ([{"type": "connection_init", "payload": {"authorization": "Bearer x"}}], True, 4429),
        ([SUBSCRIBE, SUBSCRIBE], True, 4409),
        (["nonsense"], True, 4400),
        (["[]"], True, 4400),
        (["[" * 100_000], True, 4400),
        ([b"{}"], True, 4400),
        ([{"type": "unheard-of"}], True, 4400),
        ([{"id": "1"}], True, 4400),
        ([{"type": "subscribe", "payload": {"query": FEED}}], True, 4400),
        ([{"type": "subscribe", "id": "", "payload": {"query": FEED}}], True, 4400),
        ([{"type": "subscribe", "id": "1"}], True, 4400),
        ([{"type": "subscribe", "id": "1", "payload": 7}], True, 4400),
        ([{"type": "subscribe", "id": "1", "payload": {"query": FEED, "variables": []}}], True, 4400),
        ([{"type": "subscribe", "id": 1, "payload": {"query": FEED}}], True, 4400),
    ],
)
async def test_close_codes(world: World, messages: list[Any], init: bool, code: int) -> None:
    assert await close_code(world, *messages, init=init) == code
    await world.idle()


async def test_who_has_said_connection_init_in_time_may_wait_for_its_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crowded() -> None:
        await asyncio.sleep(2 * LIMITS.init_timeout_s)

    monkeypatch.setattr(world.services.live.pacer, "turn", crowded)
    async with world.opened():
        pass


async def test_the_legacy_protocol_is_refused(world: World) -> None:
    async with world.socket("graphql-ws") as raw:
        assert raw.subprotocol is None
        with pytest.raises(websockets.ConnectionClosed) as caught:
            await raw.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 4406


async def test_a_page_of_another_origin_may_not_connect(world: World) -> None:
    async with world.socket(origin="https://evil.example") as raw:
        await raw.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {world.token()}"}}))
        async with asyncio.timeout(5):
            await raw.wait_closed()
        assert raw.close_code == 4403


async def test_the_handshake_may_carry_the_token(world: World) -> None:
    headers = {"authorization": f"Bearer {world.token()}"}
    async with world.socket(additional_headers=headers, origin="https://app.example") as raw:
        await raw.send('{"type":"connection_init"}')
        assert json.loads(await raw.recv()) == {"type": "connection_ack"}


async def test_an_expired_token_ends_the_socket(world: World) -> None:
    async with world.opened(ttl=1.2) as client:
        await client.subscribe(FEED)
        await client.hear()
        assert await client.closed(within=6) == 4403
    await world.idle()


async def test_too_much_at_once_is_refused_and_the_rest_goes_on(world: World) -> None:
    async with world.opened() as one, world.opened() as two:
        for number in range(LIMITS.operations_per_connection):
            await one.subscribe(FEED, id=f"{number}")
            assert (await one.hear())["type"] == "next"
        await one.subscribe(FEED, id="more")
        error = await one.hear()
        assert (error["id"], error["payload"][0]["extensions"]["code"]) == ("more", "RATE_LIMITED")
        for number in range(LIMITS.subscriptions_per_tenant - LIMITS.operations_per_connection):
            await two.subscribe(FEED, id=f"{number}")
            assert (await two.hear())["type"] == "next"
        await two.subscribe(FEED, id="more")
        assert (await two.hear())["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        await one.say("complete", id="0")
        await asyncio.sleep(0)
        async with world.opened(tenant="other") as theirs:
            await theirs.subscribe(FEED)
            assert (await theirs.hear())["type"] == "next"
    await world.idle()


async def test_a_lost_client_leaves_nothing_behind(world: World) -> None:
    async with world.opened() as client:
        for number in range(3):
            await client.subscribe(LIVE, id=f"{number}", f=BEGINNING)
        await world.publish(1)
        await client.hear()
        client.raw.transport.abort()
    await world.idle()


async def test_draining_sends_every_client_away_to_come_back(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(FEED)
        await client.hear()
        world.drain.begin()
        assert await client.closed() == 1012
    await world.idle()


async def test_a_log_that_drains_first_does_not_complete_anything(world: World) -> None:
    async with world.opened() as client:
        await client.subscribe(FEED)
        await client.hear()
        await world.services.live.stop()
        with pytest.raises(websockets.ConnectionClosed):
            await client.hear()
        assert client.raw.close_code == 1012


async def test_a_client_that_does_not_read_is_cut_off_and_hurts_nobody(world: World) -> None:
    query = "mutation($e: EventInput!) { publishEvent(event: $e) { position } }"
    event = {"eventType": "user.grown", "payload": {"large": "x" * 400_000}}
    async with world.opened(narrow=True) as stalled, world.opened() as other:
        await stalled.subscribe(LIVE, f=BEGINNING)
        await other.subscribe(LIVE, f=BEGINNING)
        stalled.raw.transport.pause_reading()
        for number in range(30):
            await world.data(query, {"e": event})
            assert (await other.next())["data"]["events"]["position"] == number + 1
        async with asyncio.timeout(10):
            while world.endpoint.subscriptions() > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await world.publish(1)
        await other.next()
        stalled.raw.transport.abort()
    await world.idle()


async def test_who_reads_too_slowly_is_told_where_to_go_on(world: World) -> None:
    query = "subscription($f: From) { events(from: $f, bufferBytes: 65536) { position } }"
    large = "subscription($f: From) { events(from: $f, bufferBytes: 65536) { position payload } }"
    async with world.opened(narrow=True) as client:
        await client.subscribe(large)
        await client.subscribe(FEED, id="ready")
        assert (await client.hear())["id"] == "ready"
        client.raw.transport.pause_reading()
        for _ in range(3):
            await world.publish(*range(10), payload={"large": "x" * 100_000})
        client.raw.transport.resume_reading()
        seen, message = 0, await client.hear()
        while message["type"] == "next":
            seen = message["payload"]["data"].get("events", {}).get("position", seen)
            message = await client.hear()
        assert message["payload"][0]["extensions"]["code"] == "SLOW_CONSUMER"
        cursor = message["payload"][0]["extensions"]["details"]["cursor"]
        await client.subscribe(query, id="again", f={"cursor": cursor})
        while (message := await client.hear())["id"] != "again":
            pass
        assert message["payload"]["data"]["events"]["position"] == seen + 1
