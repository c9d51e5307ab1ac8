"""How the command line gets at an installation's database and makes tokens, whether or not a gateway runs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.settings import Settings
from store.embedded import EmbeddedPostgres, attach


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """The DSN of the installation: the configured PostgreSQL, the embedded one of a running gateway, or else the
    embedded one started for as long as the block lasts."""
    if settings.postgres_url:
        yield settings.postgres_url
    elif (dsn := attach(settings.data_dir)) is not None:
        yield dsn
    else:
        server = EmbeddedPostgres(settings.data_dir, reader_role=settings.postgres_reader_role)
        try:
            yield await server.start()
        finally:
            await server.stop()
