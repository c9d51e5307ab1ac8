"""Two gateways on one PostgreSQL are one bus: what is done on one is there on the other."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.end_to_end.api import Api, new_tenant
from tests.services.gateway import GatewayProcess

pytestmark = pytest.mark.needs("kafka_servers")

EVENTS = 200


@pytest.fixture(scope="module", params=["redis", "postgresql"])
def gateways(
    gateway_settings: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """They wake each other by Redis, or by PostgreSQL's NOTIFY where there is no Redis."""
    settings = {
        name: value for name, value in gateway_settings.items() if request.param == "redis" or name != "ESB_REDIS_URL"
    }
    with ExitStack() as running:
        folder = tmp_path_factory.mktemp("two")
        both = tuple(GatewayProcess(folder / name, settings) for name in ("one", "two"))
        for each in both:
            running.callback(each.stop)
        with ThreadPoolExecutor(2) as pool:  # both bring the schema up to date
            list(pool.map(lambda each: each.start(), both))
        yield both[0], both[1]


@pytest.fixture
def here(gateways: tuple[GatewayProcess, GatewayProcess]) -> Iterator[Api]:
    made = Api(gateways[0], new_tenant("two"))
    yield made
    made.close()


@pytest.fixture
def there(gateways: tuple[GatewayProcess, GatewayProcess], here: Api) -> Iterator[Api]:
    """The same tenant by the other gateway, with the token of the first."""
    made = Api(gateways[0], here.tenant)
    made.http.base_url = httpx.URL(gateways[1].url)
    made.gateway = gateways[1]
    yield made
    made.close()


@contextmanager
def following(api: Api, cursor: str) -> Iterator[ClientConnection]:
    """A subscription to every event after the cursor."""
    address = f"{api.gateway.websocket_url}/graphql"
    with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")], proxy=None) as socket:
        socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {api.token}"}}))
        assert json.loads(socket.recv(20))["type"] == "connection_ack"
        query = "subscription($c: Cursor!) { events(from: {cursor: $c}) { position payload } }"
        payload = {"query": query, "variables": {"c": cursor}}
        socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
        yield socket


def received(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    return [json.loads(socket.recv(20))["payload"]["data"]["events"] for _ in range(count)]


def test_a_stream_made_on_one_is_published_to_on_the_other_at_once(here: Api, there: Api) -> None:
    there.http.get("/api/v1/streams").raise_for_status()  # it has looked, and remembers that there is none
    here.create_stream()
    assert there.publish("user.created")["position"] == 1
    assert [event["eventType"] for event in here.events()] == ["user.created"]


def test_a_subscriber_on_one_sees_in_order_all_that_is_published_on_both(here: Api, there: Api) -> None:
    here.create_stream()
    cursor = here.publish()["cursor"]

    def publish(api: Api) -> None:
        for number in range(EVENTS):
            api.publish(payload=number)

    with following(there, cursor) as socket, ThreadPoolExecutor(2) as pool:
        done = [pool.submit(publish, api) for api in (here, there)]
        seen = received(socket, 2 * EVENTS)
        for each in done:
            each.result()
    assert [event["position"] for event in seen] == list(range(2, 2 + 2 * EVENTS))
    assert sorted(event["payload"] for event in seen) == sorted(2 * list(range(EVENTS)))


def test_cursors_and_pages_of_one_are_good_on_the_other(here: Api, there: Api) -> None:
    here.create_stream()
    for number in range(4):
        here.publish(payload=number)
    page = here.graphql("{ events(first: 2) { nodes { payload cursor } pageInfo { endCursor } } }")["events"]
    query = "query($a: String) { events(after: $a) { nodes { payload } } }"
    rest = there.graphql(query, a=page["pageInfo"]["endCursor"])["events"]["nodes"]
    assert [event["payload"] for event in rest] == [2, 3]
    with following(there, page["nodes"][1]["cursor"]) as socket:
        assert [event["payload"] for event in received(socket, 2)] == [2, 3]


def test_what_is_written_on_one_is_read_on_the_other_at_once(here: Api, there: Api) -> None:
    here.create_stream()
    for number in range(20):
        cursor = here.publish(payload=number)["cursor"]
        query = "query($c: Cursor) { events(consistentWith: $c, order: DESC, first: 1) { nodes { payload } } }"
        assert there.graphql(query, c=cursor)["events"]["nodes"] == [{"payload": number}]


def test_one_event_id_published_on_both_at_once_is_one_event(here: Api, there: Api) -> None:
    here.create_stream()
    said = {"event_id": "evt_01J2X3Y4Z5A6B7C8D9E0F1G2H3", "payload": 1}
    with ThreadPoolExecutor(8) as pool:
        receipts = list(pool.map(lambda number: (here, there)[number % 2].publish(**said), range(16)))
    assert sorted(receipt["duplicate"] for receipt in receipts) == [False] + 15 * [True]
    assert {receipt["position"] for receipt in receipts} == {1}


def test_a_deleted_stream_takes_nothing_on_the_other(here: Api, there: Api) -> None:
    stream = here.create_stream()
    there.publish()
    here.http.delete(f"/api/v1/streams/{stream['stream_id']}").raise_for_status()
    answer = here.post("/api/v1/events", {"event_type": "user.x", "payload": 1})
    assert answer.json()["code"] == "UNKNOWN_STREAM"
    while (answer := there.post("/api/v1/events", {"event_type": "user.x", "payload": 1})).status_code == 201:
        continue  # within a second, says the signal
    assert answer.json()["code"] == "UNKNOWN_STREAM"
