"""Another gateway's publishing side, as a process: ``writer_process.py DSN STREAM_KEY WRITERS EVENTS [signals]``.

Each of WRITERS commits EVENTS events of its own aggregate, some at a time, and with ``signals`` tells other processes.
"""

import asyncio
import random
import sys

from store.database import Database
from store.log.ledger import LedgerLogs
from store.log.port import Command
from store.signals.port import log_topic
from store.signals.postgres import postgres_signals
from store.tenants import Tenants
from tests.events import draft, stream


async def write(log: object, where: object, name: str, events: int) -> None:
    number = 0
    while number < events:
        size = min(random.randint(1, 5), events - number)
        drafts = [
            draft(where, name, id=f"evt_{name}_{number + n:020d}", payload={"n": number + n}) for n in range(size)
        ]
        await log.append([Command(events=drafts)])
        number += size
        await asyncio.sleep(0)


async def main(dsn: str, stream_key: int, writers: int, events: int, signalling: bool) -> None:
    signals = postgres_signals(dsn)
    if signalling:
        await signals.start()
    database = Database(dsn)
    await database.start()
    logs = LedgerLogs(database, Tenants(database), lambda commit: signals.notify(log_topic(commit.tenant)))
    await logs.start()
    log = await logs.get("acme")
    await asyncio.gather(*[write(log, stream(stream_key), f"far{w}", events) for w in range(writers)])
    await logs.close()
    await database.close()
    await signals.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), "signals" in sys.argv[5:]))
