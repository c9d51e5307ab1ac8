"""Resumption under chaos: 0 lost, 0 repeated, in order. `make soak` runs it large, with Kafka."""

import asyncio

from tests.faults.chaos import TENANT, Size, breaking, complaints, stream
from tests.faults.conftest import StartGateway
from tests.faults.load import Client
from tests.services.external import Service

SMALL = Size(sockets=300, events=5_000, per_second=1000, cuts_per_second=30, careless=True)
CREATE = 'mutation{createStream(stream:{streamName:"ledger"}){streamName}}'


async def test_cut_subscribers_resume_without_loss_or_repetition(
    fault_database_url: str, postgres_service: Service, start_gateway: StartGateway
) -> None:
    """One group throws events away unseen: were it not found, the zeros of the others would mean nothing."""
    gateway = await asyncio.to_thread(start_gateway, "one", {"ESB_POSTGRES_URL": fault_database_url})
    async with Client(gateway.url, gateway.token(TENANT)) as client:
        await client.ok(CREATE)
    async with stream(gateway, "ledger", "LEDGER", SMALL) as ledger:
        await ledger.begin()
        await breaking({"gateway": gateway, "PostgreSQL": postgres_service}, [ledger], 2, SMALL.events)
        outcome = await ledger.end(120)
    assert outcome.published == SMALL.events
    assert not complaints(outcome), outcome
    assert outcome.received == SMALL.events * 10
    assert outcome.careless_lost
