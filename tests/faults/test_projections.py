"""A projection and its rebuild while the gateways that work at them are killed and frozen: each event once."""

import asyncio

from tests.faults.conftest import StartGateway
from tests.faults.load import Client

BATCHES = 12
BATCH = 500
KEYS = 7
CREATE = "mutation($s:StreamInput!){createStream(stream:$s){id}}"
PUBLISH = "mutation($e:[EventInput!]!){publishEvents(events:$e){receipts{cursor} rejections{code}}}"
DECLARE = """mutation($p:ProjectionInput!){createProjection(projection:$p){version}}"""
REBUILD = """mutation($p:ProjectionInput!){updateProjection(projection:$p){version}}"""
STANDS = """{projection(name:"totals"){version status building{version} error{message}}}"""
ROWS = """query($c:Cursor){projection(name:"totals",consistentWith:$c){version rows{nodes{key value}}}}"""


def declared(*more: dict[str, object]) -> dict[str, object]:
    # an expression: PostgreSQL does not fold it by itself, so that there is time to be killed in
    add = {"increment": {"path": "total", "expression": "event.payload.n * 1"}}
    return {
        "name": "totals",
        "streams": ["orders"],
        "key": "event.payload.key",
        "reducers": [{"on": "order.paid", "operations": [add, *more]}],
    }


async def test_a_projection_is_exact_through_kill_9_and_a_freeze_of_its_gateways(
    fault_database_url: str, start_gateway: StartGateway
) -> None:
    settings = {"ESB_POSTGRES_URL": fault_database_url}
    one, two = [await asyncio.to_thread(start_gateway, name, settings) for name in ("one", "two")]
    expected = {f"k{key}": {"total": 0, "count": 0} for key in range(KEYS)}
    cursor = None
    async with Client(one.url, one.token("t")) as client, Client(two.url, two.token("t")) as other:
        await client.ok(CREATE, s={"streamName": "orders"})
        await client.ok(DECLARE, p=declared())
        for number in range(BATCHES):
            events = [
                {"eventType": "order.paid", "stream": "orders", "payload": {"key": f"k{n % KEYS}", "n": n}}
                for n in range(number, number + BATCH)
            ]
            report = (await other.ok(PUBLISH, e=events))["publishEvents"]
            assert not report["rejections"]
            cursor = report["receipts"][-1]["cursor"]
            for event in events:
                row = expected[str(event["payload"]["key"])]  # type: ignore[index]
                row["total"] += event["payload"]["n"]  # type: ignore[index]
                row["count"] += 1
            if number == 3:
                await asyncio.to_thread(one.kill)
                await asyncio.to_thread(one.start)
            if number == 6:
                await other.ok(REBUILD, p=declared({"increment": {"path": "count", "value": 1}}))
                await asyncio.to_thread(one.pause)
        async with asyncio.timeout(60):
            while (stands := (await other.ok(STANDS))["projection"])["building"] is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert (stands["version"], stands["status"], stands["error"]) == (2, "LIVE", None)
        await asyncio.to_thread(one.resume)
        for asked in (other, client):
            found = (await asked.ok(ROWS, c=cursor))["projection"]
            assert {row["key"]: row["value"] for row in found["rows"]["nodes"]} == expected
