"""A process that holds the embedded PostgreSQL until told to stop: a gateway reduced to what the fault tests kill."""

import asyncio
import signal
import sys

from store.embedded import EmbeddedPostgres


async def main(data_dir: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = EmbeddedPostgres(data_dir)
    print(await server.start(), flush=True)
    await stop.wait()
    await server.stop()


asyncio.run(main(sys.argv[1]))
