"""The package in clients/python on a real gateway: commands that race, a gateway that dies under them, bad input."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from event_streaming_bus_client import Aggregate, Client, GatewayError, on_aggregate, on_events

from schema.identifier import EVENT_ID
from tests.end_to_end.api import Api, issue, new_tenant
from tests.services.gateway import GatewayProcess

CREATE = "mutation($s: StreamInput!) { createStream(stream: $s) { id } }"


@pytest.fixture
async def bus(api: Api) -> AsyncIterator[Client]:
    async with Client(api.gateway.url, api.token) as client:
        yield client


def counted(seen: Aggregate) -> Sequence[dict[str, Any]]:
    """One more than there were: two that decided on the same number would count one too few."""
    n = (seen.state or {"n": 0})["n"]
    return [{"eventType": "user.counted", "payload": {"n": n + 1}}]


async def test_commands_that_race_on_one_aggregate_are_decided_one_after_the_other(api: Api, bus: Client) -> None:
    outcomes = await asyncio.gather(*[on_aggregate(bus, "Counter", "c1", counted, attempts=100) for _ in range(24)])
    assert [event["payload"]["n"] for event in api.events()] == list(range(1, 25))
    assert sorted(outcome.receipts[0]["sequenceNumber"] for outcome in outcomes) == list(range(1, 25))
    assert max(outcome.attempts for outcome in outcomes) > 1


async def test_a_command_of_several_events_commits_whole(api: Api, bus: Client) -> None:
    def moved(seen: Aggregate) -> Sequence[dict[str, Any]]:
        assert (seen.version, seen.state) == (0, None)
        return [
            {"eventType": "user.opened", "payload": {}},
            {"eventType": "user.named", "payload": {"name": "Ada"}},
            {"eventType": "user.seen", "aggregateType": "Other", "aggregateId": "o", "payload": {}},
        ]

    outcome = await on_aggregate(bus, "Account", "a1", moved)
    assert [(one["sequenceNumber"], one["duplicate"]) for one in outcome.receipts] == [
        (1, False),
        (2, False),
        (1, False),
    ]
    assert all(EVENT_ID.match(one["eventId"]) for one in outcome.receipts)
    (found,) = [await on_aggregate(bus, "Account", "a1", lambda seen: [])]
    assert (found.receipts, found.attempts) == ([], 1)


async def test_decisions_on_a_boundary_take_every_seat_once(api: Api, bus: Client) -> None:
    seats = [f"{row}{letter}" for row in range(6) for letter in "AB"]
    boundary = {"eventType": {"eq": "user.seated"}}

    async def take(by: int) -> None:
        async def decide(taken: list[dict[str, Any]]) -> Sequence[dict[str, Any]]:
            gone = {event["payload"]["seat"] for event in taken}
            seat = next(seat for seat in seats if seat not in gone)
            return [{"eventType": "user.seated", "payload": {"seat": seat, "by": by}}]

        await on_events(bus, boundary, decide, attempts=100)

    await asyncio.gather(*[take(by) for by in range(len(seats))])
    assert [event["payload"]["seat"] for event in api.events()] == seats


async def test_what_decides_may_refuse_and_then_nothing_is_published(api: Api, bus: Client) -> None:
    def refuse(seen: Aggregate) -> Sequence[dict[str, Any]]:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await on_aggregate(bus, "Account", "a1", refuse)
    assert api.events() == []


async def test_who_is_always_too_late_hears_of_it(api: Api, bus: Client) -> None:
    async def outrun(seen: Aggregate) -> Sequence[dict[str, Any]]:
        await bus.publish([{"eventType": "user.counted", "aggregateType": "A", "aggregateId": "1", "payload": {}}])
        return [{"eventType": "user.counted", "payload": {"mine": True}}]

    with pytest.raises(GatewayError) as late:
        await on_aggregate(bus, "A", "1", outrun, attempts=3)
    assert late.value.code == "SEQUENCE_CONFLICT"
    assert [event["payload"] for event in api.events()] == [{}] * 3


async def test_refusals_are_raised_at_once_by_their_codes(api: Api, bus: Client) -> None:
    for kind, code in (("nowhere.to", "UNKNOWN_STREAM"), ("!", "BAD_INPUT")):
        event = {"eventType": kind, "payload": 1}
        with pytest.raises(GatewayError) as refused:
            await on_aggregate(bus, "A", "1", lambda _, event=event: [event])
        assert (refused.value.code, refused.value.retryable) == (code, False)
    with pytest.raises(GatewayError) as syntax:
        await bus.query("{ events( }")
    assert syntax.value.code == "BAD_INPUT"
    async with asyncio.timeout(30), Client(api.gateway.url, "no token") as stranger:
        with pytest.raises(GatewayError) as refused:
            await stranger.query("{ streams { nodes { id } } }")
        assert refused.value.code == "UNAUTHENTICATED"
        with pytest.raises(GatewayError) as refused:
            async for _ in stranger.subscribe("subscription { events { eventId } }"):
                pass
        assert refused.value.code == "UNAUTHENTICATED"


async def test_a_gateway_killed_under_commands_and_a_subscription(own_gateway: Callable[..., GatewayProcess]) -> None:
    gateway = own_gateway()
    await asyncio.to_thread(gateway.start)
    token = await asyncio.to_thread(issue, gateway, new_tenant("killed"))
    seen: list[int] = []

    async def fresh() -> str:
        return token

    async with Client(gateway.url, fresh, tries=100) as bus:
        await bus.query(CREATE, {"s": {"streamName": "user-events", "eventPatterns": ["user.**"]}})

        async def follow() -> None:
            live = "subscription { events(from: {beginning: true}) { payload } }"
            async for data in bus.subscribe(live):
                seen.append(data["events"]["payload"]["n"])
                if len(seen) == 60:
                    return

        async def work() -> None:
            for _ in range(10):
                await on_aggregate(bus, "Counter", "c1", counted, attempts=1000)

        async def kill() -> None:
            for number in (15, 40):
                while len(seen) < number:  # noqa: ASYNC110 - another process's work
                    await asyncio.sleep(0.01)
                await asyncio.to_thread(gateway.kill)
                await asyncio.to_thread(gateway.start)

        async with asyncio.timeout(100):
            await asyncio.gather(follow(), kill(), *[work() for _ in range(6)])
    assert seen == list(range(1, 61))
