"""append-conditional: 64 writers, each appending to its aggregate only if that is as it last saw it, one at a time.

`ours`: admission and the ledger, `expected_sequence` on every event. `eventsourcing`: the PyPI library's Application on
the same PostgreSQL, whose recorder refuses a version that is taken, with a thread a writer; its recorder, too, keeps
one total order. Both sides run in this process and keep their aggregates' versions in memory.
"""

import asyncio
import os
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import uvloop
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from gateway.serve import settle_heap
from store.migrate import upgrade
from tests.benchmarks.harness import PAIRS, compare, finish
from tests.benchmarks.ledger_gateway import CLIENT, PRINCIPAL, Ways, gateway, inputs, server

WRITERS = 64
EVENTS = 40
"""Of each writer, a run."""

POOL = os.environ.get("PEER_POOL", "16")
"""Connections the library keeps."""

_PAD = "x" * 215  # as ours


class Account(Aggregate):
    """The peer's aggregate: its event says what an event of ours says."""

    @event("Told")
    def tell(self, n: int, who: dict[str, str], pad: str, correlation: str) -> None:
        """Nothing to change: the state is not what is measured."""


class Peer:
    """The library as its manual shows it."""

    def __init__(self, dsn: str) -> None:
        parts = urllib.parse.urlsplit(dsn)
        said = dict(urllib.parse.parse_qsl(parts.query))
        self._application: Application[Any] = Application(
            env={
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": parts.path.removeprefix("/"),
                "POSTGRES_HOST": said.get("host") or parts.hostname or "",
                "POSTGRES_PORT": said.get("port") or str(parts.port or 5432),
                "POSTGRES_USER": parts.username or "",
                "POSTGRES_PASSWORD": parts.password or "unused",
                "POSTGRES_POOL_SIZE": POOL,
            }
        )
        self._threads = ThreadPoolExecutor(WRITERS)

    async def append(self) -> float:
        """Events a second of all writers."""
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        await asyncio.gather(*[loop.run_in_executor(self._threads, self._write) for _ in range(WRITERS)])
        return WRITERS * EVENTS / (time.perf_counter() - started)

    def _write(self) -> None:
        account = Account()  # its creation is an event, too
        self._application.save(account)
        for n in range(EVENTS - 1):
            account.tell(n, {"name": f"user {n % 999}"}, _PAD, f"req_{n:012d}")
            self._application.save(account)

    def close(self) -> None:
        self._threads.shutdown()
        self._application.close()


async def append(ways: Ways) -> float:
    """Ours: events a second of all writers."""
    writers = [inputs(EVENTS) for _ in range(WRITERS)]
    for said in writers:
        aggregate = uuid4().hex
        for version, one in enumerate(said):
            one.aggregate_id, one.expected_sequence = aggregate, version

    async def write(said: list[Any]) -> None:
        for one in said:
            await ways.admission.publish_one(PRINCIPAL, one, client=CLIENT)

    started = time.perf_counter()
    await asyncio.gather(*[write(said) for said in writers])
    return WRITERS * EVENTS / (time.perf_counter() - started)


async def main() -> None:
    settle_heap()  # both sides run as the gateway does
    async with server() as dsn:
        await asyncio.to_thread(upgrade, dsn)
        peer = Peer(dsn)
        try:
            async with gateway(dsn) as ways:
                print(f"{WRITERS} writers, an event a commit, events a second")
                found = await compare(lambda: append(ways), {"eventsourcing": peer.append})
        finally:
            peer.close()
    finish("append-conditional", found.summary(), writers=WRITERS, pairs=PAIRS)


if __name__ == "__main__":
    uvloop.run(main())
