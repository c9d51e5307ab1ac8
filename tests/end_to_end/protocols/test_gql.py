"""Python's `gql`: queries and mutations over HTTP, everything over WebSocket."""

import asyncio
from typing import Any

import pytest
from gql import Client, GraphQLRequest
from gql.transport.async_transport import AsyncTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.end_to_end.api import Api

# nothing of this depends on which PostgreSQL it is
pytestmark = pytest.mark.embedded_only

PUBLISH = "mutation($event: EventInput!) { publishEvent(event: $event) { eventId } }"
FEED = "subscription($from: From) { feed(from: $from) { __typename ... on Event { payload } } }"
WITHIN_S = 20


def http(api: Api) -> AsyncTransport:
    return HTTPXAsyncTransport(f"{api.gateway.url}/graphql", headers={"authorization": f"Bearer {api.token}"})


def websocket(api: Api) -> AsyncTransport:
    return WebsocketsTransport(
        f"{api.gateway.websocket_url}/graphql",
        init_payload={"authorization": f"Bearer {api.token}"},
        connect_args={"proxy": None},
    )


@pytest.mark.parametrize("transport", [http, websocket])
async def test_queries_mutations_and_mistakes(api: Api, transport: Any) -> None:
    async with asyncio.timeout(WITHIN_S), Client(transport=transport(api)) as session:
        event = {"event": {"eventType": "user.seen", "payload": {"n": 1}}}
        published = await session.execute(GraphQLRequest(PUBLISH, variable_values=event))
        found = await session.execute(GraphQLRequest("{ events { nodes { eventId } } }"))
        assert found["events"]["nodes"] == [published["publishEvent"]]
        for query, code in (('{ events(after: "nonsense") { asOf } }', "CURSOR_INVALID"), ("{ nothing }", "BAD_INPUT")):
            with pytest.raises(TransportQueryError) as caught:
                await session.execute(GraphQLRequest(query))
            assert caught.value.errors is not None
            assert caught.value.errors[0]["extensions"]["code"] == code


async def test_a_live_subscription_until_it_is_left(api: Api) -> None:
    async with asyncio.timeout(WITHIN_S), Client(transport=websocket(api)) as session:
        heard = session.subscribe(GraphQLRequest(FEED, variable_values={"from": {"live": True}}))
        assert (await anext(heard))["feed"]["__typename"] == "CaughtUp"
        for number in range(3):
            await asyncio.to_thread(api.publish, payload={"n": number})
            assert (await anext(heard))["feed"]["payload"] == {"n": number}
        before = live(api)
        await heard.aclose()
        while live(api) >= before:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        # the connection goes on
        assert "events" in await session.execute(GraphQLRequest("{ events { asOf } }"))


async def test_a_subscription_that_cannot_begin_says_why(api: Api) -> None:
    async with asyncio.timeout(WITHIN_S), Client(transport=websocket(api)) as session:
        heard = session.subscribe(GraphQLRequest(FEED, variable_values={"from": {"cursor": "nonsense"}}))
        with pytest.raises(TransportQueryError) as caught:
            await anext(heard)
        assert caught.value.errors is not None
        assert caught.value.errors[0]["extensions"]["code"] == "CURSOR_INVALID"


def live(api: Api) -> float:
    """Live subscriptions of the gateway."""
    lines = api.http.get("/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("esb_live_subscriptions "))
