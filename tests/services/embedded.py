"""The PostgreSQL that comes with the package, for tests outside a gateway."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from store.embedded import EmbeddedPostgres
from tests.services.postgres import OWNER, administer, with_database


@contextmanager
def embedded(folder: Path) -> Iterator[str]:
    """A server as the gateway runs it; yields the DSN of the owner's database.

    It needs a running event loop as long as it lives, and tests come and go with theirs: it gets a thread of its own.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="embedded-postgres")
    thread.start()
    server = EmbeddedPostgres(folder)
    try:
        dsn = asyncio.run_coroutine_threadsafe(server.start(), loop).result(120)
        parts = urlsplit(with_database(dsn, "postgres"))
        # The gateway's one database is made for it; tests make one each.
        administer(urlunsplit(parts._replace(netloc="postgres@")), f"ALTER ROLE {OWNER} CREATEDB")
        yield dsn
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
