"""A gateway's ledger in a process of its own, to be killed or frozen: publishes without end, and prints on a line each
`id position sequence` what was acknowledged.
"""

import asyncio
import sys

from store.database import Database
from store.log.ledger import LedgerLogs
from store.log.port import Command
from store.tenants import Tenants
from tests.events import draft, stream


async def main(dsn: str, key: int, name: str) -> None:
    """Publish to the stream with this key, from 16 publishers: single events, and batches now and then."""
    database = Database(dsn)
    await database.start()
    logs = LedgerLogs(database, Tenants(database))
    await logs.start()
    log = await logs.get("acme")
    where = stream(key)

    async def publish(publisher: int) -> None:
        number = 0
        while True:
            size = 200 if number % 20 == 7 else 1
            ids = [f"evt_{name}{publisher:02d}{number:07d}{at:03d}" for at in range(size)]
            drafts = [draft(where, f"{name}-{publisher}", id=one, payload={"pad": "x" * 500}) for one in ids]
            (outcome,) = await log.append([Command(events=drafts)])
            assert isinstance(outcome, list), outcome
            said = "".join(f"{one.event_id} {one.position} {one.sequence_number}\n" for one in outcome)
            sys.stdout.write(said)
            sys.stdout.flush()
            number += 1

    await asyncio.gather(*[publish(publisher) for publisher in range(16)])


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
