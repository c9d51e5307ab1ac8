"""One more gateway's background work, as a process to kill and to freeze.

``worker_process.py relay|indexer DSN SERVERS`` prints its leases' holder when it runs.
"""

import asyncio
import sys

from tests.relaying import world


async def main(kind: str, dsn: str, servers: str) -> None:
    async with world(dsn) as place:
        leases = place.leases(ttl_s=1.0)
        worker = place.relay(servers, leases) if kind == "relay" else place.indexer(servers, leases)
        await worker.start()
        print(leases._holder, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        await worker.stop()
        await leases.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
