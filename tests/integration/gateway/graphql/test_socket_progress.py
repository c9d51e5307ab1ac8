"""Where a subscription begins is said at once, so that who is cut off before the first event misses none."""

import pytest

from tests.integration.gateway.graphql.conftest import World

# the second asks for what is loaded for each event, which no plan covers
SELECTIONS = ["payload", "payload cause { eventId }"]


@pytest.mark.parametrize("selection", SELECTIONS)
async def test_a_ping_names_the_place_a_subscription_begins_at(world: World, selection: str) -> None:
    live = "subscription { events(from: { live: true }) { SELECTION } }".replace("SELECTION", selection)
    await world.publish(1)
    async with world.opened({"cursors": True, "progress": True}) as client:
        await client.subscribe(live, id="one")
        ping = await client.hear()
    assert ping["type"] == "ping"
    await world.publish(2)
    async with world.opened() as client:
        await client.subscribe(live, extensions={"resume": {"cursor": ping["payload"]["cursors"]["one"]}})
        assert (await client.next())["data"]["events"]["payload"] == {"n": 2}


async def test_who_did_not_ask_hears_no_ping(world: World) -> None:
    async with world.opened({"cursors": True}) as client:
        await client.subscribe("subscription { events(from: { beginning: true }) { payload } }")
        await world.publish(1)
        assert (await client.hear())["type"] == "next"
