"""The large run of resumption under chaos, a part of ``make soak``.

1,000 subscribers of a ledger stream and 100 of a Kafka stream, cut at random by TCP resets; the gateway, PostgreSQL and
Kafka killed in turns; 110,000 events, each for 10 subscribers. ``python -m tests.soak_resume``, or with a share of the
events and kills: ``python -m tests.soak_resume 0.2``
"""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests.faults.chaos import TENANT, Outcome, Size, breaking, complaints, stream
from tests.faults.load import Client
from tests.services.external import Service, services
from tests.services.gateway import GatewayProcess
from tests.services.postgres import Databases

LEDGER = Size(sockets=1000, events=100_000, per_second=700, cuts_per_second=25, settle_s=900, careless=True)
KAFKA = Size(sockets=100, events=10_000, per_second=70, cuts_per_second=3, settle_s=900)
KILLS = 9
PUBLISHED_WITHIN_S = 1200.0
READY_WITHIN_S = 240.0  # it comes back into a thousand subscribers that all catch up at once
CREATE = (
    'mutation{ledger:createStream(stream:{streamName:"ledger"}){streamName}'
    ' kafka:createStream(stream:{streamName:"kafka",engine:KAFKA,partitions:4}){streamName}}'
)


def main(share: float) -> int:
    """0 when nothing was lost, repeated or out of order."""
    with services() as ours, tempfile.TemporaryDirectory(prefix="esb-soak-", ignore_cleanup_errors=True) as folder:
        ours.postgres.start()
        ours.kafka.start()
        with Databases(ours.postgres.url).fresh() as dsn:
            settings = {"ESB_POSTGRES_URL": dsn, "ESB_KAFKA_SERVERS": ours.kafka.url}
            gateway = GatewayProcess(Path(folder, "gateway"), settings)
            gateway.deadline = READY_WITHIN_S
            gateway.start()
            try:
                killed = {"gateway": gateway, "PostgreSQL": ours.postgres, "Kafka": ours.kafka}
                return asyncio.run(run(gateway, killed, share))
            finally:
                gateway.stop()
                ours.postgres.start()  # dropping the database needs it


async def run(gateway: GatewayProcess, killed: Mapping[str, Service], share: float) -> int:
    """All of it, against running services."""
    began = time.monotonic()
    async with Client(gateway.url, gateway.token(TENANT)) as client:
        await client.ok(CREATE)
    sizes = [replace(size, events=int(size.events * share)) for size in (LEDGER, KAFKA)]
    async with (
        stream(gateway, "ledger", "LEDGER", sizes[0]) as ledger,
        stream(gateway, "kafka", "KAFKA", sizes[1]) as kafka,
    ):
        both = [ledger, kafka]
        print(f"{time.monotonic() - began:.0f} s: all subscribed", flush=True)
        for one in both:
            await one.begin()
        await breaking(killed, both, max(len(killed), int(KILLS * share)), sum(size.events for size in sizes))
        outcomes = {"ledger": await ledger.end(PUBLISHED_WITHIN_S), "kafka": await kafka.end(PUBLISHED_WITHIN_S)}
    print(f"{time.monotonic() - began:.0f} s: over", flush=True)
    return max(told(name, outcome) for name, outcome in outcomes.items())


def told(name: str, outcome: Outcome) -> int:
    """Say how a stream went; 1 when something is wrong."""
    print(f"{name}: {outcome}", flush=True)
    wrong = complaints(outcome)
    if name == "ledger" and not outcome.careless_lost:
        wrong.append("what the careless group threw away was not found")
    if wrong:
        print(f"{name}: {', '.join(wrong)}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what was started is stopped
    sys.exit(main(*map(float, sys.argv[1:] or [1])))
